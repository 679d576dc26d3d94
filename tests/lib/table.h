/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A table of taskscope, taken apart by its header as the interface promises that
 * one may: columns by name, the last one to the end of the line, summary lines
 * last.
 */
#ifndef _TABLE_H
#define _TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A row of `processes` or `threads`. The strings lie in the table's text. */
struct task_row {
	pid_t tgid, pid, ppid;
	unsigned int uid, euid;
	char state;
	const char *kind, *mm;
	int threads;
	const char *task, *stack;	/* as written: 16 digits, or "-" for a stack */
	const char *note, *comm;
};

struct task_table {
	char *text;		/* as it was read */
	size_t size;
	char *cut;		/* the same, cut into strings */
	struct task_row *row;
	size_t rows;
	size_t summaries;
	char problem[200];	/* what is wrong with it; empty if nothing is */
};

/*
 * Takes text apart, which it owns from then on. It stops at the first thing that
 * is not as the interface has it, and says in problem what.
 */
struct task_table *table_parse(char *text, size_t size);
/* From a file below TABLES; dies if that cannot be read, or is wrong. */
struct task_table *table_read(const char *name);
/* The same, and leaves it to the caller to look at the problem. */
struct task_table *table_try_read(const char *name);
void table_free(struct task_table *table);

/* The first row of a thread, or NULL. */
const struct task_row *table_find(const struct task_table *table, pid_t pid);
/* What no snapshot may have: a PID twice. Returns it, or 0. */
pid_t table_twice(const struct task_table *table);

/*
 * A name as COMM must have it, by the rules of the interface alone. The result
 * takes at most four bytes for one, and two brackets.
 */
void escape_comm(const char *comm, size_t length, bool kernel_thread, char *escaped);

#endif /* _TABLE_H */
