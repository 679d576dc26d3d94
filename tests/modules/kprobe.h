/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KPROBE_H
#define _KPROBE_H

#include <linux/device/driver.h>
#include <linux/kprobes.h>

/*
 * A post_handler for a kprobe whose pre_handler changes where execution continues. The
 * kernel optimizes a kprobe without a post_handler into a jump, which ignores that change. Not
 * every module has such a kprobe.
 */
static void __maybe_unused do_nothing(struct kprobe *probe, struct pt_regs *regs,
				      unsigned long flags)
{
}

/* For a module that does nothing else when it is loaded and unloaded. */
#define module_kprobe(probe) module_driver(probe, register_kprobe, unregister_kprobe)

#endif /* _KPROBE_H */
