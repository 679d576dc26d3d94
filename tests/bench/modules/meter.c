// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of reading a file besides time: the longest RCU read-side critical section, and the
 * largest amount of kernel memory that the reader held at once.
 *
 * A process that writes `1` to /sys/kernel/debug/meter is watched from then on, until it exits
 * or another text is written. The file reads as
 *
 *	SECTION SECTIONS MEMORY LOST
 *
 * SECTION is the longest section in units of get_cycles(), which are instructions if QEMU counts
 * them; SECTIONS is the number of outermost sections; MEMORY is the largest number of bytes that
 * the process held at once of kmalloc() and of vmalloc space; LOST is the number of allocations
 * that were not followed because the meter's table was full.
 *
 * With preemptible RCU, sections begin and end in functions, which the meter probes. The meter's
 * own work counts too, so the length of a section with nested sections is an upper bound. It is
 * right on one CPU only.
 */
#include <linux/debugfs.h>
#include <linux/ftrace.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/timex.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>

#define HELD 512

static struct task_struct *watched;
static u64 began, longest, sections;
static size_t memory, most, lost;

static struct {
	unsigned long address;
	size_t size;
} held[HELD];

static void notrace lock_begins(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
				struct ftrace_regs *regs)
{
	if (current == watched && !current->rcu_read_lock_nesting)
		began = get_cycles();
}

static void notrace lock_ends(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
			      struct ftrace_regs *regs)
{
	if (current == watched && current->rcu_read_lock_nesting == 1 && began) {
		longest = max(longest, get_cycles() - began);
		sections++;
	}
}

static struct ftrace_ops begin_ops = { .func = lock_begins };
static struct ftrace_ops end_ops = { .func = lock_ends };

/* Any process may free it. */
static void let_go(unsigned long address)
{
	unsigned long flags;

	if (!address || !watched)
		return;
	local_irq_save(flags);
	for (int at = 0; at < HELD; at++) {
		if (held[at].address == address) {
			held[at].address = 0;
			memory -= held[at].size;
			break;
		}
	}
	local_irq_restore(flags);
}

static void hold(unsigned long address, size_t size)
{
	unsigned long flags;
	int at;

	if (current != watched || !address)
		return;
	/* A large kmalloc() is reported twice. */
	let_go(address);
	local_irq_save(flags);
	for (at = 0; at < HELD && held[at].address; at++)
		;
	if (at < HELD) {
		held[at].address = address;
		held[at].size = size;
		memory += size;
		most = max(most, memory);
	} else {
		lost++;
	}
	local_irq_restore(flags);
}

static void on_kmalloc(void *data, unsigned long site, const void *at, size_t requested,
		       size_t allocated, gfp_t flags, int node)
{
	hold((unsigned long)at, allocated);
}

static void on_kfree(void *data, unsigned long site, const void *at)
{
	let_go((unsigned long)at);
}

/* A vmalloc area ends with a guard page, which is not allocated. */
static void on_vmap(void *data, unsigned long at, unsigned long size, unsigned long align,
		    unsigned long start, unsigned long end, int failed)
{
	if (!failed)
		hold(at, size - PAGE_SIZE);
}

static void on_vunmap(void *data, unsigned long at, unsigned long lazy, unsigned long lazy_max)
{
	let_go(at);
}

static struct probe {
	const char *name;
	void *probe;
	struct tracepoint *point;
} probes[] = {
	{ "kmalloc", on_kmalloc },
	{ "kfree", on_kfree },
	{ "alloc_vmap_area", on_vmap },
	{ "free_vmap_area_noflush", on_vunmap },
};

static void find_point(struct tracepoint *point, void *data)
{
	for (int i = 0; i < ARRAY_SIZE(probes); i++)
		if (!strcmp(point->name, probes[i].name))
			probes[i].point = point;
}

static ssize_t meter_write(struct file *file, const char __user *text, size_t size, loff_t *pos)
{
	char what;

	if (!size || get_user(what, text))
		return -EFAULT;
	watched = NULL;
	if (what != '1')
		return size;
	began = 0;
	longest = 0;
	sections = 0;
	memory = 0;
	most = 0;
	lost = 0;
	memset(held, 0, sizeof(held));
	watched = current;
	return size;
}

static int meter_show(struct seq_file *file, void *data)
{
	seq_printf(file, "%llu %llu %zu %zu\n", longest, sections, most, lost);
	return 0;
}
DEFINE_SHOW_STORE_ATTRIBUTE(meter);

static struct dentry *entry;

static void stop(void)
{
	unregister_ftrace_function(&begin_ops);
	unregister_ftrace_function(&end_ops);
	for (int i = 0; i < ARRAY_SIZE(probes); i++)
		if (probes[i].point)
			tracepoint_probe_unregister(probes[i].point, probes[i].probe, NULL);
	tracepoint_synchronize_unregister();
}

static int __init meter_init(void)
{
	int error;

	error = ftrace_set_filter(&begin_ops, "__rcu_read_lock", strlen("__rcu_read_lock"), 1) ?:
		ftrace_set_filter(&end_ops, "__rcu_read_unlock", strlen("__rcu_read_unlock"), 1) ?:
		register_ftrace_function(&begin_ops) ?:
		register_ftrace_function(&end_ops);
	for_each_kernel_tracepoint(find_point, NULL);
	for (int i = 0; i < ARRAY_SIZE(probes) && !error; i++) {
		if (!probes[i].point)
			error = -ENOENT;
		else
			error = tracepoint_probe_register(probes[i].point, probes[i].probe, NULL);
	}
	if (!error) {
		entry = debugfs_create_file("meter", 0600, NULL, NULL, &meter_fops);
		error = PTR_ERR_OR_ZERO(entry);
	}
	if (error)
		stop();
	return error;
}
module_init(meter_init);

static void __exit meter_exit(void)
{
	debugfs_remove(entry);
	stop();
}
module_exit(meter_exit);

MODULE_DESCRIPTION("The longest RCU section of a process, and the most memory it held");
MODULE_LICENSE("GPL");
