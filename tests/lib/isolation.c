// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <sys/stat.h>

#include "contexts.h"
#include "guest.h"
#include "isolation.h"

#define CPU_FILES "/sys/devices/system/cpu/"

static bool is_listed(const char *path, int cpu)
{
	int cpus[CPUS_MAX], count = listed_cpus(path, cpus);

	for (int i = 0; i < count; i++)
		if (cpus[i] == cpu)
			return true;
	return false;
}

struct isolation isolation_of(int cpu)
{
	struct isolation isolation = {
		.isolcpus = is_listed(CPU_FILES "isolated", cpu),
		.nohz_full = !access(CPU_FILES "nohz_full", F_OK) &&
			     is_listed(CPU_FILES "nohz_full", cpu),
	};

	isolation.cpuset = !isolation.isolcpus && is_listed(CGROUPS "cpuset.cpus.isolated", cpu);
	return isolation;
}

bool is_isolated(struct isolation isolation)
{
	return isolation.isolcpus || isolation.cpuset || isolation.nohz_full;
}

void make_partition(int cpu)
{
	char number[20];

	write_file(CGROUPS "cgroup.subtree_control", "+cpuset");
	must(mkdir(PARTITION, 0755));
	snprintf(number, sizeof(number), "%d", cpu);
	write_file(PARTITION "cpuset.cpus", number);
}

void isolate(bool isolated, int cpu)
{
	write_file(PARTITION "cpuset.cpus.partition", isolated ? "isolated" : "member");
	if (isolation_of(cpu).cpuset != isolated)
		die("CPU %d is %sisolated", cpu, isolated ? "not " : "");
}

void remove_partition(void)
{
	must(rmdir(PARTITION));
	write_file(CGROUPS "cgroup.subtree_control", "-cpuset");
}
