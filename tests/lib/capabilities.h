/* SPDX-License-Identifier: GPL-2.0 */
/* The capabilities of the calling thread, of which root has all. */
#ifndef _CAPABILITIES_H
#define _CAPABILITIES_H

#include <linux/capability.h>

#define ONLY(capability) (1UL << (capability))

/* All but these are lost, for good. */
void keep_capabilities(unsigned long kept);
void drop_capability(int capability);

#endif /* _CAPABILITIES_H */
