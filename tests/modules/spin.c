// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps CPU `cpu` busy in a function whose name says how, chosen by `how`, from when `go` is
 * written until `stop` is written or `limit` seconds have passed: in a kernel thread, [spin],
 * with interrupts enabled (spin_enabled; `idle`: and with the state of a thread that sleeps) or
 * disabled (spin_disabled), in a softirq (spin_softirq), or in the handler of an interrupt that
 * has enabled interrupts (spin_hardirq). With `levels`, that number of calls of spin_descend()
 * leads to spin_enabled().
 */
#include <linux/delay.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/timer.h>

static int cpu;
module_param(cpu, int, 0400);
MODULE_PARM_DESC(cpu, "Its CPU");

static char *how = "enabled";
module_param(how, charp, 0400);
MODULE_PARM_DESC(how, "enabled, idle, disabled, softirq or hardirq");

static unsigned int limit = 30;
module_param(limit, uint, 0400);
MODULE_PARM_DESC(limit, "How many seconds it spins at most");

static int levels;
module_param(levels, int, 0400);
MODULE_PARM_DESC(levels, "How many calls lead to spin_enabled, if not 0");

static bool go;
module_param(go, bool, 0600);
MODULE_PARM_DESC(go, "Set to begin it");

static bool stop;
module_param(stop, bool, 0600);
MODULE_PARM_DESC(stop, "Set to end it");

static bool spins;
module_param(spins, bool, 0400);
MODULE_PARM_DESC(spins, "Whether it has begun");

static bool ended;
module_param(ended, bool, 0400);
MODULE_PARM_DESC(ended, "Whether it has ended");

static __always_inline void spin(void)
{
	ktime_t end = ktime_add_ms(ktime_get(), 1000 * limit);

	WRITE_ONCE(spins, true);
	/* Nearly all of the time is spent in this function, and not in ktime_get(). */
	while (!READ_ONCE(stop) && ktime_before(ktime_get(), end))
		for (int i = 0; i < 1000 && !READ_ONCE(stop); i++)
			cpu_relax();
	WRITE_ONCE(ended, true);
}

static noinline void spin_enabled(void)
{
	/* On PREEMPT_RT the CPU has threads without which other CPUs wait. */
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_disable();
	spin();
	if (!IS_ENABLED(CONFIG_PREEMPT_RT))
		preempt_enable();
}

noinline void spin_descend(int levels);
noinline void spin_descend(int levels)
{
	if (levels > 1)
		spin_descend(levels - 1);
	else
		spin_enabled();
	/* Code after the calls, so that no call becomes a jump. */
	barrier();
}

/* As a thread that is about to call schedule(). */
static void spin_idle(void)
{
	set_current_state(TASK_IDLE);
	spin_enabled();
	__set_current_state(TASK_RUNNING);
}

static noinline void spin_disabled(void)
{
	local_irq_disable();
	spin();
	local_irq_enable();
}

static noinline void spin_softirq(struct timer_list *unused)
{
	spin();
}

static struct timer_list timer;

static noinline void spin_hardirq(struct irq_work *unused)
{
	local_irq_enable();
	spin();
	local_irq_disable();
}

static struct irq_work work = IRQ_WORK_INIT_HARD(spin_hardirq);

static int run(void *unused)
{
	while (!READ_ONCE(go) && !kthread_should_stop())
		msleep(20);
	if (!READ_ONCE(go))
		return 0;
	if (levels)
		spin_descend(levels);
	else if (!strcmp(how, "enabled"))
		spin_enabled();
	else if (!strcmp(how, "idle"))
		spin_idle();
	else if (!strcmp(how, "disabled"))
		spin_disabled();
	else if (!strcmp(how, "softirq"))
		mod_timer(&timer, jiffies);
	else
		irq_work_queue(&work);
	while (!kthread_should_stop())
		msleep(20);
	return 0;
}

static struct task_struct *thread;

static int __init spin_init(void)
{
	timer_setup(&timer, spin_softirq, TIMER_PINNED);
	thread = kthread_create(run, NULL, "spin");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	kthread_bind(thread, cpu);
	wake_up_process(thread);
	return 0;
}
module_init(spin_init);

static void __exit spin_exit(void)
{
	stop = true;
	kthread_stop(thread);
	timer_delete_sync(&timer);
	irq_work_sync(&work);
}
module_exit(spin_exit);

MODULE_DESCRIPTION("Keeps a CPU busy in a named function");
MODULE_LICENSE("GPL");
