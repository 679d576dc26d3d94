// SPDX-License-Identifier: GPL-2.0
/*
 * Provokes, at load, the fault that its parameter names, to test the verdict. Only for
 * guests: most of these faults end the kernel.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *what = "";
module_param(what, charp, 0);
MODULE_PARM_DESC(what, "warn, bug, oops, atomic, lockup, stall, hang, say or trace; on a debug kernel kasan, ubsan, leak, lockdep, rcu, sleep, odebug or list");

static char *text = "";
module_param(text, charp, 0);
MODULE_PARM_DESC(text, "what to say");

static DEFINE_SPINLOCK(lock);
static DEFINE_MUTEX(one);
static DEFINE_MUTEX(other);
static struct rcu_head waiting;
static int __rcu *published;
static int bits = 40;

static void never(struct rcu_head *head)
{
}

static void no_timer(struct timer_list *timer)
{
}

/* provoke_detector - faults that only a debug kernel notices; returns whether `what` names one */
static bool __init provoke_detector(void)
{
	if (!strcmp(what, "kasan")) {
		int *freed = kmalloc(sizeof(*freed), GFP_KERNEL);

		kfree(freed);
		WRITE_ONCE(*freed, 1);
	} else if (!strcmp(what, "ubsan")) {
		WRITE_ONCE(bits, 1 << READ_ONCE(bits));
	} else if (!strcmp(what, "leak")) {
		/* Ten, because a stale copy of a pointer may hide one of them. */
		for (int i = 0; i < 10; i++) {
			char *lost = kmalloc(64, GFP_KERNEL);

			WRITE_ONCE(*lost, i);
		}
	} else if (!strcmp(what, "lockdep")) {
		mutex_lock(&one);
		mutex_lock(&other);
		mutex_unlock(&other);
		mutex_unlock(&one);
		mutex_lock(&other);
		mutex_lock(&one);
		mutex_unlock(&one);
		mutex_unlock(&other);
	} else if (!strcmp(what, "rcu")) {
		WRITE_ONCE(bits, !rcu_dereference(published));
	} else if (!strcmp(what, "sleep")) {
		rcu_read_lock();
		might_sleep();
		rcu_read_unlock();
	} else if (!strcmp(what, "odebug")) {
		struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

		timer_setup(timer, no_timer, 0);
		mod_timer(timer, jiffies + HZ);
		kfree(timer);
	} else if (!strcmp(what, "list")) {
		struct list_head head, entry, another;

		INIT_LIST_HEAD(&head);
		list_add(&entry, &head);
		entry.prev = &another;
		list_del(&entry);
	} else {
		return false;
	}
	return true;
}

static int __init provoke_init(void)
{
	if (provoke_detector())
		return 0;
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
		/* A grace period stalls only if there is a callback that waits for it. */
		call_rcu(&waiting, never);
		for (;;)
			cond_resched();
	} else if (!strcmp(what, "hang")) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	} else if (!strcmp(what, "say")) {
		pr_warn("%s\n", text);
	} else if (!strcmp(what, "trace")) {
		pr_warn("%s\n", text);
		dump_stack();
	} else {
		return -EINVAL;
	}
	return 0;
}
module_init(provoke_init);

MODULE_DESCRIPTION("Provokes what a guest can die of");
MODULE_LICENSE("GPL");
