// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are the PIDs of those who ask, which are drawn, PF_WQ_WORKER in
 * /proc/PID/stat, and the kernel's log.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "report.h"
#include "guest.h"

/* A part of the log: what the module has written. */
struct line {
	char asked[40], ran[40];
};

/*
 * The first line of a work item in the log since the last call; if `asked` is not NULL, of one
 * that this PID has asked for.
 */
static bool take_line(struct line *line, const char *asked)
{
	char *log = new_log(), *rest = log, *text;
	bool found = false;

	while (!found && (text = next_line(&rest)))
		found = sscanf(text, "exercise: asked by %39[^,], run by %39s", line->asked,
			       line->ran) == 2 && (!asked || !strcmp(line->asked, asked));
	free(log);
	return found;
}

/* The same, after waiting for it; an item that was not queued never writes one. */
static void wait_for_line(struct line *line, const char *asked)
{
	time_t end = seconds() + 10 * patience();

	while (!take_line(line, asked) && seconds() < end)
		usleep(1000);
}

#define WORKER "a worker that has run an item of the queue `exercise`"

/*
 * The kernel shows, as part of a worker's name, the queue of its latest item. The pool of workers
 * is that of other queues too.
 */
static const char *kind_of(const char *pid)
{
	pid_t number = atoi(pid);
	struct proc_thread thread;

	if (number <= 0 || !proc_thread(number, number, &thread))
		return "no process";
	if (!(thread.flags & PF_WQ_WORKER))
		return "no worker of a workqueue";
	return memmem(thread.comm, thread.comm_length, "exercise", 8) ? WORKER :
									"a worker of another queue";
}

/*
 * Reads the file, and says what the thread is that is said to have run the item. The worker may
 * have run an item of another queue since: then the file is read again.
 */
static char *read_with_worker(const char **kind)
{
	char *text;

	for (int i = 0; i < 20; i++) {
		text = read_answer();
		*kind = kind_of(value_in(text, "ran"));
		if (strcmp(*kind, "a worker of another queue"))
			break;
	}
	return text;
}

/* What a reader is told. `id` is the check of who has asked. */
static void read_it(void *id)
{
	const char *kind;
	char *text = read_with_worker(&kind);
	char *asked = value_in(text, "asked"), *ran = value_in(text, "ran");
	char *worker = value_in(text, "worker");
	const char *want = strcmp(id, "again") ? "${reader}" : "${other}", *key = NULL;
	char self[20], subject[60];

	snprintf(self, sizeof(self), "%d", getpid());
	if (!strcmp(asked, ran) && !strcmp(asked, self))
		key = "done-at-once";
	else if (!strcmp(asked, ran) && !strcmp(kind, WORKER))
		key = "current-in-the-item";
	else if (!strcmp(asked, "0"))
		key = "nothing-yet";
	else if (!strcmp(ran, "0"))
		key = "not-waited";
	look(id, "line \"asked\"", asked, want);
	if (key)
		mistake(id, key);
	snprintf(subject, sizeof(subject), "line \"ran\", which is \"%.20s\": this is", ran);
	look("ran", subject, kind, WORKER);
	if (!key && !strcmp(kind, "a worker of another queue"))
		mistake("ran", "other-queue");
	if (key)
		mistake("ran", key);
	look("ran", "line \"worker\"", worker, "true");
	if (key)
		mistake("ran", key);
	shown("thread %s has asked, and thread %s has done the work: %s", asked, ran, kind);
}

static void load(void *unused)
{
	load_exercise("asked", "word");
}

/* The item of load() is slow, and load() does not wait for it. */
static void load_and_look(void *unused)
{
	struct line line;

	load_exercise("load", "word");
	look("load", "the log directly after the load: the slow item is",
	     take_line(&line, NULL) ? "done" : "not done yet", "not done yet");
	mistake("load", "waits-at-load");
}

int main(void)
{
	struct line line = { "nothing", "nothing" };
	int error;

	take_line(&line, NULL);
	run_as(drawn_number("loader"), load, NULL);
	run_as(drawn_number("reader"), read_it, "asked");
	run_as(drawn_number("other"), read_it, "again");
	wait_for_line(&line, drawn("loader"));
	unload_exercise("unload");
	look("load", "the log, of the item that was queued at load: asked by", line.asked,
	     "${loader}");

	/* Unloaded at once: the slow item is under way. */
	free(new_log());
	run_as(drawn_number("loader"), load_and_look, NULL);
	error = unload_module("exercise");
	snprintf(line.asked, sizeof(line.asked), "nothing");
	take_line(&line, NULL);
	look("unload", "the log when the module is gone, of the slow item: asked by",
	     line.asked, "${loader}");
	if (!strcmp(line.asked, "nothing"))
		mistake("unload", "outlives-the-module");
	if (error)
		die("the module cannot be unloaded");
	shown("the module was unloaded while its work was under way, and the kernel waited");
	return 0;
}
