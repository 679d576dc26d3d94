// SPDX-License-Identifier: GPL-2.0
/*
 * The mapping in which an open of `contexts` faults belongs to the process, which sees it. A
 * module stops the open before the mapping is removed: other threads look at it meanwhile. The
 * witness is /proc/PID/maps.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest.h>

#include "guest.h"
#include "stand.h"

/* The mapping of taskscope in the calling process, if it has one. */
static bool find_taskscope(struct mapping *found)
{
	struct mapping *mapping;
	size_t count = proc_mappings(getpid(), &mapping);
	bool has = false;

	for (size_t i = 0; i < count; i++)
		if (strstr(mapping[i].name, "[taskscope]")) {
			*found = mapping[i];
			has = true;
		}
	free(mapping);
	return has;
}

static void *open_once(void *error)
{
	*(int *)error = open_error(TABLES "contexts", O_RDONLY | O_CLOEXEC);
	return NULL;
}

static int child_has_it(void)
{
	struct mapping mapping;

	return find_taskscope(&mapping);
}

int main(void)
{
	struct mapping mapping = { 0 };
	unsigned long place, mapped;
	char parameters[30];
	pthread_t thread;
	bool seen;
	int error;

	ksft_print_header();
	ksft_set_plan(3);
	load_taskscope("");
	snprintf(parameters, sizeof(parameters), "pid=%d", getpid());
	load_module("/tests/hold_unmap.ko", parameters);
	if (pthread_create(&thread, NULL, open_once, &error))
		die("pthread_create");
	wait_until((place = parameter_value("hold_unmap", "place")), "no mapping is removed");
	seen = find_taskscope(&mapping);
	ksft_print_msg("%lx-%lx %s %s\n", mapping.start, mapping.end, mapping.access, mapping.name);
	ksft_test_result(seen && mapping.start == place && mapping.end == place + PAGE &&
			 !strcmp(mapping.access, "r--p") && place > (unsigned long)sbrk(0),
			 "during the open: one read-only private page above the heap\n");
	ksft_test_result(!in_child(child_has_it),
			 "process forks during the open: the child has no such mapping\n");
	set_parameter("hold_unmap", "let_go", 1);
	pthread_join(thread, NULL);
	if (error)
		die("open: error %d", error);
	mapped = parameter_value("hold_unmap", "mapped");
	if (mapped != place)
		die("nothing is mapped at %lx: %ld", place, mapped);
	ksft_test_result(proc_mapping(getpid(), mapped, &mapping) && !find_taskscope(&mapping),
			 "another mapping comes to that place at once: it stays\n");
	ksft_finished();
}
