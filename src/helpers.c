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

#include <asm/stacktrace.h>
#include <asm/syscall.h>

#ifdef CONFIG_X86
/* As arm64 calls it. Of a task other than current, without registers of its own. */
#define thread_saved_sp(task) ((unsigned long)get_stack_pointer(task, NULL))
#endif

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

unsigned long taskscope_saved_stack_pointer(struct task_struct *task);
unsigned long taskscope_saved_stack_pointer(struct task_struct *task)
{
	return thread_saved_sp(task);
}

const struct pt_regs *taskscope_task_pt_regs(struct task_struct *task);
const struct pt_regs *taskscope_task_pt_regs(struct task_struct *task)
{
	return task_pt_regs(task);
}

int taskscope_syscall_nr(struct task_struct *task, struct pt_regs *regs);
int taskscope_syscall_nr(struct task_struct *task, struct pt_regs *regs)
{
	return syscall_get_nr(task, regs);
}

void taskscope_syscall_args(struct task_struct *task, struct pt_regs *regs, unsigned long *args);
void taskscope_syscall_args(struct task_struct *task, struct pt_regs *regs, unsigned long *args)
{
	syscall_get_arguments(task, regs, args);
}

unsigned long taskscope_user_stack_pointer(struct pt_regs *regs);
unsigned long taskscope_user_stack_pointer(struct pt_regs *regs)
{
	return user_stack_pointer(regs);
}

unsigned long taskscope_instruction_pointer(struct pt_regs *regs);
unsigned long taskscope_instruction_pointer(struct pt_regs *regs)
{
	return instruction_pointer(regs);
}

bool taskscope_file_writable(const struct file *file);
bool taskscope_file_writable(const struct file *file)
{
	return file->f_mode & FMODE_WRITE;
}
