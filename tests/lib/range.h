/* SPDX-License-Identifier: GPL-2.0 */
/* A range of addresses, in the same layout for 32-bit and 64-bit programs. */
#ifndef _RANGE_H
#define _RANGE_H

struct range {
	unsigned long long low, high;	/* the first byte, and the first after it */
};

#endif /* _RANGE_H */
