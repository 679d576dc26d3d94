/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table `contexts`, parsed by its header.
 */
#ifndef _CONTEXTS_H
#define _CONTEXTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CPUS_MAX 64
#define ROWS_MAX (13 * CPUS_MAX)

/* A row. The strings are in the table's text. */
struct context_row {
	const char *context, *in_task, *softirq, *hardirq, *nmi, *irqs, *preempt_count;
	const char *cpu, *stack, *sp, *pid, *tgid, *mm, *source, *comm;
	/* Else the row has "-" in every column but the first. SOURCE may be "-" in any row. */
	bool seen;
	bool left_alone;	/* "-" everywhere but in CPU: there was no probe */
};

struct contexts {
	char *text;
	struct context_row row[ROWS_MAX];
	size_t rows;
	const char *summary[ROWS_MAX];
	size_t summaries;
	const char *problem;	/* what is wrong with the text, or NULL */
};

/* Parses a text, and owns it from then on. */
struct contexts *contexts_parse(char *text);
/* Opens, reads and parses the file; NULL and errno if it cannot be opened. */
struct contexts *contexts_try_read(void);
/* The same; dies if the file cannot be read or is wrong. */
struct contexts *contexts_read(void);
void contexts_free(struct contexts *contexts);

/*
 * The row of a context on a CPU, seen or left alone, or the first row of that context
 * if cpu is -1; NULL if there is none.
 */
const struct context_row *contexts_find(const struct contexts *contexts, const char *context,
					int cpu);
/* The number of summary lines that contain the words. */
size_t contexts_said(const struct contexts *contexts, const char *words);
/* The number of rows without an observation, of contexts that should happen in each open. */
size_t contexts_unanswered(const struct contexts *contexts);

/* Parses a list of CPUs in a file ("0-2,5"), in order; returns their number. */
int listed_cpus(const char *path, int cpus[CPUS_MAX]);
/* The CPUs that are online, in order, from /sys; returns their number. */
int online_cpus(int cpus[CPUS_MAX]);
/* Takes a CPU offline or online. */
void set_online(int cpu, bool online);

/* Whether the kernel is built with PREEMPT_RT. */
bool is_preempt_rt(void);

#endif /* _CONTEXTS_H */
