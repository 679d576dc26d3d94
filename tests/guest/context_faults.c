// SPDX-License-Identifier: GPL-2.0
/*
 * An open of `contexts` works in work items, too. The allocations of those fail, one after the
 * other. The open may fail with ENOMEM. An open that succeeds must show the same rows as without
 * the fault. If an interrupt cannot be made, the summary says so. (In `faults` the allocations of
 * the reader fail.)
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"

/* No open has so many allocations, unless it never ends. */
#define MOST 1000

/* How often each end was seen. */
static struct {
	int refused, shown, without_irq;
} ends;

/* All rows are there, and each answer but that of an interrupt that could not be made. */
static bool is_whole(const struct contexts *table, size_t rows)
{
	size_t said = contexts_said(table, "# irq_thread on processor ");

	if (table->problem || table->rows != rows || contexts_said(table, "did not answer"))
		return false;
	ends.without_irq += said > 0;
	return contexts_unanswered(table) == said &&
	       said == contexts_said(table, "could not be provoked: error 12");
}

/* One open in which that allocation fails. Whether there were so many. */
static bool fails(int nth, size_t rows, bool *good)
{
	struct contexts *table;
	bool met;
	int error;

	set_parameter("fail_worker", "nth", nth);
	table = contexts_try_read();
	error = errno;
	met = !parameter_value("fail_worker", "nth");
	set_parameter("fail_worker", "nth", 0);
	if (table && !is_whole(table, rows)) {
		printf("# allocation %d: the table is not whole\n", nth);
		*good = false;
	} else if (!table && (error != ENOMEM || !met)) {
		printf("# allocation %d: error %d\n", nth, error);
		*good = false;
	}
	if (met)
		++*(table ? &ends.shown : &ends.refused);
	contexts_free(table);
	return met;
}

static bool good_sweep(size_t rows)
{
	bool good = true;
	int nth = 1;

	while (fails(nth, rows, &good))
		if (++nth > MOST)
			die("the allocations of an open do not end");
	ksft_print_msg("%d opens refused, %d shown, %d of them without an interrupt\n",
		       ends.refused, ends.shown, ends.without_irq);
	return good && ends.refused && ends.without_irq;
}

static int open_without_thread(void)
{
	int error;

	set_parameter("fail_worker", "no_thread", 1);
	error = open_error(TABLES "contexts", O_RDONLY | O_CLOEXEC);
	set_parameter("fail_worker", "no_thread", 0);
	return error;
}

/* What such an open has left would keep a workqueue of the module. */
static bool nothing_left(long before, long times)
{
	long after;

	must(unload_module("taskscope") ? -1 : 0);
	skip_suites();
	for (long i = 0; i < times; i++) {
		load_taskscope("");
		open_without_thread();
		must(unload_module("taskscope") ? -1 : 0);
	}
	after = slab_objects_in_the_end("pool_workqueue", before + times);
	ksft_print_msg("pool_workqueues: %ld before, %ld after\n", before, after);
	return after <= before + times;
}

int main(void)
{
	struct contexts *table;
	size_t rows;
	long queues;

	ksft_print_header();
	ksft_set_plan(4);
	/* The kernel frees those of a module some time after the unload. */
	queues = slab_objects("pool_workqueue");
	load_module("/tests/fail_worker.ko", "");
	load_taskscope("");
	table = contexts_read();
	rows = table->rows;
	contexts_free(table);
	ksft_test_result(good_sweep(rows),
			 "allocations fail in work items: the open fails, or shows all\n");
	ksft_test_result(open_without_thread() == ENOMEM,
			 "the thread cannot be created: ENOMEM\n");
	table = contexts_read();
	ksft_test_result(is_whole(table, rows) && !contexts_said(table, "could not be"),
			 "the next open: it shows all\n");
	contexts_free(table);
	ksft_test_result(nothing_left(queues, 8),
			 "the thread cannot be created, 8 loads: nothing is left\n");
	ksft_finished();
}
