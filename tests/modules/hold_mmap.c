// SPDX-License-Identifier: GPL-2.0
/*
 * Holds the mmap lock of the process `pid` for writing, for as long as the module
 * is loaded: as one would that waits for ever with it held. With `mappings`, also the
 * locks of all its mappings.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

static int pid;
module_param(pid, int, 0);
MODULE_PARM_DESC(pid, "Whose mmap lock");

static bool mappings;
module_param(mappings, bool, 0);
MODULE_PARM_DESC(mappings, "The locks of its mappings too");

static DECLARE_COMPLETION(held);
static struct task_struct *holder;

static int hold(void *space)
{
	struct mm_struct *mm = space;
	struct vm_area_struct *vma;
	struct vma_iterator mapping;

	mmap_write_lock(mm);
	vma_iter_init(&mapping, mm, 0);
	/* Those are let go with the mmap lock. */
	if (mappings)
		for_each_vma(mapping, vma)
			vma_start_write(vma);
	complete(&held);
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	mmap_write_unlock(mm);
	mmput(mm);
	return 0;
}

static int __init hold_mmap_init(void)
{
	struct task_struct *task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	struct mm_struct *mm = task ? get_task_mm(task) : NULL;

	if (task)
		put_task_struct(task);
	if (!mm)
		return -ESRCH;
	holder = kthread_run(hold, mm, "hold_mmap");
	if (IS_ERR(holder)) {
		mmput(mm);
		return PTR_ERR(holder);
	}
	wait_for_completion(&held);
	return 0;
}

static void __exit hold_mmap_exit(void)
{
	kthread_stop(holder);
}

module_init(hold_mmap_init);
module_exit(hold_mmap_exit);
MODULE_DESCRIPTION("Holds the mmap lock of a process");
MODULE_LICENSE("GPL");
