// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that is not the leader executes a program and takes the leader's PID. A snapshot
 * may see one of the two tasks and then the other. In each snapshot the process is there
 * once, and no PID is there twice.
 *
 * Two processes do nothing else. One runs beside the reader on another CPU; the other
 * preempts the reader at any moment on the reader's CPU.
 *
 * Another process is stopped by a test module at steps of execve(): the tables about user
 * space show none of its two programs.
 *
 * SNAPSHOTS, if set, is the least number of snapshots.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "segments.h"
#include "table.h"

/* A pipe: each program writes a byte to it when it starts. */
#define COUNTER 100

static char *program[] = { "/proc/self/exe", "again", NULL };

static void *execute(void *unused)
{
	struct timespec now;

	/* The preempting process lets the reader run in between, for about as long. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	usleep((10000 + now.tv_nsec / 1000 % 5000) * slower());
	execv(program[0], program);
	_exit(1);
}

/* The program that is executed: one of its threads executes it again. */
static int again(void)
{
	pthread_t thread;

	must(write(COUNTER, "x", 1));
	/* Threads on the list between the two tasks, so that the walk takes time there. */
	for (int i = 0; i < 30; i++)
		pthread_create(&thread, NULL, pause_for_ever, NULL);
	pthread_create(&thread, NULL, execute, NULL);
	/* The leader waits until the thread replaces it. */
	pause_for_ever(NULL);
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

/* Checks one process in a snapshot, and prints what is wrong. */
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

/* The steps at which the module stops a process. */
static const char *const steps[] = {
	"before the new address space", "with an empty address space", "with the program loaded",
};

enum { STEPS = ARRAY_SIZE(steps) };

static void execute_when_told(void *go)
{
	static char *const program[] = { "/proc/self/exe", "stay", NULL };

	must(dup2(ends[1], COUNTER));
	while (!__atomic_load_n((bool *)go, __ATOMIC_SEQ_CST))
		usleep(1000);
	execv(program[0], program);
	_exit(1);
}

/* The program that is loaded in steps. */
static int stay(void)
{
	must(write(COUNTER, "x", 1));
	pause_for_ever(NULL);
	return 0;
}

/* The number of rows in which the process is shown with this word. */
static int rows_with(const char *name, const char *column, const char *word, pid_t pid)
{
	struct rows *table = rows_read(name);
	int count = 0;

	for (size_t row = 0; row < table->rows; row++)
		count += table->pid[row] == pid && !strcmp(rows_value(table, row, column), word);
	if (!count)
		ksft_print_msg("%s: the row of %d is not %s\n", name, pid, word);
	rows_free(table);
	return count;
}

static void test_steps(void)
{
	bool *go = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			     0));
	int blocking[2];

	must(pipe(blocking));
	load_module("/tests/hold_loader.ko", "");
	for (int i = 0; i < STEPS; i++) {
		bool good, loaded;
		char byte;
		pid_t pid;

		*go = false;
		memcpy(ends, blocking, sizeof(ends));
		pid = start_child(execute_when_told, go);
		set_parameter("hold_loader", "let_go", 0);
		set_parameter("hold_loader", "stopped", 0);
		set_parameter("hold_loader", "step", i);
		set_parameter("hold_loader", "pid", pid);
		__atomic_store_n(go, true, __ATOMIC_SEQ_CST);
		wait_until(parameter_is_set("hold_loader", "stopped"), "no program is loaded");
		good = rows_with("segments", "START", "-", pid) == SEGMENTS &&
		       rows_with("segments", "VALID", "exec", pid) == SEGMENTS &&
		       rows_with("ustacks", "SP", "-", pid) == 1 &&
		       rows_with("ustacks", "VALID", "exec", pid) == 1 &&
		       rows_with("uframes", "FRAME", "end: exec", pid) == 1;
		set_parameter("hold_loader", "let_go", 1);
		must(read(blocking[0], &byte, 1));
		loaded = rows_with("segments", "VALID", "ok", pid) == SEGMENTS;
		ksft_test_result(good && loaded, "execve stopped %s: exec, and then the program\n",
				 steps[i]);
		end_child(pid);
	}
	must(unload_module("hold_loader") ? -1 : 0);
}

int main(int argc, char **argv)
{
	long snapshots = rounds("SNAPSHOTS", 300, 2000) / slower(),
	     programs = rounds("PROGRAMS", 50, 150) / slower();
	long taken, executed = 0;
	pid_t processes[2];
	int wrong = 0;

	if (argc > 1)
		return strcmp(argv[1], "stay") ? again() : stay();
	ksft_print_header();
	ksft_set_plan(1 + STEPS);
	load_taskscope("");
	test_steps();
	must(pipe2(ends, O_NONBLOCK));
	stay_on(0);
	for (int i = 0; i < 2; i++)
		processes[i] = start_child(begin, i ? &ends : NULL);
	/* If no program is executed, the guest kills the test when its time is over. */
	for (taken = 0; (taken < snapshots || executed < programs) && wrong < 10; taken++) {
		char bytes[1000];
		ssize_t count;

		wrong += !right(taken % 2 ? "threads" : "processes", processes);
		while ((count = read(ends[0], bytes, sizeof(bytes))) > 0)
			executed += count;
	}
	ksft_print_msg("%ld snapshots, %ld programs executed\n", taken, executed);
	ksft_test_result(!wrong,
			 "second thread executes a program: the process once, no PID twice\n");
	ksft_finished();
}
