// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel threads that sleep at known depths of their stacks. A line of
 * /sys/kernel/debug/deep_stack is
 *
 *	PID LEVELS SIZE BASE BASE POINTER
 *
 * deep_stack_descend() has called itself until LEVELS calls were active; the last one has
 * called deep_stack_bottom(), which sleeps. SIZE is THREAD_SIZE. BASE is the base of the
 * stack, as %p prints it and raw. POINTER is the raw stack pointer in deep_stack_bottom().
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched/task_stack.h>
#include <linux/seq_file.h>

#include "sleep.h"

/* The last depth is greater than that of /proc/PID/stack. */
static int levels[48] = { 1, 4, 24, 100 };
static int count = 4;
module_param_array(levels, int, &count, 0400);
MODULE_PARM_DESC(levels, "How many calls are active in each thread");

static struct deep {
	int levels;
	struct task_struct *task;
	unsigned long pointer;
	struct completion asleep;
} deep[ARRAY_SIZE(levels)];

noinline int deep_stack_bottom(struct deep *deep);
noinline int deep_stack_bottom(struct deep *deep)
{
	/* The alignment makes the frames below this one equally large in all threads. */
	char aligned[64] __aligned(64);

	asm volatile("" : : "r" (aligned) : "memory");
	deep->pointer = current_stack_pointer;
	complete(&deep->asleep);
	sleep_until_stopped();
	return 0;
}

noinline int deep_stack_descend(struct deep *deep, int levels);
noinline int deep_stack_descend(struct deep *deep, int levels)
{
	int result = levels > 1 ? deep_stack_descend(deep, levels - 1) : deep_stack_bottom(deep);

	/* Code after the call, so that the call does not become a jump. */
	OPTIMIZER_HIDE_VAR(result);
	return result;
}

static int deep_stack_thread(void *data)
{
	struct deep *deep = data;
	int result = deep_stack_descend(deep, deep->levels);

	/*
	 * The return address of the call belongs to another symbol than the call, as it
	 * does after a call that ends a function.
	 */
	asm volatile("deep_stack_behind:" : "+r" (result));
	return result;
}

static int deep_stack_show(struct seq_file *file, void *data)
{
	for (int i = 0; i < count; i++) {
		void *base = task_stack_page(deep[i].task);

		seq_printf(file, "%d %d %lu %p %016lx %016lx\n", deep[i].task->pid, deep[i].levels,
			   (unsigned long)THREAD_SIZE, base, (unsigned long)base, deep[i].pointer);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(deep_stack);

static struct dentry *entry;

static void deep_stack_exit(void)
{
	debugfs_remove(entry);
	for (int i = 0; i < count; i++)
		if (!IS_ERR_OR_NULL(deep[i].task))
			kthread_stop(deep[i].task);
}
module_exit(deep_stack_exit);

static int __init deep_stack_init(void)
{
	for (int i = 0; i < count; i++) {
		deep[i].levels = levels[i];
		init_completion(&deep[i].asleep);
		deep[i].task = kthread_run(deep_stack_thread, &deep[i], "deep/%d", deep[i].levels);
		if (IS_ERR(deep[i].task)) {
			deep_stack_exit();
			return PTR_ERR(deep[i].task);
		}
		wait_for_completion(&deep[i].asleep);
	}
	entry = debugfs_create_file("deep_stack", 0400, NULL, NULL, &deep_stack_fops);
	return 0;
}
module_init(deep_stack_init);

MODULE_DESCRIPTION("Kernel threads at known depths of their stacks");
MODULE_LICENSE("GPL");
