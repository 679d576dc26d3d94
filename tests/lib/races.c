// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"
#include "races.h"

/* In a child: reads until the module is gone; exits with 1 on a wrong table. */
static pid_t start_reader(enum read_result (*read_once)(void), unsigned long *reads)
{
	enum read_result result;
	pid_t pid = fork_child();

	if (pid)
		return pid;
	while ((result = read_once()) == READ_RIGHT) {
		__atomic_fetch_add(reads, 1, __ATOMIC_SEQ_CST);
		/* Two readers without a pause would never leave the module unused. */
		usleep(getpid() % 7 * 5000);
	}
	_exit(result == READ_WRONG);
}

int unload_under_readers(enum read_result (*read_once)(void), int times)
{
	unsigned long *reads = mmap(NULL, sizeof(*reads), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int good = 0;

	must((intptr_t)reads);
	for (int i = 0; i < times; i++) {
		pid_t readers[2];
		int error, status = 0;

		load_taskscope("");
		*reads = 0;
		for (int r = 0; r < 2; r++)
			readers[r] = start_reader(read_once, reads);
		wait_until(__atomic_load_n(reads, __ATOMIC_SEQ_CST) > 2, "no reader has read");
		wait_until((error = unload_module("taskscope")) != EAGAIN,
			   "the module does not unload");
		for (int r = 0; r < 2; r++)
			status |= wait_for(readers[r]);
		good += !error && !status;
	}
	munmap(reads, sizeof(*reads));
	return good;
}

static void on_alarm(int signal)
{
}

static int error_of_open(const char *table)
{
	char path[60];

	snprintf(path, sizeof(path), TABLES "%s", table);
	return open_error(path, O_RDONLY | O_CLOEXEC);
}

int interrupted_open(const char *table, useconds_t delay)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int error;

	must(sigaction(SIGALRM, &action, NULL));
	/* The timer repeats, because the first signal may come too early. */
	ualarm(delay, delay);
	error = error_of_open(table);
	ualarm(0, 0);
	return error;
}

int kill_opens(const char *table, int times)
{
	int killed = 0;

	for (int i = 0; i < times; i++) {
		pid_t pid = fork_child();
		int status;

		if (!pid)
			for (;;)
				error_of_open(table);
		/* State S means that it waits in open(): it sleeps nowhere else. */
		wait_for_state(pid, pid, "S");
		/* At another moment each time. */
		usleep(i * 1000);
		must(kill(pid, SIGKILL));
		status = wait_for(pid);
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	return killed;
}
