/* SPDX-License-Identifier: GPL-2.0 */
/* Very many threads, which sleep. */
#ifndef _CROWD_H
#define _CROWD_H

#include <stdbool.h>
#include <sys/types.h>

struct crowd {
	pid_t pid;
	long count;
	const int *tid;		/* of the threads beside the leader, in their order */
};

/* A process with so many threads beside the leader; all are there when this returns. */
struct crowd start_crowd(long count);

struct crowd_shape {
	long threads;		/* in all */
	long group;		/* of them in a process */
	bool names;		/* each has its own, some with bytes that are to be escaped */
	bool users;		/* each has its own real and effective user */
	bool own;		/* each process has its own address space; else all share one */
	long mappings;		/* in each address space, if not 0 */
	long frames;		/* of each thread's user stack, beside the innermost ones */
};

/* Such processes, below another one that is not counted, whose PID this returns. */
pid_t start_crowd_of(const struct crowd_shape *shape);
/* Ends them; returns when all are gone. The caller has no other children. */
void end_crowd_of(pid_t pid);

#endif /* _CROWD_H */
