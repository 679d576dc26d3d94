// SPDX-License-Identifier: GPL-2.0
/*
 * Two hangs, for Documentation/hang.md, as files of debugfs.
 *
 * `hang/value` has a value. A reader waits until the value is written. The bug is that the reader
 * holds the lock that the writer needs.
 *
 * `hang/quiet` takes a number of seconds. For so long, the writer keeps its CPU busy with
 * interrupts disabled.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/processor.h>
#include <linux/sched/signal.h>

static struct dentry *directory;
static DEFINE_MUTEX(value_lock);
static bool value_written;

/* Until the value is written, or the reader is killed. */
static noinline int wait_for_value(void)
{
	while (!READ_ONCE(value_written)) {
		if (fatal_signal_pending(current))
			return -EINTR;
		cpu_relax();
	}
	return 0;
}

static ssize_t value_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	int error = mutex_lock_killable(&value_lock);

	if (error)
		return error;
	error = wait_for_value();
	mutex_unlock(&value_lock);
	return error ?: simple_read_from_buffer(to, size, at, "written\n", 8);
}

static ssize_t value_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	int error = mutex_lock_killable(&value_lock);

	if (error)
		return error;
	WRITE_ONCE(value_written, true);
	mutex_unlock(&value_lock);
	return size;
}

static const struct file_operations value_operations = {
	.owner = THIS_MODULE,
	.read = value_read,
	.write = value_write,
};

static noinline void spin_without_interrupts(unsigned int seconds)
{
	local_irq_disable();
	while (seconds--)
		mdelay(MSEC_PER_SEC);
	local_irq_enable();
}

static ssize_t quiet_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	unsigned int seconds;
	int error = kstrtouint_from_user(from, size, 10, &seconds);

	/* The kernel reports a CPU that is stuck for longer. */
	if (!error && seconds > 8)
		error = -ERANGE;
	if (error)
		return error;
	spin_without_interrupts(seconds);
	return size;
}

static const struct file_operations quiet_operations = {
	.owner = THIS_MODULE,
	.write = quiet_write,
};

static int __init hang_init(void)
{
	directory = debugfs_create_dir("hang", NULL);
	debugfs_create_file("value", 0600, directory, NULL, &value_operations);
	debugfs_create_file("quiet", 0200, directory, NULL, &quiet_operations);
	return 0;
}

static void __exit hang_exit(void)
{
	debugfs_remove(directory);
}

module_init(hang_init);
module_exit(hang_exit);
MODULE_DESCRIPTION("A lock that is never released, and a CPU without interrupts");
MODULE_LICENSE("GPL");
