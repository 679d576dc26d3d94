// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is task_oracle, which finds tasks by their PIDs and not on the list of
 * processes.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "report.h"
#include "guest.h"

#define OPENS 20
#define TRIES 10
#define PIDS 4194304

/* A list of processes, the student's or the oracle's. */
struct list {
	pid_t *pid;
	size_t count, named;
	/* How often each PID is there. */
	unsigned char *times;
	/* The first line that is none; or NULL */
	char *bad;
};

static void add(struct list *list, pid_t pid)
{
	list->pid = realloc(list->pid, (list->count + 1) * sizeof(*list->pid));
	list->pid[list->count++] = pid;
	if (list->times[pid] < 2)
		list->times[pid]++;
}

static struct list empty_list(void)
{
	return (struct list) { .times = calloc(PIDS, 1) };
}

static void free_list(struct list *list)
{
	free(list->pid);
	free(list->times);
}

/* A line is PID COMM. */
static struct list read_list(const char *name)
{
	struct list list = empty_list();
	char *text = read_answer(), *line;

	if (!text)
		list.bad = strdup("no text: the file cannot be read");
	while ((line = next_line(&text))) {
		char *end;
		long pid = strtol(line, &end, 10);

		if (end > line && *end == ' ' && pid >= 0 && pid < PIDS) {
			add(&list, pid);
			list.named += !strcmp(end + 1, name);
		} else if (!list.bad) {
			list.bad = strndup(line, 60);
		}
	}
	return list;
}

/* The processes, and in `threads` all their threads. */
static struct list ask_oracle(struct list *threads)
{
	struct list list = empty_list();
	char *text = slurp("/sys/kernel/debug/task_oracle", NULL), *line;

	*threads = empty_list();
	while ((line = next_line(&text))) {
		pid_t tgid, pid;

		if (sscanf(line, "%d %d ", &tgid, &pid) != 2)
			die("task_oracle has a line that cannot be parsed: '%s'", line);
		add(threads, pid);
		if (tgid == pid)
			add(&list, pid);
	}
	return list;
}

static void take_name(void *name)
{
	must(prctl(PR_SET_NAME, name));
}

static bool is_named(pid_t pid, const char *name)
{
	struct proc_thread thread;

	return proc_thread(pid, pid, &thread) && !strcmp(thread.comm, name);
}

static pid_t start_named(const char *name)
{
	pid_t pid = start_child(take_name, (void *)name);

	wait_until(is_named(pid, name), "no process called %s", name);
	return pid;
}

/* The largest PID, which is that of the youngest process. */
static pid_t largest(const struct list *list)
{
	pid_t largest = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->pid[i] > largest)
			largest = list->pid[i];
	return largest;
}

/* A number and what it is of, or "none". */
static char *number_of(size_t number, const char *format, pid_t first)
{
	char example[60], *text;

	if (!number)
		return strdup("none");
	snprintf(example, sizeof(example), format, first);
	must(asprintf(&text, "%zu, %s", number, example));
	return text;
}

/* The mistake that explains what is wrong with a list of all processes; NULL if none does. */
static const char *explain(const struct list *list, pid_t youngest, size_t missing,
			   bool has_threads)
{
	if (list->bad)
		return "format";
	if (list->count < 2)
		return "one-only";
	if (list->pid[0] == getpid() || (list->times[0] && !list->times[getpid()]) ||
	    !list->times[1])
		return "begins-at-current";
	if (list->times[0])
		return "lists-init-task";
	if (has_threads)
		return "threads-too";
	if (!list->times[youngest])
		return missing > 1 ? "full" : "loses-the-last";
	return NULL;
}

static struct shared {
	atomic_ulong births;
} *shared;

static void storm(void *unused)
{
	for (;;) {
		pid_t pid = must(fork());

		if (!pid)
			_exit(0);
		shared->births++;
		must(waitpid(pid, NULL, 0));
	}
}

/* Opens the file while processes come and go. */
static void look_in_the_storm(const pid_t *crowd, size_t size, const char *key)
{
	size_t missing = 0, twice = 0;
	pid_t first = 0;
	char *got;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	start_child(storm, NULL);
	for (int i = 0; i < OPENS; i++) {
		unsigned long before = shared->births;
		struct list list;

		wait_until(shared->births > before + 2, "no process is born");
		list = read_list("");
		for (size_t j = 0; j < size; j++) {
			missing += !list.times[crowd[j]];
			twice += list.times[crowd[j]] > 1;
			if (list.times[crowd[j]] != 1)
				first = crowd[j];
		}
		free_list(&list);
	}
	got = number_of(missing, "the last of them PID %d", first);
	look_at("storm", "processes missing", got, "none", key);
	got = number_of(twice, "the last of them PID %d", first);
	look_at("storm", "processes listed twice", got, "none", key ?: "twice");
	shown("%lu processes were born while your file was opened %d times", shared->births, OPENS);
}

int main(void)
{
	size_t size = drawn_number("count"), missing = 0, twice = 0, unknown = 0;
	pid_t *crowd = calloc(size + 1, sizeof(*crowd)), youngest = 0, first[3] = { 0 };
	struct list list = { 0 }, before = { 0 }, after = { 0 }, threads[2];
	bool has_threads = false;
	const char *key;
	char number[20];

	load_exercise("count", "word");
	load_module("/tests/task_oracle.ko", "");
	for (size_t i = 0; i < size; i++)
		crowd[i] = start_named(drawn("word"));
	start_zombie();
	/* Again if the kernel has made a younger one meanwhile: a list without that would pass. */
	for (int tries = 0; tries < TRIES; tries++) {
		youngest = start_named(drawn("other"));
		crowd[size] = youngest;
		before = ask_oracle(&threads[0]);
		list = read_list(drawn("word"));
		after = ask_oracle(&threads[1]);
		if (largest(&after) == youngest)
			break;
	}

	for (size_t i = 0; i < before.count; i++) {
		pid_t pid = before.pid[i];

		if (pid && after.times[pid] && !list.times[pid] && !missing++)
			first[0] = pid;
	}
	for (size_t i = 0; i < list.count; i++) {
		pid_t pid = list.pid[i];

		if (list.times[pid] > 1 && !twice++)
			first[1] = pid;
		if (!before.times[pid] && !after.times[pid] && !unknown++)
			first[2] = pid;
		if (!before.times[pid] && threads[0].times[pid])
			has_threads = true;
	}
	key = explain(&list, youngest, missing, has_threads);

	if (list.bad)
		look_at("count", "a line of the file", list.bad, "PID NAME", key);
	snprintf(number, sizeof(number), "%zu", list.named);
	look_at("count", "processes of the crowd, by their name", number, "${count}", key);
	look_at("all", "processes missing", number_of(missing, "the first is PID %d", first[0]),
		"none", key);
	snprintf(number, sizeof(number), "PID %d", youngest);
	look_at("last", "the youngest process", list.times[youngest] ? number : "missing", number,
		key);
	look_at("idle", "init_task, PID 0", list.times[0] ? "listed" : "not listed", "not listed",
		key);
	look_at("once", "processes listed twice",
		number_of(twice, "the first is PID %d", first[1]), "none", key ?: "twice");
	look_at("once", "PIDs of no process", number_of(unknown, "the first is PID %d", first[2]),
		"none", key);
	shown("you have found %zu processes; task_oracle, which asks for each PID, has found %zu",
	      list.count, before.count - 1);
	look_in_the_storm(crowd, size + 1, key);
	unload_exercise("storm");
	return 0;
}
