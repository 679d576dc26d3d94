// SPDX-License-Identifier: GPL-2.0
/*
 * The situation is a table `contexts` whose rows are those that the exercise
 * describes. The witness of the bits is the row's preempt_count, by the masks of the kernel's
 * headers; an NMI comes from outside of the guest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "contexts.h"
#include "report.h"
#include "guest.h"

#define ROWS 7
#define NMI (ROWS - 1)

/* A row of the exercise. */
static const struct asked {
	const char *name, *context;
	bool on_cpu; /* the row of the drawn CPU */
} asked[ROWS] = {
	{ "syscall", "syscall" },
	{ "page_fault", "page_fault" },
	{ "kthread", "kthread" },
	{ "softirq", "softirq_timer", true },
	{ "hrtimer", "hrtimer", true },
	{ "irq_thread", "irq_thread", true },
	{ "nmi", "nmi" },
};

/* Which mistake explains a wrong cell. */
static const struct {
	const char *row, *column, *key; /* column NULL: any */
} mistakes[] = {
	{ "page_fault", NULL, "fault-is-interrupt" },
	{ "nmi", "hardirq", "nmi-without-hardirq" },
	{ "nmi", "stack", "nmi-stack" },
	{ "hrtimer", "stack", "hrtimer-stack" },
	{ "softirq", "stack", "softirq-stack" },
	{ "softirq", "current", "interrupted" },
	{ "hrtimer", "current", "interrupted" },
	{ "nmi", "current", "interrupted" },
	{ "softirq", NULL, "softirq-bits" },
	{ "hrtimer", NULL, "hrtimer-bits" },
	{ "irq_thread", NULL, "irq-thread" },
	{ "kthread", NULL, "kthread" },
};

static unsigned long softirq_offset, hardirq_mask, nmi_mask;

static unsigned long constant(const char *name)
{
	return parameter_value("context_oracle", name);
}

static unsigned long count_of(const struct context_row *row)
{
	return strtoul(row->preempt_count, NULL, 16);
}

static bool is_busy(const char *name)
{
	return !strcmp(drawn(name), "busy");
}

/* What is interrupted on a CPU that is busy or idle, in the column COMM. */
static const char *interrupted(const char *name, long cpu)
{
	static char comm[30];

	if (is_busy(name))
		snprintf(comm, sizeof(comm), "%s", drawn("victim"));
	else
		snprintf(comm, sizeof(comm), "[swapper/%ld]", cpu);
	return comm;
}

/* Computes in user space, on that CPU. */
static void compute(void *cpu)
{
	stay_on(*(long *)cpu);
	must(prctl(PR_SET_NAME, drawn("victim")));
	for (;;)
		;
}

/* Makes the CPU busy, if that was drawn. */
static pid_t start_victim(const char *name, long cpu)
{
	return is_busy(name) ? start_child(compute, &cpu) : 0;
}

static void end_victim(pid_t victim)
{
	if (victim)
		end_child(victim);
}

/*
 * Whether the rows of that CPU interrupted what was drawn, and nothing else: the kernel may put
 * a softirq off, to a thread; an interrupt may come in a softirq, or when the program is in the
 * kernel, because of another interrupt. Such a table is not the one that the exercise asks
 * about. What comes from user space is served on the kernel stack of the program.
 */
static bool is_situation(const struct contexts *table)
{
	long cpu = drawn_number("cpu");
	const char *comm = interrupted("state", cpu);

	for (int i = 0; i < NMI; i++) {
		const struct context_row *row =
			contexts_find(table, asked[i].context, asked[i].on_cpu ? cpu : -1);

		if (!row || !row->seen)
			return false;
		if (!strcmp(asked[i].name, "softirq") && strcmp(row->comm, comm))
			return false;
		if (!strcmp(asked[i].name, "hrtimer") &&
		    (strcmp(row->comm, comm) || count_of(row) & softirq_offset ||
		     (is_busy("state") && strcmp(row->stack, "task"))))
			return false;
	}
	return true;
}

static bool open_table(struct contexts **table)
{
	*table = contexts_read();
	return is_situation(*table);
}

/*
 * Whether an NMI has interrupted what was drawn. The program makes no system calls, but an
 * interrupt may have been served just then, or have been about to be: the kernel has not
 * counted it yet, but the stack is in use, so that the NMI has its own.
 */
static bool is_interrupted(int port, struct contexts **table)
{
	const struct context_row *row;

	must(write(port, "\n", 1));
	*table = contexts_read();
	row = contexts_find(*table, "nmi", 0);
	/* No interrupt and no softirq. (The idle task has preemption disabled, below that.) */
	return row && row->seen && !strcmp(row->comm, interrupted("first", 0)) &&
	       (!is_busy("first") || !strcmp(row->stack, "task")) &&
	       count_of(row) / softirq_offset * softirq_offset ==
		       (nmi_mask & -nmi_mask) + (hardirq_mask & -hardirq_mask);
}

