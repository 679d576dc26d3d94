/* SPDX-License-Identifier: GPL-2.0 */
/* A process of very many threads, which sleep. */
#ifndef _CROWD_H
#define _CROWD_H

#include <sys/types.h>

struct crowd {
	pid_t pid;
	long count;
	const int *tid;		/* of the threads beside the leader, in their order */
};

/* So many threads beside the leader; all are there when this returns. */
struct crowd start_crowd(long count);

#endif /* _CROWD_H */
