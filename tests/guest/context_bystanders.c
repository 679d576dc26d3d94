// SPDX-License-Identifier: GPL-2.0
/*
 * `current` in an interrupt is the task that the interrupt interrupted on its CPU,
 * not the task that triggered the interrupt. Two situations have a known answer: a
 * CPU on which one program runs all the time, and idle CPUs.
 *
 * OPENS, if set, is the number of opens in each situation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"

/* The contexts that interrupt a task. The ipi interrupts a work item. */
static const char * const interrupts[] = {
	"hrtimer", "softirq_timer", "softirq_bh", "irq_work",
};

#define INTERRUPTS (sizeof(interrupts) / sizeof(*interrupts))

/*
 * The least number of rows of a hundred that must show the expected task: some kernel
 * thread always runs in between. On a busy host, softirqs take long, and the kernel leaves
 * more of them to ksoftirqd. If `current` were the task that triggers the interrupts, which
 * sleeps meanwhile, no row would show the expected one.
 */
#define MOST 60

static bool rt;

static bool is(const char *comm, const char *thread, int cpu)
{
	char name[30];

	snprintf(name, sizeof(name), "[%s/%d]", thread, cpu);
	return !strcmp(comm, name);
}

/* PREEMPT_RT runs these in threads, except those that ask for hard interrupt context. */
static bool is_thread_of_rt(const struct context_row *row, int cpu)
{
	if (!strcmp(row->context, "irq_work"))
		return is(row->comm, "irq_work", cpu);
	return is(row->comm, "ksoftirqd", cpu) || is(row->comm, "ktimers", cpu);
}

/* Whether the row shows the process, or the CPU's idle task if there is no process. */
static bool shows(const struct context_row *row, int cpu, pid_t pid)
{
	char number[20];

	if (rt && strcmp(row->context, "hrtimer"))
		return is_thread_of_rt(row, cpu);
	if (!pid)
		return is(row->comm, "swapper", cpu);
	snprintf(number, sizeof(number), "%d", pid);
	return !strcmp(row->pid, number) && !strcmp(row->comm, "bystander");
}

/* How many rows of a hundred show the expected task. */
static long share(long opens, const int *cpus, int count, pid_t pid)
{
	long rows = 0, good = 0;

	for (long i = 0; i < opens; i++) {
		struct contexts *table = contexts_read();

		for (int c = 0; c < count; c++)
			for (size_t n = 0; n < INTERRUPTS; n++) {
				const struct context_row *row =
					contexts_find(table, interrupts[n], cpus[c]);

				rows++;
				if (!row || !row->seen)
					printf("# no %s on CPU %d\n", interrupts[n], cpus[c]);
				else if (shows(row, cpus[c], pid))
					good++;
				else
					printf("# %s on CPU %d: %s\n", interrupts[n], cpus[c],
					       row->comm);
			}
		contexts_free(table);
	}
	return good * 100 / rows;
}

/* The kernel tests its ciphers for some seconds after boot. */
static bool nothing_runs(void)
{
	struct proc_thread *threads;
	size_t count = proc_threads(&threads);
	bool none = true;

	for (size_t i = 0; i < count; i++)
		none &= threads[i].state != 'R' || threads[i].pid == getpid();
	free(threads);
	return none;
}

static volatile long *turns;

static void stand_by(void *cpu)
{
	stay_on(*(int *)cpu);
	must(prctl(PR_SET_NAME, "bystander"));
	for (;;) {
		++*turns;
		relax();
	}
}

int main(void)
{
	const long opens = setting("OPENS", 25);
	int cpus[CPUS_MAX], online = online_cpus(cpus);
	long of_100;
	pid_t pid;

	ksft_print_header();
	ksft_set_plan(2);
	rt = is_preempt_rt();
	load_taskscope("");
	/*
	 * The worker keeps the CPU for 500 us after the end of the work item. An interrupt that
	 * comes too early finds the worker there, on a fast host too.
	 */
	load_module("/tests/callback_oracle.ko", "of=taskscope after=500");
	turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wait_until(nothing_runs(), "no CPU is idle");
	of_100 = share(opens, cpus, online, 0);
	ksft_test_result(of_100 >= MOST, "idle CPUs: %ld of 100 rows show the %s\n", of_100,
			 rt ? "idle task, or the interrupt's thread" : "idle task");
	if (online < 2) {
		ksft_test_result_skip("a program runs on the CPU: there is only one\n");
		ksft_finished();
	}
	pid = start_child(stand_by, &cpus[online - 1]);
	wait_until(*turns, "the bystander does not run");
	of_100 = share(opens, &cpus[online - 1], 1, pid);
	ksft_test_result(of_100 >= MOST,
			 "a program runs on the CPU: %ld of 100 rows show %s\n",
			 of_100, rt ? "the program, or the interrupt's thread" : "the program");
	end_child(pid);
	ksft_finished();
}
