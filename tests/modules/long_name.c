// SPDX-License-Identifier: GPL-2.0
/* A kernel thread, [long_name], that sleeps in a function with a name of 500 bytes. */
#include <linux/module.h>

#include "sleep.h"

#define TEN "long_name_"

static int run(void *data) asm(TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
			       TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
			       TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
			       TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
			       TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN);
static int __used run(void *data)
{
	sleep_until_stopped();
	return 0;
}

static struct task_struct *thread;

static int __init long_name_init(void)
{
	thread = kthread_run(run, NULL, "long_name");
	return PTR_ERR_OR_ZERO(thread);
}
module_init(long_name_init);

static void __exit long_name_exit(void)
{
	kthread_stop(thread);
}
module_exit(long_name_exit);

MODULE_DESCRIPTION("A kernel thread in a function with a very long name");
MODULE_LICENSE("GPL");
