// SPDX-License-Identifier: GPL-2.0
/*
 * Fails an allocation that Rust code makes in a kernel thread, the one with the number `at`.
 * The fault injection of debug kernels fails those of the thread that asks for it, and a worker
 * that works for that thread is another one.
 */
#include <linux/module.h>
#include <linux/sched.h>

#include "kprobe.h"

static ulong at;
module_param(at, ulong, 0600);
MODULE_PARM_DESC(at, "The number of the allocation that fails; 0: none");

static ulong made;
module_param(made, ulong, 0600);
MODULE_PARM_DESC(made, "How many were made since this was set to 0");

static void *fail(void)
{
	return NULL;
}

static int count(struct kprobe *probe, struct pt_regs *regs)
{
	/* A size of 0 frees the memory. */
	if (!(current->flags & PF_KTHREAD) || !regs_get_kernel_argument(regs, 1))
		return 0;
	WRITE_ONCE(made, made + 1);
	if (made != at)
		return 0;
	instruction_pointer_set(regs, (unsigned long)fail);
	return 1;
}

static struct kprobe probe = {
	.symbol_name = "rust_helper_kvrealloc_node_align",
	.pre_handler = count,
	.post_handler = do_nothing,
};

static int __init fail_worker_init(void)
{
	return register_kprobe(&probe);
}
module_init(fail_worker_init);

static void __exit fail_worker_exit(void)
{
	unregister_kprobe(&probe);
}
module_exit(fail_worker_exit);

MODULE_DESCRIPTION("Fails allocations of a worker");
MODULE_LICENSE("GPL");
