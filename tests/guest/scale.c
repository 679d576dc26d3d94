// SPDX-License-Identifier: GPL-2.0
/*
 * A process of very many threads: each of them is there, once, in its order.
 *
 * SCALE, if set, is how many. A hundred thousand need more memory than the guest
 * has if not told otherwise:
 *
 *	make test TESTS=scale MEMORY=6G APPEND=SCALE=100000
 */
#include <stdio.h>
#include <time.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "table.h"

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(void)
{
	long count = rounds("SCALE", 2000, 10000), next = 0, wrong = 0;
	struct task_table *threads, *processes;
	const struct task_row *row;
	struct crowd crowd;
	double start;

	ksft_print_header();
	ksft_set_plan(4);
	load_taskscope("");
	crowd = start_crowd(count);

	start = now();
	threads = table_try_read("threads");
	ksft_print_msg("%zu rows, %zu bytes, opened, read and taken apart in %.3f s\n",
		       threads->rows, threads->size, now() - start);
	ksft_test_result(!*threads->problem, "well formed %s\n", threads->problem);
	ksft_test_result(!table_twice(threads), "no PID twice\n");
	for (size_t i = 0; i < threads->rows; i++) {
		row = &threads->row[i];
		if (row->tgid != crowd.pid)
			continue;
		wrong += row->pid != (next ? crowd.tid[next - 1] : crowd.pid);
		wrong += row->threads != count + 1;
		next++;
	}
	ksft_test_result(next == count + 1 && !wrong, "%ld threads, each once and in order\n",
			 count + 1);

	processes = table_read("processes");
	row = table_find(processes, crowd.pid);
	ksft_test_result(row && row->threads == count + 1, "processes: NTHR is %ld\n", count + 1);
	ksft_finished();
}
