/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A thread that runs on a processor and does nothing else, and a witness that it
 * has been there all the while.
 */
#ifndef _SPINNER_H
#define _SPINNER_H

#include <stdbool.h>
#include <sys/types.h>

/* Starts it, on the last processor. Ended by end_child(). */
pid_t start_spinner(void);

/* Asked for before: what to ask with afterwards. */
struct spinning {
	unsigned long turns, switches;
};

struct spinning spinner_before(pid_t spinner);
/* It has run since, and never left the processor. */
bool spinner_ran(pid_t spinner, struct spinning before);

#endif /* _SPINNER_H */
