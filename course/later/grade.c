// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are the PIDs of those who ask, which are drawn, PF_WQ_WORKER in
 * /proc/PID/stat, /proc/PID/stack, and the kernel's log.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "report.h"
#include "guest.h"

/* A part of the log: what the module has written. */
struct line {
	char asked[40], ran[40];
};

static const struct line nothing = { "nothing", "nothing" };

/* What the kernel has logged since forget_log(). */
static char *logged;

static void forget_log(void)
{
	free(new_log());
	free(logged);
	logged = strdup("");
}

/*
 * The first line of a work item in the log since forget_log(); if `asked` is not NULL, of one
 * that this PID has asked for, and so for `ran`.
 */
static bool find_line(struct line *line, const char *asked, const char *ran)
{
	char *before = logged, *now = new_log(), *copy, *rest, *text;
	struct line item;
	bool found = false;

	must(asprintf(&logged, "%s%s", before, now));
	free(before);
	free(now);
	copy = strdup(logged);
	rest = copy;
	while (!found && (text = next_line(&rest)))
		found = sscanf(text, "exercise: asked by %39[^,], run by %39s", item.asked,
			       item.ran) == 2 && (!asked || !strcmp(item.asked, asked)) &&
			(!ran || !strcmp(item.ran, ran));
	free(copy);
	if (found)
		*line = item;
	return found;
}

/* The same, after waiting for it; an item that was not queued never writes one. */
static void wait_for_line(struct line *line, const char *asked)
{
	time_t end = seconds() + 10 * patience();

	while (!find_line(line, asked, NULL) && seconds() < end)
		usleep(1000);
}

/* Waits until a worker, which has logged that it runs the slow item, has no work any more. */
static void wait_for_idle(pid_t pid)
{
	struct proc_thread thread;

	if (pid > 0 && proc_thread(pid, pid, &thread) && thread.flags & PF_WQ_WORKER)
		wait_for_state(pid, pid, "I");
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

/* How often each worker was switched away from. */
struct workers {
	struct proc_thread *thread;
	size_t count;
};

/* Whether the thread is a worker that has run since then; one that was not there has. */
static bool has_run_since(const struct workers *before, pid_t pid)
{
	struct proc_thread now;

	if (!proc_thread(pid, pid, &now))
		return false;
	for (size_t i = 0; i < before->count; i++)
		if (before->thread[i].pid == pid)
			return now.switches != before->thread[i].switches;
	return true;
}

/*
 * The switch counts when a worker that has run an item has no other one, and sleeps. Soon it may
 * run for another queue: looks only until it is idle, a few times in a row, because its state
 * changes before the count.
 */
static const char *ran_since(const struct workers *before, const char *pid)
{
	int number = atoi(pid), idle = 0;

	while (!has_run_since(before, number)) {
		char state = proc_state(number, number);

		idle = state == 'I' ? idle + 1 : 0;
		if (!state || idle == 3)
			return "no";
		usleep(20000);
	}
	return "yes";
}

/* A reader. */
struct reader {
	const char *id; /* the check of who has asked */
	char ran[40]; /* who has done it, as the reader is told */
};

/* What a reader is told. The readers are shared with this process. */
static void read_it(void *argument)
{
	struct reader *reader = argument;
	const char *id = reader->id;
	struct workers before = { 0 };
	const char *kind;
	char *text, *asked, *ran, *worker;
	const char *want = strcmp(id, "again") ? "${reader}" : "${other}", *key = NULL;
	char self[20], subject[60];

	before.count = proc_threads(&before.thread);
	text = read_with_worker(&kind);
	asked = value_in(text, "asked");
	ran = value_in(text, "ran");
	worker = value_in(text, "worker");
	snprintf(reader->ran, sizeof(reader->ran), "%s", ran);
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
	look_at("ran", "line \"worker\"", worker, "true", key);
	if (!strcmp(kind, WORKER))
		look_at("ran", "that worker has run since the file was opened",
			ran_since(&before, ran), "yes", key ?: "no-item-of-the-reader");
	shown("thread %s has asked, and thread %s has done the work: %s", asked, ran, kind);
}

/* The log must say what a reader was told. All items are done. */
static void look_logged(const struct reader *reader, const char *asked)
{
	struct line line = nothing;
	char want[30];

	if (!find_line(&line, drawn(asked), reader->ran))
		find_line(&line, drawn(asked), NULL);
	snprintf(want, sizeof(want), "${%s}", asked);
	look_at("log", "the log, of an item of a reader: asked by", line.asked, want,
		"not-logged");
	look_at("log", "the log, of that item: run by", line.ran, reader->ran, "not-logged");
}

/* `id` is the check that has failed if the module cannot be loaded. */
static void load(void *id)
{
	load_exercise(id, "word");
}

/*
 * The worker that is asleep in an item of the module, whose code then is on the worker's kernel
 * stack; 0 if there is none.
 */
static pid_t worker_in_item(void)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	pid_t worker = 0;

	/* One file of each: a look must not take as long as the item. */
	while (!worker && (entry = readdir(processes))) {
		pid_t pid = atoi(entry->d_name);
		struct proc_thread thread;
		char path[300], *stack;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stack", entry->d_name);
		stack = try_slurp(path, NULL);
		if (stack && strstr(stack, "[exercise]") && proc_thread(pid, pid, &thread) &&
		    thread.flags & PF_WQ_WORKER)
			worker = pid;
		free(stack);
	}
	closedir(processes);
	return worker;
}

