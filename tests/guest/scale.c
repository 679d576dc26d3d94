// SPDX-License-Identifier: GPL-2.0
/*
 * A process with very many threads: each thread has one row, in the order of the list.
 *
 * SCALE, if set, is the number of threads. A hundred thousand need more memory than the
 * guest has by default:
 *
 *	make test TESTS=scale MEMORY=6G APPEND=SCALE=100000
 */
#include <stdio.h>
#include <time.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "table.h"

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

	start = monotonic();
	threads = table_try_read("threads");
	ksft_print_msg("%zu rows, %zu bytes, opened, read and parsed in %.3f s\n",
		       threads->rows, threads->size, monotonic() - start);
	if (*threads->problem)
		ksft_print_msg("%s\n", threads->problem);
	ksft_test_result(!*threads->problem, "threads: the table is well formed\n");
	ksft_test_result(!table_twice(threads), "threads: no PID twice\n");
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
