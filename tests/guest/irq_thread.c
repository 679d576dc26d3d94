// SPDX-License-Identifier: GPL-2.0
/*
 * The interrupt of irq_thread is one of the kernel's: /proc/interrupts has a line for it, and
 * its thread is as the kernel makes the thread of an interrupt. A module holds an open before
 * it gives the interrupts back. After an open, none of that is left.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"
#include "interrupts.h"

/* include/linux/sched/prio.h: the middle of the real-time priorities */
#define PRIORITY 50

static int cpus[CPUS_MAX], online;

/* Any line of taskscope, or any thread of one. */
static bool is_left(void)
{
	char *text = slurp("/proc/interrupts", NULL);
	struct proc_thread *threads;
	size_t count = proc_threads(&threads);
	bool found = strstr(text, "taskscope");

	for (size_t i = 0; i < count; i++) {
		threads[i].comm[threads[i].comm_length] = 0;
		/* A kworker has the name of its workqueue: "kworker/0:1-taskscope". */
		found |= !strncmp(threads[i].comm, "irq/", 4) &&
			 strstr(threads[i].comm, "-taskscop");
	}
	free(threads);
	free(text);
	return found;
}

/* A thread of that name, which is bound to the CPU, and has the priority of such threads. */
static bool is_irq_thread(pid_t pid, int number, int cpu)
{
	struct sched_param priority;
	struct proc_thread thread;
	cpu_set_t set;
	char comm[40];

	snprintf(comm, sizeof(comm), "irq/%d-taskscope", number);
	/* The kernel cuts off the name of a thread, and keeps all of it for /proc. */
	if (!proc_thread(pid, pid, &thread) || strncmp(thread.comm, comm, 15)) {
		printf("# no thread %s\n", comm);
		return false;
	}
	must(sched_getaffinity(pid, sizeof(set), &set));
	must(sched_getparam(pid, &priority));
	return thread.flags & PF_KTHREAD && sched_getscheduler(pid) == SCHED_FIFO &&
	       priority.sched_priority == PRIORITY && CPU_COUNT(&set) == 1 &&
	       CPU_ISSET(cpu, &set);
}

/* The interrupts are there when the open has returned: each has come once, to its CPU alone. */
static bool good_while_held(void)
{
	struct contexts *table;
	struct interrupts *now;
	bool good = true;

	load_module("/tests/hold_irq.ko", "");
	table = contexts_read();
	now = interrupts_read();
	for (int i = 0; i < online; i++) {
		const struct context_row *row = contexts_find(table, "irq_thread", cpus[i]);
		int number = row ? atoi(row->source) : -1;

		for (int c = 0; row && c < online; c++)
			good &= interrupts_of(now, row->source, cpus[c]) == (c == i);
		good &= row && strstr(row->source, ":taskscope") &&
			is_irq_thread(atoi(row->pid), number, cpus[i]);
	}
	if (!good)
		printf("%s\n", slurp("/proc/interrupts", NULL));
	interrupts_free(now);
	contexts_free(table);
	must(unload_module("hold_irq") ? -1 : 0);
	return good;
}

/* The numbers are used again, so that none is leaked. */
static bool good_numbers(long opens)
{
	int first = 0;
	bool good = true;

	for (long i = 0; i < opens; i++) {
		struct contexts *table = contexts_read();

		for (int c = 0; c < online; c++) {
			const struct context_row *row =
				contexts_find(table, "irq_thread", cpus[c]);
			int number = row ? atoi(row->source) : 0;

			/* A CPU may not answer in time; its interrupt then stays longer. */
			if (!number)
				continue;
			if (!first)
				first = number;
			good &= number < first + 8 * online;
		}
		contexts_free(table);
	}
	return good && first;
}

/* The kernel has no interrupt to give: a line for each CPU says so, the other rows are there. */
static bool good_without_irq(void)
{
	struct contexts *table;
	bool good = true;

	load_module("/tests/refuse_irq.ko", "");
	table = contexts_read();
	for (int i = 0; i < online; i++) {
		char words[80];

		snprintf(words, sizeof(words),
			 "# irq_thread on processor %d could not be provoked: error %d", cpus[i],
			 ENOSPC);
		good &= contexts_said(table, words) == 1 &&
			!contexts_find(table, "irq_thread", cpus[i]) &&
			contexts_find(table, "irq_work", cpus[i]);
	}
	good &= !contexts_said(table, "did not answer");
	contexts_free(table);
	must(unload_module("refuse_irq") ? -1 : 0);
	return good;
}

int main(void)
{
	const long opens = rounds("OPENS", 40, 1000);

	ksft_print_header();
	ksft_set_plan(4);
	online = online_cpus(cpus);
	load_taskscope("");
	ksft_test_result(good_while_held(),
			 "during an open: the kernel has the interrupts and their threads\n");
	ksft_test_result(good_numbers(opens), "%ld opens: the same numbers again\n", opens);
	ksft_test_result(good_without_irq(), "no interrupt can be made: a line says so\n");
	/* A thread may be about to exit. */
	ksft_test_result(comes_true(!is_left()),
			 "after the opens: no interrupt and no thread is left\n");
	ksft_finished();
}
