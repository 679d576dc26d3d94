// SPDX-License-Identifier: GPL-2.0
/*
 * When a thread of process `tgid` asks whether a grace period of RCU has passed, one passes first:
 * the thread waits for it, and is told that it has.
 */
#include <linux/atomic.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

#include "kprobe.h"

static int tgid;
module_param(tgid, int, 0400);
MODULE_PARM_DESC(tgid, "The process");

static bool waits;
module_param(waits, bool, 0400);
MODULE_PARM_DESC(waits, "Whether a thread has begun to wait");

static atomic_t inside;

/* Runs in place of the function. */
static bool wait_first(void)
{
	WRITE_ONCE(waits, true);
	synchronize_rcu();
	atomic_dec(&inside);
	return true;
}

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	/* RCU itself asks in softirqs. */
	if (current->tgid != tgid || !in_task())
		return 0;
	atomic_inc(&inside);
	instruction_pointer_set(regs, (unsigned long)wait_first);
	return 1;
}

static struct kprobe entry = {
	.symbol_name = "poll_state_synchronize_rcu_full",
	.pre_handler = divert,
	.post_handler = do_nothing,
};

static int __init pass_grace_period_init(void)
{
	return register_kprobe(&entry);
}
module_init(pass_grace_period_init);

static void __exit pass_grace_period_exit(void)
{
	while (atomic_read(&inside))
		schedule_timeout_uninterruptible(1);
	unregister_kprobe(&entry);
}
module_exit(pass_grace_period_exit);

MODULE_DESCRIPTION("Lets a grace period pass where a thread asks for one");
MODULE_LICENSE("GPL");
