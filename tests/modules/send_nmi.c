// SPDX-License-Identifier: GPL-2.0
/*
 * Sends a processor an NMI, which is for nobody, when it is loaded. x86 alone.
 */
#include <linux/cpumask.h>
#include <linux/module.h>

static unsigned int cpu;
module_param(cpu, uint, 0400);

#ifdef CONFIG_X86
#include <asm/apic.h>
#include <asm/irq_vectors.h>

static int __init send_nmi_init(void)
{
	if (cpu >= nr_cpu_ids || !cpu_online(cpu))
		return -ENXIO;
	__apic_send_IPI_mask(cpumask_of(cpu), NMI_VECTOR);
	return 0;
}
#else
static int __init send_nmi_init(void)
{
	return -ENODEV;
}
#endif
module_init(send_nmi_init);

static void __exit send_nmi_exit(void)
{
}
module_exit(send_nmi_exit);

MODULE_DESCRIPTION("An NMI for a processor of one's choice");
MODULE_LICENSE("GPL");