#define TRIES 4

/*
 * Loads the module, and looks for the worker that is in the slow item; 0 if there is none, and
 * then *line is what the item has logged, if that is done. The item sleeps for 0.7 s
 * (course/lab/lab.rs). A look that comes later, because the host stood still, finds it done:
 * then again, as for an item that is not slow. An item that is not done after `limit` seconds
 * was not queued.
 */
static pid_t load_and_look(struct line *line, long limit)
{
	pid_t worker = 0;

	for (int i = 0; i < TRIES && !worker; i++) {
		double end;

		if (i)
			unload_exercise("unload");
		*line = nothing;
		forget_log();
		run_as(drawn_number("loader"), load, "load");
		end = monotonic() + limit;
		while (!(worker = worker_in_item()) && !find_line(line, NULL, NULL) &&
		       monotonic() < end)
			usleep(1000);
		if (!strcmp(line->asked, nothing.asked))
			break;
	}
	return worker;
}

int main(void)
{
	struct reader *reader = must(mmap(NULL, 2 * sizeof(*reader), PROT_READ | PROT_WRITE,
					  MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	struct line line = nothing;
	char worker[40] = "the worker that sleeps in it";
	long limit;
	pid_t pid;
	int error;

	forget_log();
	run_as(drawn_number("loader"), load, "asked");
	reader[0].id = "asked";
	run_as(drawn_number("reader"), read_it, &reader[0]);
	wait_for_line(&line, drawn("loader"));
	wait_for_idle(atoi(line.ran));
	reader[1].id = "again";
	run_as(drawn_number("other"), read_it, &reader[1]);
	unload_exercise("unload");
	look_logged(&reader[0], "reader");
	look_logged(&reader[1], "other");
	look("load", "the log, of the item that was queued at load: asked by", line.asked,
	     "${loader}");

	/* Unloaded at once: the slow item is under way. */
	limit = strcmp(line.asked, nothing.asked) ? 10 * patience() : 1;
	pid = load_and_look(&line, limit);
	look_at("load", "the log directly after the load: the slow item is",
		strcmp(line.asked, nothing.asked) ? "done" : "not done yet", "not done yet",
		"waits-at-load");
	look_at("load", "directly after the load: asleep in the slow item is",
		pid ? "a worker" : "no worker", "a worker", "no-item");
	error = unload_module("exercise");
	find_line(&line, NULL, NULL);
	look_at("unload", "the log when the module is gone, of the slow item: asked by",
		line.asked, "${loader}",
		strcmp(line.asked, nothing.asked) ? NULL : "outlives-the-module");
	if (pid)
		snprintf(worker, sizeof(worker), "%d", pid);
	look("unload", "the log, of the slow item: run by", line.ran, worker);
	look_at("unload", "rmmod exercise, while the slow item is under way",
		error ? strerror(error) : "no error", "no error", "does-not-unload");
	shown("the module was unloaded while its work was under way, and the kernel waited");
	return 0;
}
