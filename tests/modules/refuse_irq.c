// SPDX-License-Identifier: GPL-2.0
/*
 * No interrupt number can be allocated while this is loaded: EINVAL.
 */
#include <linux/irq.h>
#include <linux/module.h>

#include "kprobe.h"

/* The kernel refuses to look for number 0 from 1 on. */
static int refuse(struct kprobe *probe, struct pt_regs *regs)
{
#ifdef CONFIG_X86
	regs->di = 0;
#else
	regs->regs[0] = 0;
#endif
	return 0;
}

static struct kprobe allocation = {
	.symbol_name = "__irq_alloc_descs",
	.pre_handler = refuse,
	.post_handler = do_nothing,
};

static int __init refuse_irq_init(void)
{
	return register_kprobe(&allocation);
}
module_init(refuse_irq_init);

static void __exit refuse_irq_exit(void)
{
	unregister_kprobe(&allocation);
}
module_exit(refuse_irq_exit);

MODULE_DESCRIPTION("Refuses to allocate interrupt numbers");
MODULE_LICENSE("GPL");
