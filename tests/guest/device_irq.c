// SPDX-License-Identifier: GPL-2.0
/*
 * The rows device_irq of `contexts`. The witness is /proc/interrupts: number and name of SOURCE
 * are a line whose count for that CPU has grown since the module was loaded. A module has
 * interrupts of its own, which are raised on a chosen CPU; the guest's devices have others.
 *
 * OPENS, if set, is the number of opens beside a storm of interrupts.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"
#include "interrupts.h"

/* Of include/linux/interrupt.h */
#define IRQF_TIMER 0x200
#define IRQF_PERCPU 0x400

static int cpus[CPUS_MAX], online;

/* As the module escapes it, with the number of the first or the second interrupt. */
static const char *source_of(int place, const char *name)
{
	static char source[600];

	snprintf(source, sizeof(source), "%ld:%s",
		 raise_irq_value(place ? "irq_other" : "irq"), name);
	return source;
}

/*
 * The interrupt came in hardirq context on that CPU: in one hardirq and in no NMI, by the masks of
 * the kernel's headers too.
 */
static bool is_hardirq(const struct context_row *row)
{
	static unsigned long hardirq, nmi;

	if (!hardirq) {
		hardirq = parameter_value("context_oracle", "hardirq_mask");
		nmi = parameter_value("context_oracle", "nmi_mask");
	}
	return !strcmp(row->in_task, "no") && !strcmp(row->hardirq, "yes") &&
	       !strcmp(row->nmi, "no") && !strcmp(row->irqs, "no") &&
	       (strtoul(row->preempt_count, NULL, 16) & (hardirq | nmi)) == (hardirq & -hardirq);
}

/* The latest interrupt of the CPU is that of raise_irq. */
static bool shows(const struct contexts *table, int cpu, const char *source)
{
	const struct context_row *row = contexts_find(table, "device_irq", cpu);

	if (row && row->seen && !strcmp(row->source, source))
		return true;
	printf("# CPU %d: %s, expected %s\n", cpu, row ? row->source : "no row", source);
	return false;
}

/*
 * Raises an interrupt on the CPU and opens the table, until no device has interrupted in
 * between: the row then has SOURCE, or another interrupt whose count has not changed.
 */
static struct contexts *raised(int cpu, int place)
{
	for (;;) {
		struct interrupts *before, *after;
		struct contexts *table;
		const struct context_row *row;
		bool between;

		raise_irq(cpu, place, 1);
		before = interrupts_read();
		table = contexts_read();
		after = interrupts_read();
		row = contexts_find(table, "device_irq", cpu);
		/* Before this was read, after the interrupt was raised, is a gap. */
		between = row && strtol(row->source, NULL, 10) !=
			  raise_irq_value(place ? "irq_other" : "irq") &&
			  interrupts_of(after, row->source, cpu) > 0;
		between &= row && interrupts_of(after, row->source, cpu) !=
			   interrupts_of(before, row->source, cpu);
		interrupts_free(before);
		interrupts_free(after);
		if (!between)
			return table;
		contexts_free(table);
	}
}

/* Without device_irqs=1 nothing is hooked, and a line says why there is nothing to see. */
static bool good_without(void)
{
	struct contexts *table;
	bool good;

	load_taskscope("");
	raise_irq(cpus[0], 0, 1);
	table = contexts_read();
	good = !raise_irq_value("hooked") &&
	       contexts_said(table, "# device_irq: ") == 1 &&
	       contexts_said(table, "without device_irqs=1") == 1;
	for (int i = 0; i < online; i++)
		good &= !contexts_find(table, "device_irq", cpus[i]);
	contexts_free(table);
	return good & !unload_module("taskscope");
}

/* No device has interrupted the CPU since the load: the counters of its devices are equal. */
static bool none_yet(void)
{
	struct contexts *table = contexts_read();
	size_t rows = 0, lines = 0;

	for (size_t i = 0; i < table->rows; i++) {
		const struct context_row *row = &table->row[i];

		if (strcmp(row->context, "device_irq"))
			continue;
		rows++;
		lines += !row->seen;
	}
	lines -= contexts_said(table, "# device_irq: none on processor ");
	contexts_free(table);
	return rows == (size_t)online && !lines && raise_irq_value("hooked");
}

