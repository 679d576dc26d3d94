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

/*
 * What spinner_stayed() is to be given afterwards: how often it had been switched
 * away from at a time after which it was seen to run.
 */
unsigned long spinner_runs(pid_t spinner);
/* It has not been switched away from since, and was there all the while. */
bool spinner_stayed(pid_t spinner, unsigned long switches);

#endif /* _SPINNER_H */
