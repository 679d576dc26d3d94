// SPDX-License-Identifier: GPL-2.0
/*
 * A new kernel thread of the name `of` does not run: the call that is to start it does nothing.
 * The next call for it, as that of kthread_stop(), wakes it.
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "kprobe.h"

static char *of = "";
module_param(of, charp, 0400);
MODULE_PARM_DESC(of, "The name of the threads");

static int lost;
module_param(lost, int, 0400);
MODULE_PARM_DESC(lost, "The PID of the last such thread");

/* Runs in place of wake_up_process(). */
static int do_not_wake(struct task_struct *task)
{
	return 1;
}

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	const struct task_struct *task = (void *)regs_get_kernel_argument(regs, 0);

	if (strcmp(task->comm, of) || READ_ONCE(lost) == task->pid)
		return 0;
	WRITE_ONCE(lost, task->pid);
	instruction_pointer_set(regs, (unsigned long)do_not_wake);
	return 1;
}

static struct kprobe entry = {
	.symbol_name = "wake_up_process",
	.pre_handler = divert,
	.post_handler = do_nothing,
};

module_kprobe(entry);

MODULE_DESCRIPTION("Keeps new kernel threads from running");
MODULE_LICENSE("GPL");
