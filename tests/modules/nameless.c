// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread, [nameless], that sleeps in a function which has no symbol, and
 * before which there is none: to the kernel it is an address.
 */
#include <linux/kthread.h>
#include <linux/module.h>

/* What begins with .L is the assembler's own, and does not get into the object. */
static int sleep_until_stopped(void *data) asm(".Lnameless");
static int __used sleep_until_stopped(void *data)
{
	/* Idle, for the hung task detector looks for what waits like this. */
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static struct task_struct *thread;

/* Elsewhere than the function above, as is the exit. */
static int __init nameless_init(void)
{
	thread = kthread_run(sleep_until_stopped, NULL, "nameless");
	return PTR_ERR_OR_ZERO(thread);
}
module_init(nameless_init);

static void __exit nameless_exit(void)
{
	kthread_stop(thread);
}
module_exit(nameless_exit);

MODULE_DESCRIPTION("A kernel thread in a function without a symbol");
MODULE_LICENSE("GPL");
