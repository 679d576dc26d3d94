// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread opens the file `path`, as a file server in the kernel does. It has no address
 * space; with `borrow`, it has borrowed that of the loader. The loader resolves the path, because
 * the thread has another root directory. The load fails if the open fails.
 */
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/sched/mm.h>

static char *path;
module_param(path, charp, 0400);
static bool borrow;
module_param(borrow, bool, 0400);

static DECLARE_COMPLETION(done);
static struct mm_struct *mm;
static int result;

static int open_path(void *data)
{
	struct file *file;

	if (mm)
		kthread_use_mm(mm);
	file = dentry_open(data, O_RDONLY, current_cred());
	if (mm)
		kthread_unuse_mm(mm);
	result = PTR_ERR_OR_ZERO(file);
	if (!result)
		fput(file);
	complete(&done);
	return 0;
}

static int __init kthread_open_init(void)
{
	struct task_struct *thread;
	struct path found;
	int error = kern_path(path, LOOKUP_FOLLOW, &found);

	if (error)
		return error;
	mm = borrow ? get_task_mm(current) : NULL;
	thread = kthread_run(open_path, &found, "kthread_open");
	if (IS_ERR(thread))
		result = PTR_ERR(thread);
	else
		wait_for_completion(&done);
	if (mm)
		mmput(mm);
	path_put(&found);
	return result;
}
module_init(kthread_open_init);

static void __exit kthread_open_exit(void)
{
}
module_exit(kthread_open_exit);

MODULE_DESCRIPTION("Opens a file from a kernel thread");
MODULE_LICENSE("GPL");
