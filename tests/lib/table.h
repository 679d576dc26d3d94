/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tables `threads` and `processes`, with their values as C types.
 */
#ifndef _TABLE_H
#define _TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "rows.h"

/* A row. The strings are in the table's text. */
struct task_row {
	pid_t tgid, pid, ppid;
	unsigned int uid, euid;
	char state;
	const char *kind, *mm;
	int threads;
	unsigned int cpu;
	unsigned long switches, start;	/* start: in nanoseconds */
	const char *task, *stack;	/* as written: 16 digits, or "-" for a stack */
	const char *note, *comm;
};

struct task_table {
	struct rows *parsed;
	char *text;		/* as it was read */
	size_t size;
	struct task_row *row;
	size_t rows;
	size_t summaries;
	char problem[200];	/* what is wrong with the text; empty if nothing is */
};

/*
 * Parses a text and owns it from then on. It stops at the first value that breaks the rules
 * of the interface, and describes it in problem.
 */
struct task_table *table_parse(char *text, size_t size);
/* Reads and parses a file below TABLES; dies if that fails or finds a problem. */
struct task_table *table_read(const char *name);
/* The same, but the caller checks for a problem. */
struct task_table *table_try_read(const char *name);
void table_free(struct task_table *table);

/* The first row of a thread, or NULL. */
const struct task_row *table_find(const struct task_table *table, pid_t pid);
/* A PID that is in the table twice, which no snapshot may have; or 0. */
pid_t table_twice(const struct task_table *table);

/*
 * Writes a name as COMM must have it, by the rules of the interface alone. The result has at
 * most four bytes for each byte of the name, and two brackets.
 */
void escape_comm(const char *comm, size_t length, bool kernel_thread, char *escaped);

#endif /* _TABLE_H */
