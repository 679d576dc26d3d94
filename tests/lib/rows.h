/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Any table of taskscope with a row for a thread, or several: columns by name, by
 * what the interface promises of every table and by nothing else.
 */
#ifndef _ROWS_H
#define _ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A table has so many columns at most. */
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
	char *summary;		/* the summary lines, as they are in the text */
	char problem[200];	/* what is wrong with it; empty if nothing is */
};

/* Takes text apart, which it owns from then on, and stops at what is wrong. */
struct rows *rows_parse(char *text, size_t size);
/* From a file below TABLES; dies if that cannot be read, or is wrong. */
struct rows *rows_read(const char *name);
/* The same of an open file. */
struct rows *rows_read_descriptor(int descriptor, const char *name);
void rows_free(struct rows *table);

/* The value of a row in a column; dies if there is no such column. */
const char *rows_value(const struct rows *table, size_t row, const char *column);
/* The same as a number, in whatever notation; -1 if it is none. */
long rows_number(const struct rows *table, size_t row, const char *column);
/* The first row of a thread; rows if it has none. */
size_t rows_find(const struct rows *table, pid_t pid);

/* As many hexadecimal digits as an address has, and nothing else. */
bool is_address(const char *text);

#endif /* _ROWS_H */
