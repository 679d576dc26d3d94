/* SPDX-License-Identifier: GPL-2.0 */
/* Where a function's time in the kernel goes, by the kernel's own sampling. */
#ifndef _PROFILE_H
#define _PROFILE_H

/* Samples this process from here on. */
void profile_start(void);
/* Ends that, and prints how many of the samples were in which function. */
void profile_print(const char *what);

#endif /* _PROFILE_H */
