/* SPDX-License-Identifier: GPL-2.0 */
/* Very many sleeping threads. */
#ifndef _CROWD_H
#define _CROWD_H

#include <stdbool.h>
#include <sys/types.h>

struct crowd {
	pid_t pid;
	long count;
	const int *tid;		/* of the threads without the leader, in their order */
};

/* A process with `count` threads besides the leader; all exist when this returns. */
struct crowd start_crowd(long count);

struct crowd_shape {
	long threads;		/* in all */
	long group;		/* of them in a process */
	bool names;		/* each has its own name, some with bytes that are escaped */
	bool users;		/* each has its own real and effective user */
	bool own;		/* each process has its own address space; else all share one */
	long mappings;		/* in each address space, if not 0 */
	long frames;		/* of each thread's user stack, besides the innermost ones */
};

/* Starts such processes as children of another one, which is not counted; its PID. */
pid_t start_crowd_of(const struct crowd_shape *shape);
/* Kills them and returns when all are reaped. The caller must have no other children. */
void end_crowd_of(pid_t pid);

#endif /* _CROWD_H */
