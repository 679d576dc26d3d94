// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks of threads that fork, exit, execute programs, are stopped, and change from one
 * system call to another while the tables are read. The values of a thread must have been
 * true at one moment: never part of one state and part of another. A thread that stays has
 * its rows once. The kernel log stays clean.
 *
 * SNAPSHOTS, if set, is the number of snapshots of each table, WALKS the number of times that the
 * stack of one thread is walked while the thread returns from one call and makes another, and
 * LOOKS the number of times that it does so at each place where the walk can be stopped.
 */
#include <poll.h>
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

/* Shared with the children. `nap` is how many nanoseconds a call below lasts at least. */
static atomic_ulong *births, *stops, *nap;

static int exit_at_once(void *unused)
{
	return 0;
}

/* Threads and processes that exit at once. */
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

/* Calls that sleep. Each has a new number in all arguments that the call ignores. */
static void change_arguments(void *unused)
{
	struct timespec moment = { .tv_nsec = 1000 };

	for (unsigned long mark = 1;; mark++)
		syscall(SYS_nanosleep, &moment, NULL, mark, mark, mark, mark);
}

/* Pipes between the two processes below: one to read, one to poll, and one for answers. */
static int read_end[2], poll_end[2], answer[2];

static void stay_on_last_cpu(void)
{
	stay_on(sysconf(_SC_NPROCESSORS_ONLN) - 1);
}

/*
 * Takes the first CPU from the reader, which walks a stack there again and again, for
 * so long that the thread makes another call meanwhile. A walk without such a pause is too
 * short for that.
 */
static void interrupt(void *unused)
{
	struct timespec moment = { .tv_nsec = 300000 };

	stay_on(0);
	be_real_time(1);
	for (;;) {
		long long end;

		must(nanosleep(&moment, NULL));
		end = monotonic() + moment.tv_nsec / 1e9;
		while (monotonic() < end)
			;
	}
}

static void give_byte(int end)
{
	struct timespec moment = { .tv_nsec = *nap };
	char byte;

	if (moment.tv_nsec)
		must(nanosleep(&moment, NULL));
	must(write(end, "x", 1));
	must(read(answer[0], &byte, 1));
}

static void feed(void *unused)
{
	stay_on_last_cpu();
	for (;;) {
		give_byte(read_end[1]);
		give_byte(poll_end[1]);
	}
}

/* Waits in one call and then in another, as often as possible. */
static void change_places(void *unused)
{
	struct pollfd poll = { .events = POLLIN };
	char byte;

	stay_on_last_cpu();
	poll.fd = poll_end[0];
	for (;;) {
		must(read(read_end[0], &byte, 1));
		must(write(answer[1], "x", 1));
		must(ppoll(&poll, 1, NULL, NULL));
		must(read(poll_end[0], &byte, 1));
		must(write(answer[1], "x", 1));
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

/* The outermost frame of a thread in a system call, from /proc/PID/stack of another thread. */
static char outermost[100];

static void find_outermost(pid_t sleeper)
{
	char path[64], *stack, *last;

	wait_for_state(sleeper, sleeper, "S");
	snprintf(path, sizeof(path), "/proc/%d/stack", sleeper);
	stack = slurp(path, NULL);
	last = strrchr(stack, ' ') + 1;
	snprintf(outermost, sizeof(outermost), "%.*s", (int)strcspn(last, "\n"), last);
	free(stack);
}

/* A thread that waits in one of two calls: the whole stack of one of them, never a mixture. */
static bool one_place(const struct rows *table, pid_t pid, long *met)
{
	size_t row = rows_find(table, pid), first = row;
	bool reads = false, polls = false, good;

	if (row == table->rows)
		return false;
	for (; row < table->rows && table->pid[row] == pid; row++) {
		const char *frame = rows_value(table, row, "FRAME");

		reads |= !!strstr(frame, "vfs_read+");
		polls |= !!strstr(frame, "do_sys_poll+");
	}
	if (!reads && !polls)
		return true;
	++*met;
	good = !(reads && polls) && !strcmp(rows_value(table, row - 1, "FRAME"), outermost);
	for (; !good && first < row; first++)
		ksft_print_msg("%s\n", rows_value(table, first, "FRAME"));
	return good;
}

/* USED is in its range where VALID is ok, and missing otherwise. */
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
		/* The thread's rows are consecutive, so it is not there a second time. */
		while (row < table->rows && table->pid[row] == marker[i])
			row++;
		for (; row < table->rows; row++)
			if (table->pid[row] == marker[i])
				return false;
	}
	return true;
}

