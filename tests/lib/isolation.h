/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Isolated CPUs: which are, by the kernel's files, and a cpuset partition that isolates one.
 */
#ifndef _ISOLATION_H
#define _ISOLATION_H

#include <stdbool.h>

#define CGROUPS "/sys/fs/cgroup/"
#define PARTITION CGROUPS "isolated/"

/* Why a CPU is isolated. */
struct isolation {
	bool isolcpus, cpuset, nohz_full;
};

struct isolation isolation_of(int cpu);
bool is_isolated(struct isolation isolation);

/* Makes the partition; it has the CPU, and no other, and does not isolate it yet. */
void make_partition(int cpu);
void isolate(bool isolated, int cpu);
void remove_partition(void);

#endif /* _ISOLATION_H */
