/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _SLEEP_H
#define _SLEEP_H

#include <linux/kthread.h>
#include <linux/sched.h>

/*
 * Sleeps until kthread_stop() is called for this kernel thread. The state is TASK_IDLE
 * because the hung task detector reports threads that are in TASK_UNINTERRUPTIBLE for long.
 * Inlined: the thread sleeps in its caller's frame.
 */
static __always_inline void sleep_until_stopped(void)
{
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
}

#endif /* _SLEEP_H */
