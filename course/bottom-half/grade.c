// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are the PIDs of those who ask, which are drawn; the kernel's tracepoint of work
 * items, which says in which context an item has run, and who `current` was, and where an item can
 * be held; and probes where Rust takes a lock or asks for memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"

/* How often items of the module have run, and who `current` was in the latest softirq. */
struct runs {
	unsigned long softirq, other;
	int current;
};

/* With `before`, `current` is that of an item that has run since. */
static struct runs count_runs(const struct runs *before)
{
	static unsigned long counts[2][1000];
	static int turn;
	char *text = slurp("/sys/kernel/debug/callback_oracle", NULL), *rest = text, *line;
	struct runs runs = { .current = -1 };
	size_t number = 0;

	turn = !turn;
	while ((line = next_line(&rest))) {
		char kind[20], context[20];
		unsigned long count;
		int cpu, pid;

		errno = 0;
		if (number == 1000 || sscanf(line, "%19s %d %19s %d %lu", kind, &cpu, context, &pid,
					     &count) != 5)
			die("a line of the oracle: %s", line);
		if (before && !strcmp(context, "softirq") && count > counts[!turn][number])
			runs.current = pid;
		counts[turn][number++] = count;
		*(strcmp(context, "softirq") ? &runs.other : &runs.softirq) += count;
	}
	free(text);
	return runs;
}

/* The value of the next line "all: "; NULL at the end. The text is cut into lines. */
static const char *next_entry(char **text)
{
	static const char begin[] = "all: ";
	char *line = next_line(text);

	while (line && strncmp(line, begin, strlen(begin)))
		line = next_line(text);
	return line ? line + strlen(begin) : NULL;
}

/*
 * All values of the lines "all: ", with a space between them. One that follows itself is named
 * once, with its number: "11000 12000*300".
 */
static char *list_in(const char *text)
{
	char *copy = strdup(text ?: ""), *rest = copy, *list;
	const char *entry = next_entry(&rest), *next;
	size_t size;
	FILE *all = open_memstream(&list, &size);

	for (; entry; entry = next) {
		int times = 1;

		while ((next = next_entry(&rest)) && !strcmp(next, entry))
			times++;
		fprintf(all, ftell(all) ? " %s" : "%s", entry);
		if (times > 1)
			fprintf(all, "*%d", times);
	}
	fclose(all);
	free(copy);
	return list;
}

static const struct reader {
	const char *name, *list;
} readers[] = {
	{ "first", "${first}" },
	{ "second", "${first} ${second}" },
	{ "third", "${first} ${second} ${third}" },
};

static void read_it(void *number)
{
	const struct reader *reader = number;
	struct runs before = count_runs(NULL), after;
	const char *key = NULL, *ran;
	char *text, *asked, *current, subject[80], want[40], pid[20];

	text = read_answer();
	after = count_runs(&before);
	asked = value_in(text, "asked");
	current = value_in(text, "current");
	ran = after.softirq != before.softirq ? "a softirq" :
	      after.other != before.other     ? "task context" :
						"nothing: no item has run";
	snprintf(pid, sizeof(pid), "%d", after.current);
	if (!text || !*text)
		key = "nothing-yet";
	else if (*ran == 'n')
		key = "no-item";
	else if (*ran == 't')
		key = "ordinary-queue";
	else if (!strcmp(asked, pid))
		key = "current-in-the-item";
	snprintf(want, sizeof(want), "${%s}", reader->name);
	snprintf(subject, sizeof(subject), "line \"asked\", of the %s reader", reader->name);
	look_at("asked", subject, asked, want, key);
	snprintf(subject, sizeof(subject), "where the kernel has run the item of the %s reader",
		 reader->name);
	look_at("context", subject, ran, "a softirq", key);
	look_at("context", "line \"softirq\"", value_in(text, "softirq"), "true", key ?: "bits");
	look_at("context", "line \"task\"", value_in(text, "task"), "false", key ?: "bits");
	look_at("current", "line \"current\"", current, *ran == 'a' ? pid : "who ran there",
		key);
	look_at("all", "the lines \"all\"", list_in(text), reader->list,
		key ?: parameter_value("atomic_oracle", "tries") ? "gives-up" : NULL);
	shown("thread %s has asked, the work was done in %s, and `current` was thread %s",
	      asked, ran, current);
}

