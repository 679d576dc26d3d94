// SPDX-License-Identifier: GPL-2.0
/*
 * `contexts` and `cpus` do not disturb isolated CPUs. The expected set of isolated CPUs,
 * and why each is isolated, comes from /sys and from the cpuset controller. If the kernel's
 * command line isolates no CPU (tests/host/isolated.test boots guests in which it
 * does), the test makes an isolated cpuset partition, and removes it at run time.
 *
 * Three witnesses show that nothing happens on an isolated CPU: the kernel's tracer,
 * the kernel's interrupt counters, and a program that runs there all the time.
 *
 * OPENS, if set, is the number of opens under the witnesses, and CHANGES the number of
 * times that the partition is made and removed while a reader is active.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest.h>

#include "contexts.h"
#include "cpus.h"
#include "guest.h"
#include "interrupts.h"
#include "isolation.h"
#include "trace.h"

static const char * const per_cpu[] = {
	"workqueue", "softirq_bh", "softirq_timer", "hrtimer", "irq_work", "ipi", "irq_thread",
};

#define PER_CPU ARRAY_SIZE(per_cpu)

static bool rt;

/* Every online CPU has its rows: either complete, or with nothing but its number. */
static bool rows_fit(const struct contexts *table, bool all)
{
	int cpus[CPUS_MAX], online = online_cpus(cpus), asked = 0;
	size_t isolated = 0;
	bool good = true;

	for (int i = 0; i < online; i++)
		asked += all || !is_isolated(isolation_of(cpus[i]));
	for (int i = 0; i < online; i++) {
		struct isolation why = isolation_of(cpus[i]);
		bool alone = !all && is_isolated(why);
		char words[100];

		for (size_t c = 0; c < PER_CPU; c++) {
			const struct context_row *row = contexts_find(table, per_cpu[c], cpus[i]);

			/* If only one CPU has probes, no other can send it an IPI. */
			if (!strcmp(per_cpu[c], "ipi") && !alone && asked == 1) {
				good &= !row && contexts_said(table, "# ipi: no other") == 1;
				continue;
			}
			if (!row || row->seen == alone || row->left_alone != alone) {
				printf("# %s on CPU %d: %s\n", per_cpu[c], cpus[i],
				       !row ? "no row" : row->seen ? "seen" : "left alone");
				good = false;
			}
		}
		if (!alone)
			continue;
		isolated++;
		snprintf(words, sizeof(words),
			 "# processor %d is isolated (%s%s%s) and was left alone;", cpus[i],
			 why.isolcpus ? "isolcpus=" : why.cpuset ? "cpuset" : "",
			 (why.isolcpus || why.cpuset) && why.nohz_full ? ", " : "",
			 why.nohz_full ? "nohz_full=" : "");
		if (contexts_said(table, words) != 1) {
			printf("# no summary line says '%s'\n", words);
			good = false;
		}
	}
	return good & (contexts_said(table, "is isolated") == isolated) &
	       !contexts_said(table, "did not answer");
}

/* The summary says why the CPU has no rows in `cpus`. */
static bool said_why(const struct rows *table, int cpu)
{
	struct isolation why = isolation_of(cpu);
	char words[100];

	snprintf(words, sizeof(words), "# CPU %d is isolated (%s%s%s) and was left alone;", cpu,
		 why.isolcpus ? "isolcpus=" : why.cpuset ? "cpuset" : "",
		 (why.isolcpus || why.cpuset) && why.nohz_full ? ", " : "",
		 why.nohz_full ? "nohz_full=" : "");
	return cpus_said(table, words) == 1;
}

