// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread, [busy_thread], that never sleeps and is bound to CPU `cpu`: another
 * thread gets the CPU by preemption only. cond_resched() lets it be preempted on a
 * kernel without preemption, too.
 */
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/task_stack.h>

static int cpu;
module_param(cpu, int, 0400);
MODULE_PARM_DESC(cpu, "Its CPU");

static int pid;
module_param(pid, int, 0400);
MODULE_PARM_DESC(pid, "Its PID");

static unsigned long used;
module_param(used, ulong, 0400);
MODULE_PARM_DESC(used, "The bytes of its stack above its own stack pointer");

static DECLARE_COMPLETION(begun);

static int busy(void *unused)
{
	unsigned long high = (unsigned long)task_stack_page(current) + THREAD_SIZE;

	used = high - current_stack_pointer;
	complete(&begun);
	while (!kthread_should_stop()) {
		cond_resched();
		cpu_relax();
	}
	return 0;
}

static struct task_struct *thread;

static int __init busy_thread_init(void)
{
	thread = kthread_create(busy, NULL, "busy_thread");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	kthread_bind(thread, cpu);
	pid = task_pid_nr(thread);
	wake_up_process(thread);
	wait_for_completion(&begun);
	return 0;
}
module_init(busy_thread_init);

static void __exit busy_thread_exit(void)
{
	kthread_stop(thread);
}
module_exit(busy_thread_exit);

MODULE_DESCRIPTION("A kernel thread that never sleeps");
MODULE_LICENSE("GPL");
