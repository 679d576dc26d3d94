// SPDX-License-Identifier: GPL-2.0
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "report.h"
#include "guest.h"
#include "threads.h"

struct list empty_list(void)
{
	return (struct list) {
		.place = calloc(PIDS, sizeof(unsigned int)), .times = calloc(PIDS, 1),
	};
}

void free_list(struct list *list)
{
	free(list->thread);
	free(list->place);
	free(list->times);
	free(list->bad);
}

void add_thread(struct list *list, const struct thread *thread)
{
	list->thread = realloc(list->thread, (list->count + 1) * sizeof(*list->thread));
	list->thread[list->count++] = *thread;
	list->place[thread->pid] = list->count;
	if (list->times[thread->pid] < 2)
		list->times[thread->pid]++;
}

const struct thread *find_thread(const struct list *list, pid_t pid)
{
	return list->place[pid] ? &list->thread[list->place[pid] - 1] : NULL;
}

struct list ask_oracle(void)
{
	struct list list = empty_list();
	char *text = slurp("/sys/kernel/debug/task_oracle", NULL), *rest = text, *line;

	while ((line = next_line(&rest))) {
		struct thread thread = { 0 };
		/* A name may be empty. */
		char digits[40] = "";
		unsigned int byte;

		if (sscanf(line, "%d %d %29s %29s %*s %*s %lx %39s", &thread.tgid, &thread.pid,
			   thread.task, thread.raw, &thread.flags, digits) < 5)
			die("task_oracle has a line that cannot be parsed: '%s'", line);
		for (size_t i = 0; sscanf(digits + 2 * i, "%2x", &byte) == 1; i++)
			thread.comm[i] = byte;
		add_thread(&list, &thread);
	}
	free(text);
	return list;
}

char *number_of(size_t number, pid_t example)
{
	char *text;

	if (!number)
		return strdup("none");
	must(asprintf(&text, "%zu, PID %d among them", number, example));
	return text;
}

void start_thread(void *(*body)(void *argument), const char *argument)
{
	pthread_t thread;
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	if (pthread_create(&thread, &small, body, (void *)argument))
		die("no thread");
}

size_t threads_named(pid_t tgid, const char *name)
{
	struct proc_thread *thread;
	size_t count = proc_threads(&thread), named = 0;

	for (size_t i = 0; i < count; i++)
		named += thread[i].tgid == tgid && !strcmp(thread[i].comm, name);
	free(thread);
	return named;
}

struct threads {
	const char *name;
	long count;
};

static void have_threads(void *argument)
{
	const struct threads *threads = argument;

	for (long i = 0; i < threads->count; i++)
		start_thread(sleep_under_name, threads->name);
}

pid_t start_threads(const char *name, long count)
{
	struct threads threads = { name, count };
	pid_t pid = start_child(have_threads, &threads);

	wait_until(threads_named(pid, name) == (size_t)count, "no threads");
	return pid;
}

/* Shared with the process of the storm. */
static struct storm {
	atomic_ulong births;
} *storm;

static void *end_at_once(void *unused)
{
	return NULL;
}

static void be_storm(void *unused)
{
	pthread_t thread[3];

	for (;;) {
		for (int i = 0; i < 3; i++)
			if (pthread_create(&thread[i], NULL, end_at_once, NULL))
				die("no thread");
		for (int i = 0; i < 3; i++)
			pthread_join(thread[i], NULL);
		storm->births += 3;
	}
}

void start_storm(void)
{
	storm = must(mmap(NULL, sizeof(*storm), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	start_child(be_storm, NULL);
}

void wait_for_births(void)
{
	unsigned long before = births();

	wait_until(births() > before + 6, "no thread is born");
}

unsigned long births(void)
{
	return storm->births;
}
