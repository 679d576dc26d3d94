/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For exercises about all threads of the kernel: a list of threads, the student's or that of the
 * witness task_oracle; and threads that a grader makes.
 */
#ifndef _THREADS_H
#define _THREADS_H

#include <stddef.h>
#include <sys/types.h>

/* No PID is as large. */
#define PIDS 4194304
#define KTHREADD 2

/* A thread. Which of the columns after `pid` are set depends on who has made the list. */
struct thread {
	pid_t tgid, pid;
	char comm[80];
	char nthr[20], task[30], kind[12], mm[8];
	/* By task_oracle alone: the address itself, and the flags of the task. */
	char raw[30];
	unsigned long flags;
};

struct list {
	struct thread *thread;
	size_t count;
	/* Where each PID is in the list, from 1 on, and how often. */
	unsigned int *place;
	unsigned char *times;
	/* The first line that is none; or NULL */
	char *bad;
};

struct list empty_list(void);
void free_list(struct list *list);
void add_thread(struct list *list, const struct thread *thread);
/* The row of a thread; NULL if there is none. */
const struct thread *find_thread(const struct list *list, pid_t pid);
/*
 * What task_oracle says, which finds tasks by their PIDs and not on the lists of threads: TASK,
 * the name as it is, and what it alone knows.
 */
struct list ask_oracle(void);
/* "3, PID 117 among them", or "none". */
char *number_of(size_t number, pid_t example);

/* Starts a thread with a small stack. */
void start_thread(void *(*body)(void *argument), const char *argument);
/* How many threads of that name the process has. */
size_t threads_named(pid_t tgid, const char *name);
/* A process with so many threads of this name, besides its leader. */
pid_t start_threads(const char *name, long count);

/* Has threads be born and die, three at a time, until the grader ends. */
void start_storm(void);
/* Waits until some more have been born. */
void wait_for_births(void);
/* How many have been born. */
unsigned long births(void);

#endif /* _THREADS_H */
