// SPDX-License-Identifier: GPL-2.0
/*
 * The next open of a file in debugfs returns late: it waits for go_on when debugfs has done its
 * part and no longer keeps the file from being removed. Later opens do not wait.
 */
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/wait.h>

#include "kprobe.h"

static int (*real_open)(struct inode *inode, struct file *file);
static struct task_struct *caller;
static bool waits;
module_param(waits, bool, 0400);
MODULE_PARM_DESC(waits, "An open waits (read-only)");
static bool go_on;

static DECLARE_WAIT_QUEUE_HEAD(queue);

static int set_go_on(const char *value, const struct kernel_param *parameter)
{
	int error = param_set_bool(value, parameter);

	wake_up(&queue);
	return error;
}

static const struct kernel_param_ops go_on_ops = { .set = set_go_on, .get = param_get_bool };
module_param_cb(go_on, &go_on_ops, &go_on, 0600);
MODULE_PARM_DESC(go_on, "The open returns");

static int late_open(struct inode *inode, struct file *file)
{
	int error = real_open(inode, file);

	WRITE_ONCE(waits, true);
	wait_event(queue, READ_ONCE(go_on));
	return error;
}

/* The first open is sent to late_open(), which calls the function again. */
static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	if (cmpxchg(&caller, NULL, current))
		return 0;
	instruction_pointer_set(regs, (unsigned long)late_open);
	return 1;
}

static struct kprobe probe = {
	.symbol_name = "open_proxy_open", .pre_handler = divert, .post_handler = do_nothing,
};

static int __init open_returns_late_init(void)
{
	int error = register_kprobe(&probe);

	real_open = (void *)probe.addr;
	return error;
}

static void __exit open_returns_late_exit(void)
{
	unregister_kprobe(&probe);
}

module_init(open_returns_late_init);
module_exit(open_returns_late_exit);
MODULE_DESCRIPTION("Makes an open of a file in debugfs return late");
MODULE_LICENSE("GPL");
