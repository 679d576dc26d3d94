// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread, [nameless], that sleeps in a function without a symbol, at an address
 * below all symbols of the module: the kernel can only show the address.
 */
#include <linux/module.h>

#include "sleep.h"

/* The assembler keeps a name that begins with .L out of the symbol table. */
static int run(void *data) asm(".Lnameless");
static int __used run(void *data)
{
	sleep_until_stopped();
	return 0;
}

static struct task_struct *thread;

/* In a section of its own, like the exit function: not before the function above. */
static int __init nameless_init(void)
{
	thread = kthread_run(run, NULL, "nameless");
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
