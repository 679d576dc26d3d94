// SPDX-License-Identifier: GPL-2.0
/*
 * What `make report` draws: processes whose threads have stacks of different depths, a process
 * that waits for input, a process that waits in state D, a zombie, and a thread that runs. Prints
 * the PIDs when all of them are there, and then sleeps.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct job {
	const char *name;
	int calls; /* how deep the thread is in its program */
	void (*wait)(void);
};

static int silent[2];

static void wait_in_pause(void)
{
	pause();
}

static void wait_in_poll(void)
{
	struct pollfd ends[] = { { .fd = silent[0], .events = POLLIN } };

	poll(ends, 1, -1);
}

static void wait_in_read(void)
{
	char byte;

	if (read(silent[0], &byte, 1) < 0)
		exit(1);
}

static void run_on(void)
{
	for (;;)
		__asm__ volatile("" ::: "memory");
}

/* Each call has a page of locals. */
static void descend(int calls, void (*wait)(void))
{
	volatile int room[1024];

	room[0] = calls;
	if (calls > 1)
		descend(calls - 1, wait);
	else
		wait();
	/* Used after the call: else the compiler could give up the room. */
	if (!room[0])
		exit(1);
}

static void *work(void *argument)
{
	struct job *job = argument;

	prctl(PR_SET_NAME, job->name);
	descend(job->calls, job->wait);
	return NULL;
}

/* The first job is the process itself. */
static pid_t start(struct job *jobs, int count)
{
	pid_t child = fork();

	if (child < 0)
		exit(1);
	if (child > 0)
		return child;
	for (int i = 1; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, &jobs[i]))
			exit(1);
	}
	work(&jobs[0]);
	exit(0);
}

#define START(jobs) start(jobs, sizeof(jobs) / sizeof((jobs)[0]))

/* The parent waits in state D until its child ends. */
static void wait_for_vfork(void)
{
	if (vfork() == 0) {
		pause();
		_exit(0);
	}
}

int main(void)
{
	static struct job kitchen[] = {
		{ "kitchen", 1, wait_in_pause },   { "cook-1", 2, wait_in_poll },
		{ "cook-2", 8, wait_in_pause },	   { "cook-3", 16, wait_in_read },
		{ "cook-4", 24, wait_in_pause },
	};
	static struct job office[] = {
		{ "office", 20, wait_in_poll }, { "clerk", 200, wait_in_read },
		{ "runner", 3, run_on },
	};
	static struct job reader[] = { { "reader", 2, wait_in_read } };
	static struct job parent[] = { { "vfork-parent", 1, wait_for_vfork } };
	static struct job zombie[] = { { "zombie", 1, sync } };
	pid_t pids[5];
	siginfo_t ended;

	if (pipe(silent))
		return 1;
	pids[0] = START(kitchen);
	pids[1] = START(office);
	pids[2] = START(reader);
	pids[3] = START(parent);
	pids[4] = START(zombie);
	waitid(P_PID, pids[4], &ended, WEXITED | WNOWAIT);
	for (int i = 0; i < 5; i++)
		printf("%d%c", pids[i], i < 4 ? ' ' : '\n');
	fflush(stdout);
	for (;;)
		pause();
}
