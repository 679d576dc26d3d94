// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks of threads that fork, exit, execute programs, are stopped, and change from
 * one call to another, while they are looked at: what is shown of a thread was true
 * of it at one moment, never half of one and half of another; who stays is there
 * once; and the kernel has nothing to complain of.
 *
 * SNAPSHOTS, if set, is how many of each table are taken.
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "spinner.h"

#define MARKERS 20
#define STACK 4096

static atomic_ulong *births, *stops;

static void sleep_for_ever(void *unused)
{
	for (;;)
		pause();
}

static int exit_at_once(void *unused)
{
	return 0;
}

/* Threads and processes that are dead as soon as they live. */
static void fork_and_exit(void *unused)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	for (;;) {
		pid = must(fork());
		if (!pid) {
			for (int i = 0; i < 4; i++)
				clone(exit_at_once, stack + STACK,
				      CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
				      CLONE_THREAD, NULL);
			_exit(0);
		}
		must(waitpid(pid, NULL, 0));
		++*births;
	}
}

static char *again[] = { "/proc/self/exe", "again", NULL };

/* Executes this program, which executes it again. */
static void execute(void *unused)
{
	execv(again[0], again);
	_exit(1);
}

static pid_t victim;

static void stop_and_go(void *unused)
{
	for (;; ++*stops) {
		must(kill(victim, SIGSTOP));
		wait_for_state(victim, victim, "T");
		must(kill(victim, SIGCONT));
	}
}

/* Calls that wait, each with another number in every argument that nobody looks at. */
static void change_arguments(void *unused)
{
	struct timespec moment = { .tv_nsec = 1000 };

	for (unsigned long mark = 1;; mark++)
		syscall(SYS_nanosleep, &moment, NULL, mark, mark, mark, mark);
}

static int ends[2];

static void feed(void *unused)
{
	for (;;) {
		must(write(ends[1], "x", 1));
		usleep(100);
	}
}

/* Waits in one place and then in another. */
static void change_places(void *unused)
{
	struct timespec moment = { .tv_nsec = 1000 };
	char byte;

	for (;;) {
		must(read(ends[0], &byte, 1));
		syscall(SYS_nanosleep, &moment, NULL);
	}
}

static bool same_marks(const struct rows *table, pid_t pid, long *met)
{
	size_t row = rows_find(table, pid);
	bool good;

	if (row == table->rows)
		return false;
	if (rows_number(table, row, "NR") != SYS_nanosleep)
		return true;
	++*met;
	good = !strcmp(rows_value(table, row, "ARG2"), rows_value(table, row, "ARG3")) &&
	       !strcmp(rows_value(table, row, "ARG2"), rows_value(table, row, "ARG4")) &&
	       !strcmp(rows_value(table, row, "ARG2"), rows_value(table, row, "ARG5"));
	if (!good)
		ksft_print_msg("%s %s %s %s\n", rows_value(table, row, "ARG2"),
			       rows_value(table, row, "ARG3"), rows_value(table, row, "ARG4"),
			       rows_value(table, row, "ARG5"));
	return good;
}

static bool one_place(const struct rows *table, pid_t pid, long *met)
{
	size_t row = rows_find(table, pid);
	bool reads = false, sleeps = false;

	if (row == table->rows)
		return false;
	for (; row < table->rows && table->pid[row] == pid; row++) {
		const char *frame = rows_value(table, row, "FRAME");

		reads |= !!strstr(frame, "vfs_read+");
		sleeps |= !!strstr(frame, "nanosleep+");
	}
	*met += reads || sleeps;
	return !(reads && sleeps);
}

/* USED in its bounds wherever there is one, and a word where there is none. */
static bool sane(const struct rows *table)
{
	bool good = true;

	for (size_t row = 0; row < table->rows; row++) {
		const char *valid = rows_value(table, row, "VALID");
		long used = rows_number(table, row, "USED"), size = rows_number(table, row, "SIZE");

		if (!strcmp(valid, "ok") ? used > 0 && used <= size :
		    !strcmp(valid, "on-cpu") ? used == -1 && size > 0 :
		    !strcmp(valid, "released") && used == -1 && size == -1)
			continue;
		ksft_print_msg("%d: USED %ld of %ld %s\n", table->pid[row], used, size, valid);
		good = false;
	}
	return good;
}

static bool all_there(const struct rows *table, const pid_t *marker)
{
	for (int i = 0; i < MARKERS; i++) {
		size_t row = rows_find(table, marker[i]);

		if (row == table->rows || !strcmp(rows_value(table, row, "PID"), "-"))
			return false;
		/* Its rows lie together: it is not met a second time. */
		while (row < table->rows && table->pid[row] == marker[i])
			row++;
		for (; row < table->rows; row++)
			if (table->pid[row] == marker[i])
				return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	long snapshots = setting("SNAPSHOTS", 100), marks = 0, places = 0;
	bool there = true, used = true, whole = true, single = true;
	pid_t marker[MARKERS], marked, placed;

	if (argc > 1)
		execute(NULL);
	ksft_print_header();
	ksft_set_plan(6);
	load_taskscope("");
	births = mmap(NULL, 2 * sizeof(*births), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	stops = births + 1;
	must(pipe(ends));
	for (int i = 0; i < MARKERS; i++)
		marker[i] = start_child(sleep_for_ever, NULL);
	victim = start_spinner();
	start_child(stop_and_go, NULL);
	start_child(fork_and_exit, NULL);
	start_child(execute, NULL);
	start_child(feed, NULL);
	marked = start_child(change_arguments, NULL);
	placed = start_child(change_places, NULL);
	wait_until(*births && *stops, "no storm");

	for (long i = 0; i < snapshots; i++) {
		struct rows *stacks = rows_read("kstacks"), *frames = rows_read("kframes"),
			    *calls = rows_read("syscalls");

		there &= all_there(stacks, marker) && all_there(frames, marker) &&
			 all_there(calls, marker);
		used &= sane(stacks);
		whole &= same_marks(calls, marked, &marks);
		single &= one_place(frames, placed, &places);
		rows_free(stacks);
		rows_free(frames);
		rows_free(calls);
	}
	ksft_print_msg("%lu processes died, %lu stops; %ld calls and %ld stacks met of %ld\n",
		       *births, *stops, marks, places, snapshots);
	ksft_test_result(there, "who stays is there, once\n");
	ksft_test_result(used, "USED lies within the stack, or there is a word\n");
	ksft_test_result(whole, "no call is half of one and half of another\n");
	ksft_test_result(single, "no stack is half of one and half of another\n");
	ksft_test_result(marks > snapshots / 20 && places > snapshots / 20,
			 "such calls and stacks were met\n");
	ksft_test_result(*births > 10 && *stops > 10, "there was a storm\n");
	ksft_finished();
}
