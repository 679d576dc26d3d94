// SPDX-License-Identifier: GPL-2.0
/*
 * Stops the process `pid` inside execve(), when a thread takes over from the leader: it has
 * the leader's PID, but not yet the leader's place on the list of processes (de_thread() in
 * fs/exec.c). It continues when `let_go` is set. Because it holds the lock of the task list
 * with interrupts disabled, for which other CPUs may wait, it continues after a second
 * in any case and sets `in_vain`.
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "kprobe.h"

#define LIMIT NSEC_PER_SEC

static int pid;
module_param(pid, int, 0600);
MODULE_PARM_DESC(pid, "The process that is stopped");

static bool stopped;
module_param(stopped, bool, 0600);
MODULE_PARM_DESC(stopped, "Whether it has stopped");

static bool let_go;
module_param(let_go, bool, 0600);
MODULE_PARM_DESC(let_go, "Whether it may continue");

static bool in_vain;
module_param(in_vain, bool, 0600);
MODULE_PARM_DESC(in_vain, "Whether it has continued after a second without let_go");

static int stop(struct kprobe *probe, struct pt_regs *regs)
{
	u64 end = ktime_get_mono_fast_ns() + LIMIT;

	/* The function is called once for each type of PID. */
	if (current->tgid != READ_ONCE(pid) || stopped)
		return 0;
	WRITE_ONCE(stopped, true);
	while (!READ_ONCE(let_go)) {
		if (ktime_get_mono_fast_ns() > end) {
			WRITE_ONCE(in_vain, true);
			break;
		}
		cpu_relax();
	}
	return 0;
}

/* Only de_thread() calls it, after the exchange of the two threads' PIDs. */
static struct kprobe taken_over = {
	.symbol_name = "transfer_pid",
	.pre_handler = stop,
};

module_kprobe(taken_over);

MODULE_DESCRIPTION("Stops a process in the middle of execve()");
MODULE_LICENSE("GPL");
