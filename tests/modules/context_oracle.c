// SPDX-License-Identifier: GPL-2.0
/*
 * Constants of the kernel's headers for preempt_count and kernel stacks, as parameters in
 * /sys/module/context_oracle/parameters.
 */
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/thread_info.h>

static unsigned long preempt_mask = PREEMPT_MASK;
module_param(preempt_mask, ulong, 0400);

static unsigned long softirq_mask = SOFTIRQ_MASK;
module_param(softirq_mask, ulong, 0400);

static unsigned long softirq_offset = SOFTIRQ_OFFSET;
module_param(softirq_offset, ulong, 0400);

static unsigned long hardirq_mask = HARDIRQ_MASK;
module_param(hardirq_mask, ulong, 0400);

static unsigned long nmi_mask = NMI_MASK;
module_param(nmi_mask, ulong, 0400);

static unsigned long thread_size = THREAD_SIZE;
module_param(thread_size, ulong, 0400);

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
