// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest.h"
#include "table.h"

enum {
	TGID, PID, PPID, UID, EUID, S, KIND, MM, NTHR, CPU, SWITCHES, START, TASK, STACK, NOTE,
	COMM, COLUMNS
};

static const char * const column_names[COLUMNS] = {
	"TGID", "PID", "PPID", "UID", "EUID", "S", "KIND", "MM", "NTHR",
	"CPU", "SWITCHES", "START", "TASK", "STACK", "NOTE", "COMM",
};

static __printf(2, 3) bool
wrong(struct task_table *table, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(table->problem, sizeof(table->problem), format, arguments);
	va_end(arguments);
	return false;
}

static bool number(const char *text, unsigned long most, unsigned long *value)
{
	unsigned long sum = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9' && sum <= most; at++)
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, *at - '0', &sum))
			return false;
	*value = sum;
	/* At least one digit, not too large, and no leading zero. */
	return !*at && at != text && sum <= most && (*text != '0' || at == text + 1);
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

static bool take_row(struct task_table *table, struct task_row *row, char **value, const int *at)
{
	static const char * const kinds[] = { "user", "kernel", "worker", "idle", NULL };
	static const char * const mms[] = { "set", "NULL", NULL };
	static const char * const notes[] = { "-", "exiting", "borrowed-mm", "pre-exec", NULL };
	unsigned long n[COLUMNS];
	static const int numbers[] = {
		TGID, PID, PPID, UID, EUID, NTHR, CPU, SWITCHES, START,
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		int column = numbers[i];
		bool is_long = column == SWITCHES || column == START;

		if (!number(value[at[column]], is_long ? ULONG_MAX : UINT32_MAX, &n[column]))
			return wrong(table, "%s is not a number: %s", column_names[column],
				     value[at[column]]);
	}
	*row = (struct task_row) {
		.tgid = n[TGID], .pid = n[PID], .ppid = n[PPID], .uid = n[UID], .euid = n[EUID],
		.threads = n[NTHR], .cpu = n[CPU], .switches = n[SWITCHES], .start = n[START],
		.state = *value[at[S]],
		.task = value[at[TASK]], .stack = value[at[STACK]], .comm = value[at[COMM]],
	};
	if (!strchr("RSDTtXZPI", row->state) || value[at[S]][1])
		return wrong(table, "%d: S is not a state: %s", row->pid, value[at[S]]);
	if (!one_of(value[at[KIND]], kinds, &row->kind))
		return wrong(table, "%d: KIND is %s", row->pid, value[at[KIND]]);
	if (!one_of(value[at[MM]], mms, &row->mm))
		return wrong(table, "%d: MM is %s", row->pid, value[at[MM]]);
	if (!one_of(value[at[NOTE]], notes, &row->note))
		return wrong(table, "%d: NOTE is %s", row->pid, value[at[NOTE]]);
	if (!is_address(row->task))
		return wrong(table, "%d: TASK is not an address: %s", row->pid, row->task);
	if (!is_address(row->stack) && strcmp(row->stack, "-"))
		return wrong(table, "%d: STACK is not an address: %s", row->pid, row->stack);
	return true;
}

static bool find_columns(struct task_table *table, int *at)
{
	const struct rows *rows = table->parsed;

	for (int i = 0; i < COLUMNS; i++) {
		for (at[i] = 0; at[i] < rows->columns; at[i]++)
			if (!strcmp(rows->name[at[i]], column_names[i]))
				break;
		if (at[i] == rows->columns)
			return wrong(table, "has no column %s", column_names[i]);
	}
	if (at[COMM] != rows->columns - 1)
		return wrong(table, "COMM is not the last column");
	return true;
}

static void take_rows(struct task_table *table)
{
	const struct rows *rows = table->parsed;
	int at[COLUMNS];

	if (!find_columns(table, at))
		return;
	table->row = calloc(rows->rows + 1, sizeof(*table->row));
	if (!table->row)
		die("no memory");
	while (table->rows < rows->rows &&
	       take_row(table, &table->row[table->rows], rows->value[table->rows], at))
		table->rows++;
}

struct task_table *table_parse(char *text, size_t size)
{
	struct task_table *table = calloc(1, sizeof(*table));

	table->parsed = rows_parse(text, size);
	table->text = table->parsed->text;
	table->size = size;
	table->summaries = table->parsed->summaries;
	if (*table->parsed->problem)
		wrong(table, "%s", table->parsed->problem);
	else
		take_rows(table);
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
	rows_free(table->parsed);
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
	/* pid_max is at most 2^22. */
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
	/* An empty name is shown as its terminating byte. */
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
