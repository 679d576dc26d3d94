// SPDX-License-Identifier: GPL-2.0
/*
 * Gives a thread the start that it would have if the machine had been suspended for `seconds`
 * before: later by so much in CLOCK_BOOTTIME, and the same in CLOCK_MONOTONIC.
 */
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

static int pid;
module_param(pid, int, 0);
MODULE_PARM_DESC(pid, "The thread");

static ulong seconds;
module_param(seconds, ulong, 0);
MODULE_PARM_DESC(seconds, "How long the machine was suspended");

static int __init late_start_init(void)
{
	struct task_struct *task = get_pid_task(find_vpid(pid), PIDTYPE_PID);

	if (!task)
		return -ESRCH;
	WRITE_ONCE(task->start_boottime, task->start_boottime + seconds * NSEC_PER_SEC);
	put_task_struct(task);
	return 0;
}

static void __exit late_start_exit(void)
{
}

module_init(late_start_init);
module_exit(late_start_exit);
MODULE_DESCRIPTION("Gives a thread the start that it would have after a suspend");
MODULE_LICENSE("GPL");
