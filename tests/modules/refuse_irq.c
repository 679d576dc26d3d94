// SPDX-License-Identifier: GPL-2.0
/*
 * No interrupt number can be allocated while this is loaded: ENOSPC.
 */
#include <linux/irq.h>
#include <linux/module.h>

#include "kprobe.h"

/* Runs in place of __irq_alloc_descs(), with its arguments. */
static int have_none(int irq, unsigned int from, unsigned int count, int node,
		     struct module *owner, const struct irq_affinity_desc *affinity)
{
	return -ENOSPC;
}

static int refuse(struct kprobe *probe, struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)have_none);
	return 1;
}

static struct kprobe allocation = {
	.symbol_name = "__irq_alloc_descs",
	.pre_handler = refuse,
	.post_handler = do_nothing,
};

module_kprobe(allocation);

MODULE_DESCRIPTION("Refuses to allocate interrupt numbers");
MODULE_LICENSE("GPL");
