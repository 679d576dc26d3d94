// SPDX-License-Identifier: GPL-2.0
/*
 * `contexts` leaves isolated processors alone. Which are isolated, and by what, is
 * told by /sys and by the cpuset controller. Where the kernel's command line isolates
 * none (tests/host/isolated.test boots such guests), an isolated partition of a
 * cpuset is made here, which comes and goes at run time.
 *
 * That nothing happens on such a processor is told by the kernel's tracer, by its
 * counts of interrupts, and by a program there that does nothing but run.
 *
 * OPENS and CHANGES, if set, are how often the file is opened beside the witnesses,
 * and how often the partition comes and goes under a reader.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"

#define CGROUPS "/sys/fs/cgroup/"
#define PARTITION CGROUPS "isolated/"
#define CPU_FILES "/sys/devices/system/cpu/"
#define TRACER "/sys/kernel/tracing/instances/isolated/"

static const char * const per_cpu[] = {
	"workqueue", "softirq_bh", "softirq_timer", "hrtimer", "irq_work", "ipi",
};

#define PER_CPU (sizeof(per_cpu) / sizeof(*per_cpu))

static bool rt;

/* What isolates a processor, as the kernel's own files have it. */
struct isolation {
	bool isolcpus, cpuset, nohz_full;
};

static bool is_listed(const char *path, int cpu)
{
	int cpus[CPUS_MAX], count = listed_cpus(path, cpus);

	for (int i = 0; i < count; i++)
		if (cpus[i] == cpu)
			return true;
	return false;
}

static struct isolation isolation_of(int cpu)
{
	struct isolation isolation = {
		.isolcpus = is_listed(CPU_FILES "isolated", cpu),
		.nohz_full = !access(CPU_FILES "nohz_full", F_OK) &&
			     is_listed(CPU_FILES "nohz_full", cpu),
	};

	isolation.cpuset = !isolation.isolcpus && is_listed(CGROUPS "cpuset.cpus.isolated", cpu);
	return isolation;
}

static bool is_isolated(struct isolation isolation)
{
	return isolation.isolcpus || isolation.cpuset || isolation.nohz_full;
}

/* Every processor that is online has its rows: seen, or with its number and nothing else. */
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

			/* One processor that is asked alone has no other to call it. */
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
			printf("# nothing says '%s'\n", words);
			good = false;
		}
	}
	return good & (contexts_said(table, "is isolated") == isolated) &
	       !contexts_said(table, "did not answer");
}

static bool rows_fit_now(bool all)
{
	struct contexts *table = contexts_read();
	bool good = rows_fit(table, all);

	if (!good)
		for (size_t i = 0; i < table->summaries; i++)
			printf("%s\n", table->summary[i]);
	contexts_free(table);
	return good;
}

/* The partition holds that processor alone, if there is one. */
static void make_partition(int cpu)
{
	char number[20];

	write_file(CGROUPS "cgroup.subtree_control", "+cpuset");
	must(mkdir(PARTITION, 0755));
	snprintf(number, sizeof(number), "%d", cpu);
	write_file(PARTITION "cpuset.cpus", number);
}

static void isolate(bool isolated, int cpu)
{
	write_file(PARTITION "cpuset.cpus.partition", isolated ? "isolated" : "member");
	if (isolation_of(cpu).cpuset != isolated)
		die("processor %d is %sisolated", cpu, isolated ? "not " : "");
}

static void remove_partition(void)
{
	must(rmdir(PARTITION));
	write_file(CGROUPS "cgroup.subtree_control", "-cpuset");
}

/* What the kernel traces that names a function of a module, and who is switched to. */
static const char * const events[] = {
	"workqueue/workqueue_execute_start", "timer/timer_expire_entry",
	"timer/hrtimer_expire_entry", "csd/csd_function_entry", "sched/sched_switch",
};

