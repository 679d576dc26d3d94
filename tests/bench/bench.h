/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _BENCH_H
#define _BENCH_H

#include <stddef.h>

/* Opens a file, reads all of it and closes it; 0 if the file is gone. */
size_t read_file(const char *path);

#endif /* _BENCH_H */
