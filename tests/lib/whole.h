/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The names of all files of taskscope, and a check that a text of any of them is complete and
 * well formed, without knowledge of its contents.
 */
#ifndef _WHOLE_H
#define _WHOLE_H

#include <stddef.h>

/* All files in the directory, so that a new one is included; the last pointer is NULL. */
char **file_names(void);

/* What is wrong with a file's text, or NULL. */
const char *whole(const char *name, const char *text, size_t size);

#endif /* _WHOLE_H */