/* `cpus` shows each CPU, or that it is isolated. The reader's own CPU is shown, if it is given. */
static bool cpus_fit(bool all, int own)
{
	int cpus[CPUS_MAX], online = online_cpus(cpus);
	struct rows *table = rows_read("cpus");
	bool good = cpus_whole(table);
	size_t isolated = 0;

	for (int i = 0; i < online; i++) {
		bool alone = !all && cpus[i] != own && is_isolated(isolation_of(cpus[i]));

		isolated += alone;
		good &= !strcmp(cpus_value(table, cpus[i], "VALID"),
				alone ? "isolated" : "sampled");
		good &= !alone || said_why(table, cpus[i]);
	}
	good &= cpus_said(table, "is isolated") == isolated;
	if (!good)
		printf("%s\n", table->text);
	rows_free(table);
	return good;
}

static bool rows_fit_now(bool all)
{
	struct contexts *table = contexts_read();
	bool good = rows_fit(table, all) & cpus_fit(all, -1);

	if (!good)
		for (size_t i = 0; i < table->summaries; i++)
			printf("%s\n", table->summary[i]);
	contexts_free(table);
	return good;
}

/* The tracepoints that name a function of a module, and sched_switch. */
static const char * const events[] = {
	"workqueue/workqueue_execute_start", "timer/timer_expire_entry",
	"timer/hrtimer_expire_entry", "csd/csd_function_entry", "sched/sched_switch",
};

static void trace_all(void)
{
	trace_begin(events[0], NULL);
	for (size_t i = 1; i < ARRAY_SIZE(events); i++)
		trace_also(events[i]);
}

/* Whether the kernel runs unbound work items and threads on the CPU. */
static bool takes_any_thread(int cpu)
{
	char *mask = slurp("/sys/devices/virtual/workqueue/cpumask", NULL);
	char *last = strrchr(mask, ',') ? strrchr(mask, ',') + 1 : mask;
	const pid_t kthreadd = 2;
	cpu_set_t set;
	bool takes;

	must(sched_getaffinity(kthreadd, sizeof(set), &set));
	takes = CPU_ISSET(cpu, &set) || strtoul(last, NULL, 16) >> cpu & 1;
	free(mask);
	return takes;
}

/*
 * The number of the CPU's trace events that are taskscope's. Without any_thread, the
 * events of threads that are not bound to a CPU do not count.
 */
static long traced_of_taskscope(int cpu, bool any_thread)
{
	char *text = trace_text(cpu), *rest;
	long count = 0;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		/* The thread of an interrupt is bound after it has been made; its name is cut. */
		bool unbound = strstr(line, "ProbeWork") || strstr(line, "taskscope_probe") ||
			       strstr(line, "-taskscop");

		count += strstr(line, "taskscop") && (any_thread || !unbound);
	}
	free(text);
	return count;
}

static void count_interrupts(int cpu, long *irq_works, long *calls)
{
	struct interrupts *interrupts = interrupts_read();

	*irq_works = interrupts_named(interrupts, "IRQ work interrupts", cpu);
	*calls = interrupts_named(interrupts, "Function call interrupts", cpu);
	if (*irq_works < 0 || *calls < 0)
		die("/proc/interrupts lacks a line");
	interrupts_free(interrupts);
}

/* A program that runs on the CPU, in the partition if there is one. */
static volatile long *turns;

static void run_there(void *cpu)
{
	if (!access(PARTITION, F_OK))
		write_file(PARTITION "cgroup.procs", "0");
	stay_on(*(int *)cpu);
	for (;;) {
		++*turns;
		relax();
	}
}

/* What the witnesses on the CPU saw during a number of opens. */
struct seen {
	long traced, irq_works, calls, switches;
	bool any_thread;
};

static struct seen watch(int cpu, long opens)
{
	struct seen seen = { .any_thread = takes_any_thread(cpu) };
	long irq_works, calls;
	pid_t pid;

