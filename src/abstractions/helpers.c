// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel defines as a macro or a static inline, as functions that
 * Rust can call. One call each, no logic. The file in src/abstractions/ that uses a
 * function declares it.
 */

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/hung_task.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/irqflags.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/regset.h>
#include <linux/sched.h>
#include <linux/sched/isolation.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/sched/task_stack.h>
#include <linux/tracepoint.h>

#ifdef CONFIG_X86
#include <asm/nmi.h>
#endif
#include <asm/irq_regs.h>
#include <asm/stacktrace.h>
#include <asm/syscall.h>

#include "nmi.h"

/* The module! macro of Rust has no field for it. scripts/lint compares it with CHANGELOG.md. */
MODULE_VERSION("0.5.0");

/* Only arm64 signs return addresses, and has a macro to take the signature off. */
#ifndef ptrauth_strip_user_insn_pac
#define ptrauth_strip_user_insn_pac(ptr) (ptr)
#endif

#ifdef CONFIG_X86
/* As arm64 calls it. Of a task other than current, without registers of its own. */
#define thread_saved_sp(task) ((unsigned long)get_stack_pointer(task, NULL))
#endif

/* blocker.rs has these numbers. */
static_assert(BLOCKER_TYPE_MUTEX == 0 && BLOCKER_TYPE_SEM == 1 &&
	      BLOCKER_TYPE_RWSEM_READER == 2 && BLOCKER_TYPE_RWSEM_WRITER == 3 &&
	      BLOCKER_TYPE_MASK == 3);

const struct cred *taskscope_task_cred(struct task_struct *task)
{
	return __task_cred(task);
}

char taskscope_task_state(struct task_struct *task)
{
	return task_state_to_char(task);
}

unsigned int taskscope_task_cpu(struct task_struct *task)
{
	return task_cpu(task);
}

void taskscope_cond_resched(void)
{
	cond_resched();
}

void taskscope_preempt_disable(void)
{
	preempt_disable();
}

void taskscope_preempt_enable(void)
{
	preempt_enable();
}

unsigned int taskscope_hardirq_depth(void)
{
	return hardirq_count() >> HARDIRQ_SHIFT;
}

struct pt_regs *taskscope_irq_regs(void)
{
	return get_irq_regs();
}

bool taskscope_in_task(void)
{
	return in_task();
}

unsigned long taskscope_preempt_count(void)
{
	return (unsigned int)preempt_count();
}

unsigned long taskscope_stack_pointer(void)
{
	return current_stack_pointer;
}

unsigned long taskscope_thread_size(void)
{
	return THREAD_SIZE;
}

unsigned long taskscope_saved_stack_pointer(struct task_struct *task)
{
	return thread_saved_sp(task);
}

const struct pt_regs *taskscope_task_pt_regs(struct task_struct *task)
{
	return task_pt_regs(task);
}

bool taskscope_user_mode(struct pt_regs *regs)
{
	return user_mode(regs);
}

int taskscope_syscall_arch(struct task_struct *task)
{
	return syscall_get_arch(task);
}

int taskscope_syscall_nr(struct task_struct *task, struct pt_regs *regs)
{
	return syscall_get_nr(task, regs);
}

void taskscope_syscall_args(struct task_struct *task, struct pt_regs *regs, unsigned long *args)
{
	syscall_get_arguments(task, regs, args);
}

unsigned long taskscope_user_stack_pointer(struct pt_regs *regs)
{
	return user_stack_pointer(regs);
}

unsigned long taskscope_instruction_pointer(struct pt_regs *regs)
{
	return instruction_pointer(regs);
}

bool taskscope_file_writable(const struct file *file)
{
	return file->f_mode & FMODE_WRITE;
}

void taskscope_task_lock(struct task_struct *task)
{
	task_lock(task);
}

void taskscope_task_unlock(struct task_struct *task)
{
	task_unlock(task);
}

bool taskscope_in_execve(struct task_struct *task)
{
	return task->in_execve;
}

