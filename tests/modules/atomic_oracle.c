// SPDX-License-Identifier: GPL-2.0
/*
 * Finds mistakes of modules in Rust that only a debug kernel reports (CONFIG_DEBUG_ATOMIC_SLEEP,
 * CONFIG_PROVE_LOCKING), by probes of the functions that Rust calls:
 *
 *	mutexes      how often a mutex was taken where nothing may sleep, or a try was made to take
 *	             one in an interrupt or a softirq
 *	allocations  how often memory was asked for in a way that may sleep, there
 *	locks        how many spinlocks were taken in an interrupt or a softirq, and at another
 *	             time while such a one could have come
 *
 * A try to take a spinlock in an interrupt or a softirq fails now and then, as it does when
 * another CPU has the lock. After that, a module may try again:
 *
 *	tries        how many tries have failed for this reason
 */
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "kprobe.h"

static int mutexes;
module_param(mutexes, int, 0400);
static int allocations;
module_param(allocations, int, 0400);
static int locks;
module_param(locks, int, 0400);
static int tries;
module_param(tries, int, 0400);

void rust_helper_mutex_lock(struct mutex *lock);

void *rust_helper_krealloc_node_align(const void *memory, size_t size, unsigned long align,
				      gfp_t flags, int node);

/*
 * What the probes themselves add to preempt_count: that of mutex_lock(), and those of the helpers.
 * The kernel may reach them in different ways. They are measured by this thread, while nothing is
 * disabled.
 */
static int added_at_mutex, added;
static struct task_struct *measures;

static bool may_sleep(struct pt_regs *regs, int count)
{
	return !count && !regs_irqs_disabled(regs);
}

static int at_mutex(struct kprobe *probe, struct pt_regs *regs)
{
	if (!measures)
		mutexes += !may_sleep(regs, preempt_count() - added_at_mutex);
	else if (measures == current)
		added_at_mutex = preempt_count();
	return 0;
}

static bool in_interrupt_or_softirq(int count)
{
	return count & (HARDIRQ_MASK | SOFTIRQ_OFFSET);
}

static int at_mutex_trylock(struct kprobe *probe, struct pt_regs *regs)
{
	mutexes += in_interrupt_or_softirq(preempt_count());
	return 0;
}

static int at_allocation(struct kprobe *probe, struct pt_regs *regs)
{
	if (!measures)
		allocations += gfpflags_allow_blocking(regs_get_kernel_argument(regs, 3)) &&
			       !may_sleep(regs, preempt_count() - added);
	else if (measures == current)
		added = preempt_count();
	return 0;
}

/* A spinlock, and what is true of some call that has taken it. */
static struct known {
	unsigned long lock;
	bool in_hardirq, in_softirq; /* taken there */
	bool with_hardirqs, with_softirqs; /* taken while these could come */
} known[1000];
static int locks_known;
static DEFINE_RAW_SPINLOCK(guard);

static bool is_unsafe(const struct known *of)
{
	return (of->in_hardirq && of->with_hardirqs) || (of->in_softirq && of->with_softirqs);
}

static struct known *find(unsigned long lock)
{
	for (int i = 0; i < locks_known; i++)
		if (known[i].lock == lock)
			return &known[i];
	return NULL;
}

static void note(unsigned long lock, struct pt_regs *regs, bool disables_interrupts)
{
	bool is_enabled = !disables_interrupts && !regs_irqs_disabled(regs);
	struct known *of = find(lock);
	int count = preempt_count() - added;

	if (!of && locks_known < ARRAY_SIZE(known)) {
		of = &known[locks_known++];
		of->lock = lock;
	}
	if (!of)
		return;
	locks -= is_unsafe(of);
	of->in_hardirq |= !!(count & HARDIRQ_MASK);
	of->in_softirq |= !!(count & SOFTIRQ_OFFSET);
	of->with_hardirqs |= is_enabled;
	of->with_softirqs |= is_enabled && !(count & SOFTIRQ_MASK);
	locks += is_unsafe(of);
}

static int take(struct pt_regs *regs, bool disables_interrupts)
{
	unsigned long flags;

	if (measures)
		return 0;
	raw_spin_lock_irqsave(&guard, flags);
	note(regs_get_kernel_argument(regs, 0), regs, disables_interrupts);
	raw_spin_unlock_irqrestore(&guard, flags);
	return 0;
}

