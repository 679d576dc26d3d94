// SPDX-License-Identifier: GPL-2.0
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "table.h"

enum { TGID, PID, PPID, UID, EUID, S, KIND, MM, NTHR, TASK, STACK, NOTE, COMM, COLUMNS };

static const char * const column_names[COLUMNS] = {
	"TGID", "PID", "PPID", "UID", "EUID", "S", "KIND", "MM", "NTHR",
	"TASK", "STACK", "NOTE", "COMM",
};

/* Columns may be added to the interface; so many at most. */
#define MOST_COLUMNS 32

static __printf(2, 3) bool
wrong(struct task_table *table, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(table->problem, sizeof(table->problem), format, arguments);
	va_end(arguments);
	return false;
}

static bool number(const char *text, unsigned int *value)
{
	unsigned long sum = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9' && sum <= UINT32_MAX; at++)
		sum = sum * 10 + *at - '0';
	*value = sum;
	/* Neither empty, nor too large, nor with zeros in front. */
	return !*at && at != text && sum <= UINT32_MAX && (*text != '0' || at == text + 1);
}

static bool pointer(const char *text)
{
	return strspn(text, "0123456789abcdef") == 16 && !text[16];
}

static bool one_of(const char *text, const char * const *words, const char **word)
{
	for (; *words; words++) {
		if (!strcmp(text, *words)) {
			*word = *words;
			return true;
		}
	}
	return false;
}

/* Cuts a line at its spaces into count strings, the last of which is the rest. */
static int cut(char *line, char **value, int count)
{
	int found = 0;

	for (;;) {
		while (*line == ' ')
			line++;
		if (!*line)
			return found;
		value[found++] = line;
		if (found == count)
			return found;
		line += strcspn(line, " ");
		if (!*line)
			return found;
		*line++ = 0;
	}
}

static bool take_row(struct task_table *table, struct task_row *row, char **value, const int *at)
{
	static const char * const kinds[] = { "user", "kernel", "worker", "idle", NULL };
	static const char * const mms[] = { "set", "NULL", NULL };
	static const char * const notes[] = { "-", "exiting", "borrowed-mm", "pre-exec", NULL };
	unsigned int n[COLUMNS];
	static const int numbers[] = { TGID, PID, PPID, UID, EUID, NTHR };

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!number(value[at[numbers[i]]], &n[numbers[i]]))
			return wrong(table, "%s is no number: %s", column_names[numbers[i]],
				     value[at[numbers[i]]]);
	*row = (struct task_row) {
		.tgid = n[TGID], .pid = n[PID], .ppid = n[PPID], .uid = n[UID], .euid = n[EUID],
		.threads = n[NTHR], .state = *value[at[S]],
		.task = value[at[TASK]], .stack = value[at[STACK]], .comm = value[at[COMM]],
	};
	if (!strchr("RSDTtXZPI", row->state) || value[at[S]][1])
		return wrong(table, "%d: S is no state: %s", row->pid, value[at[S]]);
	if (!one_of(value[at[KIND]], kinds, &row->kind))
		return wrong(table, "%d: KIND is %s", row->pid, value[at[KIND]]);
	if (!one_of(value[at[MM]], mms, &row->mm))
		return wrong(table, "%d: MM is %s", row->pid, value[at[MM]]);
	if (!one_of(value[at[NOTE]], notes, &row->note))
		return wrong(table, "%d: NOTE is %s", row->pid, value[at[NOTE]]);
	if (!pointer(row->task))
		return wrong(table, "%d: TASK is no address: %s", row->pid, row->task);
	if (!pointer(row->stack) && strcmp(row->stack, "-"))
		return wrong(table, "%d: STACK is no address: %s", row->pid, row->stack);
	return true;
}

