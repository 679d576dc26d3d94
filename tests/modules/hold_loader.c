// SPDX-License-Identifier: GPL-2.0
/*
 * Stops the process `pid` in execve(), in the loader of ELF programs, until `let_go` is set: before
 * it gets its new address space (`step` is 0), with that almost empty (1), or filled (2).
 */
#include <linux/binfmts.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "kprobe.h"

static int pid;
module_param(pid, int, 0600);
MODULE_PARM_DESC(pid, "The process that is stopped; must be written last");

static int step;
module_param(step, int, 0600);
MODULE_PARM_DESC(step, "Where it is stopped");

static bool stopped;
module_param(stopped, bool, 0600);
MODULE_PARM_DESC(stopped, "Whether it has stopped");

static bool let_go;
module_param(let_go, bool, 0600);
MODULE_PARM_DESC(let_go, "Whether it may continue");

/* From here on the probes let it pass. */
static void wait_for_test(void)
{
	WRITE_ONCE(stopped, true);
	while (!READ_ONCE(let_go))
		schedule_timeout_idle(1);
}

/* These run in place of the functions that they call at last. */
static int wait_at_first(struct linux_binprm *program)
{
	wait_for_test();
	return begin_new_exec(program);
}

static int wait_in_the_middle(struct linux_binprm *program, unsigned long top, int executable)
{
	wait_for_test();
	return setup_arg_pages(program, top, executable);
}

static void wait_at_last(struct linux_binprm *program)
{
	wait_for_test();
	finalize_exec(program);
}

static int divert(struct pt_regs *regs, int at, unsigned long place)
{
	if (current->tgid != READ_ONCE(pid) || at != step || stopped)
		return 0;
	instruction_pointer_set(regs, place);
	return 1;
}

static int divert_first(struct kprobe *probe, struct pt_regs *regs)
{
	return divert(regs, 0, (unsigned long)wait_at_first);
}

static int divert_middle(struct kprobe *probe, struct pt_regs *regs)
{
	return divert(regs, 1, (unsigned long)wait_in_the_middle);
}

static int divert_last(struct kprobe *probe, struct pt_regs *regs)
{
	return divert(regs, 2, (unsigned long)wait_at_last);
}

static struct kprobe probes[] = {
	{
		.symbol_name = "begin_new_exec",
		.pre_handler = divert_first,
		.post_handler = do_nothing,
	},
	{
		.symbol_name = "setup_arg_pages",
		.pre_handler = divert_middle,
		.post_handler = do_nothing,
	},
	{
		.symbol_name = "finalize_exec",
		.pre_handler = divert_last,
		.post_handler = do_nothing,
	},
};

static struct kprobe *all[] = { &probes[0], &probes[1], &probes[2] };

static int __init hold_loader_init(void)
{
	return register_kprobes(all, ARRAY_SIZE(all));
}
module_init(hold_loader_init);

static void __exit hold_loader_exit(void)
{
	unregister_kprobes(all, ARRAY_SIZE(all));
}
module_exit(hold_loader_exit);

MODULE_DESCRIPTION("Stops a process while its program is being loaded");
MODULE_LICENSE("GPL");
