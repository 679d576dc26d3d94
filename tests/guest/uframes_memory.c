// SPDX-License-Identifier: GPL-2.0
/*
 * The worker that reads the stacks for `uframes` cannot allocate memory: its first, its second,
 * its third ... allocation fails, until an open meets no fault. Each open that meets one fails
 * with ENOMEM, and the next open shows everything. faults.c fails the allocations of the thread
 * that opens the table.
 *
 * The table allocates memory for a few rows of each thread at first, and more when these are
 * full: in the middle of a chain, at its end, or at a thread without a chain.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "stand.h"

/* For how many rows of a thread the table has memory at first. */
#define ROWS_AT_FIRST 12
/* The most frames of a thread, as documented. */
#define FRAMES_MAX 128
/* Where frames are: in mappings of these kinds, and in files. */
enum { HEAP, STACK, VDSO, ANONYMOUS, FILES, PLACES = FILES + 16 };
#define ZOMBIES 10
/* No open makes so many allocations, unless it never ends. */
#define MOST 1000

static char *place[PLACES];

static void find_places(void)
{
	place[HEAP] = must(sbrk(PAGE));
	place[STACK] = (char *)getauxval(AT_EXECFN);
	place[VDSO] = (char *)getauxval(AT_SYSINFO_EHDR);
	place[ANONYMOUS] = must(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (int i = FILES; i < PLACES; i++) {
		char name[32];
		int descriptor;

		snprintf(name, sizeof(name), "/tmp/file%d", i);
		descriptor = must(open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
		must(ftruncate(descriptor, PAGE));
		place[i] = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, descriptor, 0));
		close(descriptor);
	}
}

/* A thread with so many frames, each in another mapping than the one before. */
static pid_t start_with_frames(int frames)
{
	char *memory = must(mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	unsigned long *stack = (unsigned long *)(memory + PAGE);

	must(mprotect(stack, PAGE, PROT_READ | PROT_WRITE));
	for (int i = 1; i < frames; i++) {
		stack[64 + 2 * i] = i + 1 < frames ? (unsigned long)&stack[64 + 2 * (i + 1)] : 0;
		stack[64 + 2 * i + 1] = (unsigned long)place[i % PLACES] + 16;
	}
	return start_standing((unsigned long)&stack[32], (unsigned long)&stack[66]);
}

/* Opens `uframes` with a fault at that allocation; the text, or NULL and errno. */
static char *open_with_fault(int at, bool *met)
{
	char *text;

	int error;

	set_parameter("fail_worker", "nth", at);
	text = try_slurp(TABLES "uframes", NULL);
	error = errno;
	*met = at && !parameter_value("fail_worker", "nth");
	set_parameter("fail_worker", "nth", 0);
	errno = error;
	return text;
}

/* The threads sleep: each open has the same text, or fails. */
static void check(const char *list, size_t rows, const char *what)
{
	char *usual, *text;
	struct rows *table;
	int faults = 0, wrong = 0;
	bool met = true;

	write_set_pid(list);
	table = rows_read("uframes");
	if (table->rows != rows)
		die("%zu rows and not %zu", table->rows, rows);
	rows_free(table);
	usual = slurp(TABLES "uframes", NULL);
	for (int at = 1; met; at++) {
		if (at > MOST)
			die("the allocations do not end");
		text = open_with_fault(at, &met);
		faults += met;
		if (met ? text || errno != ENOMEM : !text || strcmp(text, usual)) {
			if (!wrong++)
				ksft_print_msg("allocation %d fails: %s\n", at,
					       text ?: strerror(errno));
		}
		free(text);
		text = open_with_fault(0, &(bool){ false });
		wrong += !text || strcmp(text, usual);
		free(text);
	}
	ksft_print_msg("%d allocations\n", faults);
	ksft_test_result(!wrong && faults > 4,
			 "%s, an allocation of the worker fails: ENOMEM, then all rows\n", what);
	free(usual);
	write_set_pid("");
}

int main(void)
{
	char list[16 * (ZOMBIES + 1)], *end;

	ksft_print_header();
	ksft_set_plan(3);
	load_taskscope("");
	load_module("/tests/fail_worker.ko", "");
	find_places();

	snprintf(list, sizeof(list), "%d", start_with_frames(FRAMES_MAX));
	check(list, FRAMES_MAX + 1, "rows that are full within a chain");
	snprintf(list, sizeof(list), "%d", start_with_frames(ROWS_AT_FIRST));
	check(list, ROWS_AT_FIRST + 1, "rows that are full before the end of a chain");
	end = list + sprintf(list, "%d ", start_with_frames(FRAMES_MAX));
	for (int i = 0; i < ZOMBIES; i++)
		end += sprintf(end, "%d ", start_zombie());
	/* There is room for the chain and a few of the zombies. */
	check(list, FRAMES_MAX + 1 + ZOMBIES, "rows that are full before a zombie");
	ksft_finished();
}
