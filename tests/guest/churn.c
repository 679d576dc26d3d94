// SPDX-License-Identifier: GPL-2.0
/*
 * A snapshot is one pass: while tasks come and go all over the task list, those
 * that stay, the markers, are in each one exactly once and in the list's order.
 *
 * The module may hold its lock for 1,024 tasks, and then has to find back to its
 * place. So that it is robbed of it as often as can be, most deaths are where
 * rows 1,024 and 2,048 are: at the end of the list, where processes come and go
 * (`tail`), by killing who stands there (`victims`), and by processes in the
 * middle of the list whose threads come and go (`threads`).
 *
 * SNAPSHOTS, if set, is how many are taken in all.
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

/* What the processes of this test tell each other. */
static struct shared {
	atomic_ulong births;
	atomic_int victim[2];
	atomic_ulong kills;
	atomic_int tid[MARKERS];
	atomic_int tids;
	/* Before that, who comes and goes would only hold up those who stay. */
	atomic_int begun;
} *shared;

/* The markers, in the order of the list, and where in that order a PID is. */
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

/* Sleeps for ever, in memory that it shares, so without much of a library. */
static int sleep_for_ever(void *unused)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
	return 0;
}

/* A process that costs little: all it has of its own is a stack. */
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

/* Threads that come and go in the middle of the list. */
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
 * So many markers, each a process; then, if wanted, victims between them are killed.
 * In the middle of these is a process whose threads come and go: where a victim dies
 * at which a snapshot had its break, it goes back to before that process, which it
 * has seen to its end, and there are threads that it has not.
 */
struct nursery {
	int markers;
	bool victims;
};

static void rear(void *argument)
{
	struct nursery *nursery = argument;

	stay_on(1);
	/* The dead are gone at once, and do not wait for this process. */
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < nursery->markers; i++) {
		if (nursery->victims)
			start_sleeper("victim");
		if (nursery->victims && i == BREAK * 3 / 4)
			start_child(churn_threads, NULL);
		shared->tid[i] = start_sleeper("marker");
	}
	shared->tids = nursery->markers;
	/* Kills whom the reader names, at a moment that the reader does not know. */
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

/* Processes that come and go at the end of the list; most of them cost little. */
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

/* A process with so many marker threads, in the order of the list. */
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

/* One snapshot is right; says what is not. Names the victims of the next one. */
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
			/* The first that may be killed, at the break or after it. */
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

/* Snapshots of the tables in turn; all that are wrong count, some are shown. */
static void take_snapshots(const char *what, int count, const char *one, const char *other)
{
	unsigned long births = shared->births, kills = shared->kills;
	struct timespec start, end;
	int wrong = 0, i;
	double time;

	begin();
	wait_until(shared->births != births, "nobody is born");
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (i = 0; i < count && wrong < 10; i++)
		wrong += !right(i % 2 ? one : other);
	clock_gettime(CLOCK_MONOTONIC, &end);
	shared->begun = 0;
	time = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
	births = shared->births - births;
	kills = shared->kills - kills;
	ksft_print_msg("%s: %d snapshots of %d markers in %.1f s\n", what, i, markers, time);
	ksft_print_msg("%s: %.0f births a second, %lu kills, %d rows\n",
		       what, births / time, kills, rows_of(one));
	ksft_test_result(!wrong && births > (unsigned long)count / 4,
			 "%s: every marker once and in order, %d times\n", what, i);
}

/* How many threads there are, those of the kernel included. */
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

/* Processes come and go where the list ends, which is about row 1,024. */
static void test_tail(int count)
{
	pid_t nursery = start_nursery(BREAK - rows_of("processes") - 5, false);
	pid_t child = start_child(storm, NULL);

	take_snapshots("tail", count, "processes", "threads");
	end_child(child);
	end_nursery(nursery);
}

/* Processes die where a snapshot has its break, and go on coming at the end. */
static void test_victims(int count)
{
	pid_t nursery = start_nursery(1100, true);
	pid_t child = start_child(storm, NULL);

	take_snapshots("victims", count, "processes", "threads");
	ksft_test_result(shared->kills >= (unsigned long)count / 10,
			 "victims: enough of them were killed\n");
	end_child(child);
	end_nursery(nursery);
}

/* Threads come and go about rows 1,024 and 2,048. */
static void test_threads(int count)
{
	pid_t children[6];

	children[0] = start_marker_threads(BREAK - rows_of("threads") - 5);
	children[1] = start_child(churn_threads, NULL);
	/* Its own threads are as many as it may have, now or in a moment. */
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
 * Who lets go of its lock has to hold on to a task. Were it not let go of again,
 * every snapshot would leave one behind.
 */
static void test_references(long before, long snapshots)
{
	long after = slab_objects_in_the_end("task_struct", before + snapshots / 10);

	ksft_print_msg("task_structs: %ld before, %ld after, %d threads\n", before, after,
		       rows_of("threads"));
	ksft_test_result(after <= before + snapshots / 10, "no task is held on to\n");
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
	/* The reader has one processor, what comes and goes the other. */
	stay_on(0);
	/* No PID comes twice in the time this takes. */
	write_file("/proc/sys/kernel/pid_max", "4194304");

	before = slab_objects("task_struct");
	test_tail(snapshots * 4 / 10);
	test_victims(snapshots * 3 / 10);
	test_threads(snapshots * 3 / 10);
	test_references(before, snapshots);
	ksft_finished();
}
