// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread opens the file `path`, as a file server in the kernel does. It has no address
 * space; with `borrow`, it has borrowed that of the process with this PID, and nothing keeps the
 * users of that. With `dead`, the process is killed before, so that the address space has no users
 * when the thread borrows it. The loader resolves the path, because the thread has another root
 * directory. The load fails if the open fails.
 */
#include <linux/completion.h>
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

static char *path;
module_param(path, charp, 0400);
static int borrow;
module_param(borrow, int, 0400);
static bool dead;
module_param(dead, bool, 0400);

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
	/* The loader ends with `done`, and a load that fails frees this function. */
	kthread_complete_and_exit(&done, 0);
}

/* With a reference to the structure; NULL if there is none. */
static struct mm_struct *mm_of(struct pid *pid)
{
	struct task_struct *task = get_pid_task(pid, PIDTYPE_TGID);
	struct mm_struct *found;

	if (!task)
		return NULL;
	found = get_task_mm(task);
	put_task_struct(task);
	if (!found)
		return NULL;
	mmgrab(found);
	mmput(found);
	return found;
}

static int borrow_mm(void)
{
	const unsigned long end = jiffies + 60 * HZ;
	struct pid *pid = find_get_pid(borrow);

	mm = mm_of(pid);
	if (mm && dead) {
		kill_pid(pid, SIGKILL, 1);
		while (atomic_read(&mm->mm_users) && time_before(jiffies, end))
			fsleep(1000);
	}
	put_pid(pid);
	if (!mm)
		return -ESRCH;
	if (dead && atomic_read(&mm->mm_users)) {
		mmdrop(mm);
		return -ETIMEDOUT;
	}
	return 0;
}

static int __init kthread_open_init(void)
{
	struct task_struct *thread;
	struct path found;
	int error = borrow ? borrow_mm() : 0;

	if (error)
		return error;
	result = kern_path(path, LOOKUP_FOLLOW, &found);
	if (result)
		goto drop;
	thread = kthread_run(open_path, &found, "kthread_open");
	if (IS_ERR(thread))
		result = PTR_ERR(thread);
	else
		wait_for_completion(&done);
	path_put(&found);
drop:
	if (mm)
		mmdrop(mm);
	return result;
}
module_init(kthread_open_init);

static void __exit kthread_open_exit(void)
{
}
module_exit(kthread_open_exit);

MODULE_DESCRIPTION("Opens a file from a kernel thread");
MODULE_LICENSE("GPL");
