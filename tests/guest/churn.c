// SPDX-License-Identifier: GPL-2.0
/*
 * A snapshot is one pass over the task list. While tasks are created and die all over the
 * list, each snapshot must show the tasks that stay, the markers, exactly once and in the
 * order of the list.
 *
 * The walk holds the RCU read lock for 1,024 tasks, releases it and then resumes at its position
 * in the list. To remove that position as often as possible, most tasks die near rows
 * 1,024 and 2,048: processes at the end of the list (`tail`), processes that are killed
 * there (`victims`), and threads of processes in the middle of the list (`threads`).
 *
 * SNAPSHOTS, if set, is the total number of snapshots.
 */
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "table.h"

#define BREAK 1024
#define MARKERS 8192
#define STACK 4096

/* Shared by the processes of this test. */
static struct shared {
	atomic_ulong births;
	atomic_int victim[2];
	atomic_ulong kills;
	atomic_int tid[MARKERS];
	atomic_int tids;
	/* Processes that come and go wait for this: they would slow down the start. */
	atomic_int begun;
} *shared;

/* The markers in the order of the list, and the position of each PID in that order. */
static pid_t marker[MARKERS];
static pid_t marker_tgid[MARKERS];
static int markers;
static unsigned short place[1 << 22];

static void add_marker(pid_t tgid, pid_t pid)
{
	if (markers == MARKERS)
		die("too many markers");
	marker_tgid[markers] = tgid;
	marker[markers++] = pid;
	place[pid] = markers;
}

static void forget_markers(void)
{
	while (markers)
		place[marker[--markers]] = 0;
}

/* Sleeps for ever. It shares its memory, so it calls no library function with state. */
static int sleep_for_ever(void *unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	return 0;
}

/* A cheap process: it has nothing of its own but a stack. */
static pid_t start_sleeper(const char *name)
{
	static char *stacks;
	static int used;

	if (!stacks)
		stacks = mmap(NULL, MARKERS * STACK, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (++used >= MARKERS)
		die("too many sleepers");
	prctl(PR_SET_NAME, name);
	return must(clone(sleep_for_ever, stacks + used * STACK,
			  CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, NULL));
}

static void *end_at_once(void *unused)
{
	return NULL;
}

static void wait_for_begin(void)
{
	while (!shared->begun)
		syscall(SYS_futex, &shared->begun, FUTEX_WAIT, 0, NULL);
}

static void begin(void)
{
	shared->begun = 1;
	syscall(SYS_futex, &shared->begun, FUTEX_WAKE, INT_MAX);
}

/* Threads that are created and die in the middle of the list. */
static void churn_threads(void *unused)
{
	pthread_t thread[6];

	prctl(PR_SET_NAME, "churn");
	stay_on(1);
	wait_for_begin();
	for (;;) {
		for (int i = 0; i < 6; i++) {
			if (pthread_create(&thread[i], NULL, end_at_once, NULL))
				die("pthread_create");
			shared->births++;
		}
		for (int i = 0; i < 6; i++)
			pthread_join(thread[i], NULL);
	}
}

/*
 * Creates `markers` processes that are markers and, with `victims`, victims between them.
 * In the middle is a process whose threads come and go. When the victim at the end of a
 * section of a snapshot dies, the walk resumes before that process, which it has already seen
 * to its end, and finds threads there that it has not seen.
 */
struct nursery {
	int markers;
	bool victims;
};

static void rear(void *argument)
{
	struct nursery *nursery = argument;

	stay_on(1);
	/* A dead child is reaped at once: it does not wait for this process. */
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < nursery->markers; i++) {
		if (nursery->victims)
			start_sleeper("victim");
		if (nursery->victims && i == BREAK * 3 / 4)
			start_child(churn_threads, NULL);
		shared->tid[i] = start_sleeper("marker");
	}
	shared->tids = nursery->markers;
	/* Kills the victims that the reader names, at a moment the reader does not know. */
	while (nursery->victims) {
		for (int i = 0; i < 2; i++) {
			pid_t victim = shared->victim[i];

			if (victim && !kill(victim, SIGKILL))
				shared->kills++;
			shared->victim[i] = 0;
		}
		usleep(500);
	}
}

static pid_t start_nursery(int count, bool victims)
{
	struct nursery nursery = { count, victims };
	pid_t pid;

	shared->tids = 0;
	pid = start_child(rear, &nursery);
	wait_until(shared->tids, "no markers");
	for (int i = 0; i < count; i++)
		add_marker(shared->tid[i], shared->tid[i]);
	return pid;
}

static int exit_at_once(void *unused)
{
	_exit(0);
}

/* Processes that are created and die at the end of the list; most of them are cheap. */
static void storm(void *unused)
{
	static char stacks[4][STACK];

	stay_on(1);
	wait_for_begin();
	for (;;) {
		for (int i = 0; i < 3; i++)
			must(clone(exit_at_once, stacks[i + 1], CLONE_VM | SIGCHLD, NULL));
		if (must(fork()) == 0)
			_exit(0);
		shared->births += 4;
		for (int i = 0; i < 4; i++)
			must(wait(NULL));
	}
}

/* A process with `count` marker threads, in the order of the list. */
static pid_t start_marker_threads(int count)
{
	struct crowd crowd = start_crowd(count);

	add_marker(crowd.pid, crowd.pid);
	for (int i = 0; i < count; i++)
		add_marker(crowd.pid, crowd.tid[i]);
	return crowd.pid;
}

static int rows_of(const char *name)
{
	struct task_table *table = table_read(name);
	int rows = table->rows;

	table_free(table);
	return rows;
}

