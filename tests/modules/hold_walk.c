// SPDX-License-Identifier: GPL-2.0
/*
 * Stops the next walk over the task list at a break, between two critical sections, until
 * `let_go` is set: at the first break, or at the one with the number `at`. taskscope must be
 * loaded before this module.
 */
#include <linux/module.h>
#include <linux/sched.h>

#include "kprobe.h"

static int at = 1;
module_param(at, int, 0400);
MODULE_PARM_DESC(at, "The break, counted from 1");

static bool stopped;
module_param(stopped, bool, 0400);
MODULE_PARM_DESC(stopped, "Whether the walk has stopped");

static bool let_go;
module_param(let_go, bool, 0600);
MODULE_PARM_DESC(let_go, "Whether it may continue");

static bool inside;

/* Runs in place of taskscope's call of cond_resched(). */
static void wait_instead(void)
{
	while (!READ_ONCE(let_go))
		schedule_timeout_idle(1);
	WRITE_ONCE(inside, false);
}

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	if (stopped || --at > 0)
		return 0;
	WRITE_ONCE(inside, true);
	WRITE_ONCE(stopped, true);
	instruction_pointer_set(regs, (unsigned long)wait_instead);
	return 1;
}

static struct kprobe at_break = {
	.symbol_name = "taskscope_cond_resched",
	.pre_handler = divert,
	.post_handler = do_nothing,
};

static int __init hold_walk_init(void)
{
	return register_kprobe(&at_break);
}

static void __exit hold_walk_exit(void)
{
	WRITE_ONCE(let_go, true);
	while (READ_ONCE(inside))
		schedule_timeout_uninterruptible(1);
	unregister_kprobe(&at_break);
}

module_init(hold_walk_init);
module_exit(hold_walk_exit);
MODULE_DESCRIPTION("Stops a walk over the task list at its break");
MODULE_LICENSE("GPL");
