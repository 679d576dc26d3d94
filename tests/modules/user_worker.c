// SPDX-License-Identifier: GPL-2.0
/*
 * A user worker as vhost creates them. While /dev/user_worker is open, the process that
 * opened it has a thread named user_worker, which never leaves the kernel.
 */
#include <linux/miscdevice.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/vhost_task.h>

static bool no_work(void *data)
{
	return false;
}

static void killed(void *data)
{
}

static int user_worker_open(struct inode *inode, struct file *file)
{
	struct vhost_task *task = vhost_task_create(no_work, killed, NULL, "user_worker");

	if (IS_ERR(task))
		return PTR_ERR(task);
	vhost_task_start(task);
	file->private_data = task;
	return 0;
}

static int user_worker_release(struct inode *inode, struct file *file)
{
	vhost_task_stop(file->private_data);
	return 0;
}

static const struct file_operations user_worker_operations = {
	.owner = THIS_MODULE,
	.open = user_worker_open,
	.release = user_worker_release,
};

static struct miscdevice user_worker = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "user_worker",
	.fops = &user_worker_operations,
};
module_misc_device(user_worker);

MODULE_DESCRIPTION("A user worker as vhost creates them");
MODULE_LICENSE("GPL");
