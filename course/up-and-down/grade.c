// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are /proc/PID/maps and the stack pointer in /proc/PID/syscall, at
 * two moments at which the program has stopped itself; and the table segments, because maps
 * does not tell the heap from a mapping beside it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"
#include "rows.h"
#include "segments.h"
#include "stand.h"

/*
 * execve() maps 128 KiB below the arguments, and a part of a page more; STACK is larger. What else
 * is mapped below the stack pointer, the program has used.
 */
#define ROOM (136 * 1024ul)

/* A stop of the program. */
struct moment {
	unsigned long heap_start, heap_end, stack_start, stack_end, sp;
	unsigned long anonymous; /* bytes of the mappings without a name */
	unsigned long brk; /* the end of the heap as the kernel keeps it, at the end of its page */
	int threads;
};

static pid_t program;

static struct moment look_around(void)
{
	struct moment moment = { 0 };
	struct mapping *mapping;
	size_t count = proc_mappings(program, &mapping);
	struct proc_thread thread;
	struct proc_syscall call;
	struct rows *segments = rows_read("segments");
	unsigned long page = sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < count; i++) {
		if (!strcmp(mapping[i].name, "[heap]")) {
			if (!moment.heap_start)
				moment.heap_start = mapping[i].start;
			moment.heap_end = mapping[i].end;
		} else if (!strcmp(mapping[i].name, "[stack]")) {
			if (!moment.stack_start)
				moment.stack_start = mapping[i].start;
			moment.stack_end = mapping[i].end;
		} else if (!*mapping[i].name) {
			moment.anonymous += mapping[i].end - mapping[i].start;
		}
	}
	free(mapping);
	moment.brk = (segment_end(segments, program, "heap") + page - 1) & -page;
	rows_free(segments);
	moment.sp = proc_syscall(program, program, &call) ? call.sp : 0;
	moment.threads = proc_thread(program, program, &thread) ? thread.threads : 0;
	return moment;
}

static void look_number(const char *id, const char *subject, long got, const char *want)
{
	char number[24];

	snprintf(number, sizeof(number), "%ld", got);
	look(id, subject, number, want);
}

static void look_heap(const struct moment *before, const struct moment *after)
{
	long grown = (long)(after->heap_end - before->heap_end);
	long mapped = (long)(after->anonymous - before->anonymous);
	long brk = (long)(after->brk - before->brk);

	if (!before->heap_end)
		grown = (long)(after->heap_end - after->heap_start);
	look_number("heap", "the end of [heap] in /proc/PID/maps went up, in KiB", grown / 1024,
		    "${heap}");
	mistake("heap", grown ? "heap-size" : mapped >= 64 * 1024 ? "large-malloc" : "no-heap");
	if (!before->brk)
		brk = (long)(after->brk - after->heap_start);
	/* The kernel shows what is mapped beside the heap as a part of the line [heap]. */
	look_number("heap", "the end of the heap in the table segments went up, in KiB",
		    brk / 1024, "${heap}");
	mistake("heap", "mapped-beside");
}

static bool is_on_stack(const struct moment *moment)
{
	return moment->sp >= moment->stack_start && moment->sp < moment->stack_end;
}

static void look_stack(const struct moment *before, const struct moment *after)
{
	long grown = (long)(before->sp - after->sp);
	char subject[120];

	snprintf(subject, sizeof(subject),
		 "the stack pointer went down by %ld bytes: in KiB, rounded down to 16", grown);
	look_number("stack", subject, grown / 1024 / 16 * 16, "${stack}");
	mistake("stack", after->threads > 1 ? "another-thread" :
			 labs(grown) < 8192 ? "tail-call" :
					      "stack-size");
	look_at("stack", "at the first stop, the stack pointer is in [stack] of /proc/PID/maps",
		is_on_stack(before) ? "yes" : "no", "yes", "another-stack");
	look_at("stack", "at the second stop, the stack pointer is in [stack]",
		is_on_stack(after) ? "yes" : "no", "yes", "another-stack");
	look_at("stack", "at the first stop, [stack] is as large as execve() has made it",
		before->sp - before->stack_start <= ROOM ? "yes" : "no", "yes", "grown-before");
}

static void show_tables(void)
{
	struct rows *segments = rows_read("segments"), *ustacks = rows_read("ustacks");
	static const char *const names[] = { "heap", "stack" };
	size_t row = rows_find(ustacks, program);

	for (int i = 0; i < 2; i++) {
		size_t segment = segment_row(segments, program, names[i]);

		shown("%-5s from %s to %s", names[i], rows_value(segments, segment, "START"),
		      rows_value(segments, segment, "END"));
	}
	if (row < ustacks->rows)
		shown("the stack pointer is %s: %s bytes in use", rows_value(ustacks, row, "SP"),
		      rows_value(ustacks, row, "USED"));
	rows_free(segments);
	rows_free(ustacks);
}

int main(void)
{
	struct moment before, after;

	program = start_program((const char *[]){ drawn("heap"), drawn("stack"), NULL });
	for (int stop = 0; stop < 2; stop++) {
		if (!look_at_stop("stops", stop ? "the second time" : "the first time")) {
			end_program();
			return 0;
		}
		if (stop) {
			after = look_around();
		} else {
			before = look_around();
			shown("at the first stop:");
			show_tables();
			must(kill(program, SIGCONT));
		}
	}
	shown("at the second stop:");
	show_tables();
	look_heap(&before, &after);
	look_stack(&before, &after);
	end_program();
	return 0;
}
