// SPDX-License-Identifier: GPL-2.0
/*
 * Stops each call of free_irq() until `let_go` is set, so that an interrupt stays as it is.
 */
#include <linux/atomic.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "kprobe.h"

static bool let_go;
module_param(let_go, bool, 0600);
MODULE_PARM_DESC(let_go, "Whether the calls may continue");

static atomic_t inside;

/* Runs in place of free_irq(), with its arguments. */
static const void *wait_first(unsigned int irq, void *of)
{
	const void *name;

	while (!READ_ONCE(let_go))
		schedule_timeout_idle(1);
	name = free_irq(irq, of);
	atomic_dec(&inside);
	return name;
}

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	if (READ_ONCE(let_go))
		return 0;
	atomic_inc(&inside);
	instruction_pointer_set(regs, (unsigned long)wait_first);
	return 1;
}

static struct kprobe entry = {
	.symbol_name = "free_irq",
	.pre_handler = divert,
	.post_handler = do_nothing,
};

static int __init hold_irq_init(void)
{
	return register_kprobe(&entry);
}
module_init(hold_irq_init);

static void __exit hold_irq_exit(void)
{
	WRITE_ONCE(let_go, true);
	while (atomic_read(&inside))
		schedule_timeout_uninterruptible(1);
	unregister_kprobe(&entry);
}
module_exit(hold_irq_exit);

MODULE_DESCRIPTION("Stops calls of free_irq()");
MODULE_LICENSE("GPL");
