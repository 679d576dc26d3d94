// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel threads that hold locks, and kernel threads that wait for them. A line of
 * /sys/kernel/debug/hold_locks is
 *
 *	PID BLOCKED_BY
 *
 * for a thread that waits, with what kstacks must say of it: the module knows which of its
 * threads holds the lock. Threads whose name begins with "forged" do not wait: they have
 * written to `blocker` what no lock of the kernel would, and sleep.
 *
 * With change=1, one more thread forges a lock, [change]. When taskscope reads that lock, the
 * thread runs, gives up the lock, and sleeps again, before taskscope goes on. taskscope must be
 * loaded before this module.
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/hung_task.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/sched/task.h>
#include <linux/semaphore.h>
#include <linux/seq_file.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>

#include "sleep.h"

static int waiters = 3;
module_param(waiters, int, 0400);
MODULE_PARM_DESC(waiters, "How many threads wait for the mutex");

static int dead;
module_param(dead, int, 0400);
MODULE_PARM_DESC(dead, "The PID of the thread that has taken a semaphore and has exited");

static int change;
module_param(change, int, 0400);
MODULE_PARM_DESC(change, "Whether [change] is started; then its PID");

static int changed;
module_param(changed, int, 0400);
MODULE_PARM_DESC(changed, "How often [change] has run while taskscope read");

static DEFINE_MUTEX(mutex);
static DEFINE_SEMAPHORE(semaphore, 1);
static DEFINE_SEMAPHORE(left, 1);
static DECLARE_RWSEM(written);
static DECLARE_RWSEM(read);
static DECLARE_RWSEM(shared);

static DECLARE_COMPLETION(held);

/* How a thread uses a lock. */
struct use {
	void (*take)(void *lock);
	void (*release)(void *lock);
	void *lock;
};

/* The hung task detector does not report a thread whose wait a kill would end. */
static void take_mutex(void *lock)
{
	WARN_ON(mutex_lock_killable(lock));
}

static void release_mutex(void *lock)
{
	mutex_unlock(lock);
}

static void take_semaphore(void *lock)
{
	WARN_ON(down_killable(lock));
}

static void release_semaphore(void *lock)
{
	up(lock);
}

/* Of an rw-semaphore the kernel records only waits that nothing ends. */
static void take_to_read(void *lock)
{
	down_read(lock);
}

static void release_read(void *lock)
{
	up_read(lock);
}

static void take_to_write(void *lock)
{
	down_write(lock);
}

static void release_written(void *lock)
{
	up_write(lock);
}

static struct use of_mutex = { take_mutex, release_mutex, &mutex };
static struct use of_semaphore = { take_semaphore, release_semaphore, &semaphore };
static struct use of_left = { take_semaphore, release_semaphore, &left };
static struct use reads_written = { take_to_read, release_read, &written };
static struct use writes_written = { take_to_write, release_written, &written };
static struct use reads_read = { take_to_read, release_read, &read };
static struct use writes_read = { take_to_write, release_written, &read };
static struct use reads_shared = { take_to_read, release_read, &shared };
static struct use writes_shared = { take_to_write, release_written, &shared };

/* Takes a lock, and releases it when it is stopped. */
static int hold(void *data)
{
	const struct use *use = data;

	use->take(use->lock);
	complete(&held);
	sleep_until_stopped();
	use->release(use->lock);
	return 0;
}

/* Takes a lock, and releases it at once. */
static int pass(void *data)
{
	const struct use *use = data;

	use->take(use->lock);
	use->release(use->lock);
	complete(&held);
	sleep_until_stopped();
	return 0;
}

/* Takes a lock, and exits with it. */
static int leave(void *data)
{
	const struct use *use = data;

	use->take(use->lock);
	complete(&held);
	sleep_until_stopped();
	return 0;
}

/* Waits for a lock. */
static int wait(void *data)
{
	const struct use *use = data;

	use->take(use->lock);
	use->release(use->lock);
	sleep_until_stopped();
	return 0;
}

/* What threads have that wait. */
static struct waiter {
	struct task_struct *task;
	const char *lock;
	int holder;
} *waiting;
static int waiting_count;

static struct task_struct *holding[8];
static int holding_count;

/* Starts a thread that takes a lock; returns when it has. */
static struct task_struct *start_holder(int (*body)(void *data), struct use *use, const char *name)
{
	struct task_struct *task = kthread_run(body, use, "%s", name);

	if (IS_ERR(task))
		return NULL;
	holding[holding_count++] = task;
	wait_for_completion(&held);
	return task;
}

/* Starts a thread that kstacks must show as blocked by `lock`, which `holder` has. */
static bool start_waiter(int (*body)(void *data), void *data, const char *name, const char *lock,
			 struct task_struct *holder)
{
	struct task_struct *task = kthread_run(body, data, "%s", name);