unsigned long taskscope_frame_pointer(struct pt_regs *regs)
{
	return frame_pointer(regs);
}

u16 taskscope_user_machine(struct task_struct *task)
{
	return task_user_regset_view(task)->e_machine;
}

unsigned long taskscope_strip_user_pac(unsigned long address)
{
	return ptrauth_strip_user_insn_pac(address);
}

bool taskscope_mmap_speculate_begin(struct mm_struct *mm, unsigned int *seq)
{
	return mmap_lock_speculate_try_begin(mm, seq);
}

bool taskscope_mmap_speculate_retry(struct mm_struct *mm, unsigned int seq)
{
	return mmap_lock_speculate_retry(mm, seq);
}

bool taskscope_is_topdown(struct mm_struct *mm)
{
	return mm_flags_test(MMF_TOPDOWN, mm);
}

unsigned long taskscope_user_end(void)
{
	return TASK_SIZE_MAX;
}

bool taskscope_fatal_signal_pending(struct task_struct *task)
{
	return fatal_signal_pending(task);
}

const struct path *taskscope_file_user_path(const struct file *file)
{
	return file_user_path(file);
}

struct anon_vma_name *taskscope_anon_vma_name(struct vm_area_struct *vma)
{
	return anon_vma_name(vma);
}

bool taskscope_in_serving_softirq(void)
{
	return in_serving_softirq();
}

bool taskscope_in_hardirq(void)
{
	return in_hardirq();
}

bool taskscope_in_nmi(void)
{
	return in_nmi();
}

bool taskscope_irqs_disabled(void)
{
	return irqs_disabled();
}

void taskscope_init_irq_work(struct irq_work *work, void (*func)(struct irq_work *))
{
	init_irq_work(work, func);
}

void taskscope_kvfree_rcu_mightsleep(void *memory)
{
	kvfree_rcu_mightsleep(memory);
}

bool taskscope_irq_work_is_busy(struct irq_work *work)
{
	return irq_work_is_busy(work);
}

bool taskscope_in_boot_domain(int cpu)
{
	return housekeeping_test_cpu(cpu, HK_TYPE_DOMAIN_BOOT);
}

bool taskscope_in_domain(int cpu)
{
	return housekeeping_test_cpu(cpu, HK_TYPE_DOMAIN);
}

bool taskscope_has_kernel_noise(int cpu)
{
	return housekeeping_test_cpu(cpu, HK_TYPE_KERNEL_NOISE);
}

void taskscope_set_effective_affinity(unsigned int irq, int cpu)
{
	irq_data_update_effective_affinity(irq_get_irq_data(irq), cpumask_of(cpu));
}

void taskscope_tracepoint_synchronize_unregister(void)
{
	tracepoint_synchronize_unregister();
}

#ifdef CONFIG_X86
int taskscope_register_nmi_handler(void)
{
	return register_nmi_handler(NMI_LOCAL, taskscope_nmi, 0, KBUILD_MODNAME);
}

void taskscope_unregister_nmi_handler(void)
{
	unregister_nmi_handler(NMI_LOCAL, KBUILD_MODNAME);
}
#endif

#if IS_BUILTIN(CONFIG_KUNIT) || defined(WITH_SUITES)
void taskscope_preempt_count_set(unsigned long count)
{
	preempt_count_set(count);
}

unsigned long taskscope_preempt_offset(void)
{
	return PREEMPT_OFFSET;
}

unsigned long taskscope_softirq_offset(void)
{
	return SOFTIRQ_OFFSET;
}

/* Linux 7.2 does not count disabled interrupts there; see compat.rs. */
#ifndef HARDIRQ_DISABLE_OFFSET
#define HARDIRQ_DISABLE_OFFSET 0UL
#endif

unsigned long taskscope_hardirq_disable_offset(void)
{
	return HARDIRQ_DISABLE_OFFSET;
}

unsigned long taskscope_hardirq_offset(void)
{
	return HARDIRQ_OFFSET;
}

unsigned long taskscope_nmi_offset(void)
{
	return NMI_OFFSET;
}
#endif
