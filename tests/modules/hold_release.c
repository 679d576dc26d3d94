// SPDX-License-Identifier: GPL-2.0
/*
 * Stops the process `pid` inside execve(), when another thread has taken the place of the leader:
 * the leader has left the list of processes, and is released only when `let_go` is set. No lock is
 * held then (de_thread() in fs/exec.c).
 */
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/sched.h>

#include "kprobe.h"

static int pid;
module_param(pid, int, 0400);
MODULE_PARM_DESC(pid, "The process that is stopped");

static bool stopped;
module_param(stopped, bool, 0400);
MODULE_PARM_DESC(stopped, "Whether it has stopped");

static bool let_go;
module_param(let_go, bool, 0600);
MODULE_PARM_DESC(let_go, "Whether it may continue");

static bool inside;

/* The call of this function becomes one of release_task(), which modules cannot call. */
static noinline void release(struct task_struct *leader)
{
	asm volatile("" : : "r"(leader) : "memory");
}

/* Runs in place of release_task(). */
static void release_later(struct task_struct *leader)
{
	while (!READ_ONCE(let_go))
		schedule_timeout_idle(1);
	release(leader);
	WRITE_ONCE(inside, false);
}

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	struct task_struct *task = (void *)regs_get_kernel_argument(regs, 0);

	if (stopped || current->tgid != pid || task == current)
		return 0;
	WRITE_ONCE(inside, true);
	WRITE_ONCE(stopped, true);
	instruction_pointer_set(regs, (unsigned long)release_later);
	return 1;
}

static struct kprobe at_release = {
	.symbol_name = "release_task",
	.pre_handler = divert,
	.post_handler = do_nothing,
};

static int return_to_release(struct kprobe *probe, struct pt_regs *regs)
{
	instruction_pointer_set(regs, (unsigned long)at_release.addr);
	return 1;
}

static struct kprobe at_end = {
	.addr = (kprobe_opcode_t *)release,
	.pre_handler = return_to_release,
	.post_handler = do_nothing,
};

static int __init hold_release_init(void)
{
	int error = register_kprobe(&at_end);

	if (error)
		return error;
	error = register_kprobe(&at_release);
	if (error)
		unregister_kprobe(&at_end);
	return error;
}
module_init(hold_release_init);

static void __exit hold_release_exit(void)
{
	WRITE_ONCE(let_go, true);
	while (READ_ONCE(inside))
		schedule_timeout_uninterruptible(1);
	unregister_kprobe(&at_release);
	unregister_kprobe(&at_end);
}
module_exit(hold_release_exit);

MODULE_DESCRIPTION("Stops a process that has a new leader before the old one is released");
MODULE_LICENSE("GPL");
