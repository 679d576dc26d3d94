// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as a macro or a static inline, as functions that
 * Rust can call. One call each, no logic; src/sys.rs declares them and gives
 * each a safe wrapper, or a name and a reason why it cannot have one.
 */

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>

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
	return preempt_count();
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
