// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as a macro or a static inline, as functions that
 * Rust can call. One call each, no logic; src/sys.rs declares them and gives
 * each a safe wrapper, or a name and a reason why it cannot have one.
 */

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#ifdef CONFIG_X86
#include <asm/nmi.h>
#endif

#include "nmi.h"

const struct cred *taskscope_task_cred(struct task_struct *task);
const struct cred *taskscope_task_cred(struct task_struct *task)
{
	return __task_cred(task);
}

char taskscope_task_state(struct task_struct *task);
char taskscope_task_state(struct task_struct *task)
{
	return task_state_to_char(task);
}

void taskscope_assert_rcu(void);
void taskscope_assert_rcu(void)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "task list walked without RCU");
}

void taskscope_smp_rmb(void);
void taskscope_smp_rmb(void)
{
	/* What it orders is said by the caller. */
	smp_rmb();
}

void taskscope_cond_resched(void);
void taskscope_cond_resched(void)
{
	cond_resched();
}

bool taskscope_in_task(void);
bool taskscope_in_task(void)
{
	return in_task();
}

unsigned long taskscope_preempt_count(void);
unsigned long taskscope_preempt_count(void)
{
	return (unsigned int)preempt_count();
}

unsigned int taskscope_cpu(void);
unsigned int taskscope_cpu(void)
{
	return raw_smp_processor_id();
}

unsigned long taskscope_stack_pointer(void);
unsigned long taskscope_stack_pointer(void)
{
	return current_stack_pointer;
}

unsigned long taskscope_thread_size(void);
unsigned long taskscope_thread_size(void)
{
	return THREAD_SIZE;
}

bool taskscope_file_writable(const struct file *file);
bool taskscope_file_writable(const struct file *file)
{
	return file->f_mode & FMODE_WRITE;
}

bool taskscope_in_serving_softirq(void);
bool taskscope_in_serving_softirq(void)
{
	return in_serving_softirq();
}

bool taskscope_in_hardirq(void);
bool taskscope_in_hardirq(void)
{
	return in_hardirq();
}

bool taskscope_in_nmi(void);
bool taskscope_in_nmi(void)
{
	return in_nmi();
}

bool taskscope_irqs_disabled(void);
bool taskscope_irqs_disabled(void)
{
	return irqs_disabled();
}

void taskscope_init_irq_work(struct irq_work *work, void (*func)(struct irq_work *));
void taskscope_init_irq_work(struct irq_work *work, void (*func)(struct irq_work *))
{
	init_irq_work(work, func);
}

void taskscope_kvfree_rcu_mightsleep(void *memory);
void taskscope_kvfree_rcu_mightsleep(void *memory)
{
	kvfree_rcu_mightsleep(memory);
}

bool taskscope_irq_work_is_busy(struct irq_work *work);
bool taskscope_irq_work_is_busy(struct irq_work *work)
{
	return irq_work_is_busy(work);
}

#ifdef CONFIG_X86
int taskscope_register_nmi_handler(void);
int taskscope_register_nmi_handler(void)
{
	return register_nmi_handler(NMI_LOCAL, taskscope_nmi, 0, KBUILD_MODNAME);
}

void taskscope_unregister_nmi_handler(void);
void taskscope_unregister_nmi_handler(void)
{
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
}
#endif

#if IS_BUILTIN(CONFIG_KUNIT)
void taskscope_preempt_count_set(unsigned long count);
void taskscope_preempt_count_set(unsigned long count)
{
	preempt_count_set(count);
}

unsigned long taskscope_preempt_offset(void);
unsigned long taskscope_preempt_offset(void)
{
	return PREEMPT_OFFSET;
}

unsigned long taskscope_softirq_offset(void);
unsigned long taskscope_softirq_offset(void)
{
	return SOFTIRQ_OFFSET;
}

unsigned long taskscope_hardirq_disable_offset(void);
unsigned long taskscope_hardirq_disable_offset(void)
{
	return HARDIRQ_DISABLE_OFFSET;
}

unsigned long taskscope_hardirq_offset(void);
unsigned long taskscope_hardirq_offset(void)
{
	return HARDIRQ_OFFSET;
}

unsigned long taskscope_nmi_offset(void);
unsigned long taskscope_nmi_offset(void)
{
	return NMI_OFFSET;
}
#endif
