// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's headers say of preempt_count and of kernel stacks, as
 * parameters to be read in /sys/module/context_oracle/parameters.
 */
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/thread_info.h>

#define SHOW(name, value)				\
	static unsigned long name = (value);		\
	module_param(name, ulong, 0400)

SHOW(preempt_mask, PREEMPT_MASK);
SHOW(softirq_offset, SOFTIRQ_OFFSET);
SHOW(hardirq_mask, HARDIRQ_MASK);
SHOW(nmi_mask, NMI_MASK);
SHOW(thread_size, THREAD_SIZE);

static int __init context_oracle_init(void)
{
	return 0;
}
module_init(context_oracle_init);

static void __exit context_oracle_exit(void)
{
}
module_exit(context_oracle_exit);

MODULE_DESCRIPTION("Constants of preempt_count and of kernel stacks");
MODULE_LICENSE("GPL");
