// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread inside kthread_use_mm(). While /dev/borrow_mm is open, a kernel thread
 * named borrow_mm uses the address space of the process that opened it.
 */
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/mm.h>

#include "sleep.h"

struct borrower {
	struct mm_struct *mm;
	struct completion borrowed;
};

static int borrow(void *data)
{
	struct borrower *borrower = data;
	struct mm_struct *mm = borrower->mm;

	kthread_use_mm(mm);
	/* After this the opener returns, and its stack with *borrower may be gone. */
	complete(&borrower->borrowed);
	sleep_until_stopped();
	kthread_unuse_mm(mm);
	mmput(mm);
	return 0;
}

static int borrow_mm_open(struct inode *inode, struct file *file)
{
	struct borrower borrower = { .mm = get_task_mm(current) };
	struct task_struct *thread;

	if (!borrower.mm)
		return -EINVAL;
	init_completion(&borrower.borrowed);
	thread = kthread_run(borrow, &borrower, "borrow_mm");
	if (IS_ERR(thread)) {
		mmput(borrower.mm);
		return PTR_ERR(thread);
	}
	wait_for_completion(&borrower.borrowed);
	file->private_data = thread;
	return 0;
}

static int borrow_mm_release(struct inode *inode, struct file *file)
{
	return kthread_stop(file->private_data);
}

static const struct file_operations borrow_mm_operations = {
	.owner = THIS_MODULE,
	.open = borrow_mm_open,
	.release = borrow_mm_release,
};

static struct miscdevice borrow_mm = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "borrow_mm",
	.fops = &borrow_mm_operations,
};
module_misc_device(borrow_mm);

MODULE_DESCRIPTION("A kernel thread with a process's address space");
MODULE_LICENSE("GPL");
