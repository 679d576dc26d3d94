// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "interrupts.h"

struct interrupts {
	char *text;
};

struct interrupts *interrupts_read(void)
{
	struct interrupts *interrupts = calloc(1, sizeof(*interrupts));

	if (!interrupts)
		die("no memory");
	interrupts->text = slurp("/proc/interrupts", NULL);
	return interrupts;
}

void interrupts_free(struct interrupts *interrupts)
{
	free(interrupts->text);
	free(interrupts);
}

/* The place of a CPU in a line, by the header: "CPU0 CPU2". */
static int place_of(const char *text, int cpu)
{
	int place = 0;

	for (const char *at = text + strspn(text, " "); *at == 'C'; place++) {
		if (atoi(at + strlen("CPU")) == cpu)
			return place;
		at += strcspn(at, "\n ");
		at += strspn(at, " ");
	}
	return -1;
}

/* A line: its number, -1 if it has none, and whether it ends with the name. */
static long number_of(const char *line, const char *name, const char **counts)
{
	const char *end = line + strcspn(line, "\n");
	size_t length = strlen(name);
	char *at;
	long number = strtol(line, &at, 10);

	/* Other lines begin with letters. */
	if (at == line || *at != ':' || end - line < (long)length + 2)
		return -1;
	*counts = at + 1;
	return strncmp(end - length, name, length) || end[-length - 1] != ' ' ? -1 : number;
}

static long count_of(const char *counts, int place)
{
	char *at = (char *)counts;
	long count = 0;

	for (; place >= 0; place--)
		count = strtol(at, &at, 10);
	return count;
}

long interrupts_of(const struct interrupts *interrupts, const char *source, int cpu)
{
	int place = place_of(interrupts->text, cpu);
	const char *name = strchr(source, ':'), *counts = NULL;
	long number = strtol(source, NULL, 10);

	if (place < 0 || !name)
		return -1;
	for (const char *line = strchr(interrupts->text, '\n'); line; line = strchr(line, '\n'))
		if (number_of(++line, name + 1, &counts) == number)
			return count_of(counts, place);
	return -1;
}

#define PARAMETERS "/sys/module/raise_irq/parameters/"

long raise_irq_value(const char *parameter)
{
	return parameter_value("raise_irq", parameter);
}

void raise_irq(int cpu, int place, int times)
{
	char order[40];

	snprintf(order, sizeof(order), "%d %d", cpu, place);
	for (int i = 0; i < times; i++)
		write_file(PARAMETERS "raise", order);
}