static const char *current_of(const struct context_row *row)
{
	static char name[40];

	if (!strncmp(row->comm, "[swapper/", 9)) {
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(row->comm + 1, "]"),
			 row->comm + 1);
		return name;
	}
	return !strcmp(row->mm, "NULL") && *row->comm == '[' ? "kernel" : row->comm;
}

static void put(const struct asked *asked, const char *column, const char *truth, const char *why)
{
	char name[40];

	snprintf(name, sizeof(name), "%s.%s", asked->name, column);
	cell(column, name, truth, why);
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		if (strcmp(mistakes[i].row, asked->name) ||
		    (mistakes[i].column && strcmp(mistakes[i].column, column)))
			continue;
		mistake(column, mistakes[i].key);
		break;
	}
}

/* A bit of preempt_count. What taskscope says must be the same. */
static void put_bit(const struct asked *asked, const struct context_row *row, const char *column,
		    const char *said, unsigned long mask, bool set)
{
	char why[100];

	if (strcmp(said, set ? "yes" : "no"))
		die("%s: taskscope says %s for %s, preempt_count is %s", asked->name, said, column,
		    row->preempt_count);
	snprintf(why, sizeof(why), "preempt_count is %s, and the mask %08lx", row->preempt_count,
		 mask);
	put(asked, column, set ? "yes" : "no", why);
}

static const char *why_stack(const struct context_row *row, unsigned long any)
{
	if (strcmp(row->stack, "task"))
		return "the kernel's own code was interrupted, so its stack was in use";
	return !(count_of(row) & any) ? "the code runs as `current`" :
	       "a program was interrupted in user space, so its kernel stack was free";
}

static const char *why_current(const struct context_row *row, unsigned long any)
{
	static char why[100];

	snprintf(why, sizeof(why), "%s %s", row->comm,
		 count_of(row) & any ? "ran on this CPU, and was interrupted" : "runs this code");
	return why;
}

static void put_row(const struct asked *asked, const struct context_row *row)
{
	unsigned long count = count_of(row), any = nmi_mask | hardirq_mask | softirq_offset;

	put_bit(asked, row, "in_task", row->in_task, any, !(count & any));
	put_bit(asked, row, "softirq", row->softirq, softirq_offset, count & softirq_offset);
	put_bit(asked, row, "hardirq", row->hardirq, nmi_mask | hardirq_mask,
		count & (nmi_mask | hardirq_mask));
	put_bit(asked, row, "nmi", row->nmi, nmi_mask, count & nmi_mask);
	put(asked, "stack", row->stack, why_stack(row, any));
	put(asked, "current", current_of(row), why_current(row, any));
	shown("%-10s preempt_count %s, stack %s, current %s", asked->name, row->preempt_count,
	      row->stack, row->comm);
}

int main(void)
{
	struct contexts *table, *nmi;
	const struct context_row *row;
	int cpus[CPUS_MAX], port = must(open("/dev/nmi", O_WRONLY | O_CLOEXEC));
	long cpu = drawn_number("cpu");
	pid_t victim;

	if (online_cpus(cpus) != 2)
		die("the exercise needs two CPUs");
	load_module("/tests/context_oracle.ko", "");
	softirq_offset = constant("softirq_offset");
	hardirq_mask = constant("hardirq_mask");
	nmi_mask = constant("nmi_mask");
	must(prctl(PR_SET_NAME, drawn("reader")));
	stay_on(1 - cpu);
	victim = start_victim("state", cpu);
	wait_until(open_table(&table), "CPU %ld does not become %s", cpu, drawn("state"));
	end_victim(victim);
	/* An NMI that QEMU injects goes to the first CPU. */
	stay_on(1);
	victim = start_victim("first", 0);
	wait_until(is_interrupted(port, &nmi), "no NMI comes while CPU 0 is %s", drawn("first"));
	end_victim(victim);

	look("situation", "who has opened the table", contexts_find(table, "syscall", -1)->comm,
	     "${reader}");
	look("situation", "whom the high-resolution timer has interrupted",
	     contexts_find(table, "hrtimer", cpu)->comm,
	     is_busy("state") ? "${victim}" : "[swapper/${cpu}]");
	look("situation", "whom the NMI has interrupted", contexts_find(nmi, "nmi", 0)->comm,
	     is_busy("first") ? "${victim}" : "[swapper/0]");
	for (int i = 0; i < ROWS; i++) {
		row = i == NMI ? contexts_find(nmi, "nmi", 0) :
				 contexts_find(table, asked[i].context,
					       asked[i].on_cpu ? cpu : -1);
		put_row(&asked[i], row);
	}
	return 0;
}
