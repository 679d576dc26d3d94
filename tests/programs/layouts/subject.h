/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a program of the test `layouts` reports about its own address space, in the same layout
 * for 32-bit and 64-bit programs.
 */
#ifndef _SUBJECT_H
#define _SUBJECT_H

#include "range.h"

#define OBJECTS 8
#define MAPPINGS 4

struct report {
	/* The loaded files: the program and its libraries, without the vdso */
	struct range object[OBJECTS];
	/* The mappings whose address the kernel has chosen */
	struct range mapping[MAPPINGS];
	/* The mappings that the program has placed above the base of that area */
	struct range beyond;
	/* The end of its heap, from brk() */
	unsigned long long brk;
};

#endif /* _SUBJECT_H */