	if (IS_ERR(task))
		return false;
	waiting[waiting_count++] = (struct waiter) {
		.task = task, .lock = lock, .holder = holder ? holder->pid : 0,
	};
	return true;
}

static bool start_real(void)
{
	struct task_struct *by_mutex = start_holder(hold, &of_mutex, "hold_mutex");
	struct task_struct *by_semaphore = start_holder(hold, &of_semaphore, "hold_semaphore");
	struct task_struct *by_writer = start_holder(hold, &writes_written, "hold_written");
	struct task_struct *by_reader = start_holder(hold, &reads_read, "hold_read");
	bool started = by_mutex && by_semaphore && by_writer && by_reader;

	/* The last reader that has taken the lock has released it, and the first has not. */
	started = started && start_holder(hold, &reads_shared, "hold_shared") &&
		  start_holder(pass, &reads_shared, "pass_shared");
	for (int i = 0; started && i < waiters; i++)
		started = start_waiter(wait, &of_mutex, "wait_mutex", "mutex", by_mutex);
	return started &&
	       start_waiter(wait, &of_semaphore, "wait_semaphore", "semaphore", by_semaphore) &&
	       start_waiter(wait, &reads_written, "read_written", "rwsem-writer", by_writer) &&
	       start_waiter(wait, &writes_written, "write_written", "rwsem-writer", by_writer) &&
	       start_waiter(wait, &writes_read, "write_read", "rwsem-reader", by_reader) &&
	       start_waiter(wait, &writes_shared, "write_shared", "rwsem-reader", NULL);
}

/* The thread that has taken a semaphore and has exited. Its memory is kept. */
static struct task_struct *gone;

static bool start_left(void)
{
	struct task_struct *task = kthread_create(leave, &of_left, "leave_semaphore");

	if (IS_ERR(task))
		return false;
	gone = get_task_struct(task);
	dead = task->pid;
	wake_up_process(task);
	wait_for_completion(&held);
	kthread_stop(task);
	/* The task is released a little later. */
	while (pid_alive(task))
		schedule_timeout_idle(1);
	return start_waiter(wait, &of_left, "wait_left", "semaphore", NULL);
}

#ifdef CONFIG_DETECT_HUNG_TASK_BLOCKER

/* Sleeps as a thread that waits for the lock in `blocker`. */
static int forge(void *blocker)
{
	WRITE_ONCE(current->blocker, (unsigned long)blocker);
	sleep_until_stopped();
	WRITE_ONCE(current->blocker, 0);
	return 0;
}

static int forge_own(void *mutex)
{
	atomic_long_set(&((struct mutex *)mutex)->owner, (long)current);
	return forge(mutex);
}

/* Where no lock is, and no thread. The last is memory that is freed. */
static unsigned long addresses[] = { 8, PAGE_SIZE, 1UL << 46, 1UL << 60, -PAGE_SIZE, -8, 0 };

static struct mutex mutexes[ARRAY_SIZE(addresses) + 4];
static struct rw_semaphore rwsems[4];
static struct mutex own;

static void *blocker_of(void *lock, unsigned long type)
{
	return (void *)((unsigned long)lock | type);
}

static bool forge_mutex(int at, unsigned long owner, struct task_struct *holder)
{
	atomic_long_set(&mutexes[at].owner, owner);
	return start_waiter(forge, &mutexes[at], "forged mutex", "mutex", holder);
}

static bool forge_rwsem(int at, unsigned long flags, unsigned long type, const char *lock)
{
	struct task_struct *holder = flags ? holding[at] : NULL;

	atomic_long_set(&rwsems[at].owner, (unsigned long)holder | flags);
	return start_waiter(forge, blocker_of(&rwsems[at], type), "forged rwsem", lock, holder);
}

static bool start_forged(void)
{
	const int count = ARRAY_SIZE(addresses);
	bool started = true;
	void *freed = vmalloc(PAGE_SIZE);

	if (!freed)
		return false;
	addresses[count - 1] = (unsigned long)freed;
	vfree(freed);

	for (int i = 0; started && i < count; i++)
		started = start_waiter(forge, (void *)addresses[i], "forged address", "mutex",
				       NULL) &&
			  forge_mutex(i, addresses[i], NULL);
	if (!started || !start_waiter(forge_own, &own, "forged own", "mutex", NULL))
		return false;
	waiting[waiting_count - 1].holder = waiting[waiting_count - 1].task->pid;

	/* Each flag of an owner that the kernel has. */
	return forge_mutex(count, (unsigned long)holding[0] | 7, holding[0]) &&
	       /* Not a thread, but memory of one */
	       forge_mutex(count + 1, (unsigned long)holding[0] + 64, NULL) &&
	       /* It has no PID that can be looked up. */
	       forge_mutex(count + 2, (unsigned long)&init_task, NULL) &&
	       forge_mutex(count + 3, (unsigned long)gone, NULL) &&
	       forge_rwsem(0, 0, BLOCKER_TYPE_RWSEM_READER, "rwsem") &&
	       forge_rwsem(1, 1, BLOCKER_TYPE_RWSEM_WRITER, "rwsem-reader") &&
	       forge_rwsem(2, 2, BLOCKER_TYPE_RWSEM_READER, "rwsem-writer") &&
	       forge_rwsem(3, 3, BLOCKER_TYPE_RWSEM_READER, "rwsem-reader");
}

