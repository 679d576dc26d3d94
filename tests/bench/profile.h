/* SPDX-License-Identifier: GPL-2.0 */
/* Samples in which kernel functions a contender spends its time, by perf_event_open(2). */
#ifndef _PROFILE_H
#define _PROFILE_H

/* Starts to sample this process. */
void profile_start(void);
/* Stops, and prints the functions with the most samples. */
void profile_print(const char *what);

#endif /* _PROFILE_H */
