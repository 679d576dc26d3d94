// SPDX-License-Identifier: GPL-2.0
/*
 * BLOCKED_BY in kstacks: the lock that a thread waits for, and the PID of the thread that holds
 * it. The test module hold_locks knows who holds the locks of its threads, and forges what
 * taskscope reads: locks that do not exist, and holders that are no threads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "stand.h"

#define WAITERS 200
/* How many threads hold_locks starts that forge a lock, other than [change] */
#define FORGED 23
/* The detector would report the threads that wait for an rw-semaphore. */
#define DETECTOR "/proc/sys/kernel/hung_task_timeout_secs"

/* A thread of hold_locks, as that module describes it. */
struct waiter {
	int pid;
	char expected[40];
};

static struct waiter *waiters;
static int count;
static bool is_known;

/* What the detector had before; NULL if the kernel has no detector. */
static char *timeout;
static pid_t switched_by;

static void switch_detector_on(void)
{
	/* Children inherit this function. */
	if (getpid() == switched_by)
		write_file(DETECTOR, timeout);
}

/* Until the exit of the test. No module is loaded before, so that hold_locks is unloaded first. */
static void switch_detector_off(void)
{
	timeout = try_slurp(DETECTOR, NULL);
	if (!timeout)
		return;
	switched_by = getpid();
	atexit(switch_detector_on);
	write_file(DETECTOR, "0");
}

static void read_waiters(void)
{
	char *text = slurp("/sys/kernel/debug/hold_locks", NULL);

	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		struct waiter *waiter;

		waiters = realloc(waiters, (count + 1) * sizeof(*waiters));
		if (!waiters)
			die("no memory");
		waiter = &waiters[count++];
		if (sscanf(line, "%d %39s\n", &waiter->pid, waiter->expected) != 2)
			die("hold_locks says %s", line);
		wait_for_sleep(waiter->pid, waiter->pid, "DI");
		is_known |= strcmp(waiter->expected, "-");
	}
	free(text);
}

/* How many threads whose name begins so have another value than hold_locks says. */
static int others(const struct rows *table, const char *names, int *seen)
{
	int wrong = 0;

	*seen = 0;
	for (int i = 0; i < count; i++) {
		size_t row = rows_find(table, waiters[i].pid);
		const char *found, *comm;

		if (row == table->rows)
			die("no row for thread %d", waiters[i].pid);
		comm = rows_value(table, row, "COMM");
		if (strncmp(comm, names, strlen(names)))
			continue;
		found = rows_value(table, row, "BLOCKED_BY");
		if (strcmp(found, waiters[i].expected)) {
			ksft_print_msg("%d %s: %s, and not %s\n", waiters[i].pid, comm, found,
				       waiters[i].expected);
			wrong++;
		}
		++*seen;
	}
	return wrong;
}

static bool are_right(const struct rows *table, const char *names, int expected)
{
	int seen, wrong = others(table, names, &seen);

	ksft_print_msg("%d threads [%s...]\n", seen, names + 1);
	return !wrong && seen == expected;
}

/* A word and a PID of a thread that has a row, or only a word, or nothing. */
static bool is_value(const struct rows *table, const char *value)
{
	static const char * const words[] = {
		"mutex:", "semaphore:", "rwsem-reader:", "rwsem-writer:", "rwsem:",
	};

	if (!strcmp(value, "-"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const char *rest = value + strlen(words[i]);
		char *end;
		long pid;

		if (strncmp(value, words[i], strlen(words[i])))
			continue;
		pid = strtol(rest, &end, 10);
		return !strcmp(rest, "-") ||
		       (end != rest && !*end && rows_find(table, pid) < table->rows);
	}
	return false;
}

static int malformed(const struct rows *table)
{
	int wrong = 0;

	for (size_t row = 0; row < table->rows; row++) {
		const char *value = rows_value(table, row, "BLOCKED_BY");
		bool stands = !strcmp(rows_value(table, row, "VALID"), "ok");

		if (!is_value(table, value) || (!stands && strcmp(value, "-"))) {
			ksft_print_msg("%d: %s\n", table->pid[row], value);
			wrong++;
		}
	}
	return wrong;
}

/* A thread that has the PID of the one that has taken the semaphore. */
static void test_pid_used_again(void)
{
	pid_t dead = parameter_value("hold_locks", "dead"), again = start_with_pid(dead);
	struct rows *table;

	wait_for_state(again, again, "S");
	table = rows_read("kstacks");
	ksft_test_result(rows_find(table, dead) < table->rows &&
			 are_right(table, "[wait_left", 1),
			 "holder that has exited, and its PID again: no PID\n");
	rows_free(table);
	end_child(again);
}

static bool has_second_cpu(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN) > 1;
}

static void test_change(void)
{
	static const char name[] = "thread that got the lock while it was read: on-cpu, no lock";
	pid_t pid = parameter_value("hold_locks", "change");
	struct rows *table;
	size_t row;

	if (!is_known || !has_second_cpu()) {
		ksft_test_result_skip("%s: %s\n", name, is_known ? "needs a second CPU" :
				      "this kernel records no locks");
		return;
	}
	wait_for_sleep(pid, pid, "I");
	table = rows_read("kstacks");
	row = rows_find(table, pid);
	if (row == table->rows || parameter_value("hold_locks", "changed") != 1)
		die("the thread has not run while it was read");
	ksft_print_msg("VALID %s BLOCKED_BY %s\n", rows_value(table, row, "VALID"),
		       rows_value(table, row, "BLOCKED_BY"));
	ksft_test_result(!strcmp(rows_value(table, row, "BLOCKED_BY"), "-") &&
			 !strcmp(rows_value(table, row, "VALID"), "on-cpu"), "%s\n", name);
	rows_free(table);
}

int main(void)
{
	struct rows *table;
	char parameters[40];

	ksft_print_header();
	ksft_set_plan(8);
	stay_on(0);
	switch_detector_off();
	load_taskscope("");
	snprintf(parameters, sizeof(parameters), "waiters=%d change=%d", WAITERS, has_second_cpu());
	load_module("/tests/hold_locks.ko", parameters);
	read_waiters();

	test_change();
	table = rows_read("kstacks");
	ksft_test_result(are_right(table, "[wait_mutex", WAITERS),
			 "threads that wait for a mutex: the holder\n");
	ksft_test_result(are_right(table, "[wait_semaphore", 1),
			 "thread that waits for a semaphore: the last holder\n");
	ksft_test_result(are_right(table, "[read_", 1) & are_right(table, "[write_", 3),
			 "threads that wait for an rw-semaphore: reader or writer, and its PID\n");
	ksft_test_result(are_right(table, "[forged", is_known ? FORGED : 0),
			 "no lock, or a holder that is no thread: no PID\n");
	ksft_test_result(!malformed(table), "every row: BLOCKED_BY has a documented form\n");
	ksft_test_result(is_known != !!strstr(table->summary, "\n# BLOCKED_BY is not known: "),
			 "summary: whether the kernel records locks\n");
	rows_free(table);
	test_pid_used_again();
	ksft_finished();
}
