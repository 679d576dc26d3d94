// SPDX-License-Identifier: GPL-2.0
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

#include "guest.h"
#include "segments.h"

/* The size of the ELF header of a 64-bit program. The program headers follow it. */
#define FILE_HEADER 64

const char *const segment_names[SEGMENTS] = {
	"text", "data", "bss", "heap", "mmap", "stack", "args", "env", "vdso",
};

size_t segment_row(const struct rows *table, pid_t pid, const char *segment)
{
	size_t row = rows_find(table, pid);

	while (row < table->rows && strcmp(rows_value(table, row, "SEGMENT"), segment))
		row++;
	if (row == table->rows || table->pid[row] != pid)
		die("%d has no segment %s", pid, segment);
	return row;
}

static unsigned long hexadecimal(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 16);

	return *end ? 0 : value;
}

unsigned long segment_start(const struct rows *table, pid_t pid, const char *segment)
{
	return hexadecimal(rows_value(table, segment_row(table, pid, segment), "START"));
}

unsigned long segment_end(const struct rows *table, pid_t pid, const char *segment)
{
	return hexadecimal(rows_value(table, segment_row(table, pid, segment), "END"));
}

bool segment_is(const struct rows *table, pid_t pid, const char *segment, unsigned long start,
		unsigned long end)
{
	size_t row = segment_row(table, pid, segment);
	bool good = hexadecimal(rows_value(table, row, "START")) == start &&
		    hexadecimal(rows_value(table, row, "END")) == end &&
		    rows_number(table, row, "SIZE") == (long)(end - start) &&
		    !strcmp(rows_value(table, row, "VALID"), "ok");

	if (!good)
		ksft_print_msg("%d %s: %s-%s, %s bytes, %s, and not %lx-%lx\n", pid, segment,
			       rows_value(table, row, "START"), rows_value(table, row, "END"),
			       rows_value(table, row, "SIZE"), rows_value(table, row, "VALID"),
			       start, end);
	return good;
}

bool segment_is_nothing(const struct rows *table, pid_t pid, const char *segment)
{
	size_t row = segment_row(table, pid, segment);

	return !strcmp(rows_value(table, row, "START"), "-") &&
	       !strcmp(rows_value(table, row, "END"), "-") &&
	       !strcmp(rows_value(table, row, "SIZE"), "-");
}

static unsigned long proc_auxiliary(pid_t pid, unsigned long type)
{
	unsigned long value = 0, *pair;
	char path[64], *vector;
	size_t size;

	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	vector = try_slurp(path, &size);
	for (pair = (void *)vector; vector && (char *)pair < vector + size; pair += 2)
		if (pair[0] == type)
			value = pair[1];
	free(vector);
	return value;
}

struct range proc_image(pid_t pid)
{
	unsigned long at = proc_auxiliary(pid, AT_PHDR), count = proc_auxiliary(pid, AT_PHNUM);
	Elf64_Phdr header[32];
	struct range image = { 0 };
	unsigned long bias = 0;
	char path[64];
	int memory;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	if (memory < 0 || !at || count > ARRAY_SIZE(header) ||
	    pread(memory, header, count * sizeof(*header), at) !=
	    (ssize_t)(count * sizeof(*header)))
		count = 0;
	if (memory >= 0)
		close(memory);
	for (unsigned long i = 0; i < count; i++)
		if (header[i].p_type == PT_LOAD && header[i].p_offset <= FILE_HEADER &&
		    header[i].p_offset + header[i].p_filesz > FILE_HEADER)
			bias = at - (header[i].p_vaddr + FILE_HEADER - header[i].p_offset);
	for (unsigned long i = 0; i < count; i++) {
		unsigned long low = bias + header[i].p_vaddr, high = low + header[i].p_memsz;

		if (header[i].p_type != PT_LOAD)
			continue;
		if (!image.high || low < image.low)
			image.low = low & -PAGE;
		if (high > image.high)
			image.high = (high + PAGE - 1) & -PAGE;
	}
	return image;
}

static bool within(const struct mapping *mapping, const struct range *range, size_t ranges)
{
	for (size_t i = 0; i < ranges; i++)
		if (mapping->start >= range[i].low && mapping->end <= range[i].high)
			return true;
	return false;
}

struct range span_of_mappings(const struct mapping *mapping, size_t count,
			      const struct range *image, const struct range *beyond,
			      size_t ranges)
{
	struct range span = { 0 };

	for (size_t i = 0; i < count; i++) {
		bool is_named = *mapping[i].name == '[' && strncmp(mapping[i].name, "[anon", 5);

		if (is_named || within(mapping + i, image, 1) ||
		    within(mapping + i, beyond, ranges))
			continue;
		if (!span.high)
			span.low = mapping[i].start;
		span.high = mapping[i].end;
	}
	return span;
}
