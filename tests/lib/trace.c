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
	snprintf(path, sizeof(path), INSTANCE "events/%s/enable", event);
	write_file(path, "1");
}

char *trace_text(void)
{
	char *text = slurp(INSTANCE "trace", NULL);

	if (strstr(text, "LOST"))
		die("the tracer has lost events");
	return text;
}

long traced(const char *word, const char *other)
{
	char *text = trace_text(), *rest;
	long count = 0;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		count += *line != '#' && strstr(line, word) && strstr(line, other);
	free(text);
	return count;
}

void trace_end(void)
{
	must(rmdir(INSTANCE));
}
