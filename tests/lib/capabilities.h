/* SPDX-License-Identifier: GPL-2.0 */
/* The capabilities and the user of the calling thread, which root has all of at first. */
#ifndef _CAPABILITIES_H
#define _CAPABILITIES_H

#include <linux/capability.h>
#include <sys/types.h>

#define ONLY(capability) (1UL << (capability))

/* Drops all capabilities but these, for good. */
void keep_capabilities(unsigned long kept);
void drop_capability(int capability);

/* Becomes this user, without supplementary groups. */
void become_user(uid_t uid);
/* The same (0: stays root), and then root of a new user namespace that maps that user. */
void become_namespace_root(uid_t uid);

/*
 * The exit status of a child that becomes user 1000 by one of these two functions, and returns
 * call(path); 255 if the child is killed.
 */
int as_other(void (*become)(uid_t uid), int (*call)(const char *path), const char *path);

#endif /* _CAPABILITIES_H */