/* On each CPU in turn, first one interrupt, then the other. */
static bool good_on_each(void)
{
	bool good = true;

	for (int i = 0; i < online; i++)
		for (int place = 0; place < 2; place++) {
			struct interrupts *before = interrupts_read(), *after;
			const char *source = source_of(place, place ? "other" : "raised");
			struct contexts *table = raised(cpus[i], place);

			after = interrupts_read();
			good &= shows(table, cpus[i], source) &&
				is_hardirq(contexts_find(table, "device_irq", cpus[i])) &&
				interrupts_of(after, source, cpus[i]) >
					interrupts_of(before, source, cpus[i]);
			contexts_free(table);
			interrupts_free(before);
			interrupts_free(after);
		}
	return good;
}

/* Whatever the devices of the guest do: SOURCE of each row has counted up since `loaded`. */
static bool counted_up(const struct interrupts *loaded, long *rows)
{
	struct contexts *table = contexts_read();
	struct interrupts *now = interrupts_read();
	bool good = true;

	for (int i = 0; i < online; i++) {
		const struct context_row *row = contexts_find(table, "device_irq", cpus[i]);
		long before, after;

		if (!row)
			continue;
		before = interrupts_of(loaded, row->source, cpus[i]);
		after = interrupts_of(now, row->source, cpus[i]);
		if (after <= before || before < 0) {
			printf("# CPU %d: %s: %ld before, %ld after\n", cpus[i], row->source,
			       before, after);
			good = false;
		}
		++*rows;
	}
	interrupts_free(now);
	contexts_free(table);
	return good;
}

/* Makes the guest's console interrupt: each line goes through a device. */
static bool good_devices(void)
{
	struct interrupts *loaded = interrupts_read();
	long rows = 0;
	bool good = true;

	must(unload_module("raise_irq") ? -1 : 0);
	must(unload_module("taskscope") ? -1 : 0);
	load_taskscope("device_irqs=1");
	for (int i = 0; i < 20 || !rows; i++) {
		printf("# a line that a device takes away\n");
		fflush(stdout);
		good &= counted_up(loaded, &rows);
	}
	interrupts_free(loaded);
	load_module("/tests/raise_irq.ko", "");
	return good;
}

/* `current` is the process that was interrupted. */
enum { STARTS, RUNS, INTERRUPTED };

static void be_interrupted(void *state)
{
	stay_on(cpus[online - 1]);
	/*
	 * Below the thread of the interrupt (50), which PREEMPT_RT may run on this CPU: raise_irq()
	 * waits for that thread, and this process for raise_irq().
	 */
	be_real_time(1);
	must(prctl(PR_SET_NAME, "interrupted"));
	*(volatile int *)state = RUNS;
	while (*(volatile int *)state != INTERRUPTED)
		relax();
	/* The open that follows asks this CPU, too. */
	pause();
}

static bool good_current(void)
{
	int *state = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct contexts *table;
	const struct context_row *row;
	bool good;
	pid_t pid;

	/*
	 * On PREEMPT_RT a sleep ends in a thread of priority 1 of the CPU on which it has begun. On
	 * the CPU of the other process that thread would never run.
	 */
	stay_on(cpus[0]);
	pid = start_child(be_interrupted, state);
	wait_until(*(volatile int *)state == RUNS, "no process on the last CPU");
	raise_irq(cpus[online - 1], 0, 1);
	*(volatile int *)state = INTERRUPTED;
	table = contexts_read();
	row = contexts_find(table, "device_irq", cpus[online - 1]);
	good = row && atoi(row->pid) == pid && !strcmp(row->comm, "interrupted") &&
	       !strcmp(row->mm, "set");
	contexts_free(table);
	end_child(pid);
	return good;
}

/* Interrupts that are not of a device leave the row as it was. */
static bool left_out(unsigned long flags)
{
	struct contexts *table;
	char parameters[40];
	bool good = true;

	must(unload_module("raise_irq") ? -1 : 0);
	snprintf(parameters, sizeof(parameters), "name=apart flags=%lu", flags);
	load_module("/tests/raise_irq.ko", parameters);
	for (int i = 0; i < online; i++)
		raise_irq(cpus[i], 0, 3);
	table = contexts_read();
	for (int i = 0; i < online; i++) {
		const struct context_row *row = contexts_find(table, "device_irq", cpus[i]);

		good &= !row || strcmp(row->source, source_of(0, "apart"));
	}
	contexts_free(table);
	must(unload_module("raise_irq") ? -1 : 0);
	load_module("/tests/raise_irq.ko", "");
	return good;
}

/* The interrupts of irq_thread have no device. */
static bool own_left_out(void)
{
	bool good = true;

	for (int i = 0; i < 10; i++) {
		struct contexts *table = contexts_read();

		for (int c = 0; c < online; c++) {
			const struct context_row *row =
				contexts_find(table, "device_irq", cpus[c]);

			good &= !row || !strstr(row->source, ":taskscope");
		}
		contexts_free(table);
	}
	return good;
}

