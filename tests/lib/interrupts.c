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

/* Whether a line has such a label, or one of letters if number is -1, and ends with the words. */
static bool is_line(const char *line, long number, const char *words)
{
	const char *end = line + strcspn(line, "\n"), *colon = strchr(line, ':');
	size_t length = strlen(words);
	char *at;
	long label = strtol(line, &at, 10);

	if (!colon || end - colon < (long)length + 2)
		return false;
	if (number < 0 ? at == colon : at != colon || label != number)
		return false;
	return !strncmp(end - length, words, length) && end[-length - 1] == ' ';
}

/* The count of a CPU in that line. */
static long count_in(const struct interrupts *interrupts, long number, const char *words, int cpu)
{
	int place = place_of(interrupts->text, cpu);
	long count = -1;
	char *at;

	for (const char *line = strchr(interrupts->text, '\n'); line; line = strchr(line, '\n')) {
		if (!is_line(++line, number, words))
			continue;
		at = (char *)strchr(line, ':') + 1;
		for (; place >= 0; place--)
			count = strtol(at, &at, 10);
		break;
	}
	return count;
}

long interrupts_of(const struct interrupts *interrupts, const char *source, int cpu)
{
	const char *name = strchr(source, ':');

	return name ? count_in(interrupts, strtol(source, NULL, 10), name + 1, cpu) : -1;
}

long interrupts_named(const struct interrupts *interrupts, const char *words, int cpu)
{
	return count_in(interrupts, -1, words, cpu);
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
