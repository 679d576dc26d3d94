// SPDX-License-Identifier: GPL-2.0
/*
 * Fails an allocation that Rust code makes in a kernel thread, a worker for example, or the
 * creation of a thread. The kernel's fault injection fails those of one task, or of all.
 */
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "kprobe.h"

static int nth;
module_param(nth, int, 0600);
MODULE_PARM_DESC(nth, "Which of the next allocations is to fail, counted from 1; 0: none");

static bool no_thread;
module_param(no_thread, bool, 0600);
MODULE_PARM_DESC(no_thread, "Whether no thread taskscope_probe can be created");

/* Run in place of the functions below, with their arguments. */
static void *have_none(const void *object, size_t size, unsigned long align, gfp_t flags, int node)
{
	return NULL;
}

static struct task_struct *create_none(int (*function)(void *), void *data, int node,
				       const char *format, ...)
{
	return ERR_PTR(-ENOMEM);
}

/* The items of two CPUs may allocate at the same time. */
static DEFINE_RAW_SPINLOCK(lock);

static int count(struct kprobe *probe, struct pt_regs *regs)
{
	bool is_that_one;

	/* A size of 0 frees the memory. */
	if (!(current->flags & PF_KTHREAD) || !regs_get_kernel_argument(regs, 1))
		return 0;
	raw_spin_lock(&lock);
	is_that_one = nth > 0 && !--nth;
	raw_spin_unlock(&lock);
	if (!is_that_one)
		return 0;
	instruction_pointer_set(regs, (unsigned long)have_none);
	return 1;
}

static int compare(struct kprobe *probe, struct pt_regs *regs)
{
	if (!READ_ONCE(no_thread) || strcmp((char *)regs_get_kernel_argument(regs, 3), "%s") ||
	    strcmp((char *)regs_get_kernel_argument(regs, 4), "taskscope_probe"))
		return 0;
	instruction_pointer_set(regs, (unsigned long)create_none);
	return 1;
}

static struct kprobe probes[] = {
	{
		.symbol_name = "rust_helper_krealloc_node_align",
		.pre_handler = count,
		.post_handler = do_nothing,
	},
	{
		.symbol_name = "rust_helper_kvrealloc_node_align",
		.pre_handler = count,
		.post_handler = do_nothing,
	},
	{
		.symbol_name = "kthread_create_on_node",
		.pre_handler = compare,
		.post_handler = do_nothing,
	},
};

static struct kprobe *all[] = { &probes[0], &probes[1], &probes[2] };

static int __init fail_worker_init(void)
{
	return register_kprobes(all, ARRAY_SIZE(all));
}
module_init(fail_worker_init);

static void __exit fail_worker_exit(void)
{
	unregister_kprobes(all, ARRAY_SIZE(all));
}
module_exit(fail_worker_exit);

MODULE_DESCRIPTION("Fails allocations of a worker");
MODULE_LICENSE("GPL");