/* A name that someone chose: it is escaped, and cut off if it is long. */
static bool named(const char *parameters, const char *expected, bool cut)
{
	struct contexts *table;
	bool good;

	must(unload_module("raise_irq") ? -1 : 0);
	load_module("/tests/raise_irq.ko", parameters);
	table = raised(cpus[0], 0);
	good = shows(table, cpus[0], source_of(0, expected)) &&
	       contexts_said(table, "the end of the name in SOURCE is missing") == cut &&
	       (!cut || contexts_said(table, "# device_irq on processor "));
	contexts_free(table);
	return good;
}

/* `count` times `piece`, after `start` */
static const char *repeated(const char *start, const char *piece, int count)
{
	static char text[2][1000];
	static int next;
	char *place = text[next++ % 2];
	int at = sprintf(place, "%s", start);

	while (count--)
		at += sprintf(place + at, "%s", piece);
	return place;
}

static bool good_names(void)
{
	/* The number and the colon take part of the 128 bytes of SOURCE. */
	int room = 128 - strlen(source_of(0, ""));
	bool good = true;

	good &= named("name=\"PCIe PME\"", "PCIe\\040PME", false);
	good &= named("name=\" a\n0 1 #\t\033[m\\\377\"",
		      "\\040a\\0120\\0401\\040#\\011\\033[m\\134\\377", false);
	good &= named("nameless=1", "\\000", false);
	good &= named(repeated("name=", "x", 63), repeated("", "x", 63), false);
	good &= named(repeated("name=", "x", 64), repeated("", "x", 64), true);
	good &= named(repeated("name=", "x", 500), repeated("", "x", 64), true);
	good &= named(repeated("name=", "\001", 63), repeated("", "\\001", room / 4), true);
	return good;
}

/* The row outlives the interrupt, and its name. */
static bool outlives(void)
{
	struct contexts *table = raised(cpus[0], 0);
	char source[100];
	bool good;

	snprintf(source, sizeof(source), "%s", source_of(0, "raised"));
	good = shows(table, cpus[0], source);
	contexts_free(table);
	must(unload_module("raise_irq") ? -1 : 0);
	table = contexts_read();
	/* Devices may have interrupted meanwhile. */
	good &= !!contexts_find(table, "device_irq", cpus[0]);
	contexts_free(table);
	return good;
}

/* A driver has freed the name of its interrupt too early: the kernel does not crash. */
static bool freed_name(void)
{
	struct contexts *table;
	bool good = true;

	load_module("/tests/raise_irq.ko", "freed=1 name=freed");
	for (int i = 0; i < online; i++)
		raise_irq(cpus[i], 0, 3);
	table = contexts_read();
	good &= !table->problem;
	contexts_free(table);
	must(unload_module("raise_irq") ? -1 : 0);
	load_module("/tests/raise_irq.ko", "");
	return good;
}

/* A CPU that is offline has no row. When it is back, its latest interrupt is still known. */
static bool good_offline(int cpu)
{
	struct contexts *table = raised(cpu, 0);
	char source[100];
	bool good;

	snprintf(source, sizeof(source), "%s", source_of(0, "raised"));
	good = shows(table, cpu, source);
	contexts_free(table);
	set_online(cpu, false);
	table = contexts_read();
	good &= !contexts_find(table, "device_irq", cpu);
	contexts_free(table);
	set_online(cpu, true);
	table = contexts_read();
	good &= !!contexts_find(table, "device_irq", cpu);
	contexts_free(table);
	return good;
}

/* The names of the storm: a row that is torn would have bytes of both, or a wrong number. */
#define A16 "aaaaaaaaaaaaaaaa"
#define B16 "bbbbbbbbbbbbbbbb"
#define STORM "name=" A16 A16 A16 " other=" B16 B16 B16

static char storm_a[100], storm_b[100];

static void begin_storm(void)
{
	char parameters[200];

	must(unload_module("raise_irq") ? -1 : 0);
	snprintf(parameters, sizeof(parameters), STORM " period_us=%ld", 200 * slower());
	load_module("/tests/raise_irq.ko", parameters);
	snprintf(storm_a, sizeof(storm_a), "%s", source_of(0, A16 A16 A16));
	snprintf(storm_b, sizeof(storm_b), "%s", source_of(1, B16 B16 B16));
}

