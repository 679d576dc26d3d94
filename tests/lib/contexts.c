// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "contexts.h"
#include "guest.h"

/* The columns in which a row may have "-", and where their values are stored. */
static const struct {
	const char *name;
	size_t offset;
} columns[] = {
#define COLUMN(name, member) { name, offsetof(struct context_row, member) }
	COLUMN("CONTEXT", context), COLUMN("IN_TASK", in_task), COLUMN("SOFTIRQ", softirq),
	COLUMN("HARDIRQ", hardirq), COLUMN("NMI", nmi), COLUMN("IRQS", irqs),
	COLUMN("PREEMPT_COUNT", preempt_count), COLUMN("CPU", cpu), COLUMN("STACK", stack),
	COLUMN("SP", sp), COLUMN("PID", pid), COLUMN("TGID", tgid), COLUMN("MM", mm),
	COLUMN("SOURCE", source), COLUMN("COMM", comm),
};

#define COLUMNS ARRAY_SIZE(columns)

static const char **value(struct context_row *row, size_t column)
{
	return (const char **)((char *)row + columns[column].offset);
}

/* For each column in the header, its index above, or UNKNOWN: columns may be added. */
#define UNKNOWN COLUMNS
#define COLUMNS_MAX (2 * COLUMNS)

struct order {
	size_t column[COLUMNS_MAX], count;
};

/* false if a column is missing or there twice, or if COMM is not the last one */
static bool parse_header(char *header, struct order *order)
{
	size_t found = 0, known = 0, column = UNKNOWN;
	char *rest;

	order->count = 0;
	for (char *name = strtok_r(header, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
		for (column = 0; column < COLUMNS; column++)
			if (!strcmp(columns[column].name, name))
				break;
		if (column < COLUMNS) {
			found |= 1 << column;
			known++;
		}
		if (order->count == COLUMNS_MAX)
			return false;
		order->column[order->count++] = column;
	}
	return known == COLUMNS && found == (1 << COLUMNS) - 1 && column == COLUMNS - 1;
}

static bool parse_row(char *line, const struct order *order, struct context_row *row)
{
	bool blank = true, whole = true, number = false;

	for (size_t i = 0; i < order->count; i++) {
		size_t column = order->column[i];
		char *word = line + strspn(line, " ");

		if (!*word)
			return false;
		if (i == order->count - 1) {
			line = word;
		} else {
			line = word + strcspn(word, " ");
			if (*line)
				*line++ = 0;
		}
		if (column == UNKNOWN)
			continue;
		*value(row, column) = word;
		if (!column)
			continue;
		if (strcmp(columns[column].name, "SOURCE"))
			whole &= !!strcmp(word, "-");
		if (!strcmp(columns[column].name, "CPU"))
			number = !!strcmp(word, "-");
		else
			blank &= !strcmp(word, "-");
	}
	row->seen = whole;
	row->left_alone = blank && number;
	return blank || whole;
}

struct contexts *contexts_parse(char *text)
{
	struct contexts *contexts = calloc(1, sizeof(*contexts));
	size_t length = strlen(text);
	struct order order;
	char *rest, *line;

	if (!contexts)
		die("no memory");
	contexts->text = text;
	if (!length || text[length - 1] != '\n') {
		contexts->problem = "the last line has no newline";
		return contexts;
	}
	line = strtok_r(text, "\n", &rest);
	if (!parse_header(line, &order)) {
		contexts->problem = "the header is not that of contexts";
		return contexts;
	}
	while ((line = strtok_r(NULL, "\n", &rest))) {
		if (contexts->rows == ROWS_MAX || contexts->summaries == ROWS_MAX)
			contexts->problem = "too many rows";
		else if (*line == '#')
			contexts->summary[contexts->summaries++] = line;
		else if (contexts->summaries)
			contexts->problem = "a row is after the summary";
		else if (!parse_row(line, &order, &contexts->row[contexts->rows++]))
			contexts->problem = "a row is incomplete";
	}
	if (!contexts->summaries)
		contexts->problem = "there is no summary";
	return contexts;
}

struct contexts *contexts_try_read(void)
{
	int descriptor = open(TABLES "contexts", O_RDONLY | O_CLOEXEC);
	char *text;

	if (descriptor < 0)
		return NULL;
	text = slurp_descriptor(descriptor, NULL);
	close(descriptor);
	return text ? contexts_parse(text) : NULL;
}

struct contexts *contexts_read(void)
{
	struct contexts *contexts = contexts_try_read();

	if (!contexts)
		die("contexts cannot be read");
	if (contexts->problem)
		die("contexts: %s", contexts->problem);
	return contexts;
}

void contexts_free(struct contexts *contexts)
{
	if (contexts)
		free(contexts->text);
	free(contexts);
}

const struct context_row *contexts_find(const struct contexts *contexts, const char *context,
					int cpu)
{
	for (size_t i = 0; i < contexts->rows; i++) {
		const struct context_row *row = &contexts->row[i];

		if (!strcmp(row->context, context) &&
		    (cpu < 0 || ((row->seen || row->left_alone) && atoi(row->cpu) == cpu)))
			return row;
	}
	return NULL;
}

size_t contexts_said(const struct contexts *contexts, const char *words)
{
	size_t said = 0;

	for (size_t i = 0; i < contexts->summaries; i++)
		said += !!strstr(contexts->summary[i], words);
	return said;
}

size_t contexts_unanswered(const struct contexts *contexts)
{
	bool no_ipi = contexts_said(contexts, "# ipi: ");
	size_t unanswered = 0;

	for (size_t i = 0; i < contexts->rows; i++) {
		const struct context_row *row = &contexts->row[i];

		unanswered += !row->seen && strcmp(row->context, "nmi") &&
			      strcmp(row->context, "device_irq") &&
			      (strcmp(row->context, "ipi") || !no_ipi);
	}
	return unanswered;
}

int listed_cpus(const char *path, int cpus[CPUS_MAX])
{
	char *list = slurp(path, NULL), *at = list;
	int count = 0;

	while (*at && *at != '\n') {
		int first = strtol(at, &at, 10), last = first;

		if (*at == '-')
			last = strtol(at + 1, &at, 10);
		while (first <= last && count < CPUS_MAX)
			cpus[count++] = first++;
		if (*at == ',')
			at++;
	}
	free(list);
	return count;
}

int online_cpus(int cpus[CPUS_MAX])
{
	return listed_cpus("/sys/devices/system/cpu/online", cpus);
}

void set_online(int cpu, bool online)
{
	char path[60];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	write_file(path, online ? "1" : "0");
}

bool is_preempt_rt(void)
{
	struct utsname name;

	must(uname(&name));
	return strstr(name.version, "PREEMPT_RT");
}
