/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that runs on a processor and does nothing else, and a witness that it
 * has been there all the while.
 */
#ifndef _SPINNER_H
#define _SPINNER_H

#include <sys/types.h>

#include "rows.h"

/* Starts it, on the last processor. Ended by end_child(). */
pid_t start_spinner(void);

/* A table, opened and read while the spinner ran, and was not switched away from. */
struct rows *read_beside_spinner(pid_t spinner, const char *table);

#endif /* _SPINNER_H */