/* Rows of the storm; -1 if one is none of the two interrupts as a whole. */
static long storm_rows(const struct contexts *table)
{
	long rows = 0;

	for (size_t i = 0; i < table->rows; i++) {
		const struct context_row *row = &table->row[i];
		bool storm;

		if (strcmp(row->context, "device_irq") || !row->seen)
			continue;
		storm = !strcmp(row->source, storm_a) || !strcmp(row->source, storm_b);
		if (!storm && (strstr(row->source, "aa") || strstr(row->source, "bb"))) {
			printf("# torn: %s\n", row->source);
			return -1;
		}
		if (storm && !is_hardirq(row)) {
			printf("# not in hardirq context: %s\n", row->source);
			return -1;
		}
		rows += storm;
	}
	return rows;
}

struct shared {
	bool enough, torn;
	long opens, rows;
};

static void read_storm(void *argument)
{
	volatile struct shared *shared = argument;

	while (!shared->enough) {
		struct contexts *table = contexts_read();
		long rows = storm_rows(table);

		shared->torn |= rows < 0;
		shared->rows += rows;
		shared->opens++;
		contexts_free(table);
	}
}

/* Opens beside the storm, while a CPU goes offline and online. */
static bool good_storm(long opens, struct shared *shared)
{
	int cpu = online > 1 ? cpus[online - 1] : -1;
	pid_t reader = start_child(read_storm, shared);

	while (((volatile struct shared *)shared)->opens < opens) {
		if (cpu >= 0) {
			set_online(cpu, false);
			set_online(cpu, true);
		} else {
			usleep(1000);
		}
	}
	shared->enough = true;
	end_child(reader);
	return !shared->torn && shared->rows >= shared->opens;
}

/* The module is loaded and unloaded while interrupts come. */
static long unloads(long times)
{
	long good = 0;

	must(unload_module("taskscope") ? -1 : 0);
	for (long i = 0; i < times; i++) {
		struct contexts *table;
		long rows;

		load_taskscope("device_irqs=1");
		wait_until((table = contexts_read(), rows = storm_rows(table),
			    contexts_free(table), rows), "no interrupt");
		good += rows > 0 && !unload_module("taskscope") && !raise_irq_value("hooked");
	}
	return good;
}

int main(void)
{
	const long opens = rounds("OPENS", 20, 1000), times = rounds("UNLOADS", 3, 100);
	struct shared *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long unloaded;

	ksft_print_header();
	ksft_set_plan(13);
	online = online_cpus(cpus);
	load_module("/tests/context_oracle.ko", "");
	load_module("/tests/raise_irq.ko", "");
	ksft_test_result(good_without(),
			 "without device_irqs=1: nothing is hooked, a line says so\n");
	load_taskscope("device_irqs=1");
	ksft_test_result(none_yet(), "no interrupt yet: a line for each CPU says so\n");
	ksft_test_result(good_on_each(),
			 "interrupt on each CPU: SOURCE is the line that has counted up\n");
	ksft_test_result(good_devices(),
			 "interrupts of the guest's devices: SOURCE has counted up\n");
	if (online > 1)
		ksft_test_result(good_current(),
				 "interrupt of a process: the row shows that process\n");
	else
		ksft_test_result_skip("interrupt of a process: needs two CPUs\n");
	ksft_test_result(left_out(IRQF_PERCPU) & left_out(IRQF_TIMER),
			 "interrupts of a CPU for itself, and of timers: left out\n");
	ksft_test_result(own_left_out(), "interrupts of irq_thread: left out\n");
	ksft_test_result(good_names(), "names of interrupts: escaped, and cut off with a line\n");
	must(unload_module("raise_irq") ? -1 : 0);
	load_module("/tests/raise_irq.ko", "");
	ksft_test_result(outlives(), "interrupt freed: the row stays\n");
	ksft_test_result(freed_name(), "interrupt whose name was freed: `contexts` can be read\n");
	if (online > 1)
		ksft_test_result(good_offline(cpus[online - 1]),
				 "CPU offline and online: its row goes and comes again\n");
	else
		ksft_test_result_skip("CPU offline: needs two CPUs\n");
	begin_storm();
	ksft_test_result(good_storm(opens, shared),
			 "storm of interrupts beside hotplug: no row is torn\n");
	ksft_print_msg("%ld opens, %ld rows of the storm\n", shared->opens, shared->rows);
	unloaded = unloads(times);
	ksft_test_result(unloaded == times, "storm of interrupts: the module unloads, %ld times\n",
			 times);
	ksft_finished();
}