static void trace(bool on)
{
	if (on && access(TRACER, F_OK)) {
		if (mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) && errno != EBUSY)
			die("tracefs");
		must(mkdir(TRACER, 0755));
		write_file(TRACER "buffer_size_kb", "1024");
	}
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		char path[120];

		snprintf(path, sizeof(path), TRACER "events/%s/enable", events[i]);
		write_file(path, on ? "1" : "0");
	}
}

/* Whether the kernel itself puts threads there that need no processor in particular. */
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
 * How many events of the processor are taskscope's: of all its threads, or without those
 * that need no processor in particular.
 */
static long traced(int cpu, bool any_thread)
{
	char path[80], *text, *rest;
	long count = 0;

	snprintf(path, sizeof(path), TRACER "per_cpu/cpu%d/trace", cpu);
	text = slurp(path, NULL);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		bool unbound = strstr(line, "Errand") || strstr(line, "taskscope_probe");

		if (strstr(line, "LOST"))
			die("the tracer has lost events");
		count += strstr(line, "taskscope") && (any_thread || !unbound);
	}
	free(text);
	return count;
}

/* How many interrupts of a kind the processor (the place-th one online) has had. */
static long interrupts_of(const char *kind, int place)
{
	char *text = slurp("/proc/interrupts", NULL), *rest;
	long count = -1;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *at = strchr(line, ':');

		if (!at || !strstr(line, kind))
			continue;
		at++;
		for (int i = 0; i <= place; i++)
			count = strtol(at, &at, 10);
		break;
	}
	if (count < 0)
		die("/proc/interrupts has no %s", kind);
	free(text);
	return count;
}

/* A program that runs on the processor, in the partition if there is one. */
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

/* What the witnesses on the processor have seen of so many opens. */
struct seen {
	long traced, irq_works, calls, switches;
	bool any_thread;
};

static struct seen watch(int cpu, int place, long opens)
{
	struct proc_thread thread;
	struct seen seen = { .any_thread = takes_any_thread(cpu) };
	pid_t pid;

	*turns = 0;
	pid = start_child(run_there, &cpu);
	wait_until(*turns, "nothing runs on processor %d", cpu);
	trace(true);
	write_file(TRACER "trace", "");
	seen.irq_works = interrupts_of("IRQ work interrupts", place);
	seen.calls = interrupts_of("Function call interrupts", place);
	if (!proc_thread(pid, pid, &thread))
		die("nothing runs on processor %d", cpu);
	seen.switches = thread.switches;
	for (long i = 0; i < opens; i++)
		contexts_free(contexts_read());
	if (!proc_thread(pid, pid, &thread))
		die("nothing runs on processor %d", cpu);
	seen.switches = thread.switches - seen.switches;
	seen.irq_works = interrupts_of("IRQ work interrupts", place) - seen.irq_works;
	seen.calls = interrupts_of("Function call interrupts", place) - seen.calls;
	trace(false);
	seen.traced = traced(cpu, !seen.any_thread);
	end_child(pid);
	ksft_print_msg("CPU %d, %ld opens: %ld events, %ld irq_works, %ld calls, %ld switches\n",
		       cpu, opens, seen.traced, seen.irq_works, seen.calls, seen.switches);
	return seen;
}

/*
 * The kernel's own work goes on, now and then. What an open does, it does each time.
 *
 * nohz_full= alone does not keep threads off, and kthreadd stays on the processor that
 * has booted: there the kernel makes a thread, and lets an errand run, where it likes.
 * PREEMPT_RT has threads of its own that run at every tick.
 */
static bool nothing(struct seen seen, long opens)
{
	return !seen.traced && seen.irq_works < opens &&
	       (seen.any_thread || seen.calls < opens) &&
	       (seen.any_thread || rt || seen.switches < opens);
}

/* An open sets off at least five things, of which one is a thread and one an irq_work. */
static bool much(struct seen seen, long opens)
{
	return seen.traced >= 5 * opens && seen.irq_works >= opens && seen.calls >= opens &&
	       seen.switches >= opens;
}

/* A process that is on the isolated processor itself is asked where it is. */
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
	       rows_fit(table, false);
	*turns = good ? 1 : 2;
	for (;;)
		pause();
}

