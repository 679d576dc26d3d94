/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that runs on a CPU all the time, and tables that were read while it ran.
 */
#ifndef _SPINNER_H
#define _SPINNER_H

#include <sys/types.h>

#include "rows.h"

/* Starts it on the last CPU. end_child() ends it. */
pid_t start_spinner(void);

/* Opens and reads a table; the spinner ran and was not switched out meanwhile. */
struct rows *read_beside_spinner(pid_t spinner, const char *table);
/* The same; *switches is how often the spinner had been switched away from, by /proc. */
struct rows *read_beside_counted(pid_t spinner, const char *table, unsigned long *switches);

#endif /* _SPINNER_H */
