// SPDX-License-Identifier: GPL-2.0
/*
 * An open, a read and a close of each file succeed and leave nothing: no seq_file, by the kernel's
 * count of its objects, and no memory, by /proc/meminfo and /proc/zoneinfo.
 *
 * OPENS, if set, is how often each file is opened.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include <kselftest.h>

#include "guest.h"
#include "whole.h"

/* So many kB may be missing for other reasons, and so many for each open. */
#define SOME 500
#define EACH 4

/* The size of the buffer through which a table is read. */
#define BUFFER 32768

#define TRACER "/sys/kernel/tracing/"

/* Other files of the system may have so many seq_files more. */
#define FEW 50

/* The free memory in kB, with the pages that each CPU keeps for the next that asks for one. */
static long available(void)
{
	const long page = sysconf(_SC_PAGESIZE) / 1024;
	char *text = slurp("/proc/meminfo", NULL), *zones = slurp("/proc/zoneinfo", NULL), *at;
	long kb;

	at = strstr(text, "MemAvailable:");
	if (!at)
		die("/proc/meminfo has no MemAvailable");
	kb = atol(at + strlen("MemAvailable:"));
	for (at = zones; (at = strstr(at, " count: ")); at++)
		kb += page * atol(at + strlen(" count: "));
	free(text);
	free(zones);
	return kb;
}

/* How many closes have not returned 0. */
static long closes_wrong;

static void open_often(const char *path, long times)
{
	static char text[1 << 16];

	for (long i = 0; i < times; i++) {
		int file = must(open(path, O_RDONLY | O_CLOEXEC));

		while (must(read(file, text, sizeof(text))))
			;
		closes_wrong += close(file) != 0;
	}
}

/* What is freed in the background is back after a while. */
static long lost_in_the_end(long before, long most)
{
	long lost;

	for (int i = 0; (lost = before - available()) > most && i < 50; i++)
		usleep(100000);
	return lost;
}

/* How often this process gets memory of the size of a buffer while it opens the file. */
static long allocations(const char *path, long times)
{
	long lines = 0;
	char filter[100], *trace;

	if (mount("tracefs", TRACER, "tracefs", 0, NULL) && errno != EBUSY)
		die("tracefs");
	snprintf(filter, sizeof(filter), "bytes_alloc == %d && common_pid == %d", BUFFER, getpid());
	write_file(TRACER "events/kmem/kmalloc/filter", filter);
	write_file(TRACER "trace", "");
	write_file(TRACER "events/kmem/kmalloc/enable", "1");
	open_often(path, times);
	write_file(TRACER "events/kmem/kmalloc/enable", "0");
	write_file(TRACER "events/kmem/kmalloc/filter", "0");
	trace = slurp(TRACER "trace", NULL);
	for (char *at = trace; (at = strstr(at, " kmalloc: ")); at++)
		lines++;
	free(trace);
	umount(TRACER);
	return lines;
}

int main(void)
{
	const long opens = rounds("OPENS", 80, 2000), most = SOME + EACH * opens;
	char **names;
	long allocated;
	int count = 0;

	ksft_print_header();
	load_taskscope("");
	names = file_names();
	while (names[count])
		count++;
	ksft_set_plan(2 * count + 2);
	for (int i = 0; i < count; i++) {
		char path[100];
		long objects, before, lost;

		snprintf(path, sizeof(path), TABLES "%s", names[i]);
		open_often(path, 10);
		objects = slab_objects("seq_file");
		before = available();
		open_often(path, opens);
		objects = slab_objects_in_the_end("seq_file", objects + FEW) - objects;
		lost = lost_in_the_end(before, most);
		ksft_print_msg("%s: %ld objects and %ld kB more\n", names[i], objects, lost);
		ksft_test_result(objects <= FEW, "%s, %ld opens: no seq_file is left\n", names[i],
				 opens);
		ksft_test_result(lost <= most, "%s, %ld opens: no memory is left\n",
				 names[i], opens);
	}
	ksft_test_result(!closes_wrong, "each close returns 0\n");
	allocated = allocations(TABLES "current", opens);
	ksft_print_msg("%ld buffers allocated\n", allocated);
	ksft_test_result(allocated <= opens / 10,
			 "current, %ld opens: the buffer of the last one is used again\n", opens);
	ksft_finished();
}
