/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Threads that "stand": they are blocked in ppoll(), with a stack pointer and a frame pointer that
 * the test has chosen, and a known program counter. And the mappings of an address space from
 * /proc.
 */
#ifndef _STAND_H
#define _STAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Sets both registers, then *there, and blocks in ppoll() for ever without touching the stack. */
void stand(unsigned long sp, unsigned long fp, int *there) __attribute__((noreturn));
/* The user-space program counter of a thread in stand(). */
extern const char stand_pc[];

/* Calls function(argument, number) with a frame pointer of 0, as if it had no caller. */
void call_first(void *argument, long number, void (*function)(void *argument, long number));

/* Whether a thread of this program, in any process, is blocked in stand(). */
bool is_standing(pid_t tgid, pid_t tid);

/* Starts a thread that calls stand() with these registers; returns when it is blocked. */
pid_t start_standing(unsigned long sp, unsigned long fp);

/*
 * Waits until the thread is in one of the states and has left its CPU, which it does a
 * little later.
 */
void wait_for_sleep(pid_t tgid, pid_t tid, const char *states);

/* A line of /proc/PID/maps. */
struct mapping {
	unsigned long start, end, offset;
	char access[8], name[200];
};

/* The mapping that contains an address; false if there is none. */
bool proc_mapping(pid_t pid, unsigned long address, struct mapping *mapping);
/* All mappings; returns their number, which is 0 if the process has exited. */
size_t proc_mappings(pid_t pid, struct mapping **mappings);
/*
 * A field of /proc/PID/stat with the number that proc(5) gives it, from 3 on; 0 if the process
 * has exited.
 */
unsigned long proc_stat(pid_t pid, int field);
/* What /proc/PID/syscall says of a thread. */
struct proc_syscall {
	long number; /* of the system call; -1 if it is in none, and then it has no arguments */
	unsigned long argument[6], sp, pc;
};

/* false if the thread runs; the test dies if the thread is gone */
bool proc_syscall(pid_t tgid, pid_t tid, struct proc_syscall *call);

#endif /* _STAND_H */