static bool parse(struct task_table *table)
{
	char *line = table->cut, *end, *value[MOST_COLUMNS];
	int at[COLUMNS], columns = 0;
	size_t room = 0;

	for (const char *c = table->text; c < table->text + table->size; c++)
		if (*c != '\n' && (*c < ' ' || *c > '~'))
			return wrong(table, "byte %#x at %td of %zu, after '%.*s'",
				     (unsigned char)*c, c - table->text, table->size,
				     c - table->text < 100 ? 0 : 100, c - 100);
	if (!table->size || table->text[table->size - 1] != '\n')
		return wrong(table, "does not end with a newline");

	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		*end = 0;
		if (!columns) {
			columns = cut(line, value, MOST_COLUMNS);
			for (int i = 0; i < COLUMNS; i++) {
				for (at[i] = 0; at[i] < columns; at[i]++)
					if (!strcmp(value[at[i]], column_names[i]))
						break;
				if (at[i] == columns)
					return wrong(table, "has no column %s", column_names[i]);
			}
			if (at[COMM] != columns - 1)
				return wrong(table, "COMM is not the last column");
		} else if (*line == '#') {
			table->summaries++;
		} else {
			if (table->summaries)
				return wrong(table, "a row after the summary: %.100s", line);
			if (table->rows == room) {
				room = room ? 2 * room : 256;
				table->row = realloc(table->row, room * sizeof(*table->row));
				if (!table->row)
					die("no memory");
			}
			if (end[-1] == ' ')
				return wrong(table, "a space at the end of %.100s", line);
			if (cut(line, value, columns) < columns)
				return wrong(table, "row %zu is short, from %.100s", table->rows,
					     line);
			if (!take_row(table, &table->row[table->rows], value, at))
				return false;
			table->rows++;
		}
	}
	if (!columns || !table->summaries)
		return wrong(table, "no %s", columns ? "summary" : "header");
	return true;
}

struct task_table *table_parse(char *text, size_t size)
{
	struct task_table *table = calloc(1, sizeof(*table));

	table->text = text;
	table->size = size;
	table->cut = malloc(size + 1);
	memcpy(table->cut, text, size);
	table->cut[size] = 0;
	parse(table);
	return table;
}

struct task_table *table_try_read(const char *name)
{
	char path[100], *text;
	size_t size;

	snprintf(path, sizeof(path), TABLES "%s", name);
	text = slurp(path, &size);
	return table_parse(text, size);
}

struct task_table *table_read(const char *name)
{
	struct task_table *table = table_try_read(name);

	errno = 0;
	if (*table->problem)
		die("%s: %s", name, table->problem);
	return table;
}

void table_free(struct task_table *table)
{
	free(table->text);
	free(table->cut);
	free(table->row);
	free(table);
}

const struct task_row *table_find(const struct task_table *table, pid_t pid)
{
	for (size_t i = 0; i < table->rows; i++)
		if (table->row[i].pid == pid)
			return &table->row[i];
	return NULL;
}

pid_t table_twice(const struct task_table *table)
{
	/* A PID is below 2^22, whatever pid_max is. */
	static unsigned char seen[(1 << 22) / 8];
	pid_t twice = 0;
	size_t i;

	for (i = 0; i < table->rows && !twice; i++) {
		pid_t pid = table->row[i].pid;

		if (pid >= 1 << 22 || seen[pid / 8] & 1 << pid % 8)
			twice = pid;
		else
			seen[pid / 8] |= 1 << pid % 8;
	}
	while (i--)
		if (table->row[i].pid < 1 << 22)
			seen[table->row[i].pid / 8] = 0;
	return twice;
}

void escape_comm(const char *comm, size_t length, bool kernel_thread, char *escaped)
{
	if (kernel_thread)
		*escaped++ = '[';
	/* An empty name is the byte that ends it. */
	if (!length)
		length = 1;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = comm[i];
		bool edge = i == 0 || i == length - 1;

		if (c < ' ' || c > '~' || c == '\\' || (c == ' ' && edge))
			escaped += sprintf(escaped, "\\%03o", c);
		else
			*escaped++ = c;
	}
	if (kernel_thread)
		*escaped++ = ']';
	*escaped = 0;
}