	*turns = 0;
	pid = start_child(run_there, &cpu);
	wait_until(*turns, "nothing runs on CPU %d", cpu);
	trace_all();
	count_interrupts(cpu, &irq_works, &calls);
	seen.switches = proc_switches(pid, pid);
	for (long i = 0; i < opens; i++) {
		contexts_free(contexts_read());
		rows_free(rows_read("cpus"));
	}
	seen.switches = proc_switches(pid, pid) - seen.switches;
	count_interrupts(cpu, &seen.irq_works, &seen.calls);
	seen.irq_works -= irq_works;
	seen.calls -= calls;
	seen.traced = traced_of_taskscope(cpu, !seen.any_thread);
	trace_end();
	end_child(pid);
	ksft_print_msg("CPU %d, %ld opens: %ld events, %ld irq_works, %ld calls, %ld switches\n",
		       cpu, opens, seen.traced, seen.irq_works, seen.calls, seen.switches);
	return seen;
}

/*
 * The kernel's own work goes on at times. An effect of an open would appear in every open.
 *
 * nohz_full= alone keeps no threads off a CPU, and kthreadd stays on the CPU
 * that booted: there the kernel may create a thread, and run an unbound work item.
 * PREEMPT_RT has threads that run at every tick.
 */
static bool nothing(struct seen seen, long opens)
{
	return !seen.traced && seen.irq_works < opens &&
	       (seen.any_thread || seen.calls < opens) &&
	       (seen.any_thread || rt || seen.switches < opens);
}

/*
 * An open of `contexts` causes at least five events, one thread and one irq_work on a CPU, and an
 * open of `cpus` causes a call and a timer.
 */
static bool much(struct seen seen, long opens)
{
	return seen.traced >= 7 * opens && seen.irq_works >= opens && seen.calls >= opens &&
	       seen.switches >= opens;
}

/* A reader on the isolated CPU itself gets the rows of that CPU. */
static void read_there(void *cpu)
{
	struct contexts *table;
	char number[20];
	bool good;

	if (!access(PARTITION, F_OK))
		write_file(PARTITION "cgroup.procs", "0");
	stay_on(*(int *)cpu);
	snprintf(number, sizeof(number), "%d", *(int *)cpu);
	table = contexts_read();
	good = !strcmp(contexts_find(table, "syscall", -1)->cpu, number) &&
	       !strcmp(contexts_find(table, "page_fault", -1)->cpu, number) &&
	       rows_fit(table, false) && cpus_fit(false, *(int *)cpu);
	*turns = good ? 1 : 2;
	for (;;)
		pause();
}

static bool good_from_there(int cpu)
{
	pid_t pid;

	*turns = 0;
	pid = start_child(read_there, &cpu);
	wait_until(*turns, "no reader on CPU %d", cpu);
	end_child(pid);
	return *turns == 1;
}

/* The partition is made and removed; each open shows the current state. */
static bool follows(int cpu, long times)
{
	bool good = true;

	for (long i = 0; i < times; i++) {
		isolate(i % 2, cpu);
		good &= rows_fit_now(false);
	}
	isolate(true, cpu);
	return good;
}

/*
 * In a child: reads until it is told to stop. Whatever happens to the partition meanwhile,
 * each CPU has all of its rows or none, and in the latter case a summary line says
 * that it is isolated.
 */
static volatile bool *enough;

static void read_under_changes(void *isolated)
{
	volatile long *count = isolated;

	while (!*enough) {
		struct contexts *table = contexts_read();
		int cpus[CPUS_MAX], online = online_cpus(cpus);

		for (int i = 0; i < online; i++) {
			size_t alone = 0, answered;
			char words[60];

			/* On a busy host, a context may not answer in time: then a line says so. */
			snprintf(words, sizeof(words), " on processor %d did not answer", cpus[i]);
			answered = contexts_said(table, words);
			snprintf(words, sizeof(words), " on processor %d was not sent", cpus[i]);
			answered += contexts_said(table, words);
			for (size_t c = 0; c < PER_CPU; c++) {
				const struct context_row *row =
					contexts_find(table, per_cpu[c], cpus[i]);

				alone += row && row->left_alone;
				answered += row && row->seen;
			}
			snprintf(words, sizeof(words), "# processor %d is isolated (", cpus[i]);
			/* There is no ipi row if only one CPU has probes. */
			if (contexts_said(table, words) != !!alone ||
			    (alone ? alone != PER_CPU || answered : answered < PER_CPU - 1))
				count[2]++;
			count[!!alone]++;
		}
		contexts_free(table);
	}
	count[3] = 1;
	for (;;)
		pause();
}

