// SPDX-License-Identifier: GPL-2.0
/*
 * Sends an NMI to a CPU when it is loaded. No handler expects the NMI. x86 only.
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

MODULE_DESCRIPTION("Sends an NMI to a CPU");
MODULE_LICENSE("GPL");
