// SPDX-License-Identifier: GPL-2.0
/*
 * The work of an open for an address space in which no thread changes a mapping. The open locks
 * no mapping to find a stack or a segment. It goes from one piece of a stack to the next without
 * a new search, and reads the records of several frames at once. What has changed during the
 * look-ups is looked up again, with locks. A test module counts.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest.h>

#include "frames.h"
#include "guest.h"
#include "rows.h"
#include "stand.h"

/* Fewer than are looked at, and many more than the searches of one row. */
#define PIECES 60
#define THREADS 40
/* Their records take less than 512 bytes. */
#define FRAMES 20

/* What one open has done. */
struct counts {
	int searches, locks, copies;
};

/* In memory that is shared with the child. */
static struct told {
	pid_t tid[THREADS];
	unsigned long low[THREADS];
	unsigned long address[FRAMES];
	int ready;
} *told;

static struct counts read_counts(void)
{
	return (struct counts){ parameter_value("count_lookups", "searches"),
				parameter_value("count_lookups", "locks"),
				parameter_value("count_lookups", "copies") };
}

/* Reads the rows of these threads, with what that does. */
static struct rows *read_counted(const char *name, const pid_t *tid, int count,
				 struct counts *counts)
{
	char list[16 * THREADS], *end = list;
	struct rows *table;

	for (int i = 0; i < count; i++)
		end += sprintf(end, "%d\n", tid[i]);
	write_set_pid(list);
	read_counts();
	table = rows_read(name);
	*counts = read_counts();
	ksft_print_msg("%s: %d searches, %d locks, %d copies\n", name, counts->searches,
		       counts->locks, counts->copies);
	write_set_pid("");
	return table;
}

/* Memory between two pages that are not mapped. */
static char *map_alone(size_t size)
{
	char *memory = must(mmap(NULL, size + 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0));

	must(munmap(memory + PAGE, PAGE));
	must(munmap(memory + 2 * PAGE + size, PAGE));
	memory += 2 * PAGE;
	must(mprotect(memory, size, PROT_READ | PROT_WRITE));
	return memory;
}

static pid_t start(void (*body)(void *))
{
	pid_t pid;

	memset(told, 0, sizeof(*told));
	pid = start_child(body, NULL);
	wait_until(__atomic_load_n(&told->ready, __ATOMIC_ACQUIRE), "a child is not ready");
	wait_for_sleep(pid, pid, "S");
	return pid;
}

static void done(void)
{
	__atomic_store_n(&told->ready, 1, __ATOMIC_RELEASE);
}

/* One thread in the middle of a stack in many pieces. */
static void split_stack(void *unused)
{
	char *stack = map_alone(PIECES * PAGE);

	for (int i = 0; i < PIECES; i += 2)
		must(madvise(stack + i * PAGE, PAGE, MADV_DONTDUMP));
	told->low[0] = (unsigned long)stack;
	told->tid[0] = start_standing((unsigned long)stack + PIECES / 2 * PAGE, 0);
	done();
}

/* The stack is shown from this address on, with this size. */
static bool has_stack(const struct rows *table, pid_t tid, unsigned long low, long size)
{
	size_t row = rows_find(table, tid);

	return row < table->rows &&
	       strtoul(rows_value(table, row, "START"), NULL, 16) == low &&
	       rows_number(table, row, "SIZE") == size;
}

static void test_pieces(void)
{
	pid_t pid = start(split_stack);
	struct counts counts;
	struct rows *table = read_counted("ustacks", told->tid, 1, &counts);

	ksft_test_result(has_stack(table, told->tid[0], told->low[0], PIECES * PAGE) &&
			 counts.searches > 0 && counts.searches < PIECES / 4,
			 "stack in %d pieces: a search does not begin anew for each\n", PIECES);
	ksft_test_result(!counts.locks, "ustacks: no mapping is locked\n");
	rows_free(table);
	table = read_counted("segments", &pid, 1, &counts);
	ksft_test_result(table->rows && counts.searches > 0 && !counts.locks,
			 "segments: no mapping is locked\n");
	rows_free(table);
	end_child(pid);
}

static void stand_alone(void *unused)
{
	for (int i = 0; i < THREADS; i++) {
		told->low[i] = (unsigned long)map_alone(PAGE);
		told->tid[i] = start_standing(told->low[i] + 512, 0);
	}
	done();
}

static void test_whole_stacks(void)
{
	pid_t pid = start(stand_alone);
	struct counts counts;
	struct rows *table = read_counted("ustacks", told->tid, THREADS, &counts);
	int right = 0;

	for (int i = 0; i < THREADS; i++)
		right += has_stack(table, told->tid[i], told->low[i], PAGE);
	ksft_test_result(right == THREADS && counts.searches >= THREADS &&
			 counts.searches < 3 * THREADS / 2,
			 "%d stacks in one piece: one search for each\n", THREADS);
	rows_free(table);
	set_parameter("count_lookups", "write", 1);
	table = read_counted("ustacks", told->tid, 1, &counts);
	ksft_test_result(has_stack(table, told->tid[0], told->low[0], PAGE) && counts.locks,
			 "writer during the look-ups: the mappings are looked up with locks\n");
	rows_free(table);
	end_child(pid);
}

static void stand_in_frames(void *unused)
{
	unsigned long *stack = (unsigned long *)map_alone(PAGE), *record = stack + 64;

	told->address[0] = (unsigned long)stand_pc;
	for (int i = 1; i < FRAMES; i++, record += 2) {
		record[0] = i + 1 < FRAMES ? (unsigned long)(record + 2) : 0;
		record[1] = told->address[0] + i;
		told->address[i] = record[1];
	}
	told->tid[0] = start_standing((unsigned long)(stack + 32), (unsigned long)(stack + 64));
	done();
}

static void test_frames(void)
{
	pid_t pid = start(stand_in_frames);
	struct counts counts;
	struct rows *table = read_counted("uframes", told->tid, 1, &counts);

	ksft_test_result(frames_are(table, pid, told->tid[0], told->address, FRAMES, "null") &&
			 counts.copies > 0 && counts.copies < FRAMES / 4,
			 "%d frames close together: not copied one by one\n", FRAMES);
	rows_free(table);
	end_child(pid);
}

int main(void)
{
	char parameters[32];

	ksft_print_header();
	ksft_set_plan(6);
	told = must(mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0));
	load_taskscope("");
	snprintf(parameters, sizeof(parameters), "pid=%d", getpid());
	load_module("/tests/count_lookups.ko", parameters);
	test_pieces();
	test_whole_stacks();
	test_frames();
	ksft_finished();
}
