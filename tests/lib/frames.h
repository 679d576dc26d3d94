/* SPDX-License-Identifier: GPL-2.0 */
/* The frames of a thread in the table `uframes`. */
#ifndef _FRAMES_H
#define _FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "rows.h"

/* FRAME of an address, from /proc/PID/maps. */
void proc_frame(pid_t pid, unsigned long address, char *frame, size_t size);
/*
 * Whether the thread has these frames, the innermost first, and then "end: " and the reason;
 * prints what differs.
 */
bool frames_are(const struct rows *table, pid_t tgid, pid_t pid, const unsigned long *address,
		size_t count, const char *reason);

#endif /* _FRAMES_H */
