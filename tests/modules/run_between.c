// SPDX-License-Identifier: GPL-2.0
/*
 * Stops taskscope at one of the places where it reads a thread, the one with the number `at`,
 * until thread `pid` has been switched away from once more, and stands still again. The places
 * are the read barriers, which Rust code calls as a function and no other code of the kernel
 * does, the look at the thread's state, and with `frames` each step of the unwinder of x86.
 * taskscope must be loaded before this module. With `keeps`, taskscope goes on while the thread
 * runs, after it has entered the kernel again.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/ptrace.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>
#ifdef CONFIG_X86
#include <asm/unwind.h>
#endif

static int pid;
module_param(pid, int, 0);
MODULE_PARM_DESC(pid, "The thread, which sleeps often, on another CPU than the reader");

static bool frames;
module_param(frames, bool, 0400);
MODULE_PARM_DESC(frames, "Whether each frame of the thread's kernel stack is a place, on x86");

static bool keeps;
module_param(keeps, bool, 0600);
MODULE_PARM_DESC(keeps, "Whether the thread still runs when taskscope goes on");

static ulong at;
module_param(at, ulong, 0600);
MODULE_PARM_DESC(at, "The place, counted from 1");

static ulong passed;
module_param(passed, ulong, 0600);
MODULE_PARM_DESC(passed, "How many places were passed since this was set to 0");

static ulong late;
module_param(late, ulong, 0400);
MODULE_PARM_DESC(late, "How often the thread was waited for in vain");

static struct task_struct *task;

static unsigned long switches(void)
{
	return READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
}

static unsigned long user_pc(void)
{
	return instruction_pointer(task_pt_regs(task));
}

static bool is_over(unsigned long before, unsigned long pc)
{
	if (keeps)
		return READ_ONCE(task->on_cpu) && user_pc() != pc;
	/* The scheduler counts the switch before it clears on_cpu. */
	return switches() != before && !smp_load_acquire(&task->on_cpu);
}

static int wait_for_turn(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long before = switches(), pc = user_pc();
	u64 end;

	if (++passed != at || (keeps && READ_ONCE(task->on_cpu)))
		return 0;
	end = ktime_get_mono_fast_ns() + 10ull * NSEC_PER_SEC;
	while (!is_over(before, pc)) {
		if (ktime_get_mono_fast_ns() > end) {
			late++;
			break;
		}
		cpu_relax();
	}
	return 0;
}

static struct kprobe barrier = {
	.symbol_name = "rust_helper_smp_rmb",
	.pre_handler = wait_for_turn,
};

static struct kprobe state = {
	.symbol_name = "taskscope_task_state",
	.pre_handler = wait_for_turn,
};

#ifdef CONFIG_X86
static int wait_at_frame(struct kprobe *probe, struct pt_regs *regs)
{
	const struct unwind_state *unwinding = (void *)regs_get_kernel_argument(regs, 0);

	return unwinding->task == task ? wait_for_turn(probe, regs) : 0;
}

static struct kprobe frame = {
	.symbol_name = "unwind_next_frame",
	.pre_handler = wait_at_frame,
};

static struct kprobe *probes[] = { &barrier, &state, &frame };
#else
static struct kprobe *probes[] = { &barrier, &state };
#endif

static int count(void)
{
	return IS_ENABLED(CONFIG_X86) && !frames ? ARRAY_SIZE(probes) - 1 : ARRAY_SIZE(probes);
}

static int __init run_between_init(void)
{
	int error;

	task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	if (!task)
		return -ESRCH;
	error = register_kprobes(probes, count());
	if (error)
		put_task_struct(task);
	return error;
}

static void __exit run_between_exit(void)
{
	unregister_kprobes(probes, count());
	put_task_struct(task);
}

module_init(run_between_init);
module_exit(run_between_exit);
MODULE_DESCRIPTION("Lets a thread run while taskscope reads it");
MODULE_LICENSE("GPL");