/* Checks one snapshot, prints what is wrong, and names the victims of the next one. */
static bool right(const char *name)
{
	struct task_table *table = table_try_read(name);
	int next = 0;
	bool good = false;
	pid_t twice;

	if (*table->problem) {
		ksft_print_msg("%s: %s\n", name, table->problem);
		goto out;
	}
	for (size_t i = 0; i < table->rows; i++) {
		const struct task_row *row = &table->row[i];
		int at = place[row->pid];

		if (!at) {
			/* The first process, from the end of the section on, that may be killed. */
			for (int b = 0; b < 2; b++)
				if (i >= (b + 1) * BREAK - 2u && i < (b + 1) * BREAK + 60u &&
				    !strcmp(row->comm, "victim") && !shared->victim[b])
					shared->victim[b] = row->pid;
			continue;
		}
		if (at - 1 != next) {
			ksft_print_msg("%s: marker %d at row %zu, where %d should be\n", name,
				       at - 1, i, next);
			goto out;
		}
		if (row->tgid != marker_tgid[next] || strcmp(row->comm, "marker")) {
			ksft_print_msg("%s: marker %d has TGID %d and COMM %s\n", name, next,
				       row->tgid, row->comm);
			goto out;
		}
		next++;
	}
	twice = table_twice(table);
	if (next != markers)
		ksft_print_msg("%s: only %d of %d markers\n", name, next, markers);
	else if (twice)
		ksft_print_msg("%s: PID %d twice\n", name, twice);
	else
		good = true;
out:
	table_free(table);
	return good;
}

/* Takes snapshots of the two tables in turn; counts the wrong ones and prints some. */
static void take_snapshots(const char *what, int count, const char *one, const char *other)
{
	unsigned long births = shared->births, kills = shared->kills;
	struct timespec start, end;
	int wrong = 0, i;
	double time;

	begin();
	wait_until(shared->births != births, "no process is created");
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < count && wrong < 10; i++)
		wrong += !right(i % 2 ? one : other);
	clock_gettime(CLOCK_MONOTONIC, &end);
	shared->begun = 0;
	time = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
	births = shared->births - births;
	kills = shared->kills - kills;
	ksft_print_msg("%s: %d snapshots of %d markers in %.1f s\n", what, i, markers, time);
	ksft_print_msg("%s: %.0f processes a second, %lu kills, %d rows\n",
		       what, births / time, kills, rows_of(one));
	ksft_test_result(!wrong && births > (unsigned long)count / 4,
			 "%s: every marker once and in order in %d snapshots\n", what, i);
}

/* The number of threads in the system, kernel threads included. */
static int threads_now(void)
{
	struct sysinfo info;

	must(sysinfo(&info));
	return info.procs;
}

static void end_nursery(pid_t nursery)
{
	end_child(nursery);
	forget_markers();
	wait_until(threads_now() < BREAK / 2, "the nursery does not end");
}

/* Processes come and go at the end of the list, near row 1,024. */
static void test_tail(int count)
{
	pid_t nursery = start_nursery(BREAK - rows_of("processes") - 5, false);
	pid_t child = start_child(storm, NULL);

	take_snapshots("tail", count, "processes", "threads");
	end_child(child);
	end_nursery(nursery);
}

/*
 * Processes die at the end of a section of a snapshot, and others are created at the end of the
 * list.
 */
static void test_victims(int count)
{
	pid_t nursery = start_nursery(1100, true);
	pid_t child = start_child(storm, NULL);

	take_snapshots("victims", count, "processes", "threads");
	ksft_test_result(shared->kills >= (unsigned long)count / 10,
			 "victims: at least one kill per ten snapshots\n");
	end_child(child);
	end_nursery(nursery);
}

/* Threads come and go near rows 1,024 and 2,048. */
static void test_threads(int count)
{
	pid_t children[6];

	children[0] = start_marker_threads(BREAK - rows_of("threads") - 5);
	children[1] = start_child(churn_threads, NULL);
	/* The number of its own threads varies; it may reach its maximum in a moment. */
	children[2] = start_marker_threads(2 * BREAK - rows_of("threads") - 8);
	children[3] = start_child(churn_threads, NULL);
	children[4] = start_marker_threads(200);
	children[5] = start_child(storm, NULL);
	take_snapshots("threads", count, "threads", "threads");
	for (int i = 0; i < 6; i++)
		end_child(children[i]);
	forget_markers();
}

/*
 * Before the walk releases the RCU read lock, it takes a reference to a task. If it did not put the
 * reference, every snapshot would leave a task_struct behind.
 */
static void test_references(long before, long snapshots)
{
	long after = slab_objects_in_the_end("task_struct", before + snapshots / 10);

	ksft_print_msg("task_structs: %ld before, %ld after, %d threads\n", before, after,
		       rows_of("threads"));
	ksft_test_result(after <= before + snapshots / 10,
			 "after the snapshots: no reference to a task is left\n");
}

int main(void)
{
	long snapshots = rounds("SNAPSHOTS", 50, 1000), before;

	ksft_print_header();
	ksft_set_plan(5);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	load_taskscope("");
	prctl(PR_SET_NAME, "marker");
	/* The reader has one CPU; processes that come and go have the other. */
	stay_on(0);
	/* PIDs are not reused during this test. */
	write_file("/proc/sys/kernel/pid_max", "4194304");

	before = slab_objects("task_struct");
	test_tail(snapshots * 4 / 10);
	test_victims(snapshots * 3 / 10);
	test_threads(snapshots * 3 / 10);
	test_references(before, snapshots);
	ksft_finished();
}
