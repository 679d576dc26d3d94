// SPDX-License-Identifier: GPL-2.0
/* The witness is /proc/PID/task/TID/stack. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"
#include "rows.h"

/* What is known of the thread with the drawn name. */
struct sleeper {
	pid_t pid;
	/* When a thread of that name was first seen in another function of the six; or 0. */
	double elsewhere;
	char state;
	/* The one of the six that is in the kernel stack, else the innermost one. */
	char function[100];
};

static const char *const functions[] = { "do_wait",	      "eventfd_read",
					 "do_epoll_wait",     "do_sigtimedwait",
					 "timerfd_read_iter", "do_msgrcv" };
#define FUNCTIONS (sizeof(functions) / sizeof(*functions))

static bool is_of_the_six(const char *symbol)
{
	for (size_t i = 0; i < FUNCTIONS; i++)
		if (!strcmp(functions[i], symbol))
			return true;
	return false;
}

/*
 * The symbol of "[<0>] do_wait+0x58/0x110"; without what the compiler adds to the name of a
 * copy.
 */
static void find_frame(const struct proc_thread *thread, char *function, size_t size)
{
	char path[60], symbol[100], *text, *rest;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", thread->tgid, thread->pid);
	text = try_slurp(path, NULL);
	*function = 0;
	for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%*s %99[^+.]", symbol) != 1)
			continue;
		if (!*function || is_of_the_six(symbol))
			snprintf(function, size, "%s", symbol);
	}
	free(text);
}

/*
 * Looks at the threads of that name; true if one sleeps in the function, and none was ever seen
 * in one of the others: a program is asked for one function at a time. (A child that has
 * inherited the name may sleep anywhere else.)
 */
static bool sleeps_in(const char *function, struct sleeper *sleeper)
{
	struct proc_thread *threads;
	size_t count = program_threads(&threads), length = strlen(drawn("name"));
	char symbol[100];
	bool found = false;

	*sleeper = (struct sleeper){ .elsewhere = sleeper->elsewhere };
	for (size_t i = 0; i < count; i++) {
		if (threads[i].comm_length != length ||
		    memcmp(threads[i].comm, drawn("name"), length))
			continue;
		find_frame(&threads[i], symbol, sizeof(symbol));
		if (!sleeper->elsewhere && is_of_the_six(symbol) && strcmp(symbol, function))
			sleeper->elsewhere = monotonic();
		if (found)
			continue;
		sleeper->pid = threads[i].pid;
		sleeper->state = threads[i].state;
		snprintf(sleeper->function, sizeof(sleeper->function), "%s", symbol);
		found = sleeper->state == 'S' && !strcmp(sleeper->function, function);
	}
	free(threads);
	return found && !sleeper->elsewhere;
}

/* A program that was seen elsewhere has failed; a second later it has done what it does. */
static bool has_failed(const struct sleeper *sleeper)
{
	return sleeper->elsewhere && monotonic() > sleeper->elsewhere + patience();
}

/* The frames that the thread has in the table, from the innermost one to that of the function. */
static void show_frames(pid_t pid, const char *function)
{
	struct rows *table = rows_read("kframes");

	for (size_t row = rows_find(table, pid); row < table->rows && table->pid[row] == pid;
	     row++) {
		const char *frame = rows_value(table, row, "FRAME");
		size_t length = strlen(function);

		shown("PID %d: depth %s of its kernel stack is %s", pid,
		      rows_value(table, row, "DEPTH"), frame);
		if (!strncmp(frame, function, length) && strchr("+.", frame[length]))
			break;
	}
	rows_free(table);
}

static void look_asleep(const char *id)
{
	struct sleeper sleeper = { 0 };
	char got[200], want[60];
	const char *key = "another-call";

	start_program((const char *[]){ drawn("name"), id, NULL });
	if (program_reaches(sleeps_in(id, &sleeper) || has_failed(&sleeper)) && !sleeper.elsewhere)
		show_frames(sleeper.pid, id);
	if (program_has_ended()) {
		snprintf(got, sizeof(got), "nothing that lives: %s", program_end());
		key = end_key();
	} else if (!sleeper.pid) {
		snprintf(got, sizeof(got), "no thread of this name");
		key = "name";
	} else if (sleeper.elsewhere && !strcmp(sleeper.function, id)) {
		snprintf(got, sizeof(got), "%s asleep there, and in another one of the six",
			 drawn("name"));
		key = "all-at-once";
	} else if (sleeper.state == 'S') {
		snprintf(got, sizeof(got), "%s asleep in %s", drawn("name"), sleeper.function);
	} else {
		snprintf(got, sizeof(got), "%s in state %c", drawn("name"), sleeper.state);
		key = sleeper.state == 'R' ? "spins" : id;
	}
	snprintf(want, sizeof(want), "${name} asleep in %s", id);
	look(id, "the thread", got, want);
	mistake(id, key);
	end_program();
}

int main(void)
{
	for (size_t i = 0; i < FUNCTIONS; i++)
		look_asleep(functions[i]);
	return 0;
}
