/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of taskscope with one row or several for each thread or process. Columns are found
 * by name; the parser relies on nothing but the rules that the interface has for every table.
 */
#ifndef _ROWS_H
#define _ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Columns may be added to the interface. No table has more than this. */
#define MOST_COLUMNS 32

struct rows {
	char *text;		/* as it was read */
	size_t size;
	char *cut;		/* the same, cut into strings */
	int columns;
	char *name[MOST_COLUMNS];
	char *(*value)[MOST_COLUMNS];
	pid_t *pid;		/* of each row */
	size_t rows;
	char *summary;		/* the first summary line and all after it, in text */
	size_t summaries;	/* how many lines these are */
	char problem[200];	/* what is wrong with the text; empty if nothing is */
};

/* Parses a text, owns it from then on, and stops at the first problem. */
struct rows *rows_parse(char *text, size_t size);
/* Reads and parses a file below TABLES; dies if that fails or finds a problem. */
struct rows *rows_read(const char *name);
/* The same for an open file. */
struct rows *rows_read_descriptor(int descriptor, const char *name);
void rows_free(struct rows *table);

/* The value of a row in a column; dies if there is no such column. */
const char *rows_value(const struct rows *table, size_t row, const char *column);
/* The value as a number, in decimal, octal or hexadecimal notation; -1 if it is none. */
long rows_number(const struct rows *table, size_t row, const char *column);
/* The index of the first row of a thread; table->rows if it has none. */
size_t rows_find(const struct rows *table, pid_t pid);
/* Whether there is such a row, with this value in a column. If not, prints what is wrong. */
bool row_has(const struct rows *table, size_t row, const char *column, const char *value);
/* The same for the first row of a thread. */
bool thread_has(const struct rows *table, pid_t pid, const char *column, const char *value);

/* Whether the text is 16 hexadecimal digits. */
bool is_address(const char *text);

#endif /* _ROWS_H */
