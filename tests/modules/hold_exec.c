// SPDX-License-Identifier: GPL-2.0
/*
 * Stops the process `pid` in the middle of execve(), where a thread takes over from
 * the leader: it has the leader's PID already, and not yet its place among the
 * processes (de_thread() in fs/exec.c). It goes on when `let_go` is set. Since the
 * lock of the task list is held and interrupts are disabled meanwhile, which other
 * processors may come to wait for, it goes on after a second in any case, and
 * `in_vain` is set.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#define LIMIT NSEC_PER_SEC

static int pid;
module_param(pid, int, 0600);
MODULE_PARM_DESC(pid, "Who is stopped");

static bool stopped;
module_param(stopped, bool, 0600);
MODULE_PARM_DESC(stopped, "Whether it has come there");

static bool let_go;
module_param(let_go, bool, 0600);
MODULE_PARM_DESC(let_go, "Whether it is to go on");

static bool in_vain;
module_param(in_vain, bool, 0600);
MODULE_PARM_DESC(in_vain, "Whether nobody has let it go in time");

static int stop(struct kprobe *probe, struct pt_regs *regs)
{
	u64 end = ktime_get_mono_fast_ns() + LIMIT;

	/* It comes by once for each kind of number that is taken over. */
	if (current->tgid != READ_ONCE(pid) || stopped)
		return 0;
	WRITE_ONCE(stopped, true);
	while (!READ_ONCE(let_go)) {
		if (ktime_get_mono_fast_ns() > end) {
			WRITE_ONCE(in_vain, true);
			break;
		}
		cpu_relax();
	}
	return 0;
}

/* Called by de_thread() alone, when the two have exchanged their PIDs. */
static struct kprobe taken_over = {
	.symbol_name = "transfer_pid",
	.pre_handler = stop,
};

static int __init hold_exec_init(void)
{
	return register_kprobe(&taken_over);
}

static void __exit hold_exec_exit(void)
{
	unregister_kprobe(&taken_over);
}

module_init(hold_exec_init);
module_exit(hold_exec_exit);
MODULE_DESCRIPTION("Stops a process in the middle of execve()");
MODULE_LICENSE("GPL");
