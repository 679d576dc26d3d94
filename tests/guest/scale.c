// SPDX-License-Identifier: GPL-2.0
/*
 * A process of very many threads: each of them is there, once, in its order.
 *
 * SCALE, if set, is how many. A hundred thousand need more memory than the guest
 * has if not told otherwise:
 *
 *	make test TESTS=scale MEMORY=6G APPEND=SCALE=100000
 */
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"

#define STACK 1024

static struct shared {
	atomic_int started;
	atomic_int tid[];
} *shared;

static int sleep_for_ever(void *unused)
{
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
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

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(void)
{
	long count = setting("SCALE", 10000), next = 0, wrong = 0;
	struct task_table *threads, *processes;
	const struct task_row *row;
	int started = 0;
	double start;
	pid_t pid;

	ksft_print_header();
	ksft_set_plan(4);
	load_taskscope("");
	write_file("/proc/sys/kernel/pid_max", "4194304");
	write_file("/proc/sys/kernel/threads-max", "1000000");
	shared = mmap(NULL, sizeof(*shared) + count * sizeof(pid_t), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = start_child(start_threads, &count);
	/* However long it takes in all, it goes on. */
	while (started < count) {
		wait_until(shared->started > started, "%d threads, and no more", started);
		started = shared->started;
	}

	start = now();
	threads = table_try_read("threads");
	ksft_print_msg("%zu rows, %zu bytes, opened, read and taken apart in %.3f s\n",
		       threads->rows, threads->size, now() - start);
	ksft_test_result(!*threads->problem, "well formed %s\n", threads->problem);
	ksft_test_result(!table_twice(threads), "no PID twice\n");
	for (size_t i = 0; i < threads->rows; i++) {
		row = &threads->row[i];
		if (row->tgid != pid)
			continue;
		wrong += row->pid != (next ? shared->tid[next - 1] : pid);
		wrong += row->threads != count + 1;
		next++;
	}
	ksft_test_result(next == count + 1 && !wrong, "%ld threads, each once and in order\n",
			 count + 1);

	processes = table_read("processes");
	row = table_find(processes, pid);
	ksft_test_result(row && row->threads == count + 1, "processes: NTHR is %ld\n", count + 1);
	ksft_finished();
}
