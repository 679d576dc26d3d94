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

#include <kselftest.h>

#include "guest.h"
#include "whole.h"

/* Tuned: the kB that may be missing although no memory is left: a constant, and more per open. */
#define OTHER_KB 500
#define KB_PER_OPEN 4

/* Tuned: how many seq_files the rest of the system may open meanwhile. */
#define OTHER_FILES 50

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

int main(void)
{
	const long opens = rounds("OPENS", 80, 2000), most = OTHER_KB + KB_PER_OPEN * opens;
	char **names;
	int count = 0;

	ksft_print_header();
	load_taskscope("");
	names = file_names();
	while (names[count])
		count++;
	ksft_set_plan(2 * count + 1);
	for (int i = 0; i < count; i++) {
		char path[100];
		long objects, before, lost;

		snprintf(path, sizeof(path), TABLES "%s", names[i]);
		open_often(path, 10);
		objects = slab_objects("seq_file");
		before = available();
		open_often(path, opens);
		objects = slab_objects_in_the_end("seq_file", objects + OTHER_FILES) - objects;
		lost = lost_in_the_end(before, most);
		ksft_print_msg("%s: %ld objects and %ld kB more\n", names[i], objects, lost);
		ksft_test_result(objects <= OTHER_FILES,
				 "%s, %ld opens: no seq_file is left\n", names[i], opens);
		ksft_test_result(lost <= most, "%s, %ld opens: no memory is left\n",
				 names[i], opens);
	}
	ksft_test_result(!closes_wrong, "each close returns 0\n");
	ksft_finished();
}
