/* SPDX-License-Identifier: GPL-2.0 */
/* The table `cpus`, and the module that keeps a CPU busy. */
#ifndef _CPUS_H
#define _CPUS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "rows.h"

/* The most frames that are shown of a CPU. */
#define MOST_FRAMES 64

/* The first row of a CPU, and how many it has. */
struct cpu_rows {
	size_t first, count;
};

struct cpu_rows cpus_rows(const struct rows *table, int cpu);
/* The value of the first row of a CPU; "none" if it has no row. */
const char *cpus_value(const struct rows *table, int cpu, const char *column);
/* Whether some frame of the CPU begins with the text. */
bool cpus_frame(const struct rows *table, int cpu, const char *begin);
/* How many summary lines contain the words. */
size_t cpus_said(const struct rows *table, const char *words);
/*
 * Whether all that is true of every table: the CPUs ascend, DEPTH counts from 0, all rows of a CPU
 * have the same thread and context, the summary counts the CPUs, and says a time only of two
 * samples or more. Only a stack with the most frames is truncated. Prints what is wrong.
 */
bool cpus_whole(const struct rows *table);

/*
 * For how many seconds a CPU spins at most. The kernel reports a soft lockup after 20 seconds and
 * an RCU stall after 21, and the guest panics then. If the module waits for the CPU by mistake, the
 * wait is to end before, so that the test can print its result.
 */
#define SPIN_LIMIT 15
/*
 * Loads spin.ko for a CPU. Its thread does not spin before start_spin(), and then for `limit`
 * seconds at most. `how` is one of the module's other parameters: "how=..." or "levels=...".
 * Returns the PID of the thread.
 */
pid_t load_spin(int cpu, int limit, const char *how);
/* Begins to spin, and waits until it spins. */
void start_spin(void);
/* Ends it, and waits for that. */
void stop_spin(void);
/* Unloads the module. */
void unload_spin(void);
/*
 * Calls body() in a child that never runs on another CPU than the first, while `cpu` has its
 * interrupts disabled. Returns what body() does. (A process that has run on that CPU may have to
 * wait for it: a change of its address space sends an interrupt there.)
 */
int beside_disabled_interrupts(int cpu, int (*body)(void));

#endif /* _CPUS_H */