static struct mutex changing;
static struct task_struct *changer;
static bool let_go;

/* Waits for a lock, gets and releases it, and another thread takes it. */
static int wait_once(void *unused)
{
	atomic_long_set(&changing.owner, (long)holding[0]);
	WRITE_ONCE(current->blocker, (unsigned long)&changing);
	for (;;) {
		set_current_state(TASK_IDLE);
		if (READ_ONCE(let_go) || kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	WRITE_ONCE(current->blocker, 0);
	atomic_long_set(&changing.owner, (long)holding[1]);
	sleep_until_stopped();
	return 0;
}

static unsigned long switches(void)
{
	return READ_ONCE(changer->nvcsw) + READ_ONCE(changer->nivcsw);
}

/* Before taskscope reads the lock */
static int let_change(struct kprobe *probe, struct pt_regs *regs)
{
	unsigned long before = switches();
	u64 end = ktime_get_mono_fast_ns() + 10ull * NSEC_PER_SEC;

	if (regs_get_kernel_argument(regs, 1) != (unsigned long)&changing.owner || let_go)
		return 0;
	WRITE_ONCE(let_go, true);
	wake_up_process(changer);
	/* The scheduler counts the switch before it clears on_cpu. */
	while (switches() == before || smp_load_acquire(&changer->on_cpu)) {
		if (ktime_get_mono_fast_ns() > end)
			return 0;
		cpu_relax();
	}
	changed++;
	return 0;
}

static struct kprobe reads = {
	.symbol_name = "copy_from_kernel_nofault",
	.pre_handler = let_change,
};

static bool start_change(void)
{
	changer = kthread_create(wait_once, NULL, "change");
	if (IS_ERR(changer)) {
		changer = NULL;
		return false;
	}
	/* taskscope is to read on another CPU. */
	kthread_bind(changer, cpumask_last(cpu_online_mask));
	change = changer->pid;
	wake_up_process(changer);
	return !register_kprobe(&reads);
}

static void stop_change(void)
{
	if (!changer)
		return;
	if (reads.addr)
		unregister_kprobe(&reads);
	kthread_stop(changer);
}

#else
static bool start_forged(void)
{
	return true;
}

static bool start_change(void)
{
	return true;
}

static void stop_change(void)
{
}
#endif

static int hold_locks_show(struct seq_file *file, void *data)
{
	for (int i = 0; i < waiting_count; i++) {
		const struct waiter *waiter = &waiting[i];

		seq_printf(file, "%d ", waiter->task->pid);
		if (!IS_ENABLED(CONFIG_DETECT_HUNG_TASK_BLOCKER))
			seq_puts(file, "-\n");
		else if (!waiter->holder)
			seq_printf(file, "%s:-\n", waiter->lock);
		else
			seq_printf(file, "%s:%d\n", waiter->lock, waiter->holder);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(hold_locks);

static struct dentry *entry;

static void hold_locks_exit(void)
{
	debugfs_remove(entry);
	stop_change();
	/* The thread that has exited cannot release it. */
	if (gone)
		up(&left);
	for (int i = 0; i < holding_count; i++)
		kthread_stop(holding[i]);
	for (int i = 0; i < waiting_count; i++)
		kthread_stop(waiting[i].task);
	if (gone)
		put_task_struct(gone);
	kfree(waiting);
}
module_exit(hold_locks_exit);

static int __init hold_locks_init(void)
{
	waiting = kcalloc(waiters + 64, sizeof(*waiting), GFP_KERNEL);
	if (!waiting)
		return -ENOMEM;
	if (!start_real() || !start_left() || !start_forged() || (change && !start_change())) {
		hold_locks_exit();
		return -ENOMEM;
	}
	entry = debugfs_create_file("hold_locks", 0400, NULL, NULL, &hold_locks_fops);
	return 0;
}
module_init(hold_locks_init);

MODULE_DESCRIPTION("Kernel threads that hold locks and wait for them");
MODULE_LICENSE("GPL");
