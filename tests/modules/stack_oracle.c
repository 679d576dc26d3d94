// SPDX-License-Identifier: GPL-2.0
/*
 * Where the stacks of each CPU lie, by the kernel's own variables, which it does not export: a
 * test finds their addresses in /proc/kallsyms. The parameter `stacks` has two lines for a CPU,
 *
 *	CPU irq BEGIN END
 *	CPU nmi BEGIN END
 *
 * with hexadecimal addresses; END is the first that is not in the stack. x86-64 only.
 */
#include <linux/cpumask.h>
#include <linux/module.h>
#include <linux/percpu.h>

static ulong irq;
module_param(irq, ulong, 0400);
MODULE_PARM_DESC(irq, "The address of hardirq_stack_ptr");

static ulong exceptions;
module_param(exceptions, ulong, 0400);
MODULE_PARM_DESC(exceptions, "The address of cea_exception_stacks");

#ifdef CONFIG_X86_64
#include <asm/cpu_entry_area.h>

static ulong value_of(ulong variable, int cpu)
{
	return *per_cpu_ptr((ulong __percpu *)variable, cpu);
}

static int get_stacks(char *text, const struct kernel_param *unused)
{
	int cpu, length = 0;

	for_each_online_cpu(cpu) {
		/* As in_irq_stack() and in_exception_stack() of dumpstack_64.c have them. */
		ulong end = value_of(irq, cpu) + sizeof(ulong);
		struct cea_exception_stacks *stacks = (void *)value_of(exceptions, cpu);

		length += scnprintf(text + length, PAGE_SIZE - length,
				    "%d irq %lx %lx\n%d nmi %lx %lx\n", cpu, end - IRQ_STACK_SIZE,
				    end, cpu, CEA_ESTACK_BOT(stacks, NMI),
				    CEA_ESTACK_TOP(stacks, NMI));
	}
	return length;
}

static const struct kernel_param_ops stacks_ops = { .get = get_stacks };
module_param_cb(stacks, &stacks_ops, NULL, 0400);

static int __init stack_oracle_init(void)
{
	return irq && exceptions ? 0 : -EINVAL;
}
#else
static int __init stack_oracle_init(void)
{
	return -ENODEV;
}
#endif
module_init(stack_oracle_init);

static void __exit stack_oracle_exit(void)
{
}
module_exit(stack_oracle_exit);

MODULE_DESCRIPTION("Where the stacks of each CPU lie");
MODULE_LICENSE("GPL");
