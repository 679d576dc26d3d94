// SPDX-License-Identifier: GPL-2.0
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "crowd.h"
#include "guest.h"

#define STACK 1024

static struct shared {
	atomic_int started;
	int tid[];
} *shared;

static int sleep_for_ever(void *unused)
{
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL);
	return 0;
}

/* Threads that cost little: no library is to know of them. */
static void start_threads(void *argument)
{
	long count = *(long *)argument;
	char *stacks = mmap(NULL, count * STACK, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (long i = 0; i < count; i++) {
		shared->tid[i] = must(clone(sleep_for_ever, stacks + (i + 1) * STACK,
					    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
					    CLONE_THREAD, NULL));
		shared->started = i + 1;
	}
}

struct crowd start_crowd(long count)
{
	struct crowd crowd = { .count = count };
	int started = 0;

	write_file("/proc/sys/kernel/pid_max", "4194304");
	write_file("/proc/sys/kernel/threads-max", "1000000");
	shared = mmap(NULL, sizeof(*shared) + count * sizeof(pid_t), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	crowd.pid = start_child(start_threads, &count);
	crowd.tid = shared->tid;
	/* However long it takes in all, it goes on. */
	while (started < count) {
		wait_until(shared->started > started, "%d threads, and no more", started);
		started = shared->started;
	}
	return crowd;
}
