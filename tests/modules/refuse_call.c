// SPDX-License-Identifier: GPL-2.0
/*
 * For taskscope, CPU `cpu` is offline when it sends it a call: ENXIO.
 */
#include <linux/cpumask.h>
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/smp.h>
#include <linux/string.h>

#include "kprobe.h"

static int cpu;
module_param(cpu, int, 0400);
MODULE_PARM_DESC(cpu, "The CPU");

/* The kernel sends nothing to a CPU with a number that is too high. */
static int refuse(struct kprobe *probe, struct pt_regs *regs)
{
	const call_single_data_t *call = (void *)regs_get_kernel_argument(regs, 1);
	char name[KSYM_SYMBOL_LEN];

	if ((int)regs_get_kernel_argument(regs, 0) != cpu)
		return 0;
	snprintf(name, sizeof(name), "%ps", call->func);
	if (!strstr(name, "[taskscope]"))
		return 0;
#ifdef CONFIG_X86
	regs->di = nr_cpu_ids;
#else
	regs->regs[0] = nr_cpu_ids;
#endif
	return 0;
}

static struct kprobe call = {
	.symbol_name = "smp_call_function_single_async",
	.pre_handler = refuse,
	.post_handler = do_nothing,
};

module_kprobe(call);

MODULE_DESCRIPTION("Refuses the calls of taskscope to a CPU");
MODULE_LICENSE("GPL");
