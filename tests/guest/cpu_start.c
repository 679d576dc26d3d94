// SPDX-License-Identifier: GPL-2.0
/*
 * CPU and START of `threads` and `processes`, against fields 39 and 22 of /proc/PID/stat: of
 * every thread; of a thread that is moved to each CPU; of a PID that is used twice; and of
 * threads for which the clocks of the kernel differ.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "stand.h"
#include "table.h"

/* The fields of /proc/PID/stat. */
#define FIELD_START 22
#define FIELD_CPU 39

/* How long a machine was suspended, or has been up for in a time namespace, in seconds. */
#define LONG_AGO 100000

#define NANOSECONDS 1000000000ul

static unsigned long tick(void)
{
	return NANOSECONDS / sysconf(_SC_CLK_TCK);
}

static struct task_row row_of(const char *name, pid_t pid)
{
	struct task_table *table = table_read(name);
	const struct task_row *row = table_find(table, pid);
	struct task_row copy;

	if (!row)
		die("%s has no row of %d", name, pid);
	/* Without the strings, which are in the table. */
	copy = *row;
	table_free(table);
	return copy;
}

/* --- every thread */

/* A thread whose /proc/TGID/task/TID/stat is the same before and after the tables. */
struct before {
	unsigned long start, cpu, switches;
};

static bool read_before(const struct proc_thread *thread, struct before *before)
{
	struct proc_thread now;

	if (!proc_thread(thread->tgid, thread->pid, &now))
		return false;
	*before = (struct before) {
		.start = proc_stat(thread->pid, FIELD_START),
		.cpu = proc_stat(thread->pid, FIELD_CPU),
		.switches = now.switches,
	};
	return true;
}

static void test_every_thread(void)
{
	struct proc_thread *thread;
	size_t count = proc_threads(&thread), compared = 0, different = 0, cpus = 0;
	struct before *before = calloc(count, sizeof(*before)), after;
	bool *there = calloc(count, sizeof(*there));
	struct task_table *threads, *processes;

	for (size_t i = 0; i < count; i++)
		there[i] = read_before(&thread[i], &before[i]);
	threads = table_read("threads");
	processes = table_read("processes");
	for (size_t i = 0; i < count; i++) {
		bool is_leader = thread[i].tgid == thread[i].pid;
		const struct task_row *row = table_find(threads, thread[i].pid);
		const struct task_row *leader = table_find(processes, thread[i].pid);

		if (!there[i] || !read_before(&thread[i], &after) ||
		    memcmp(&before[i], &after, sizeof(after)))
			continue;
		if (!row || (is_leader && !leader))
			die("no row for thread %d", thread[i].pid);
		compared++;
		cpus |= 1ul << row->cpu;
		if (row->start / tick() == after.start && row->cpu == after.cpu &&
		    (!is_leader || (leader->start == row->start && leader->cpu == row->cpu)))
			continue;
		different++;
		ksft_print_msg("%d: START %lu, CPU %u; /proc has %lu and %lu\n", row->pid,
			       row->start, row->cpu, after.start, after.cpu);
	}
	ksft_print_msg("%zu threads of %zu compared, on CPUs %#zx\n", compared, count, cpus);
	ksft_test_result(!different && compared > 30,
			 "every thread that does not run meanwhile: CPU and START as in /proc\n");
	ksft_test_result(table_find(threads, 0)->start == 0, "swapper/0: START is 0\n");
	table_free(threads);
	table_free(processes);
	free(thread);
	free(before);
	free(there);
}

/* --- CPU */

/* The mover runs on this CPU, and says so. */
static struct shared {
	int wanted, seen;
} *shared;

static void move(void *unused)
{
	for (;;) {
		int cpu = __atomic_load_n(&shared->wanted, __ATOMIC_SEQ_CST);

		stay_on(cpu);
		if (sched_getcpu() == cpu)
			__atomic_store_n(&shared->seen, cpu, __ATOMIC_SEQ_CST);
		kill(getpid(), SIGSTOP);
	}
}

static void test_cpu(void)
{
	int count = sysconf(_SC_NPROCESSORS_ONLN);
	bool good = true;
	pid_t mover;

	shared->seen = -1;
	mover = start_child(move, NULL);
	for (int i = 0; i < 3 * count; i++) {
		int cpu = i % count;
		unsigned int threads, processes;

		wait_for_sleep(mover, mover, "T");
		__atomic_store_n(&shared->wanted, cpu, __ATOMIC_SEQ_CST);
		must(kill(mover, SIGCONT));
		wait_until(__atomic_load_n(&shared->seen, __ATOMIC_SEQ_CST) == cpu,
			   "a thread does not run on CPU %d", cpu);
		wait_for_sleep(mover, mover, "T");
		/* The reader runs on each CPU in turn too, beside the thread and elsewhere. */
		stay_on(i / count % count);
		threads = row_of("threads", mover).cpu;
		processes = row_of("processes", mover).cpu;
		good &= threads == (unsigned int)cpu && processes == (unsigned int)cpu &&
			proc_stat(mover, FIELD_CPU) == (unsigned long)cpu;
		if (!good)
			ksft_print_msg("ran on %d: CPU %u in threads, %u in processes\n", cpu,
				       threads, processes);
	}
	ksft_test_result(good && count > 1,
			 "thread that ran on each CPU in turn: CPU is the one it ran on last\n");
	end_child(mover);
}

