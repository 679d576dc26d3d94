// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of showing the stacks of very many threads at once: of kstacks in terms of
 * threads, and of kframes in terms of reading /proc/PID/stack of each thread.
 *
 * The figures are printed. The goals (kstacks at most twice threads, kframes less than /proc)
 * are test results only if COST is set, which says that time is reliable: in a guest whose
 * clock counts instructions, as QEMU's does with -icount shift=0,sleep=off and one CPU,
 * a nanosecond is an instruction.
 *
 * THREADS, if set, is the number of threads.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "rows.h"

#define TIMES 5

static struct crowd crowd;

/* Reads all of a file into an existing buffer; returns its size. */
static size_t read_all(const char *path)
{
	static char buffer[1 << 16];
	int descriptor = must(open(path, O_RDONLY | O_CLOEXEC));
	size_t size = 0;
	ssize_t got;

	while ((got = must(read(descriptor, buffer, sizeof(buffer)))))
		size += got;
	close(descriptor);
	return size;
}

/* The least time of several in which a table is opened and read, in milliseconds. */
static double cost(const char *name)
{
	double least = 0, start;
	char path[100];
	size_t size = 0;

	snprintf(path, sizeof(path), TABLES "%s", name);
	for (int i = 0; i < TIMES; i++) {
		start = monotonic();
		size = read_all(path);
		start = monotonic() - start;
		least = !i || start < least ? start : least;
	}
	ksft_print_msg("%s: %.3f ms, %zu bytes\n", name, 1e3 * least, size);
	return 1e3 * least;
}

static double cost_of_proc(void)
{
	double start = monotonic();
	char path[64];
	size_t size = 0;

	for (long i = 0; i < crowd.count; i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", crowd.pid,
			 crowd.tid[i]);
		size += read_all(path);
	}
	start = monotonic() - start;
	ksft_print_msg("/proc/PID/stack of each: %.3f ms, %zu bytes\n", 1e3 * start, size);
	return 1e3 * start;
}

/* Each thread has a row with a value. */
static bool all_there(const char *name, const char *column, const char *other)
{
	struct rows *table = rows_read(name);
	long found = 0, next = 0;

	for (size_t row = 0; row < table->rows && next < crowd.count; row++)
		if (table->pid[row] == crowd.tid[next]) {
			found += !!strcmp(rows_value(table, row, column), other);
			next++;
		}
	rows_free(table);
	ksft_print_msg("%s: %ld of %ld threads\n", name, found, crowd.count);
	return found == crowd.count;
}

int main(void)
{
	double threads, stacks, frames, proc;

	ksft_print_header();
	ksft_set_plan(getenv("COST") ? 4 : 2);
	load_taskscope("");
	crowd = start_crowd(rounds("THREADS", 2000, 10000));
	wait_for_state(crowd.pid, crowd.tid[crowd.count - 1], "S");

	ksft_test_result(all_there("kstacks", "USED", "-"), "kstacks: every thread has a stack\n");
	ksft_test_result(all_there("kframes", "DEPTH", "-"), "kframes: every thread has frames\n");
	threads = cost("threads");
	stacks = cost("kstacks");
	frames = cost("kframes");
	cost("syscalls");
	proc = cost_of_proc();
	ksft_print_msg("kstacks is %.2f of threads, kframes %.2f of /proc\n", stacks / threads,
		       frames / proc);
	if (getenv("COST")) {
		ksft_test_result(stacks <= 2 * threads, "kstacks costs at most twice threads\n");
		ksft_test_result(frames < proc, "kframes costs less than /proc\n");
	}
	ksft_finished();
}
