/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that the kernel makes and that are no kernel threads: those that work for a
 * user program and never leave the kernel, and those that have not executed their
 * program yet.
 */
#ifndef _WORKERS_H
#define _WORKERS_H

#include <sys/types.h>

struct worker {
	pid_t process, thread;
	char name[16];
};

/* io_uring's thread that polls for submissions. */
struct worker start_ring_poller(void);
/* io_uring's worker, which waits in an open() of a FIFO. */
struct worker start_ring_worker(void);
/* A worker as vhost has them, by the module user_worker. */
struct worker start_user_worker(void);

/*
 * A usermode helper that sleeps before it executes its program, by the module
 * hold_helper; or in the middle of that, if program names a file, which is made.
 */
pid_t start_helper(const char *program);

#endif /* _WORKERS_H */
