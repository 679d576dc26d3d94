/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The rows of a process in the table `segments`, and the same facts from /proc.
 */
#ifndef _SEGMENTS_H
#define _SEGMENTS_H

#include <stdbool.h>

#include "range.h"
#include "rows.h"
#include "stand.h"

#define SEGMENTS 9
/* In the order of the table. */
extern const char *const segment_names[SEGMENTS];

/* Dies if the process has no such row. */
size_t segment_row(const struct rows *table, pid_t pid, const char *segment);
/* 0 for "-" */
unsigned long segment_start(const struct rows *table, pid_t pid, const char *segment);
unsigned long segment_end(const struct rows *table, pid_t pid, const char *segment);
/* Whether the row has START, END, the SIZE of that, and VALID ok; prints what differs. */
bool segment_is(const struct rows *table, pid_t pid, const char *segment, unsigned long start,
		unsigned long end);
/* '-' in all three */
bool segment_is_nothing(const struct rows *table, pid_t pid, const char *segment);

/*
 * The program of a process as the kernel has loaded it, in whole pages, from the program
 * headers in the memory of the process. Low and high are 0 if the process has exited.
 */
struct range proc_image(pid_t pid);
/*
 * The span of all mappings, except the image, those within the ranges `beyond`, and those with
 * a name in brackets: [heap], [stack] and the kernel's own mappings. A mapping named
 * [anon:NAME] belongs to the program and counts. Low and high are 0 if there is none.
 */
struct range span_of_mappings(const struct mapping *mapping, size_t count,
			      const struct range *image, const struct range *beyond,
			      size_t ranges);

#endif /* _SEGMENTS_H */
