// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as a macro or a static inline, as functions that the exercises can
 * call. One call each, no logic. The file that uses a function declares it.
 */

#include <linux/cpumask.h>

#ifdef CONFIG_X86
#include <asm/apic.h>
#include <asm/irq_vectors.h>

void exercise_send_nmi(unsigned int cpu)
{
	__apic_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
}
#endif
