// SPDX-License-Identifier: GPL-2.0
/*
 * Kills process `pid` when taskscope asks, on its behalf, for the time numbered `at`
 * whether it is being killed, and counts what it does for it before and after that.
 * taskscope has to be loaded before.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched/signal.h>

static int pid;
module_param(pid, int, 0600);
MODULE_PARM_DESC(pid, "Which process is killed; to be written last");

static int at;
module_param(at, int, 0600);
MODULE_PARM_DESC(at, "When it asks for this time; 0: never");

static int asked;
module_param(asked, int, 0600);
MODULE_PARM_DESC(asked, "How often it has asked");

static int sections;
module_param(sections, int, 0600);
MODULE_PARM_DESC(sections, "How many critical sections it has ended before the list's end");

static int asked_before;
module_param(asked_before, int, 0600);
MODULE_PARM_DESC(asked_before, "How often it had asked before the last section or visit");

static int opened;
module_param(opened, int, 0600);
MODULE_PARM_DESC(opened, "How many tables it has captured");

static bool is_watched(struct task_struct *task)
{
	return task->tgid == READ_ONCE(pid);
}

/* Called in the place of the function that says whether a task is being killed. */
static bool kill_instead(struct task_struct *task)
{
	send_sig(SIGKILL, task, 1);
	return fatal_signal_pending(task);
}

static int count_question(struct kprobe *probe, struct pt_regs *regs)
{
	/* A thread of the kernel may ask on its behalf. */
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

/* An address space is visited. */
static int count_visit(struct kprobe *probe, struct pt_regs *regs)
{
	if (is_watched(current))
		WRITE_ONCE(asked_before, asked);
	return 0;
}

/* It is called by an open when the table is there. */
static int count_open(struct kprobe *probe, struct pt_regs *regs)
{
	if (is_watched(current))
		WRITE_ONCE(opened, opened + 1);
	return 0;
}

/* A probe with a handler for afterwards may change where execution goes on. */
static void do_nothing(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
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

MODULE_DESCRIPTION("Kills a process while a table is made for it");
MODULE_LICENSE("GPL");