/* Another lock, which may be where an old one was. */
static int at_init(struct kprobe *probe, struct pt_regs *regs)
{
	struct known *old;
	unsigned long flags;

	raw_spin_lock_irqsave(&guard, flags);
	old = find(regs_get_kernel_argument(regs, 0));
	if (old)
		old->lock = 0;
	raw_spin_unlock_irqrestore(&guard, flags);
	return 0;
}

static int at_lock(struct kprobe *probe, struct pt_regs *regs)
{
	return take(regs, false);
}

static int at_lock_irq(struct kprobe *probe, struct pt_regs *regs)
{
	return take(regs, true);
}

/* What is called instead of a spin_trylock() that fails. */
static noinline int has_failed(void)
{
	return 0;
}

/* So many in a row that code which tries a few times and then gives up is found. */
#define TRIES 100

static int fail_now_and_then(struct pt_regs *regs)
{
	static atomic_t all;

	if (measures || !in_interrupt_or_softirq(preempt_count() - added) ||
	    (atomic_inc_return(&all) - 1) / TRIES % 2)
		return 0;
	WRITE_ONCE(tries, tries + 1);
	instruction_pointer_set(regs, (unsigned long)has_failed);
	return 1;
}

static int at_trylock(struct kprobe *probe, struct pt_regs *regs)
{
	take(regs, false);
	return fail_now_and_then(regs);
}

static int at_trylock_irq(struct kprobe *probe, struct pt_regs *regs)
{
	take(regs, true);
	return fail_now_and_then(regs);
}

/* Where mutex_lock() is a macro, Rust calls the helper; where it is a function, the function. */
#ifdef CONFIG_DEBUG_LOCK_ALLOC
#define MUTEX_LOCK "rust_helper_mutex_lock"
#define MUTEX_TRYLOCK "rust_helper_mutex_trylock"
#else
#define MUTEX_LOCK "mutex_lock"
#define MUTEX_TRYLOCK "mutex_trylock"
#endif

static struct kprobe probes[] = {
	{ .symbol_name = MUTEX_LOCK, .pre_handler = at_mutex },
	{ .symbol_name = MUTEX_TRYLOCK, .pre_handler = at_mutex_trylock },
	{ .symbol_name = "rust_helper_krealloc_node_align", .pre_handler = at_allocation },
	{ .symbol_name = "rust_helper_vrealloc_node_align", .pre_handler = at_allocation },
	{ .symbol_name = "rust_helper_kvrealloc_node_align", .pre_handler = at_allocation },
	{ .symbol_name = "rust_helper___spin_lock_init", .pre_handler = at_init },
	{ .symbol_name = "rust_helper_spin_lock", .pre_handler = at_lock },
	{ .symbol_name = "rust_helper_spin_lock_irq_disable", .pre_handler = at_lock_irq },
	{ .symbol_name = "rust_helper_spin_trylock", .pre_handler = at_trylock },
	{ .symbol_name = "rust_helper_spin_trylock_irq_disable", .pre_handler = at_trylock_irq },
};

static struct kprobe *all[ARRAY_SIZE(probes)];

static int __init atomic_oracle_init(void)
{
	static DEFINE_MUTEX(mutex);
	int error;

	for (int i = 0; i < ARRAY_SIZE(probes); i++) {
		all[i] = &probes[i];
		/* Later, the kernel would make a jump of it, which adds something else. */
		probes[i].post_handler = do_nothing;
	}
	measures = current;
	error = register_kprobes(all, ARRAY_SIZE(all));
	if (error)
		return error;
	rust_helper_mutex_lock(&mutex);
	mutex_unlock(&mutex);
	kfree(rust_helper_krealloc_node_align(NULL, 1, 1, GFP_KERNEL, NUMA_NO_NODE));
	WRITE_ONCE(measures, NULL);
	return 0;
}
module_init(atomic_oracle_init);

static void __exit atomic_oracle_exit(void)
{
	unregister_kprobes(all, ARRAY_SIZE(all));
}
module_exit(atomic_oracle_exit);

MODULE_DESCRIPTION("Finds what may sleep, or deadlock, in a module in Rust");
MODULE_LICENSE("GPL");
