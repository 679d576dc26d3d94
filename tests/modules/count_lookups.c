// SPDX-License-Identifier: GPL-2.0
/*
 * Counts how often taskscope, in an open by the process `pid`, searches an address space from
 * the root of the tree of mappings, locks a mapping, and copies from user space. The address
 * space of `pid` itself does not count: a page fault makes these calls too.
 *
 * With `write`, the address space changes at the next search: the module does what a writer
 * does when it takes the mmap lock, and when it releases the lock.
 */
#include <linux/atomic.h>
#include <linux/maple_tree.h>
#include <linux/mm.h>
#include <linux/mmap_lock.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "kprobe.h"

static int pid;
module_param(pid, int, 0);
MODULE_PARM_DESC(pid, "The process that opens tables");

static bool write;
module_param(write, bool, 0600);
MODULE_PARM_DESC(write, "Whether the address space changes at the next search");

static atomic_t counts[3];

static int get_count(char *buffer, const struct kernel_param *parameter)
{
	return sysfs_emit(buffer, "%d\n", atomic_xchg((atomic_t *)parameter->arg, 0));
}

/* Each read of a count sets it to 0. */
static const struct kernel_param_ops count = { .get = get_count };

module_param_cb(searches, &count, &counts[0], 0400);
MODULE_PARM_DESC(searches, "The searches from the root of a tree");
module_param_cb(locks, &count, &counts[1], 0400);
MODULE_PARM_DESC(locks, "The attempts to lock a mapping");
module_param_cb(copies, &count, &counts[2], 0400);
MODULE_PARM_DESC(copies, "The copies from user space");

/* Whether this is an open, or a kernel thread that has borrowed an address space for one. */
static bool is_open(const struct mm_struct *space)
{
	if (current->flags & PF_KTHREAD)
		return current->mm;
	return current->tgid == pid && space != current->mm;
}

static int count_search(struct kprobe *probe, struct pt_regs *regs)
{
	struct ma_state *state = (struct ma_state *)regs_get_kernel_argument(regs, 0);
	struct mm_struct *space = container_of(state->tree, struct mm_struct, mm_mt);

	if (!is_open(space))
		return 0;
	atomic_inc(&counts[0]);
	if (xchg(&write, false)) {
		mm_lock_seqcount_begin(space);
		mm_lock_seqcount_end(space);
	}
	return 0;
}

static int count_lock(struct kprobe *probe, struct pt_regs *regs)
{
	if (is_open((struct mm_struct *)regs_get_kernel_argument(regs, 0)))
		atomic_inc(&counts[1]);
	return 0;
}

static int count_copy(struct kprobe *probe, struct pt_regs *regs)
{
	if (is_open(NULL))
		atomic_inc(&counts[2]);
	return 0;
}

static struct kprobe probes[] = {
	{ .symbol_name = "mas_walk", .pre_handler = count_search },
	{ .symbol_name = "lock_vma_under_rcu", .pre_handler = count_lock },
	{ .symbol_name = "copy_from_user_nofault", .pre_handler = count_copy },
};

static struct kprobe *all[] = { &probes[0], &probes[1], &probes[2] };

static int __init count_lookups_init(void)
{
	return register_kprobes(all, ARRAY_SIZE(all));
}
module_init(count_lookups_init);

static void __exit count_lookups_exit(void)
{
	unregister_kprobes(all, ARRAY_SIZE(all));
}
module_exit(count_lookups_exit);

MODULE_DESCRIPTION("Counts how taskscope looks up mappings and reads user space");
MODULE_LICENSE("GPL");
