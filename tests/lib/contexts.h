/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table `contexts`, taken apart by its header.
 */
#ifndef _CONTEXTS_H
#define _CONTEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CPUS_MAX 64
#define ROWS_MAX (11 * CPUS_MAX)

/* A row. The strings lie in the table's text. */
struct context_row {
	const char *context, *in_task, *softirq, *hardirq, *nmi, *irqs, *preempt_count;
	const char *cpu, *stack, *sp, *pid, *tgid, *mm, *comm;
	bool seen;		/* or it has "-" in every column but the first */
	bool left_alone;	/* and CPU, the number of a processor that was not asked */
};

struct contexts {
	char *text;
	struct context_row row[ROWS_MAX];
	size_t rows;
	const char *summary[ROWS_MAX];
	size_t summaries;
	const char *problem;	/* what is wrong with it, or NULL */
};

/* Takes text apart, which it owns from then on. */
struct contexts *contexts_parse(char *text);
/* Opens and reads the file; NULL and errno if that cannot be opened. */
struct contexts *contexts_try_read(void);
/* The same, and dies if that cannot be, or is wrong. */
struct contexts *contexts_read(void);
void contexts_free(struct contexts *contexts);

/*
 * The row of a context on a processor, seen or left alone, or its first one (cpu -1);
 * NULL if there is none.
 */
const struct context_row *contexts_find(const struct contexts *contexts, const char *context,
					int cpu);
/* How many summary lines contain the words. */
size_t contexts_said(const struct contexts *contexts, const char *words);

/* The processors of a list that the kernel prints ("0-2,5"), in order; returns how many. */
int listed_cpus(const char *path, int cpus[CPUS_MAX]);
/* The processors that are online, in order, as /sys has them; returns how many. */
int online_cpus(int cpus[CPUS_MAX]);
/* Takes a processor off, or puts it back. */
void set_online(int cpu, bool online);

#endif /* _CONTEXTS_H */
