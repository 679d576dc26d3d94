// SPDX-License-Identifier: GPL-2.0
/*
 * Debugfs has no memory for taskscope's file `name` while this is loaded: ENOMEM.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/string.h>

#include "kprobe.h"

static char *name = "";
module_param(name, charp, 0400);
MODULE_PARM_DESC(name, "The name of the file");

/* Runs in place of debugfs_create_file_unsafe(), with its arguments. */
static struct dentry *have_no_memory(const char *name, umode_t mode, struct dentry *parent,
				     void *data, const struct file_operations *operations)
{
	return ERR_PTR(-ENOMEM);
}

static int refuse(struct kprobe *probe, struct pt_regs *regs)
{
	if (strcmp((const char *)regs_get_kernel_argument(regs, 0), name))
		return 0;
	instruction_pointer_set(regs, (unsigned long)have_no_memory);
	return 1;
}

static struct kprobe creation = {
	.symbol_name = "debugfs_create_file_unsafe",
	.pre_handler = refuse,
	.post_handler = do_nothing,
};

module_kprobe(creation);

MODULE_DESCRIPTION("Refuses to make one of taskscope's files");
MODULE_LICENSE("GPL");
