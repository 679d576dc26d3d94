// SPDX-License-Identifier: GPL-2.0
/*
 * Processes and threads are created, map and unmap memory, execute programs, stop and die
 * while the tables of user space are read. Every read ends, every table can be parsed, and
 * the rows of blocked threads are the same in each.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "stand.h"

static const char *self;

static void *live_shortly(void *unused)
{
	munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
	return NULL;
}

/* Executes this program, from the leader or from another thread. */
static void *execute(void *unused)
{
	execl(self, self, "again", NULL);
	_exit(1);
}

static void storm(void *unused)
{
	for (;;) {
		pthread_t thread;
		pid_t pid = fork();

		if (!pid) {
			must(prctl(PR_SET_PDEATHSIG, SIGKILL));
			for (int i = 0; i < 3; i++)
				if (!pthread_create(&thread, NULL, live_shortly, NULL))
					pthread_join(thread, NULL);
			if (getpid() & 1)
				execute(NULL);
			pthread_create(&thread, NULL, execute, NULL);
			pthread_exit(NULL);
		}
		if (pid > 0) {
			kill(pid, SIGSTOP);
			kill(pid, SIGCONT);
			waitpid(pid, NULL, 0);
		}
	}
}

/*
 * Processes that live throughout and execute programs all the time: from their first thread,
 * or from another one, which then becomes the first.
 */
#define FIRST "first"
#define OTHER "other"

static void *execute_again(void *mode)
{
	execl(self, self, mode, NULL);
	_exit(1);
}

static void go_on(const char *mode)
{
	pthread_t thread;

	if (!strcmp(mode, FIRST))
		execute_again(FIRST);
	if (strcmp(mode, OTHER))
		_exit(0);
	must(pthread_create(&thread, NULL, execute_again, OTHER) ? -1 : 0);
	for (;;)
		pause();
}

static void start_executing(void *mode)
{
	execute_again(mode);
}

#define SEGMENTS 9

/*
 * A process that lives throughout has all its segments, or the reason why they are not known.
 * Every program has a text.
 */
static bool has_segments(const struct rows *table, pid_t pid, int *labelled)
{
	size_t row = rows_find(table, pid);
	bool is_ok = row < table->rows && !strcmp(rows_value(table, row, "VALID"), "ok");

	for (size_t i = 0; i < SEGMENTS; i++)
		if (row + i >= table->rows || table->pid[row + i] != pid ||
		    (i && !strcmp(rows_value(table, row + i, "SEGMENT"),
				  rows_value(table, row + i - 1, "SEGMENT")))) {
			ksft_print_msg("%d has %zu segments\n", pid, i);
			return false;
		}
	*labelled += !is_ok;
	if (is_ok == !strcmp(rows_value(table, row, "START"), "-")) {
		ksft_print_msg("%d: the text begins at %s, which is %s\n", pid,
			       rows_value(table, row, "START"), rows_value(table, row, "VALID"));
		return false;
	}
	return true;
}

static void map_for_ever(void *unused)
{
	for (;;) {
		char *memory = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memory[PAGE] = 1;
		mprotect(memory + PAGE, PAGE, PROT_NONE);
		munmap(memory, 64 * PAGE);
	}
}

/* A row of the storm has no values, and not because the thread was running. */
static bool has_reason(const struct rows *table, size_t row, const pid_t *executes)
{
	const char *valid = rows_value(table, row, "VALID");
	long tgid = rows_number(table, row, "TGID");

	return strcmp(valid, "ok") && strcmp(valid, "on-cpu") && tgid != executes[0] &&
	       tgid != executes[1];
}

static bool stands(const struct rows *table, pid_t pid, const char *column, const char *value)
{
	size_t row = rows_find(table, pid);

	if (row < table->rows && !strcmp(rows_value(table, row, column), value))
		return true;
	ksft_print_msg("%d: %s is %s and not %s\n", pid, column,
		       row < table->rows ? rows_value(table, row, column) : "nothing", value);
	return false;
}

int main(int argc, char **argv)
{
	long times = rounds("ROUNDS", 20, 150);
	char sp[32], text[32];
	int wrong = 0, labelled = 0, lost = 0, executing = 0;
	unsigned long *stack;
	pid_t pid, executes[2];

	self = argv[0];
	if (argc > 1)
		go_on(argv[1]);
	ksft_print_header();
	ksft_set_plan(4);
	load_taskscope("");
	stack = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack[2] = 0;
	stack[3] = (unsigned long)stand_pc;
	pid = start_standing((unsigned long)stack, (unsigned long)(stack + 2));
	snprintf(sp, sizeof(sp), "%08lx", (unsigned long)stack);
	snprintf(text, sizeof(text), "%08lx", proc_stat(getpid(), 26));
	for (int i = 0; i < 3; i++)
		start_child(storm, NULL);
	start_child(map_for_ever, NULL);
	executes[0] = start_child(start_executing, FIRST);
	executes[1] = start_child(start_executing, OTHER);

	for (long i = 0; i < times; i++) {
		struct rows *table = rows_read("ustacks");

		wrong += !stands(table, pid, "SP", sp) || !stands(table, pid, "VALID", "ok");
		for (size_t row = 0; row < table->rows; row++)
			labelled += has_reason(table, row, executes);
		rows_free(table);
		table = rows_read("uframes");
		wrong += rows_find(table, pid) + 2 >= table->rows ||
			 strcmp(rows_value(table, rows_find(table, pid) + 2, "FRAME"), "end: null");
		rows_free(table);
		table = rows_read("segments");
		wrong += !stands(table, getpid(), "START", text);
		for (int i = 0; i < 2; i++)
			lost += !has_segments(table, executes[i], &executing);
		rows_free(table);
	}
	ksft_test_result(!wrong, "blocked threads: identical rows in %ld snapshots\n", times);
	ksft_test_result(!lost,
			 "processes in execve: each has its segments, or a reason without them\n");
	ksft_test_result(executing, "processes in execve: some are seen there\n");
	ksft_print_msg("%d rows have a reason; %d times a process was in execve\n", labelled,
		       executing);
	ksft_test_result(labelled, "the storm: some rows have a reason instead of values\n");
	ksft_finished();
}
