// SPDX-License-Identifier: GPL-2.0
/*
 * Counts how often kernel threads lock a mapping of a program. Programs do so in each page
 * fault, which does not count. The lock with the number `at` waits until `go` is set.
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/timekeeping.h>

#include "kprobe.h"

static ulong locks;
module_param(locks, ulong, 0600);
MODULE_PARM_DESC(locks, "How often since this was set to 0");

static ulong at;
module_param(at, ulong, 0600);
MODULE_PARM_DESC(at, "The number of the lock that waits; 0: none");

static bool go;
module_param(go, bool, 0600);
MODULE_PARM_DESC(go, "Whether the lock goes on");

static int count(struct kprobe *probe, struct pt_regs *regs)
{
	u64 end;

	if (!(current->flags & PF_KTHREAD))
		return 0;
	WRITE_ONCE(locks, locks + 1);
	if (locks != at)
		return 0;
	/* The probe must not sleep. */
	end = ktime_get_mono_fast_ns() + 10ull * NSEC_PER_SEC;
	while (!READ_ONCE(go) && ktime_get_mono_fast_ns() < end)
		cpu_relax();
	return 0;
}

static struct kprobe probe = {
	.symbol_name = "lock_vma_under_rcu",
	.pre_handler = count,
};

module_kprobe(probe);

MODULE_DESCRIPTION("Counts the locks of mappings, and delays one");
MODULE_LICENSE("GPL");
