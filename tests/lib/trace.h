/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's tracer as a witness: one event at a time, in an instance of its own. */
#ifndef _TRACE_H
#define _TRACE_H

/*
 * Begins to record an event ("timer/hrtimer_start") on all CPUs, where the filter holds; without
 * one, always. The kernel changes its code for that, and waits for CPUs with disabled interrupts.
 */
void trace_begin(const char *event, const char *filter);
/* The text of what was recorded so far, a line for each event. The times are CLOCK_MONOTONIC. */
char *trace_text(void);
/* How many of these lines contain both words. */
long traced(const char *word, const char *other);
/* Ends it, and forgets what was recorded. */
void trace_end(void);

#endif /* _TRACE_H */
