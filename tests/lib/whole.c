// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "guest.h"
#include "rows.h"
#include "whole.h"

static int is_name(const struct dirent *entry)
{
	return *entry->d_name != '.';
}

char **file_names(void)
{
	struct dirent **entry;
	int count = must(scandir(TABLES, &entry, is_name, alphasort));
	char **names = calloc(count + 1, sizeof(*names));

	if (!count || !names)
		die("no files in " TABLES);
	for (int i = 0; i < count; i++) {
		names[i] = strdup(entry[i]->d_name);
		free(entry[i]);
	}
	free(entry);
	return names;
}

static const char *whole_current(const char *text)
{
	static const char * const keys[] = {
		"comm", "pid", "tgid", "ppid", "uid", "euid", "state", "kind", "mm", "cpu",
		"in_task", "preempt_count", "task_struct", "task_struct_size", "stack_start",
		"stack_size", "stack_used",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t length = strlen(keys[i]);

		if (strncmp(text, keys[i], length) || strncmp(text + length, ": ", 2))
			return keys[i];
		text += strcspn(text, "\n");
		if (!*text++)
			return "no newline at its end";
	}
	return *text ? "text after the last key" : NULL;
}

static const char *whole_list(const char *text)
{
	while (*text) {
		size_t digits = strspn(text, "0123456789");

		if (!digits || text[digits] != '\n')
			return "a line that is not a PID";
		text += digits + 1;
	}
	return NULL;
}

static int compare(const void *one, const void *other)
{
	return *(const pid_t *)one - *(const pid_t *)other;
}

/* The thread of that row has lost its user space, so the summary does not count it. */
static bool without_mm(const char *name, const struct rows *table, size_t row)
{
	if (!strcmp(name, "ustacks"))
		return !strcmp(rows_value(table, row, "VALID"), "no-mm");
	return !strcmp(name, "uframes") &&
	       !strcmp(rows_value(table, row, "FRAME"), "end: no-mm");
}

/*
 * Whether the summary counts the threads, or processes, that have a row with this value. The table
 * omits a summary line whose count is 0.
 */
static bool counts(const struct rows *table, const char *column, const char *value,
		   const char *words)
{
	const char *line = strstr(table->summary, words);
	size_t found = 0, row = 0;

	while (row < table->rows) {
		pid_t pid = table->pid[row];
		bool has = false;

		for (; row < table->rows && table->pid[row] == pid; row++)
			has |= !strcmp(rows_value(table, row, column), value);
		found += has;
	}
	if (!line)
		return !found;
	while (*line != '#')
		line--;
	return found && strtoul(line + 2, NULL, 10) == found;
}

/* Rows of the tables about user space say why they lack something, and the summary how often. */
static const char *whole_reasons(const char *name, const struct rows *table)
{
	bool frames = !strcmp(name, "uframes");

	if (!frames && strcmp(name, "ustacks") && strcmp(name, "segments"))
		return NULL;
	if (!counts(table, frames ? "FRAME" : "VALID", frames ? "end: locked" : "locked",
		    " cut short"))
		return "the summary has another number of what is cut short";
	if (!frames && !counts(table, "VALID", "pieces", " in more than "))
		return "the summary has another number of what is in pieces";
	return NULL;
}

/* The rows of a thread are consecutive, so each run of equal PIDs must be another thread. */
static const char *whole_blocks(const char *name, const struct rows *table, bool may_lack)
{
	pid_t *block = malloc((table->rows + 1) * sizeof(*block));
	size_t blocks = 0, left_out = 0, said = strtoul(table->summary + 2, NULL, 10);
	const char *problem = NULL;

	for (size_t row = 0; row < table->rows; row++)
		if (!row || table->pid[row] != table->pid[row - 1]) {
			block[blocks++] = table->pid[row];
			left_out += without_mm(name, table, row);
		}
	qsort(block, blocks, sizeof(*block), compare);
	for (size_t i = 1; i < blocks; i++)
		if (block[i] == block[i - 1])
			problem = "a thread is there twice";
	blocks -= left_out;
	if (may_lack ? blocks > said : blocks != said)
		problem = "the summary has another number of rows";
	free(block);
	return problem;
}

const char *whole(const char *name, const char *text, size_t size)
{
	static char problem[sizeof(((struct rows *)0)->problem)];
	struct rows *table;
	const char *wrong = problem;

	if (strlen(text) != size)
		return "a byte 0";
	if (!strcmp(name, "current"))
		return whole_current(text);
	if (!strcmp(name, "set_pid"))
		return whole_list(text);
	table = rows_parse(memcpy(malloc(size + 1), text, size + 1), size);
	snprintf(problem, sizeof(problem), "%s", table->problem);
	if (!*problem && !table->rows)
		wrong = "no rows";
	else if (!*problem && !strcmp(name, "cpus"))
		wrong = cpus_whole(table) ? NULL : "the rows of a CPU do not fit together";
	else if (!*problem && !strcmp(name, "contexts"))
		wrong = table->rows == strtoul(table->summary + 2, NULL, 10) ?
			NULL : "the summary has another number of rows";
	else if (!*problem)
		/* A process of which no segment is known has no rows. */
		wrong = whole_blocks(name, table, !strcmp(name, "segments")) ?:
			whole_reasons(name, table);
	rows_free(table);
	return wrong;
}
