// SPDX-License-Identifier: GPL-2.0
/*
 * The module is unloaded while files are open and while readers read, with each of its files
 * in turn. It must stay while a file is open and unload at once when none is. A reader gets
 * a complete text, or an error that says that the module is gone.
 *
 * RELOADS, if set, is the number of unloads.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "whole.h"

static char **files;
static int file_count;

static int open_file(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), TABLES "%s", name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Checks that a text is complete, and prints what is wrong. */
static bool is_whole(const char *name, const char *text, size_t size)
{
	const char *problem = text ? whole(name, text, size) : "no text";

	if (problem)
		ksft_print_msg("%s: %s\n", name, problem);
	return !problem;
}

/* How often readers have opened a file since the load. */
static int *opened;

/* Opens, reads and closes until the module is gone; exits with 1 if a text was incomplete. */
static void read_until_gone(int which)
{
	for (;;) {
		const char *name = files[which++ % file_count];
		int descriptor = open_file(name);
		size_t size;
		char *text;

		/* The module was loaded when this child started. */
		if (descriptor < 0)
			_exit(errno != ENOENT && errno != ENXIO);
		__atomic_fetch_add(opened, 1, __ATOMIC_SEQ_CST);
		text = slurp_descriptor(descriptor, &size);
		if (!is_whole(name, text, size))
			_exit(1);
		free(text);
		close(descriptor);
		/* Longer than an open. Without it two readers would keep the module in use. */
		usleep(which % 7 * 3000);
	}
}

int main(void)
{
	int held = 0, rest_read = 0, gone = 0, under_readers = 0, refused = 0, good_readers = 0;
	/* Each round unloads twice. */
	const int times = rounds("RELOADS", 12, 1000) / 2;
	long queues, left;

	ksft_print_header();
	ksft_set_plan(6);
	opened = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	/* The kernel frees those of a module some time after the unload. */
	queues = slab_objects("pool_workqueue");
	load_taskscope("");
	files = file_names();
	while (files[file_count])
		file_count++;
	must(unload_module("taskscope") ? -1 : 0);
	for (int i = 0; i < times; i++) {
		const char *name = files[i % file_count];
		int descriptor, status;
		pid_t readers[2];
		char first[50], *text;
		size_t size;

		/* A file is open, partly read or not read at all. */
		load_taskscope("");
		descriptor = must(open_file(name));
		if (i % 2)
			must(read(descriptor, first, sizeof(first)));
		held += unload_module("taskscope") == EAGAIN;
		must(lseek(descriptor, 0, SEEK_SET));
		text = slurp_descriptor(descriptor, &size);
		rest_read += is_whole(name, text, size);
		free(text);
		close(descriptor);
		/* The last close has dropped the module's reference when close() returns. */
		gone += unload_module("taskscope") == 0 && access(TABLES, F_OK);

		/* Readers open and close files until the unload finds none open. */
		load_taskscope("");
		*opened = 0;
		for (int r = 0; r < 2; r++) {
			readers[r] = fork_child();
			if (!readers[r])
				read_until_gone(i + r);
		}
		wait_until(__atomic_load_n(opened, __ATOMIC_SEQ_CST) > 2, "no reader has read");
		wait_until((status = unload_module("taskscope")) != EAGAIN || !++refused,
			   "the module does not unload");
		under_readers += status == 0;
		for (int r = 0; r < 2; r++) {
			if (status)
				end_child(readers[r]);
			else
				must(waitpid(readers[r], &status, 0));
			good_readers += status == 0;
		}
	}
	left = slab_objects_in_the_end("pool_workqueue", queues + times);
	ksft_print_msg("pool_workqueues: %ld before, %ld after\n", queues, left);
	ksft_print_msg("unloaded %d times, refused %d times under readers of %d files\n",
		       2 * times, refused, file_count);
	ksft_test_result(held == times,
			 "open file: the unload fails with EAGAIN, %d times\n", times);
	ksft_test_result(rest_read == times,
			 "open file: readable after the failed unload, %d times\n", times);
	ksft_test_result(gone == times,
			 "file closed: the module unloads at once, %d times\n", times);
	ksft_test_result(under_readers == times,
			 "active readers: the module unloads, %d times\n", times);
	ksft_test_result(good_readers == 2 * times,
			 "active readers: each text is complete or an error, %d times\n",
			 2 * times);
	ksft_test_result(left <= queues + times, "%d loads: no workqueue is left\n", 2 * times);
	ksft_finished();
}
