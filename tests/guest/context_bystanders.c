// SPDX-License-Identifier: GPL-2.0
/*
 * What `current` is in an interrupt: the task that the interrupt found on its
 * processor, and not the one that set it off. Two situations have an answer that is
 * known before: a processor on which a program does nothing but run, and idle ones.
 *
 * OPENS, if set, is how often the file is opened in each.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"

/* What interrupts somebody. A call by another processor interrupts a work item. */
static const char * const interrupts[] = {
	"hrtimer", "softirq_timer", "softirq_bh", "irq_work",
};

#define INTERRUPTS (sizeof(interrupts) / sizeof(*interrupts))

/*
 * Of a hundred rows so many: some thread of the kernel always comes between. Where all
 * takes ten times as long, and the timers do not, they come between more often.
 */
#define MOST (slower() > 1 ? 60 : 90)

static bool rt;

static bool is(const char *comm, const char *thread, int cpu)
{
	char name[30];

	snprintf(name, sizeof(name), "[%s/%d]", thread, cpu);
	return !strcmp(comm, name);
}

/* PREEMPT_RT has threads for all but what asks for hard interrupt context. */
static bool is_thread_of_rt(const struct context_row *row, int cpu)
{
	if (!strcmp(row->context, "irq_work"))
		return is(row->comm, "irq_work", cpu);
	return is(row->comm, "ksoftirqd", cpu) || is(row->comm, "ktimers", cpu);
}

/* Whether the row shows the process, or the idle task of the processor where there is none. */
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

/* How many of a hundred rows of the processors show what was there. */
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

/* The kernel tests its ciphers for some seconds after the boot. */
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
	struct utsname name;
	long of_100;
	pid_t pid;

	ksft_print_header();
	ksft_set_plan(2);
	must(uname(&name));
	rt = strstr(name.version, "PREEMPT_RT");
	load_taskscope("");
	turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wait_until(nothing_runs(), "no processor is idle");
	of_100 = share(opens, cpus, online, 0);
	ksft_test_result(of_100 >= MOST, "idle processors: %ld of 100 rows show the %s\n", of_100,
			 rt ? "idle task, or the thread that serves it" : "idle task");
	if (online < 2) {
		ksft_test_result_skip("beside a program: the reader runs on its processor too\n");
		ksft_finished();
	}
	pid = start_child(stand_by, &cpus[online - 1]);
	wait_until(*turns, "the bystander does not run");
	of_100 = share(opens, &cpus[online - 1], 1, pid);
	ksft_test_result(of_100 >= MOST, "beside a program that runs: %ld of 100 rows show %s\n",
			 of_100, rt ? "it, or the thread that serves it" : "it");
	end_child(pid);
	ksft_finished();
}
