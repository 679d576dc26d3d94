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

/* How often it had been switched away from at a time after which it was seen to run. */
static unsigned long seen_to_run(pid_t spinner)
{
	unsigned long switches = switches_of(spinner), turns = shared->turns;

	wait_until(shared->turns != turns, "the spinner does not run");
	return switches;
}

struct rows *read_beside_spinner(pid_t spinner, const char *name)
{
	struct rows *table = NULL;
	unsigned long switches;

	/*
	 * Where a look takes long, some thread of the kernel always comes between. (One of
	 * those that wait has its turn after about a second even so.)
	 */
	make_real_time(spinner, 1);
	wait_until(({
		if (table)
			rows_free(table);
		switches = seen_to_run(spinner);
		table = rows_read(name);
		switches_of(spinner) == switches;
	}), "the spinner is always interrupted");
	make_real_time(spinner, 0);
	return table;
}
