// SPDX-License-Identifier: GPL-2.0
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "guest.h"
#include "spinner.h"

static struct shared {
	atomic_ulong turns;
} *shared;

static void spin(void *unused)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
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

struct spinning spinner_before(pid_t spinner)
{
	struct proc_thread thread;

	if (!proc_thread(spinner, spinner, &thread))
		die("there is no spinner");
	return (struct spinning) { shared->turns, thread.switches };
}

bool spinner_ran(pid_t spinner, struct spinning before)
{
	struct spinning after = spinner_before(spinner);

	/* Who has run and has not been switched away from, before or since, is there. */
	return after.turns != before.turns && after.switches == before.switches;
}