static bool good_under_changes(int cpu, long changes)
{
	volatile long *count = turns;
	pid_t pid;
	bool good;

	memset((void *)count, 0, 4 * sizeof(*count));
	*enough = false;
	pid = start_child(read_under_changes, (void *)count);
	for (long i = 0; i < changes; i++) {
		long before = count[0] + count[1];

		isolate(i % 2, cpu);
		wait_until(count[0] + count[1] > before + 4, "no reader");
	}
	*enough = true;
	wait_until(count[3], "the reader does not end");
	good = count[0] && count[1] && !count[2];
	ksft_print_msg("with probes %ld times, without %ld times, mixed up %ld times\n", count[0],
		       count[1], count[2]);
	end_child(pid);
	isolate(true, cpu);
	return good;
}

int main(void)
{
	const long opens = setting("OPENS", 20), changes = rounds("CHANGES", 6, 60);
	int cpus[CPUS_MAX], online = online_cpus(cpus), cpu = -1;
	bool own;
	cpu_set_t others;

	ksft_print_header();
	rt = is_preempt_rt();
	turns = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enough = (volatile bool *)(turns + 100);
	if (online < 2)
		ksft_exit_skip("a guest with one CPU cannot isolate it\n");
	write_file(CGROUPS "cgroup.subtree_control", "+cpuset");
	for (int i = 0; i < online; i++)
		if (is_isolated(isolation_of(cpus[i])))
			cpu = cpus[i];
	own = cpu < 0;
	ksft_set_plan(own ? 9 : 6);
	load_taskscope("");
	if (own) {
		cpu = cpus[online - 1];
		ksft_test_result(rows_fit_now(false),
				 "no isolated CPU: all have complete rows\n");
		make_partition(cpu);
		isolate(true, cpu);
	}
	/* The reader runs on a CPU that is not isolated: `cpus` shows the reader's own CPU. */
	must(sched_getaffinity(0, sizeof(others), &others));
	for (int i = 0; i < online; i++)
		if (is_isolated(isolation_of(cpus[i])))
			CPU_CLR(cpus[i], &others);
	must(sched_setaffinity(0, sizeof(others), &others));

	ksft_test_result(rows_fit_now(false),
			 "isolated CPU: its rows have its number and nothing else\n");
	ksft_test_result(nothing(watch(cpu, opens), opens),
			 "isolated CPU: nothing happens there in %ld opens\n", opens);
	ksft_test_result(good_from_there(cpu),
			 "reader on the isolated CPU: its syscall row is complete\n");
	if (own) {
		ksft_test_result(follows(cpu, changes),
				 "partition changes: each open shows it\n");
		ksft_test_result(good_under_changes(cpu, changes),
				 "partition changes during opens: every table is consistent\n");
	}
	must(unload_module("taskscope") ? -1 : 0);
	load_taskscope("include_isolated=1");
	ksft_test_result(rows_fit_now(true),
			 "include_isolated=1: all CPUs have complete rows\n");
	ksft_test_result(much(watch(cpu, opens), opens),
			 "include_isolated=1: the witnesses see the open\n");
	must(unload_module("taskscope") ? -1 : 0);
	load_taskscope("");
	ksft_test_result(rows_fit_now(false),
			 "include_isolated=0: the isolated CPU is left alone\n");
	if (own) {
		isolate(false, cpu);
		remove_partition();
	} else {
		write_file(CGROUPS "cgroup.subtree_control", "-cpuset");
	}
	ksft_finished();
}
