// SPDX-License-Identifier: GPL-2.0
#include <stdatomic.h>
#include <sys/mman.h>

#include "guest.h"
#include "spinner.h"

static struct shared {
	atomic_ulong turns;
} *shared;

static void spin(void *unused)
{
	stay_on(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	for (;;)
		shared->turns++;
}

pid_t start_spinner(void)
{
	pid_t spinner;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	spinner = start_child(spin, NULL);
	wait_until(shared->turns, "the spinner does not run");
	return spinner;
}

static unsigned long switches_of(pid_t spinner)
{
	struct proc_thread thread;

	if (!proc_thread(spinner, spinner, &thread))
		die("there is no spinner");
	return thread.switches;
}

unsigned long spinner_runs(pid_t spinner)
{
	unsigned long switches = switches_of(spinner), turns = shared->turns;

	wait_until(shared->turns != turns, "the spinner does not run");
	return switches;
}

bool spinner_stayed(pid_t spinner, unsigned long switches)
{
	return switches_of(spinner) == switches;
}
