// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are minflt and majflt in /proc/PID/stat, at two moments at which the program has
 * stopped itself; and the kernel's counts for perf, which has only those that were exceptions: a
 * system call that makes pages present counts in stat, and raises none. Those that were raised by
 * an instruction of the kernel, in read() for instance, do not count there either.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "contexts.h"
#include "report.h"
#include "guest.h"
#include "stand.h"

#define HUGE_PAGES "/sys/kernel/mm/transparent_hugepage/"
/* A program's own memory may be touched for the first time between the stops: a few pages. */
#define OWN_FAULTS 8
/* The program's cgroup has no more threads than half of that. */
#define COUNTERS_MAX 400

static pid_t program;

/* minflt and majflt. */
static unsigned long faults(void)
{
	return proc_stat(program, 10) + proc_stat(program, 12);
}

/*
 * Two for each thread that the program has now, in which those that they make are counted too. A
 * fault that ends with a signal is in neither, as in stat.
 */
static int open_counters(int counter[COUNTERS_MAX])
{
	static const int kinds[] = { PERF_COUNT_SW_PAGE_FAULTS_MIN, PERF_COUNT_SW_PAGE_FAULTS_MAJ };
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.exclude_kernel = 1,
		.inherit = 1,
		.inherit_thread = 1,
	};
	struct proc_thread *threads;
	size_t count = program_threads(&threads);
	int counters = 0;

	for (size_t i = 0; i < count; i++)
		for (int kind = 0; kind < 2; kind++) {
			if (threads[i].tgid != program || counters == COUNTERS_MAX)
				continue;
			attributes.config = kinds[kind];
			counter[counters++] = must(syscall(SYS_perf_event_open, &attributes,
							   threads[i].pid, -1, -1,
							   PERF_FLAG_FD_CLOEXEC));
		}
	free(threads);
	return counters;
}

static unsigned long close_counters(const int *counter, int counters)
{
	unsigned long all = 0;

	for (int i = 0; i < counters; i++) {
		unsigned long count;

		must(read(counter[i], &count, sizeof(count)));
		all += count;
		close(counter[i]);
	}
	return all;
}

/* In KiB. */
static long huge_pages(void)
{
	char path[60], *text, *line;
	long size;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", program);
	text = try_slurp(path, NULL);
	line = text ? strstr(text, "AnonHugePages:") : NULL;
	size = line ? atol(line + strlen("AnonHugePages:")) : 0;
	free(text);
	return size;
}

static const char *key_of(unsigned long got, unsigned long want, bool huge)
{
	if (got < want && huge)
		return "huge-page";
	if (got <= OWN_FAULTS)
		return "no-faults";
	if (got < want)
		return "too-few";
	if (got <= want + OWN_FAULTS)
		return "own-faults";
	if (labs((long)(got - 2 * want)) <= OWN_FAULTS)
		return "touched-twice";
	return "too-many";
}

/* Whether the program stops itself, for the first or the second time. */
static bool stops(const char *count, const char *when)
{
	char subject[60];

	snprintf(subject, sizeof(subject), "asked for %s, %s time", count, when);
	return look_at_stop("stops", subject);
}

static void look_faults(const char *id)
{
	unsigned long before, got, exceptions, count = drawn_number(id);
	int counter[COUNTERS_MAX], counters;
	const char *key;
	long huge;
	char number[24], want[24], subject[80];

	program = start_program((const char *[]){ drawn(id), NULL });
	if (!stops(drawn(id), "the first"))
		goto end;
	before = faults();
	huge = huge_pages();
	counters = open_counters(counter);
	must(kill(program, SIGCONT));
	if (!stops(drawn(id), "the second"))
		goto end;
	got = faults() - before;
	exceptions = close_counters(counter, counters);
	key = key_of(got, count, huge_pages() > huge);

	snprintf(number, sizeof(number), "%lu", got);
	snprintf(want, sizeof(want), "${%s}", id);
	look_at(id, "page faults between the stops", number, want, key);
	snprintf(number, sizeof(number), "%lu", exceptions);
	snprintf(subject, sizeof(subject), "of %lu page faults, those that were exceptions", got);
	look_at("exceptions", subject, number, want, exceptions < got ? "populated" : key);
	shown("PID %d: minflt was %lu at the first stop, and %lu at the second; %lu exceptions",
	      program, before, before + got, exceptions);
end:
	end_program();
}

/* A page fault as the table `contexts` has it: in the process that opens the table. */
static void show_context(void)
{
	struct contexts *table = contexts_read();
	const struct context_row *row = contexts_find(table, "page_fault", -1);

	if (row && row->seen)
		shown("a page fault in `contexts`: in_task %s, hardirq %s, `current` is PID %s, %s",
		      row->in_task, row->hardirq, row->pid, row->comm);
	contexts_free(table);
}

int main(void)
{
	/* As Debian has it, whatever this kernel has; and no thread makes huge pages meanwhile. */
	if (!access(HUGE_PAGES "enabled", F_OK)) {
		write_file(HUGE_PAGES "enabled", "always");
		write_file(HUGE_PAGES "khugepaged/scan_sleep_millisecs", "4294967295");
	}
	look_faults("many");
	look_faults("few");
	show_context();
	return 0;
}
