// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "rows.h"

/* Splits a line at its spaces into at most count strings, the last of which is the rest. */
static int cut(char *line, char **value, int count)
{
	int found = 0;

	for (;;) {
		line += strspn(line, " ");
		if (!*line)
			return found;
		value[found++] = line;
		if (found == count)
			return found;
		line += strcspn(line, " ");
		if (*line)
			*line++ = 0;
	}
}

/* The column with the PID of a row: the thread's, or else the process's. */
static const char *pid_column(const struct rows *table)
{
	for (int i = 0; i < table->columns; i++)
		if (!strcmp(table->name[i], "PID"))
			return "PID";
	return "TGID";
}

static void take_row(struct rows *table, char *line)
{
	static const size_t step = 256;

	if (table->rows % step == 0) {
		table->value = realloc(table->value, (table->rows + step) * sizeof(*table->value));
		table->pid = realloc(table->pid, (table->rows + step) * sizeof(*table->pid));
		if (!table->value || !table->pid)
			die("no memory");
	}
	if (line[strlen(line) - 1] == ' ' ||
	    cut(line, table->value[table->rows], table->columns) < table->columns) {
		snprintf(table->problem, sizeof(table->problem),
			 "row %zu lacks a value, or ends with a space: %.100s", table->rows, line);
		return;
	}
	table->rows++;
	table->pid[table->rows - 1] = rows_number(table, table->rows - 1, pid_column(table));
}

static void take_summary(struct rows *table, const char *line)
{
	if (!table->summaries++)
		table->summary = table->text + (line - table->cut);
}

static void parse(struct rows *table)
{
	char *line = table->cut, *end;

	for (const char *c = table->text; c < table->text + table->size; c++)
		if (*c != '\n' && (*c < ' ' || *c > '~')) {
			snprintf(table->problem, sizeof(table->problem), "byte %#x at %td",
				 (unsigned char)*c, c - table->text);
			return;
		}
	if (!table->size || table->text[table->size - 1] != '\n') {
		snprintf(table->problem, sizeof(table->problem), "no newline at its end");
		return;
	}
	for (; *line && !*table->problem; line = end + 1) {
		end = strchr(line, '\n');
		*end = 0;
		if (!table->columns)
			table->columns = cut(line, table->name, MOST_COLUMNS);
		else if (*line == '#')
			take_summary(table, line);
		else if (table->summary || !*line)
			snprintf(table->problem, sizeof(table->problem),
				 "empty line, or a row after the summary: %.100s", line);
		else
			take_row(table, line);
	}
	if (!*table->problem && !table->summary)
		snprintf(table->problem, sizeof(table->problem), "no summary");
}

struct rows *rows_parse(char *text, size_t size)
{
	struct rows *table = calloc(1, sizeof(*table));

	table->text = text;
	table->size = size;
	table->cut = malloc(size + 1);
	memcpy(table->cut, text, size);
	table->cut[size] = 0;
	parse(table);
	return table;
}

struct rows *rows_read_descriptor(int descriptor, const char *name)
{
	struct rows *table;
	size_t size;
	char *text = slurp_descriptor(descriptor, &size);

	if (!text)
		die("%s cannot be read", name);
	table = rows_parse(text, size);
	errno = 0;
	if (*table->problem)
		die("%s: %s", name, table->problem);
	return table;
}

struct rows *rows_read(const char *name)
{
	char path[100];
	struct rows *table;
	int descriptor;

	snprintf(path, sizeof(path), TABLES "%s", name);
	descriptor = must(open(path, O_RDONLY | O_CLOEXEC));
	table = rows_read_descriptor(descriptor, name);
	close(descriptor);
	return table;
}

void rows_free(struct rows *table)
{
	free(table->text);
	free(table->cut);
	free(table->value);
	free(table->pid);
	free(table);
}

const char *rows_value(const struct rows *table, size_t row, const char *column)
{
	for (int i = 0; i < table->columns; i++)
		if (!strcmp(table->name[i], column))
			return table->value[row][i];
	errno = 0;
	die("no column %s", column);
}

long rows_number(const struct rows *table, size_t row, const char *column)
{
	const char *text = rows_value(table, row, column);
	char *end;
	long number = strtol(text, &end, 0);

	return *text && !*end ? number : -1;
}

size_t rows_find(const struct rows *table, pid_t pid)
{
	size_t row = 0;

	while (row < table->rows && table->pid[row] != pid)
		row++;
	return row;
}

bool row_has(const struct rows *table, size_t row, const char *column, const char *value)
{
	if (row >= table->rows)
		ksft_print_msg("there is no row for %s %s\n", column, value);
	else if (strcmp(rows_value(table, row, column), value))
		ksft_print_msg("%d: %s is %s, and not %s\n", table->pid[row], column,
			       rows_value(table, row, column), value);
	else
		return true;
	return false;
}

bool thread_has(const struct rows *table, pid_t pid, const char *column, const char *value)
{
	size_t row = rows_find(table, pid);

	if (row < table->rows)
		return row_has(table, row, column, value);
	ksft_print_msg("%d has no row\n", pid);
	return false;
}

bool is_address(const char *text)
{
	return strspn(text, "0123456789abcdef") == 16 && !text[16];
}
