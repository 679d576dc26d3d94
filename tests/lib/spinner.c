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
	/* A table without counts would show a thread that was never switched away from as well. */
	while (!proc_switches(getpid(), getpid()))
		usleep(1000);
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

/* Waits until the spinner runs; the number of its context switches before that moment. */
static unsigned long seen_to_run(pid_t spinner)
{
	unsigned long switches = proc_switches(spinner, spinner), turns = shared->turns;

	wait_until(shared->turns != turns, "the spinner does not run");
	return switches;
}

struct rows *read_beside_spinner(pid_t spinner, const char *name)
{
	unsigned long switches;

	return read_beside_counted(spinner, name, &switches);
}

struct rows *read_beside_counted(pid_t spinner, const char *name, unsigned long *switches)
{
	struct rows *table = NULL;

	/*
	 * SCHED_FIFO, because during a long open some kernel thread would always preempt the
	 * spinner. (Even so, such a thread gets its turn after about a second.)
	 */
	make_real_time(spinner, 1);
	wait_until(({
		if (table)
			rows_free(table);
		*switches = seen_to_run(spinner);
		table = rows_read(name);
		proc_switches(spinner, spinner) == *switches;
	}), "the spinner is always interrupted");
	make_real_time(spinner, 0);
	return table;
}
