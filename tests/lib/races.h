/* SPDX-License-Identifier: GPL-2.0 */
/* Opens of a table that race with an unload, a signal or a kill. */
#ifndef _RACES_H
#define _RACES_H

#include <unistd.h>

/* What a read of the table found: no table, one that is right, one that is wrong. */
enum read_result { READ_GONE, READ_RIGHT, READ_WRONG };

/*
 * Loads the module and unloads it under two readers, `times` times. Returns how often it unloaded
 * and every table was right.
 */
int unload_under_readers(enum read_result (*read_once)(void), int times);
/*
 * The errno of an open of that table that a signal interrupts after `delay` microseconds, or 0; the
 * handler does not restart the call.
 */
int interrupted_open(const char *table, useconds_t delay);
/* Kills processes that wait in open() of that table; returns how many died of it. */
int kill_opens(const char *table, int times);

#endif /* _RACES_H */
