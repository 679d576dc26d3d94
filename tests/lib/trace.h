/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's tracer as a witness, in an instance of its own. */
#ifndef _TRACE_H
#define _TRACE_H

/*
 * Begins to record an event ("timer/hrtimer_start") on all CPUs, where the filter holds; without
 * one, always. The kernel changes its code for that, and waits for CPUs with disabled interrupts.
 */
void trace_begin(const char *event, const char *filter);
/* Records another event as well. */
void trace_also(const char *event);

#define ALL_CPUS (-1)
/*
 * The text of what was recorded so far on a CPU or on all, a line for each event. The times are
 * CLOCK_MONOTONIC. Dies if the tracer has lost events of these CPUs.
 */
char *trace_text(int cpu);
/* How many of these lines contain the word. */
long traced(int cpu, const char *word);
/* Ends it, and forgets what was recorded. */
void trace_end(void);

#endif /* _TRACE_H */
