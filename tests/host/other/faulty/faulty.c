// SPDX-License-Identifier: GPL-2.0
/*
 * A module that is not this project's, with a bug. Its parameters make it fail to load, or
 * the kernel oops, at load or when a command writes to `now`.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compiler.h>
#include <linux/module.h>

static bool at_load;
module_param(at_load, bool, 0);
MODULE_PARM_DESC(at_load, "the kernel oopses in the module's init function");

static int error;
module_param(error, int, 0);
MODULE_PARM_DESC(error, "the module's init function returns this error number, negated");

static noinline void write_to_null(void)
{
	WRITE_ONCE(*(int *)8, 0);
}

static int set_now(const char *value, const struct kernel_param *parameter)
{
	write_to_null();
	return 0;
}

static const struct kernel_param_ops now_ops = { .set = set_now };

module_param_cb(now, &now_ops, NULL, 0200);
MODULE_PARM_DESC(now, "the kernel oopses when this is written");

static int __init faulty_init(void)
{
	if (at_load)
		write_to_null();
	pr_info("error %d\n", error);
	return -error;
}
module_init(faulty_init);

static void __exit faulty_exit(void)
{
}
module_exit(faulty_exit);

MODULE_DESCRIPTION("A module with a bug, to try make vm MODULE= with");
MODULE_LICENSE("GPL");
