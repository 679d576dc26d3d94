// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that is not the leader executes a program: it takes the leader's PID,
 * while a snapshot may see the one and then the other. In each snapshot no PID
 * is there twice, and the process is there once.
 *
 * Of two processes that do nothing else, one runs beside the reader, on another
 * processor, and one interrupts it, at any moment, on its own.
 *
 * SNAPSHOTS, if set, is how many are taken at least.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"

/* The pipe that each program, as it starts, puts a byte into. */
#define COUNTER 100

static char *program[] = { "/proc/self/exe", "again", NULL };

static void *execute(void *unused)
{
	struct timespec now;

	/* So that the one that goes first lets the reader run in between, for about as long. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	usleep((10000 + now.tv_nsec / 1000 % 5000) * slower());
	execv(program[0], program);
	_exit(1);
}

static void *sleep_for_ever(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

/* What is executed: among other threads, one that executes it again. */
static int again(void)
{
	pthread_t thread;

	must(write(COUNTER, "x", 1));
	/* They lie between the two on the list, and it takes time to come past them. */
	for (int i = 0; i < 30; i++)
		pthread_create(&thread, NULL, sleep_for_ever, NULL);
	pthread_create(&thread, NULL, execute, NULL);
	/* The leader waits to be replaced. */
	sleep_for_ever(NULL);
	return 0;
}

static int ends[2];

static void begin(void *interrupting)
{
	if (interrupting)
		be_real_time(1);
	else
		stay_on(1);
	must(dup2(ends[1], COUNTER));
	execute(NULL);
}

/* Says what is wrong with a snapshot. */
static bool right_process(const struct task_table *table, const char *name, pid_t process)
{
	pid_t twice = table_twice(table);
	int leaders = 0, groups = 0;
	bool inside = false, good;

	for (size_t i = 0; i < table->rows; i++) {
		const struct task_row *row = &table->row[i];

		leaders += row->pid == process;
		groups += row->tgid == process && !inside;
		inside = row->tgid == process;
		if (row->pid == process && row->tgid != process)
			leaders += 100;
	}
	good = !*table->problem && !twice && leaders == 1 && groups == 1;
	if (!good)
		ksft_print_msg("%s: %s; PID %d twice; the process %d times, in %d places\n",
			       name, table->problem, twice, leaders, groups);
	return good;
}

static bool right(const char *name, const pid_t *processes)
{
	struct task_table *table = table_try_read(name);
	bool good = right_process(table, name, processes[0]) &&
		    right_process(table, name, processes[1]);

	table_free(table);
	return good;
}

int main(int argc, char **argv)
{
	long snapshots = rounds("SNAPSHOTS", 300, 2000) / slower(),
	     programs = rounds("PROGRAMS", 50, 150) / slower();
	long taken, executed = 0;
	pid_t processes[2];
	int wrong = 0;

	if (argc > 1)
		return again();
	ksft_print_header();
	ksft_set_plan(1);
	load_taskscope("");
	must(pipe2(ends, O_NONBLOCK));
	stay_on(0);
	for (int i = 0; i < 2; i++)
		processes[i] = start_child(begin, i ? &ends : NULL);
	/* If no programs are executed this never ends, and whoever runs the tests ends it. */
	for (taken = 0; (taken < snapshots || executed < programs) && wrong < 10; taken++) {
		char bytes[1000];
		ssize_t count;

		wrong += !right(taken % 2 ? "threads" : "processes", processes);
		while ((count = read(ends[0], bytes, sizeof(bytes))) > 0)
			executed += count;
	}
	ksft_print_msg("%ld snapshots, %ld programs executed\n", taken, executed);
	ksft_test_result(!wrong, "the process once, and no PID twice\n");
	ksft_finished();
}
