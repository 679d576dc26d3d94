// SPDX-License-Identifier: GPL-2.0
/*
 * Holds the mmap lock of the process `pid` for writing while the module is loaded, like a
 * thread that blocks for ever with the lock held. With `mappings`, also the locks of all
 * mappings of that process; with `mapping`, that of the mapping at this address.
 */
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

#include "sleep.h"

static int pid;
module_param(pid, int, 0);
MODULE_PARM_DESC(pid, "The process whose mmap lock is held");

static bool mappings;
module_param(mappings, bool, 0);
MODULE_PARM_DESC(mappings, "Whether the locks of its mappings are held too");

static ulong mapping;
module_param(mapping, ulong, 0);
MODULE_PARM_DESC(mapping, "An address in a mapping whose lock is held too");

static DECLARE_COMPLETION(held);
static struct task_struct *holder;

static int hold(void *space)
{
	struct mm_struct *mm = space;
	struct vm_area_struct *vma;
	struct vma_iterator all;

	mmap_write_lock(mm);
	vma_iter_init(&all, mm, 0);
	/* mmap_write_unlock() releases these locks. */
	for_each_vma(all, vma)
		if (mappings || (vma->vm_start <= mapping && mapping < vma->vm_end))
			vma_start_write(vma);
	complete(&held);
	sleep_until_stopped();
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