static bool good_from_there(int cpu)
{
	pid_t pid;

	*turns = 0;
	pid = start_child(read_there, &cpu);
	wait_until(*turns, "no reader on processor %d", cpu);
	end_child(pid);
	return *turns == 1;
}

/* The partition comes and goes, and each open has it as it is. */
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
 * In a child: reads until it is told. Whatever the partition does meanwhile, each
 * processor is asked all of it or nothing, and is said to be isolated or not.
 */
static volatile bool *enough;

static void read_under_changes(void *isolated)
{
	volatile long *count = isolated;

	while (!*enough) {
		struct contexts *table = contexts_read();
		int cpus[CPUS_MAX], online = online_cpus(cpus);

		for (int i = 0; i < online; i++) {
			size_t alone = 0, seen = 0;
			char words[60];

			for (size_t c = 0; c < PER_CPU; c++) {
				const struct context_row *row =
					contexts_find(table, per_cpu[c], cpus[i]);

				alone += row && row->left_alone;
				seen += row && row->seen;
			}
			snprintf(words, sizeof(words), "# processor %d is isolated (", cpus[i]);
			/* ipi is missing where there is one to ask. */
			if (contexts_said(table, words) != !!alone ||
			    (alone ? alone != PER_CPU || seen : seen < PER_CPU - 1))
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
	ksft_print_msg("asked %ld times, left alone %ld times, mixed up %ld times\n", count[0],
		       count[1], count[2]);
	end_child(pid);
	isolate(true, cpu);
	return good;
}

int main(void)
{
	const long opens = setting("OPENS", 20), changes = rounds("CHANGES", 6, 60);
	int cpus[CPUS_MAX], online = online_cpus(cpus), cpu = -1, place = 0;
	struct utsname name;
	bool own;
	cpu_set_t others;

	ksft_print_header();
	must(uname(&name));
	rt = strstr(name.version, "PREEMPT_RT");
	turns = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enough = (volatile bool *)(turns + 100);
	if (online < 2)
		ksft_exit_skip("one processor cannot be isolated: no other is left\n");
	write_file(CGROUPS "cgroup.subtree_control", "+cpuset");
	for (int i = 0; i < online; i++)
		if (is_isolated(isolation_of(cpus[i])))
			cpu = cpus[place = i];
	own = cpu < 0;
	ksft_set_plan(own ? 9 : 6);
	load_taskscope("");
	if (own) {
		cpu = cpus[place = online - 1];
		ksft_test_result(rows_fit_now(false), "no processor is isolated: all are asked\n");
		make_partition(cpu);
		isolate(true, cpu);
	}
	/* The reader is on the others. */
	must(sched_getaffinity(0, sizeof(others), &others));
	CPU_CLR(cpu, &others);
	must(sched_setaffinity(0, sizeof(others), &others));

	ksft_test_result(rows_fit_now(false), "an isolated processor has its number and no more\n");
	ksft_test_result(nothing(watch(cpu, place, opens), opens),
			 "nothing happens on it in %ld opens\n", opens);
	ksft_test_result(good_from_there(cpu), "a reader on it is asked there\n");
	if (own) {
		ksft_test_result(follows(cpu, changes), "a partition that comes and goes\n");
		ksft_test_result(good_under_changes(cpu, changes), "and does so under a reader\n");
	}
	must(unload_module("taskscope") ? -1 : 0);
	load_taskscope("include_isolated=1");
	ksft_test_result(rows_fit_now(true), "include_isolated=1: all are asked\n");
	ksft_test_result(much(watch(cpu, place, opens), opens),
			 "and the witnesses see it, so they do see\n");
	must(unload_module("taskscope") ? -1 : 0);
	load_taskscope("");
	ksft_test_result(rows_fit_now(false), "without it: left alone again\n");
	must(rmdir(TRACER));
	if (own) {
		isolate(false, cpu);
		remove_partition();
	} else {
		write_file(CGROUPS "cgroup.subtree_control", "-cpuset");
	}
	ksft_finished();
}
