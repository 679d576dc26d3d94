// SPDX-License-Identifier: GPL-2.0
/*
 * Does to the kernel, at load, what its name says, so that the verdict on the
 * guest can be seen to notice. For guests that are to be lost.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

static char *what = "";
module_param(what, charp, 0);
MODULE_PARM_DESC(what, "warn, bug, oops, atomic, lockup, stall or hang");

static DEFINE_SPINLOCK(lock);
static struct rcu_head waiting;

static void never(struct rcu_head *head)
{
}

static int __init provoke_init(void)
{
	if (!strcmp(what, "warn")) {
		WARN(1, "provoked\n");
	} else if (!strcmp(what, "bug")) {
		BUG();
	} else if (!strcmp(what, "oops")) {
		WRITE_ONCE(*(int *)8, 0);
	} else if (!strcmp(what, "atomic")) {
		spin_lock(&lock);
		schedule();
		spin_unlock(&lock);
	} else if (!strcmp(what, "lockup")) {
		preempt_disable();
		for (;;)
			cpu_relax();
	} else if (!strcmp(what, "stall")) {
		rcu_read_lock();
		/* Only a grace period that somebody waits for can stall. */
		call_rcu(&waiting, never);
		for (;;)
			cond_resched();
	} else if (!strcmp(what, "hang")) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	} else {
		return -EINVAL;
	}
	return 0;
}
module_init(provoke_init);

MODULE_DESCRIPTION("Provokes what a guest can die of");
MODULE_LICENSE("GPL");