/*
 * Whether there is more to do after `done` opens, of which `seen` have met a changing thread.
 * Some are to meet one.
 */
static bool more(long done, long opens, long seen)
{
	return done < opens || (!seen && done < 50 * opens);
}

/* A look has 5 places, and on x86 one more for each frame of the stack. */
#ifdef __x86_64__
#define LEAST_STOPS 9
#else
#define LEAST_STOPS 5
#endif

/*
 * The thread makes another call while the table reads it: at each place where that can matter, each
 * frame of its stack among them on x86. How many stacks mix two calls.
 */
static long test_turns(pid_t pid, long looks)
{
	unsigned long stops = 1;
	long places = 0, mixed = 0;
	char text[40];

	/* After a turn, the thread is in the other call when the look goes on. */
	*nap = 1000000 * slower();
	snprintf(text, sizeof(text), "pid=%d frames=1", pid);
	load_module("/tests/run_between.ko", text);
	for (long done = 0; more(done, looks, places); done++)
		for (unsigned long at = 1; at <= stops; at++) {
			struct rows *frames;
			unsigned long passed;

			set_parameter("run_between", "at", at);
			set_parameter("run_between", "passed", 0);
			frames = rows_read("kframes");
			passed = parameter_value("run_between", "passed");
			stops = passed > stops ? passed : stops;
			mixed += !one_place(frames, pid, &places);
			rows_free(frames);
		}
	if (parameter_value("run_between", "late"))
		die("the thread does not make another call");
	ksft_print_msg("%lu stops: %ld stacks, %ld mix two calls\n", stops, places, mixed);
	ksft_test_result(places && stops >= LEAST_STOPS,
			 "changing stacks: another call is made at each step of a walk\n");
	return mixed;
}

int main(int argc, char **argv)
{
	long snapshots = rounds("SNAPSHOTS", 20, 100),
	     walks = rounds("WALKS", 400, 3000) / slower(),
	     looks = rounds("LOOKS", 4, 50);
	long marks = 0, places = 0, done, walked;
	bool there = true, used = true, whole = true, single = true;
	pid_t marker[MARKERS], storm[3], marked, placed, interrupter;
	char pids[20];

	if (argc > 1)
		execute(NULL);
	ksft_print_header();
	ksft_set_plan(7);
	load_taskscope("");
	births = mmap(NULL, 3 * sizeof(*births), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	stops = births + 1;
	nap = births + 2;
	must(pipe(read_end));
	must(pipe(poll_end));
	must(pipe(answer));
	for (int i = 0; i < MARKERS; i++)
		marker[i] = start_child(NULL, NULL);
	find_outermost(marker[0]);
	victim = start_spinner();
	storm[0] = start_child(stop_and_go, NULL);
	storm[1] = start_child(fork_and_exit, NULL);
	storm[2] = start_child(execute, NULL);
	start_child(feed, NULL);
	marked = start_child(change_arguments, NULL);
	placed = start_child(change_places, NULL);
	wait_until(*births && *stops, "no process dies, or none is stopped");

	for (done = 0; more(done, snapshots, marks); done++) {
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
	/* From here only that thread and its feeder run beside the reader. */
	for (int i = 0; i < 3; i++)
		end_child(storm[i]);
	end_child(marked);
	end_child(victim);
	snprintf(pids, sizeof(pids), "%d", placed);
	write_set_pid(pids);
	stay_on(0);
	interrupter = start_child(interrupt, NULL);
	for (walked = 0; more(walked, walks, places); walked++) {
		struct rows *frames = rows_read("kframes");

		single &= one_place(frames, placed, &places);
		rows_free(frames);
	}
	end_child(interrupter);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		single &= !test_turns(placed, looks);
	else
		ksft_test_result_skip("changing stacks: no second CPU for another call\n");
	ksft_print_msg("%lu processes died, %lu stops; %ld calls met of %ld, %ld stacks of %ld\n",
		       *births, *stops, marks, done, places, done + walked);
	ksft_test_result(there, "threads that stay: their rows are there once\n");
	ksft_test_result(used, "USED: within the stack, or a reason\n");
	ksft_test_result(whole, "changing calls: no row mixes two calls\n");
	ksft_test_result(single, "changing stacks: no stack mixes two calls\n");
	ksft_test_result(marks && places,
			 "changing calls and stacks: the tables have shown some\n");
	ksft_test_result(*births && *stops, "storm: processes died and were stopped\n");
	ksft_finished();
}