/* --- START */

/* Unused PIDs of this size are free in a guest that has just started. */
#define REUSED 4000000

static void test_reuse(void)
{
	struct task_row first[2], second[2];
	unsigned long stat[2];

	write_file("/proc/sys/kernel/pid_max", "4194304");
	for (int i = 0; i < 2; i++) {
		pid_t pid = start_with_pid(REUSED);

		stat[i] = proc_stat(pid, FIELD_START);
		first[i] = row_of("threads", pid);
		second[i] = row_of("processes", pid);
		end_child(pid);
	}
	ksft_print_msg("START %lu and %lu\n", first[0].start, first[1].start);
	ksft_test_result(first[0].start < first[1].start && second[0].start == first[0].start &&
			 second[1].start == first[1].start &&
			 first[0].start / tick() == stat[0] && first[1].start / tick() == stat[1],
			 "PID that is used again: another START, each as in /proc\n");
}

static void test_suspended(void)
{
	pid_t pid = start_child(NULL, NULL);
	unsigned long before = row_of("threads", pid).start, stat = proc_stat(pid, FIELD_START);
	char parameters[64];
	struct task_row row;

	snprintf(parameters, sizeof(parameters), "pid=%d seconds=%d", pid, LONG_AGO);
	load_module("/tests/late_start.ko", parameters);
	row = row_of("threads", pid);
	ksft_test_result(row.start == before + LONG_AGO * NANOSECONDS &&
			 row.start / tick() == proc_stat(pid, FIELD_START) &&
			 proc_stat(pid, FIELD_START) == stat + LONG_AGO * NANOSECONDS / tick(),
			 "machine was suspended before: START counts that time, as /proc does\n");
	end_child(pid);
}

/* A process whose boot clock is LONG_AGO seconds ahead compares its row with its /proc/PID/stat. */
static int in_time_namespace(void)
{
	char offsets[40];
	int status;
	pid_t pid;

	must(unshare(CLONE_NEWTIME));
	snprintf(offsets, sizeof(offsets), "boottime %d 0\n", LONG_AGO);
	write_file("/proc/self/timens_offsets", offsets);
	/* Children of this process are in the namespace. */
	pid = fork_child();
	if (!pid) {
		struct task_row row = row_of("threads", getpid());
		unsigned long stat = proc_stat(getpid(), FIELD_START);
		unsigned long offset = LONG_AGO * NANOSECONDS / tick();

		ksft_print_msg("in a time namespace: START %lu, /proc has %lu\n", row.start, stat);
		_exit(row.start / tick() + offset == stat);
	}
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static void *execute(void *unused)
{
	static char *const program[] = { "/proc/self/exe", "again", NULL };

	execv(program[0], program);
	_exit(1);
}

static void become_two(void *unused)
{
	pthread_t thread;

	while (!__atomic_load_n(&shared->wanted, __ATOMIC_SEQ_CST))
		usleep(1000);
	if (pthread_create(&thread, NULL, execute, NULL))
		die("pthread_create");
}

static bool has_executed(pid_t pid)
{
	char path[64], *text;
	bool has;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	text = slurp(path, NULL);
	has = *text && !strcmp(text + strlen(text) + 1, "again");
	free(text);
	return has;
}

static void test_takeover(void)
{
	struct task_row before, after;
	pid_t pid;

	shared->wanted = 0;
	pid = start_child(become_two, NULL);
	before = row_of("threads", pid);
	__atomic_store_n(&shared->wanted, 1, __ATOMIC_SEQ_CST);
	wait_until(has_executed(pid), "no thread takes over");
	after = row_of("threads", pid);
	ksft_test_result(before.start == after.start &&
			 after.start / tick() == proc_stat(pid, FIELD_START),
			 "second thread executes a program: it has START of the first\n");
	end_child(pid);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		for (;;)
			pause();
	ksft_print_header();
	ksft_set_plan(7);
	load_taskscope("");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	test_every_thread();
	test_cpu();
	test_reuse();
	test_suspended();
	ksft_test_result(in_child(in_time_namespace) == 1,
			 "reader in a time namespace: START as outside of it\n");
	test_takeover();
	ksft_finished();
}
