/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program of the test `layouts` tells of its own address space. The same for
 * 32-bit and 64-bit programs.
 */
#ifndef _SUBJECT_H
#define _SUBJECT_H

#include "range.h"

#define OBJECTS 8
#define MAPPINGS 4

struct report {
	/* What is loaded: the program and its libraries, without the vdso */
	struct range object[OBJECTS];
	/* What it has mapped where the kernel chose the address */
	struct range mapping[MAPPINGS];
	/* What it has mapped beyond the base of that area */
	struct range beyond;
	/* The end of its heap, as brk() has it */
	unsigned long long brk;
};

#endif /* _SUBJECT_H */
