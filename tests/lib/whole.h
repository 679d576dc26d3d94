/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Any file of taskscope: its name, and whether what was read of it is all of it and
 * right as far as can be told without knowing what is in it.
 */
#ifndef _WHOLE_H
#define _WHOLE_H

#include <stddef.h>

/* The files that the directory has, so that a new one counts; the last one is NULL. */
char **file_names(void);

/* What is wrong with a file's text, or NULL. */
const char *whole(const char *name, const char *text, size_t size);

#endif /* _WHOLE_H */
