// SPDX-License-Identifier: GPL-2.0
/*
 * Two interrupts with handlers, as of a device. Writing "CPU NUMBER" to `raise` raises one of
 * them on a CPU, in hardirq context, and waits until its handler has run. With `period_us`
 * both come all the time on all CPUs. `hooked` says whether anything hooks the tracepoint
 * before a handler is called.
 */
#include <linux/cpu.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <linux/tracepoint.h>
#include <linux/vmalloc.h>

static char *name = "raised";
module_param(name, charp, 0400);
MODULE_PARM_DESC(name, "The name of the first interrupt");

static char *other = "other";
module_param(other, charp, 0400);
MODULE_PARM_DESC(other, "The name of the second interrupt");

static bool nameless;
module_param(nameless, bool, 0400);
MODULE_PARM_DESC(nameless, "The first interrupt has no name");

static bool freed;
module_param(freed, bool, 0400);
MODULE_PARM_DESC(freed, "The name of the first interrupt is freed, and its page unmapped");

static unsigned long flags;
module_param(flags, ulong, 0400);
MODULE_PARM_DESC(flags, "IRQF_* of both");

static unsigned int period_us;
module_param(period_us, uint, 0400);
MODULE_PARM_DESC(period_us, "How often they come, in microseconds");

static struct line {
	int irq;
	atomic_t handled;
	struct irq_work work;
} line[2];

module_param_named(irq, line[0].irq, int, 0400);
module_param_named(irq_other, line[1].irq, int, 0400);

static irqreturn_t handle(int irq, void *of)
{
	atomic_inc(&((struct line *)of)->handled);
	return IRQ_HANDLED;
}

static void come(struct irq_work *work)
{
	generic_handle_irq(container_of(work, struct line, work)->irq);
}

static void queue(void *work)
{
	irq_work_queue(work);
}

static int raise(const char *text, const struct kernel_param *unused)
{
	unsigned int cpu, number;
	int error, before;

	if (sscanf(text, "%u %u", &cpu, &number) != 2 || number > 1)
		return -EINVAL;
	before = atomic_read(&line[number].handled);
	error = smp_call_function_single(cpu, queue, &line[number].work, true);
	irq_work_sync(&line[number].work);
	/* PREEMPT_RT calls the handler in a thread. */
	synchronize_irq(line[number].irq);
	return error ?: atomic_read(&line[number].handled) == before ? -EIO : 0;
}

static const struct kernel_param_ops raise_ops = { .set = raise };
module_param_cb(raise, &raise_ops, NULL, 0200);

static void look(struct tracepoint *tracepoint, void *found)
{
	if (!strcmp(tracepoint->name, "irq_handler_entry"))
		*(bool *)found = static_key_enabled(&tracepoint->key);
}

static int hooked(char *text, const struct kernel_param *unused)
{
	bool found = false;

	for_each_kernel_tracepoint(look, &found);
	return sprintf(text, "%d\n", found);
}

static const struct kernel_param_ops hooked_ops = { .get = hooked };
module_param_cb(hooked, &hooked_ops, NULL, 0400);

/* The storm. A CPU that goes offline leaves its timer to another one. */
static DEFINE_PER_CPU(struct hrtimer, timer);
static atomic_t turn;

static enum hrtimer_restart expire(struct hrtimer *expired)
{
	generic_handle_irq(line[atomic_inc_return(&turn) & 1].irq);
	hrtimer_forward_now(expired, us_to_ktime(period_us));
	return HRTIMER_RESTART;
}

static void start(void *unused)
{
	hrtimer_start(this_cpu_ptr(&timer), us_to_ktime(period_us), HRTIMER_MODE_REL_PINNED_HARD);
}

static int set_up(struct line *new, const char *new_name)
{
	/* An owner could not be unloaded while there is a handler. */
	int error = __irq_alloc_descs(-1, 1, 1, NUMA_NO_NODE, NULL, NULL);

	if (error < 0)
		return error;
	new->irq = error;
	new->work = IRQ_WORK_INIT_HARD(come);
	irq_set_chip_and_handler(new->irq, &dummy_irq_chip, handle_simple_irq);
	irq_modify_status(new->irq, IRQ_NOREQUEST, 0);
	error = request_irq(new->irq, handle, flags, new_name, new);
	if (error)
		irq_free_descs(new->irq, 1);
	return error;
}

static void take_down(struct line *old)
{
	free_irq(old->irq, old);
	irq_free_descs(old->irq, 1);
}

static int __init raise_irq_init(void)
{
	char *first = nameless ? NULL : name;
	int error, cpu;

	if (freed) {
		first = vmalloc(PAGE_SIZE);
		if (!first)
			return -ENOMEM;
		strscpy(first, name, PAGE_SIZE);
	}
	error = set_up(&line[0], first);
	if (freed) {
		vfree(first);
		vm_unmap_aliases();
	}
	if (error)
		return error;
	error = set_up(&line[1], other);
	if (error) {
		take_down(&line[0]);
		return error;
	}
	for_each_possible_cpu(cpu)
		hrtimer_setup(per_cpu_ptr(&timer, cpu), expire, CLOCK_MONOTONIC,
			      HRTIMER_MODE_REL_PINNED_HARD);
	if (period_us)
		on_each_cpu(start, NULL, true);
	return 0;
}
module_init(raise_irq_init);

static void __exit raise_irq_exit(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		hrtimer_cancel(per_cpu_ptr(&timer, cpu));
	take_down(&line[1]);
	take_down(&line[0]);
}
module_exit(raise_irq_exit);

MODULE_DESCRIPTION("Interrupts of no device, which are raised on request");
MODULE_LICENSE("GPL");
