// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as a macro or a static inline, as functions that Rust can call:
 * those that exercises need, and taskscope does not. One call each, no logic.
 */

#include <linux/bottom_half.h>
#include <linux/cpumask.h>
#include <linux/preempt.h>

#ifdef CONFIG_X86
#include <asm/apic.h>
#include <asm/irq_vectors.h>
#endif

void lab_local_bh_disable(void)
{
	local_bh_disable();
}

void lab_local_bh_enable(void)
{
	local_bh_enable();
}

unsigned long lab_preempt_mask(void)
{
	return PREEMPT_MASK;
}

unsigned long lab_softirq_mask(void)
{
	return SOFTIRQ_MASK;
}

unsigned long lab_hardirq_mask(void)
{
	return HARDIRQ_MASK;
}

unsigned long lab_nmi_mask(void)
{
	return NMI_MASK;
}

#ifdef CONFIG_X86
void lab_send_nmi(unsigned int cpu)
{
	__apic_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}
#endif
