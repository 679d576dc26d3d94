/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What /proc says of address spaces, by the two ways it has: the text of
 * /proc/PID/maps, and its ioctl PROCMAP_QUERY. Each function asks for all processes or
 * threads that list_users() has found, and returns how many bytes it got.
 */
#ifndef _SPACES_H
#define _SPACES_H

#include <stddef.h>

/* Notes which threads run in user space; not measured. */
void list_users(void);
size_t user_threads(void);
size_t user_processes(void);

/* The question of `segments`: all mappings of each process, as text. */
size_t maps_of_processes(const char *unused);
/* The same, a query for each mapping. */
size_t query_all(const char *unused);
/*
 * The same, a query for each segment that is a mapping. Where the others are, and where
 * to ask, is in /proc/PID/stat and /proc/PID/auxv. The end of `mmap` is missing:
 * PROCMAP_QUERY finds the next mapping, not the one before.
 */
size_t query_segments(const char *unused);
/* The question of `ustacks` and `uframes`: maps and syscall of each thread, as text. */
size_t maps_and_syscalls(const char *unused);
/* That of `ustacks`: the stack pointer from syscall, and a query for its mapping. */
size_t query_stacks(const char *unused);

#endif /* _SPACES_H */
