/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that stand where they are told to: with a stack pointer and a frame
 * pointer of the test's choosing, asleep in a system call at a known address. And
 * what /proc says of an address space.
 */
#ifndef _STAND_H
#define _STAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Sets both registers, then *there, and sleeps for ever without using the stack. */
void stand(unsigned long sp, unsigned long fp, int *there) __attribute__((noreturn));
/* Where a thread that stands is in user space. */
extern const char stand_pc[];

/* Calls function(argument, number) as if nothing had called it: with a frame pointer of 0. */
void call_first(void *argument, long number, void (*function)(void *argument, long number));

/* Whether a thread of this program, in this process or another, is asleep there. */
bool is_standing(pid_t tgid, pid_t tid);

/* A new thread of this process that stands there; returns once it does. */
pid_t start_standing(unsigned long sp, unsigned long fp);

/*
 * Waits until the thread is in one of the states, and off its processor, which it
 * leaves a little later: /proc/PID/syscall waits for that itself.
 */
void wait_for_sleep(pid_t tgid, pid_t tid, const char *states);

/* A line of /proc/PID/maps. */
struct mapping {
	unsigned long start, end, offset;
	char access[8], name[200];
};

/* The mapping of an address; false if there is none. */
bool proc_mapping(pid_t pid, unsigned long address, struct mapping *mapping);
/* All mappings; returns how many: none if there is no such process any more. */
size_t proc_mappings(pid_t pid, struct mapping **mappings);
/*
 * A field of /proc/PID/stat as proc(5) counts them, from 3 on; 0 if there is no such
 * process any more.
 */
unsigned long proc_stat(pid_t pid, int field);

#endif /* _STAND_H */
