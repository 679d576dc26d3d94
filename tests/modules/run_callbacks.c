// SPDX-License-Identifier: GPL-2.0
/*
 * Loading it waits until the callbacks of RCU have run that were queued before, as those that free
 * dead tasks; and those that these have queued: PREEMPT_RT frees a task in a second callback.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>

static int __init run_callbacks_init(void)
{
	rcu_barrier();
	rcu_barrier();
	return 0;
}
module_init(run_callbacks_init);

static void __exit run_callbacks_exit(void)
{
}
module_exit(run_callbacks_exit);

MODULE_DESCRIPTION("Waits for callbacks of RCU");
MODULE_LICENSE("GPL");
