// SPDX-License-Identifier: GPL-2.0
/*
 * `current` in an interrupt is the task that the interrupt interrupted on its CPU,
 * not the task that triggered the interrupt. Two situations have a known answer: a
 * CPU on which one program runs all the time, and idle CPUs. An interrupt for a call
 * finds the work item of its CPU, and that for an irq_work finds no softirq.
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

#define INTERRUPTS ARRAY_SIZE(interrupts)

/*
 * The least number of rows of a hundred that must show the expected task: some kernel
 * thread always runs in between. On a busy host, softirqs take long, and the kernel leaves
 * more of them to ksoftirqd. If `current` were the task that triggers the interrupts, which
 * sleeps meanwhile, no row would show the expected one.
 */
#define MOST 60
/* The tick, too, has an irq_work interrupt a softirq at times. It is never so for most rows. */
#define SOME 20

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

/* The ipi has interrupted the thread that runs the work item of its CPU. */
static bool finds_the_item(const struct contexts *table, int cpu)
{
	const struct context_row *ipi = contexts_find(table, "ipi", cpu);
	const struct context_row *item = contexts_find(table, "workqueue", cpu);

	if (ipi && item && !strcmp(ipi->pid, item->pid))
		return true;
	printf("# ipi on CPU %d: %s\n", cpu, ipi ? ipi->comm : "none");
	return false;
}

static bool finds_no_softirq(const struct contexts *table, int cpu)
{
	const struct context_row *row = contexts_find(table, "irq_work", cpu);

	if (row && !strcmp(row->softirq, "no"))
		return true;
	printf("# irq_work on CPU %d: %s\n", cpu, row ? "in a softirq" : "none");
	return false;
}

/* How many rows of a hundred are as expected, of all opens. */
static struct {
	long task, item, no_softirq;
} of_100;

static void share(long opens, const int *cpus, int count, pid_t pid)
{
	long rows = 0, good = 0, item = 0, no_softirq = 0;

	for (long i = 0; i < opens; i++) {
		struct contexts *table = contexts_read();

		for (int c = 0; c < count; c++) {
			item += finds_the_item(table, cpus[c]);
			no_softirq += finds_no_softirq(table, cpus[c]);
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
		}
		contexts_free(table);
	}
	of_100.task = good * 100 / rows;
	of_100.item = item * 100 / (opens * count);
	of_100.no_softirq = no_softirq * 100 / (opens * count);
	ksft_print_msg("%% of rows: %ld show the task, %ld ipi the item, %ld irq_work no softirq\n",
		       of_100.task, of_100.item, of_100.no_softirq);
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
	pid_t pid;

	ksft_print_header();
	ksft_set_plan(4);
	rt = is_preempt_rt();
	load_taskscope("");
	/*
	 * The worker keeps the CPU for 500 us after the end of the work item. An interrupt that
	 * comes too early finds the worker there, on a fast host too.
	 */
	load_module("/tests/callback_oracle.ko", "of=taskscope after=500");
	turns = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	wait_until(nothing_runs(), "no CPU is idle");
	share(opens, cpus, online, 0);
	ksft_test_result(of_100.task >= MOST, "idle CPUs: at least %d %% of the rows show the %s\n",
			 MOST, rt ? "idle task, or the interrupt's thread" : "idle task");
	ksft_test_result(of_100.no_softirq >= SOME,
			 "idle CPUs: at least %d %% of the irq_work interrupt no softirq\n", SOME);
	if (online < 2) {
		ksft_test_result_skip("no other CPU sends an ipi: there is only one\n");
		ksft_test_result_skip("a program runs on the CPU: there is only one\n");
		ksft_finished();
	}
	ksft_test_result(of_100.item >= MOST,
			 "idle CPUs: at least %d %% of the ipis interrupt the work item\n", MOST);
	pid = start_child(stand_by, &cpus[online - 1]);
	wait_until(*turns, "the bystander does not run");
	share(opens, &cpus[online - 1], 1, pid);
	ksft_test_result(of_100.task >= MOST,
			 "a program runs on the CPU: at least %d %% of the rows show %s\n", MOST,
			 rt ? "the program, or the interrupt's thread" : "the program");
	end_child(pid);
	ksft_finished();
}