/*
 * Two who read at the same time, each on a CPU of its own. The item of the one is held, in its
 * softirq, while the other one reads: before its run() if `hold` is 1, and after it if that is 2.
 * So its run() has not been called, or the thread that waits for it has not gone on.
 */
static const struct pair {
	const char *hold, *held, *held_list, *other, *other_list, *what;
} pairs[] = {
	{ "1", "fourth", "${first} ${second} ${third} ${fifth} ${fourth}", "fifth",
	  "${first} ${second} ${third} ${fifth}", "before the item of thread %ld runs" },
	{ "2", "sixth", NULL, "seventh",
	  "${first} ${second} ${third} ${fifth} ${fourth} ${sixth} ${seventh}",
	  "after the item of thread %ld has run" },
};

#define HOLD "/sys/module/callback_oracle/parameters/hold"
#define IS_HELD 3

/* Reads in a child with that PID, on a CPU, and looks at the list if it is known. */
static pid_t start_reader(const char *name, int cpu, const char *subject, const char *list)
{
	pid_t pid = must(fork_with_pid(drawn_number(name)));
	char *got;

	if (pid)
		return pid;
	stay_on(cpu);
	/* It may have to wait, and is not slow then. */
	got = list_in(try_slurp(ANSWER, NULL));
	if (list)
		look_at("all", subject, got, list, "added-by-show");
	fflush(stdout);
	_exit(0);
}

/* A CPU spins in a softirq meanwhile. After 20 seconds, the kernel reports it. */
#define HELD_LIMIT (4 * patience())

static void look_at_pair(const struct pair *pair)
{
	char what[60], subject[100];
	pid_t held, other;

	snprintf(what, sizeof(what), pair->what, drawn_number(pair->held));
	snprintf(subject, sizeof(subject), "the lines \"all\" of one who reads %s", what);
	write_file(HOLD, pair->hold);
	held = start_reader(pair->held, 0, "the lines \"all\" of the one whose item was held",
			    pair->held_list);
	if (!module_reaches(parameter_value("callback_oracle", "hold") == IS_HELD ||
			    has_ended(held)))
		look_at("all", "the item of the one who reads", "is not queued", "is queued",
			"no-item");
	other = start_reader(pair->other, 1, subject, pair->other_list);
	if (!module_reaches_within(HELD_LIMIT, has_ended(other)))
		look_at("all", subject, "waits for the other one's item", pair->other_list,
			"one-at-a-time");
	write_file(HOLD, "0");
	wait_for(other);
	wait_for(held);
}

/* Reads many times: each time, the list gets an entry more. */
static void read_often(void *unused)
{
	char *text = NULL;

	for (long times = drawn_number("times"); times; times--) {
		free(text);
		text = read_answer();
	}
	look_at("all", "the lines \"all\" after a thread has read many times", list_in(text),
		"${first} ${second} ${third} ${fifth} ${fourth} ${sixth} ${seventh} ${eighth}*${times}",
		parameter_value("atomic_oracle", "tries") ? "gives-up" : "repeats");
	free(text);
}

int main(void)
{
	load_module("/tests/callback_oracle.ko", "");
	load_module("/tests/atomic_oracle.ko", "");
	load_exercise("asked", "word");
	for (size_t i = 0; i < sizeof(readers) / sizeof(*readers); i++)
		run_as(drawn_number(readers[i].name), read_it, (void *)&readers[i]);
	/* No other CPU is held. */
	stay_on(1);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++)
		look_at_pair(&pairs[i]);
	run_as(drawn_number("eighth"), read_often, NULL);
	look_at_oracle("sleeps", "mutexes that were taken where nothing may sleep",
		       "atomic_oracle", "mutexes", "mutex");
	look_at_oracle("sleeps", "requests for memory that may sleep, where nothing may",
		       "atomic_oracle", "allocations", "allocation");
	look_at_oracle("lock", "locks taken in a softirq, and also while one could come",
		       "atomic_oracle", "locks", "stall");
	unload_exercise("lock");
	return 0;
}
