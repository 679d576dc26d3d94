// SPDX-License-Identifier: GPL-2.0
/*
 * Counts the calls of the work items and of the high-resolution timers of module `of`, by the
 * kernel's tracepoints. A line of /sys/kernel/debug/callback_oracle is
 *
 *	KIND CPU CONTEXT PID COUNT
 *
 * KIND is work or hrtimer, CONTEXT is task, softirq or hardirq, and PID is that of `current`.
 *
 * It can also have a work item wait, or each take longer, and find out whether timers have a
 * period, and whether a CPU has one timer.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kallsyms.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/tracepoint.h>
#include <linux/workqueue.h>

static char *of = "exercise";
module_param(of, charp, 0400);
MODULE_PARM_DESC(of, "The name of the module");

/* Where the next work item of the module waits. The program that sets this sets GOES_ON again. */
enum { GOES_ON, WAITS_BEFORE, WAITS_AFTER, WAITS };
static int hold;
module_param(hold, int, 0600);
MODULE_PARM_DESC(hold, "1: the next item waits at its start; 2: at its end; 3: one waits; 0: none");

static unsigned int after;
module_param(after, uint, 0400);
MODULE_PARM_DESC(after, "How many microseconds each item keeps its CPU after its end");

static unsigned long period;
module_param(period, ulong, 0400);
MODULE_PARM_DESC(period, "What the period of the timers is to be, in nanoseconds");

static unsigned long off_period;
module_param(off_period, ulong, 0400);
MODULE_PARM_DESC(off_period, "How often a timer was set to expire at another time");

static unsigned long second_timers;
module_param(second_timers, ulong, 0400);
MODULE_PARM_DESC(second_timers, "How often another timer than the first one of a CPU has expired");

static struct entry {
	const char *kind, *context;
	int cpu, pid;
	unsigned long count;
} entry[1000];
static unsigned int entries;
static DEFINE_RAW_SPINLOCK(lock);

static bool is_of_module(const void *function)
{
	char name[KSYM_SYMBOL_LEN], end[MODULE_NAME_LEN + 3];

	snprintf(name, sizeof(name), "%ps", function);
	snprintf(end, sizeof(end), "[%s]", of);
	return strstr(name, end);
}

static void count(const char *kind)
{
	struct entry new = {
		.kind = kind,
		.context = in_hardirq() ? "hardirq" : in_serving_softirq() ? "softirq" : "task",
		.cpu = raw_smp_processor_id(),
		.pid = current->pid,
	};
	unsigned int i = 0;
	unsigned long flags;

	raw_spin_lock_irqsave(&lock, flags);
	while (i < entries && (entry[i].kind != kind || entry[i].context != new.context ||
			       entry[i].cpu != new.cpu || entry[i].pid != new.pid))
		i++;
	if (i == entries && entries < ARRAY_SIZE(entry))
		entry[entries++] = new;
	if (i < entries)
		entry[i].count++;
	raw_spin_unlock_irqrestore(&lock, flags);
}

static void wait_where(int place)
{
	if (cmpxchg(&hold, place, WAITS) == place)
		while (READ_ONCE(hold) == WAITS)
			cpu_relax();
}

static void count_work(void *unused, struct work_struct *work)
{
	if (!is_of_module(work->func))
		return;
	count("work");
	wait_where(WAITS_BEFORE);
}

/* The item may be gone. */
static void after_work(void *unused, struct work_struct *work, work_func_t function)
{
	if (!is_of_module(function))
		return;
	udelay(after);
	wait_where(WAITS_AFTER);
}

/* A timer of the module whose handler runs, and when it was to expire. */
struct running {
	struct hrtimer *timer;
	ktime_t expires;
};

static DEFINE_PER_CPU(struct running, running);
/* The timer of the module that has expired first on this CPU. */
static DEFINE_PER_CPU(struct hrtimer *, first_timer);

static void count_timer(void *unused, struct hrtimer *timer, ktime_t now)
{
	struct hrtimer **first = this_cpu_ptr(&first_timer);

	if (!is_of_module(ACCESS_PRIVATE(timer, function)))
		return;
	count("hrtimer");
	if (!*first)
		*first = timer;
	else if (*first != timer)
		WRITE_ONCE(second_timers, second_timers + 1);
	*this_cpu_ptr(&running) = (struct running){ timer, hrtimer_get_softexpires(timer) };
}

/*
 * hrtimer_forward_now() has added a multiple of the period, and no more than what is needed for
 * a time that is yet to come: a slow CPU changes neither.
 */
static void after_timer(void *unused, struct hrtimer *timer)
{
	struct running *ran = this_cpu_ptr(&running);
	ktime_t next;

	if (ran->timer != timer || !period)
		return;
	ran->timer = NULL;
	next = hrtimer_get_softexpires(timer);
	if ((next - ran->expires) % (s64)period ||
	    next > hrtimer_cb_get_time(timer) + (s64)period)
		WRITE_ONCE(off_period, off_period + 1);
}

/* The kernel does not export these to modules by their names. */
static struct hook {
	const char *name;
	void *probe;
	struct tracepoint *tracepoint;
} hooks[] = {
	{ "workqueue_execute_start", count_work },
	{ "workqueue_execute_end", after_work },
	{ "hrtimer_expire_entry", count_timer },
	{ "hrtimer_expire_exit", after_timer },
};

static void find(struct tracepoint *tracepoint, void *unused)
{
	for (int i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!strcmp(tracepoint->name, hooks[i].name))
			hooks[i].tracepoint = tracepoint;
}

static void unhook(void)
{
	for (int i = 0; i < ARRAY_SIZE(hooks); i++)
		if (hooks[i].tracepoint)
			tracepoint_probe_unregister(hooks[i].tracepoint, hooks[i].probe, NULL);
	tracepoint_synchronize_unregister();
}

static int callback_oracle_show(struct seq_file *file, void *data)
{
	for (unsigned int i = 0; i < READ_ONCE(entries); i++)
		seq_printf(file, "%s %d %s %d %lu\n", entry[i].kind, entry[i].cpu,
			   entry[i].context, entry[i].pid, READ_ONCE(entry[i].count));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(callback_oracle);

static struct dentry *file;

static int __init callback_oracle_init(void)
{
	int error = 0;

	for_each_kernel_tracepoint(find, NULL);
	for (int i = 0; i < ARRAY_SIZE(hooks) && !error; i++)
		error = hooks[i].tracepoint ?
				tracepoint_probe_register(hooks[i].tracepoint, hooks[i].probe,
							  NULL) :
				-ENOENT;
	if (error) {
		unhook();
		return error;
	}
	file = debugfs_create_file("callback_oracle", 0400, NULL, NULL, &callback_oracle_fops);
	return 0;
}
module_init(callback_oracle_init);

static void __exit callback_oracle_exit(void)
{
	debugfs_remove(file);
	WRITE_ONCE(hold, GOES_ON);
	unhook();
}
module_exit(callback_oracle_exit);

MODULE_DESCRIPTION("Counts the work items and timers of a module");
MODULE_LICENSE("GPL");
