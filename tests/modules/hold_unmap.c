// SPDX-License-Identifier: GPL-2.0
/*
 * Stops the first call of vm_munmap() for the process `pid` until `let_go` is set. Then the pages
 * are unmapped, and mapped again at once, as another thread of the process could do.
 */
#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched.h>

#include "kprobe.h"

static int pid;
module_param(pid, int, 0);
MODULE_PARM_DESC(pid, "The process");

static bool let_go;
module_param(let_go, bool, 0600);
MODULE_PARM_DESC(let_go, "Whether the call may continue");

static ulong place;
module_param(place, ulong, 0400);
MODULE_PARM_DESC(place, "The address that is to be unmapped, once a call waits");

static ulong mapped;
module_param(mapped, ulong, 0400);
MODULE_PARM_DESC(mapped, "The address, once it is mapped again");

static atomic_t inside;

/* Runs in place of vm_munmap(), with its arguments. */
static int wait_first(unsigned long start, size_t length)
{
	int error;

	while (!READ_ONCE(let_go))
		schedule_timeout_idle(1);
	error = vm_munmap(start, length);
	if (!error)
		WRITE_ONCE(mapped, vm_mmap(NULL, start, length, PROT_READ,
					   MAP_PRIVATE | MAP_FIXED_NOREPLACE, 0));
	atomic_dec(&inside);
	return error;
}

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	if (current->tgid != pid || READ_ONCE(place))
		return 0;
	WRITE_ONCE(place, regs_get_kernel_argument(regs, 0));
	atomic_inc(&inside);
	instruction_pointer_set(regs, (unsigned long)wait_first);
	return 1;
}

static struct kprobe entry = {
	.symbol_name = "vm_munmap",
	.pre_handler = divert,
	.post_handler = do_nothing,
};

static int __init hold_unmap_init(void)
{
	return register_kprobe(&entry);
}
module_init(hold_unmap_init);

static void __exit hold_unmap_exit(void)
{
	WRITE_ONCE(let_go, true);
	while (atomic_read(&inside))
		schedule_timeout_uninterruptible(1);
	unregister_kprobe(&entry);
}
module_exit(hold_unmap_exit);

MODULE_DESCRIPTION("Stops a call of vm_munmap()");
MODULE_LICENSE("GPL");
