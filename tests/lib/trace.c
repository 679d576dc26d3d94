// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "guest.h"
#include "trace.h"

#define TRACING "/sys/kernel/tracing"
#define INSTANCE TRACING "/instances/taskscope/"

void trace_also(const char *event)
{
	char path[150];

	snprintf(path, sizeof(path), INSTANCE "events/%s/enable", event);
	write_file(path, "1");
}

void trace_begin(const char *event, const char *filter)
{
	char path[150];

	if (access(TRACING "/instances", F_OK))
		must(mount("tracefs", TRACING, "tracefs", 0, NULL));
	must(mkdir(INSTANCE, 0755));
	write_file(INSTANCE "trace_clock", "mono");
	write_file(INSTANCE "buffer_size_kb", "1024");
	if (filter) {
		snprintf(path, sizeof(path), INSTANCE "events/%s/filter", event);
		write_file(path, filter);
	}
	trace_also(event);
}

char *trace_text(int cpu)
{
	char path[80] = INSTANCE "trace", *text;

	if (cpu != ALL_CPUS)
		snprintf(path, sizeof(path), INSTANCE "per_cpu/cpu%d/trace", cpu);
	text = slurp(path, NULL);
	if (strstr(text, "LOST"))
		die("the tracer has lost events");
	return text;
}

long traced(int cpu, const char *word)
{
	char *text = trace_text(cpu), *rest;
	long count = 0;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		count += *line != '#' && strstr(line, word);
	free(text);
	return count;
}

void trace_end(void)
{
	must(rmdir(INSTANCE));
}
