// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

#include "frames.h"
#include "stand.h"

void proc_frame(pid_t pid, unsigned long address, char *frame, size_t size)
{
	struct mapping mapping;

	if (!proc_mapping(pid, address, &mapping))
		snprintf(frame, size, "-");
	else
		snprintf(frame, size, "%s+0x%lx", *mapping.name ? mapping.name : "[anon]",
			 address - mapping.start + (*mapping.name == '/' ? mapping.offset : 0));
}

bool frames_are(const struct rows *table, pid_t tgid, pid_t pid, const unsigned long *address,
		size_t count, const char *reason)
{
	size_t row = rows_find(table, pid);
	char frame[300], text[32];

	for (size_t i = 0; i <= count; i++, row++) {
		if (i < count) {
			proc_frame(tgid, address[i], frame, sizeof(frame));
			snprintf(text, sizeof(text), "%08lx", address[i]);
		} else {
			snprintf(frame, sizeof(frame), "end: %s", reason);
			snprintf(text, sizeof(text), "-");
		}
		if (row >= table->rows || table->pid[row] != pid ||
		    rows_number(table, row, "DEPTH") != (long)i ||
		    strcmp(rows_value(table, row, "ADDRESS"), text) ||
		    strcmp(rows_value(table, row, "FRAME"), frame)) {
			ksft_print_msg("%d, frame %zu: %s %s, and not %s %s\n", pid, i,
				       row < table->rows ? rows_value(table, row, "ADDRESS") : "",
				       row < table->rows ? rows_value(table, row, "FRAME") : "none",
				       text, frame);
			return false;
		}
	}
	if (row < table->rows && table->pid[row] == pid)
		ksft_print_msg("%d has more rows than %zu\n", pid, count + 1);
	return row == table->rows || table->pid[row] != pid;
}
