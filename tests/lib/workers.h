/* SPDX-License-Identifier: GPL-2.0 */
/*
 * User threads that the kernel creates: workers, which work for a user program and never leave
 * the kernel, and usermode helpers, which have not executed their program yet. And kernel threads
 * that look like user threads.
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
/* io_uring's worker, which blocks in an open() of a FIFO. */
struct worker start_ring_worker(void);
/* A worker as vhost creates them, by the module user_worker. */
struct worker start_user_worker(void);
/* A kernel thread that has borrowed the address space of a child, by the module borrow_mm. */
pid_t start_borrower(void);

/*
 * A usermode helper that sleeps before the execve() of its program, by the module hold_helper;
 * or, if program names a file, inside the execve() of that file, which is created.
 */
pid_t start_helper(const char *program);

/*
 * Confines unbound work items to one CPU. The first work item of an open is unbound. Returns the
 * CPUs that ran them before.
 */
char *run_unbound_items_on(int cpu);
/* Has these CPUs run them again, and frees the text. */
void run_unbound_items_as_before(char *cpus);

#endif /* _WORKERS_H */
