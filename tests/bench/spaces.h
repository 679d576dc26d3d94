/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Address spaces by the two interfaces of /proc: the text of /proc/PID/maps, and its ioctl
 * PROCMAP_QUERY. Each function reads all processes or threads that list_users() has found, and
 * returns the number of bytes that it got.
 */
#ifndef _SPACES_H
#define _SPACES_H

#include <stddef.h>

/* Lists the threads with a user space; not measured. */
void list_users(void);
size_t user_threads(void);
size_t user_processes(void);

/* What `segments` shows: all mappings of each process, as text. */
size_t maps_of_processes(const char *unused);
/* The same by a query for each mapping. */
size_t query_all(const char *unused);
/*
 * The same by a query for each segment that is a mapping. The other segments, and the addresses
 * to ask for, are in /proc/PID/stat and /proc/PID/auxv. The end of `mmap` is missing, because
 * PROCMAP_QUERY finds the next mapping, not the one before.
 */
size_t query_segments(const char *unused);
/* What `ustacks` and `uframes` show: maps and syscall of each thread, as text. */
size_t maps_and_syscalls(const char *unused);
/* What `ustacks` shows: the stack pointer from syscall, and a query for its mapping. */
size_t query_stacks(const char *unused);

#endif /* _SPACES_H */
