/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The modules twin_one and twin_two: a kernel thread that sleeps. The two have the same code, and
 * differ in the names of the module, of the thread and of the function alone, so that one can have
 * the other's place in memory, to the byte.
 */
#include <linux/module.h>

#include "sleep.h"

static noinline int TWIN_SLEEPS(void *unused)
{
	sleep_until_stopped();
	return 0;
}

static struct task_struct *thread;

static int __init twin_init(void)
{
	thread = kthread_run(TWIN_SLEEPS, NULL, KBUILD_MODNAME);
	return PTR_ERR_OR_ZERO(thread);
}
module_init(twin_init);

static void __exit twin_exit(void)
{
	kthread_stop(thread);
}
module_exit(twin_exit);

MODULE_DESCRIPTION("A kernel thread that sleeps in a function of this module's name");
MODULE_LICENSE("GPL");
