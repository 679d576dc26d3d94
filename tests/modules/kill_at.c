// SPDX-License-Identifier: GPL-2.0
/*
 * taskscope checks again and again whether the process `pid` has a fatal signal. This module
 * kills the process at the check numbered `at`, and counts what taskscope does for the
 * process before and after that.
 * taskscope must be loaded before this module.
 */
#include <linux/module.h>
#include <linux/sched/signal.h>

#include "kprobe.h"

static int pid;
module_param(pid, int, 0600);
MODULE_PARM_DESC(pid, "The process that is killed; must be written last");

static int at;
module_param(at, int, 0600);
MODULE_PARM_DESC(at, "The number of the check that kills it; 0: none");

static int asked;
module_param(asked, int, 0600);
MODULE_PARM_DESC(asked, "The number of checks");

static int sections;
module_param(sections, int, 0600);
MODULE_PARM_DESC(sections, "The number of critical sections but the last");

static int asked_before;
module_param(asked_before, int, 0600);
MODULE_PARM_DESC(asked_before, "The number of checks before the last section or visit");

static int opened;
module_param(opened, int, 0600);
MODULE_PARM_DESC(opened, "The number of tables that were completed");

static bool is_watched(struct task_struct *task)
{
	return task->tgid == READ_ONCE(pid);
}

/* Runs in place of the function that checks for a fatal signal. */
static bool kill_instead(struct task_struct *task)
{
	send_sig(SIGKILL, task, 1);
	return fatal_signal_pending(task);
}

static int count_question(struct kprobe *probe, struct pt_regs *regs)
{
	/* A kernel thread may check on behalf of the process. */
	if (!is_watched((struct task_struct *)regs_get_kernel_argument(regs, 0)))
		return 0;
	WRITE_ONCE(asked, asked + 1);
	if (asked != at)
		return 0;
	instruction_pointer_set(regs, (unsigned long)kill_instead);
	return 1;
}

static int count_section(struct kprobe *probe, struct pt_regs *regs)
{
	if (is_watched(current)) {
		WRITE_ONCE(sections, sections + 1);
		WRITE_ONCE(asked_before, asked);
	}
	return 0;
}

/* taskscope visits an address space. */
static int count_visit(struct kprobe *probe, struct pt_regs *regs)
{
	if (is_watched(current))
		WRITE_ONCE(asked_before, asked);
	return 0;
}

/* An open calls seq_open() when its table is complete. */
static int count_open(struct kprobe *probe, struct pt_regs *regs)
{
	if (is_watched(current))
		WRITE_ONCE(opened, opened + 1);
	return 0;
}

static struct kprobe probes[] = {
	{
		.symbol_name = "taskscope_fatal_signal_pending",
		.pre_handler = count_question,
		.post_handler = do_nothing,
	},
	{ .symbol_name = "taskscope_cond_resched", .pre_handler = count_section },
	{ .symbol_name = "get_task_mm", .pre_handler = count_visit },
	{ .symbol_name = "seq_open", .pre_handler = count_open },
};

static struct kprobe *all[] = { &probes[0], &probes[1], &probes[2], &probes[3] };

static int __init kill_at_init(void)
{
	return register_kprobes(all, ARRAY_SIZE(all));
}
module_init(kill_at_init);

static void __exit kill_at_exit(void)
{
	unregister_kprobes(all, ARRAY_SIZE(all));
}
module_exit(kill_at_exit);

MODULE_DESCRIPTION("Kills a process while taskscope makes a table for it");
MODULE_LICENSE("GPL");
