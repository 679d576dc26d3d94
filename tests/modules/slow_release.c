// SPDX-License-Identifier: GPL-2.0
/*
 * A thread that stays between exit_mm() and its end: the last close of /dev/slow_release
 * waits until another opener writes a byte. A dying thread closes its files after it has
 * given up its mm.
 */
#include <linux/completion.h>
#include <linux/miscdevice.h>
#include <linux/fs.h>
#include <linux/module.h>

static DECLARE_COMPLETION(let_go);

static ssize_t slow_release_write(struct file *file, const char __user *buffer,
				  size_t size, loff_t *offset)
{
	/* The close of the writer does not wait. */
	file->private_data = &let_go;
	complete(&let_go);
	return size;
}

static int slow_release_release(struct inode *inode, struct file *file)
{
	/* TASK_IDLE: the hung task detector does not report it. */
	if (!file->private_data)
		wait_for_completion_state(&let_go, TASK_IDLE);
	return 0;
}

static int slow_release_open(struct inode *inode, struct file *file)
{
	/* misc_open() has set this to the device. */
	file->private_data = NULL;
	return 0;
}

static const struct file_operations slow_release_operations = {
	.owner = THIS_MODULE,
	.open = slow_release_open,
	.write = slow_release_write,
	.release = slow_release_release,
};

static struct miscdevice slow_release = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "slow_release",
	.fops = &slow_release_operations,
};
module_misc_device(slow_release);

MODULE_DESCRIPTION("A file whose last close waits");
MODULE_LICENSE("GPL");
