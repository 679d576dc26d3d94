// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces whose locks are held. One process has threads that map and unmap all the
 * time, and one that sleeps beside them: each open shows the sleeping thread as
 * /proc/PID/maps does. A kernel module holds the locks of another process for as long as
 * it is loaded: a value that /proc/PID/maps can show is shown, any other is `locked`, the
 * open returns soon, and no other process is affected. It also holds the lock of a single
 * mapping, which only some frames need.
 *
 * The expected values come from the program, which knows the stacks and frames of its
 * threads.
 *
 * ROUNDS, if set, is the number of opens of each table.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest.h>

#include "frames.h"
#include "guest.h"
#include "rows.h"
#include "segments.h"
#include "stand.h"

#define STACK (8 * PAGE)
#define MAPPERS 8
#define SLEEPERS 5
/* Seconds. A table waits for locks at most one second in all. */
#define READ_LIMIT 5
/* If a table waited 100 ms for each of so many threads, it would take longer than that. */
#define CROWD 60
/* After this number of wrong tables the test stops. */
#define WRONG_MAX 3

enum { FRAMES = 4 };

/* What a process reports about itself. */
static struct told {
	pid_t tid[SLEEPERS];
	unsigned long stack[SLEEPERS], sp[SLEEPERS], address[SLEEPERS][FRAMES];
	unsigned long turns;
	unsigned long held;		/* a mapping whose lock is held */
	int ready;
} *told;

static const char *const tables[] = { "ustacks", "uframes", "segments" };

/* A thread that sleeps on a stack of its own between two guard pages, with frames. */
static void start_sleeper(int number)
{
	char *memory = must(mmap(NULL, STACK + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0));
	unsigned long *stack = (unsigned long *)(memory + PAGE), *record = stack + 64;

	must(mprotect(stack, STACK, PROT_READ | PROT_WRITE));
	told->address[number][0] = (unsigned long)stand_pc;
	for (int i = 1; i < FRAMES; i++, record += 64) {
		record[0] = i + 1 < FRAMES ? (unsigned long)(record + 64) : 0;
		record[1] = (unsigned long)stand_pc + 16 * number + i;
		told->address[number][i] = record[1];
	}
	told->stack[number] = (unsigned long)stack;
	told->sp[number] = (unsigned long)(stack + 32);
	told->tid[number] = start_standing(told->sp[number], (unsigned long)(stack + 64));
}

static void *map_for_ever(void *unused)
{
	for (;;) {
		char *memory = must(mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));

		must(munmap(memory, 64 * PAGE));
		__atomic_fetch_add(&told->turns, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void be_busy(void *unused)
{
	pthread_t thread;

	start_sleeper(0);
	for (int i = 0; i < MAPPERS; i++)
		if (pthread_create(&thread, NULL, map_for_ever, NULL))
			die("pthread_create");
	__atomic_store_n(&told->ready, 1, __ATOMIC_RELEASE);
}

static void sleep_in_threads(void *unused)
{
	for (int i = 0; i < SLEEPERS; i++)
		start_sleeper(i);
	for (int i = 0; i < CROWD; i++)
		start_standing(told->sp[0], 0);
	__atomic_store_n(&told->ready, 1, __ATOMIC_RELEASE);
}

static pid_t start(void (*body)(void *))
{
	pid_t pid;

	memset(told, 0, sizeof(*told));
	pid = start_child(body, NULL);
	wait_until(__atomic_load_n(&told->ready, __ATOMIC_ACQUIRE), "a process is not ready");
	return pid;
}

static bool has_stack(const struct rows *table, int number)
{
	size_t row = rows_find(table, told->tid[number]);
	unsigned long end = told->stack[number] + STACK;
	char expected[200], found[200] = "none";

	snprintf(expected, sizeof(expected), "%08lx %08lx %08lx %lu ok", told->sp[number],
		 told->stack[number], end, end - told->sp[number]);
	if (row < table->rows)
		snprintf(found, sizeof(found), "%s %s %s %s %s", rows_value(table, row, "SP"),
			 rows_value(table, row, "START"), rows_value(table, row, "END"),
			 rows_value(table, row, "USED"), rows_value(table, row, "VALID"));
	if (strcmp(found, expected))
		ksft_print_msg("%d: %s and not %s\n", told->tid[number], found, expected);
	return !strcmp(found, expected);
}

/*
 * Every segment has its values. The process was forked: text, data and bss are where this
 * program has them. The stacks of its threads are in mmap.
 */
static bool has_segments(const struct rows *table, pid_t pid)
{
	struct range image = proc_image(getpid());
	bool good = true;

	for (int i = 0; i < SEGMENTS; i++) {
		size_t row = segment_row(table, pid, segment_names[i]);

		if (strcmp(rows_value(table, row, "VALID"), "ok")) {
			ksft_print_msg("%d: %s is %s\n", pid, segment_names[i],
				       rows_value(table, row, "VALID"));
			good = false;
		}
	}
	good = segment_is(table, pid, "text", proc_stat(getpid(), 26), proc_stat(getpid(), 27)) &&
	       good;
	good = segment_is(table, pid, "data", proc_stat(getpid(), 45), proc_stat(getpid(), 46)) &&
	       good;
	good = segment_end(table, pid, "bss") == image.high && good;
	return segment_start(table, pid, "mmap") <= told->stack[0] &&
	       segment_end(table, pid, "mmap") >= told->stack[0] + STACK && good;
}

/* The table is right for the process and its first sleeping threads. */
static bool is_right(const char *name, const struct rows *table, pid_t pid, int sleepers)
{
	bool good = true;

	if (!strcmp(name, "segments"))
		return has_segments(table, pid);
	for (int i = 0; i < sleepers; i++) {
		if (!strcmp(name, "ustacks"))
			good = has_stack(table, i) && good;
		else
			good = frames_are(table, pid, told->tid[i], told->address[i], FRAMES,
					  "null") && good;
	}
	return good;
}

static unsigned long turns(void)
{
	return __atomic_load_n(&told->turns, __ATOMIC_RELAXED);
}

static void sleep_with_a_mapping(void *unused)
{
	unsigned long *last;

	told->held = (unsigned long)must(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
					      -1, 0));
	for (int i = 0; i < 2; i++)
		start_sleeper(i);
	/* The last frame of the first thread is there. */
	last = (unsigned long *)told->stack[0] + 64 * (FRAMES - 1);
	last[1] = told->held;
	told->address[0][FRAMES - 1] = told->held;
	__atomic_store_n(&told->ready, 1, __ATOMIC_RELEASE);
}

static void test_busy(void)
{
	long times = rounds("ROUNDS", 50, 1000);
	pid_t pid = start(be_busy);
	struct mapping mapping;
	char list[32];

	snprintf(list, sizeof(list), "%d %d", pid, told->tid[0]);
	write_set_pid(list);
	for (int i = 0; i < 3; i++) {
		unsigned long before = turns();
		long right = 0, shown = 0;

		for (long j = 0; j < times && j - right < WRONG_MAX; j++) {
			struct rows *table = rows_read(tables[i]);

			right += is_right(tables[i], table, pid, 1);
			rows_free(table);
			shown += proc_mapping(pid, told->sp[0], &mapping) &&
				 mapping.start == told->stack[0];
		}
		ksft_print_msg("%s: right in %ld of %ld opens, in /proc/PID/maps %ld times\n",
			       tables[i], right, times, shown);
		ksft_print_msg("the other threads mapped %lu times meanwhile\n", turns() - before);
		ksft_test_result(right == times && shown == times && turns() - before > MAPPERS,
				 "%s: sleeping thread beside %d mapping threads: always right\n",
				 tables[i], MAPPERS);
	}
	write_set_pid("");
	end_child(pid);
}

/* Reads a table, with a test result for the time it takes. */
static struct rows *read_in_time(const char *name, pid_t pid)
{
	time_t began = seconds();
	struct rows *table = rows_read(name);

	ksft_test_result(seconds() - began < READ_LIMIT,
			 "%s: locks held: the open returns in time\n", name);
	return table;
}

/* No other process is shown as locked. */
static bool others_are_told(const char *name, const struct rows *table, pid_t pid)
{
	bool frames = !strcmp(name, "uframes"), good = true;

	for (size_t row = 0; row < table->rows; row++) {
		const char *value = rows_value(table, row, frames ? "FRAME" : "VALID");

		if (rows_number(table, row, "TGID") == pid ||
		    strcmp(value, frames ? "end: locked" : "locked"))
			continue;
		ksft_print_msg("%d, another process, is locked\n", table->pid[row]);
		good = false;
	}
	return good;
}

static void read_maps(void *pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/maps", *(pid_t *)pid);
	free(slurp(path, NULL));
}

/* Whether a read of /proc/PID/maps returns, or blocks on the lock. */
static bool maps_can_be_read(pid_t pid)
{
	pid_t reader = start_child(read_maps, &pid);
	bool read;

	/* A child of start_child() sleeps once it has read the file. */
	wait_for_state(reader, reader, "SD");
	read = proc_state(reader, reader) == 'S';
	end_child(reader);
	return read;
}

/* Everything that depends on the mappings is shown as locked. */
static bool is_locked(const char *name, const struct rows *table, pid_t pid)
{
	static const struct {
		const char *segment, *valid;
	} expected[SEGMENTS] = {
		{ "text", "ok" }, { "data", "ok" }, { "bss", "locked" }, { "heap", "ok" },
		{ "mmap", "locked" }, { "stack", "locked" }, { "args", "ok" }, { "env", "ok" },
		{ "vdso", "locked" },
	};
	bool good = true;

	for (int i = 0; i < SEGMENTS && !strcmp(name, "segments"); i++) {
		size_t row = segment_row(table, pid, expected[i].segment);

		if (strcmp(rows_value(table, row, "VALID"), expected[i].valid)) {
			ksft_print_msg("%s is %s\n", expected[i].segment,
				       rows_value(table, row, "VALID"));
			good = false;
		}
	}
	for (int i = 0; i < SLEEPERS && strcmp(name, "segments"); i++) {
		size_t row = rows_find(table, told->tid[i]);
		bool frames = !strcmp(name, "uframes");
		const char *column = frames ? "FRAME" : "VALID";
		const char *value = row < table->rows ? rows_value(table, row, column) : "none";

		if (strcmp(value, frames ? "end: locked" : "locked")) {
			ksft_print_msg("thread %d is %s\n", told->tid[i], value);
			good = false;
		}
	}
	return good;
}

/* The mmap lock is held. /proc/PID/maps does not need it. */
static void test_lock_held(void)
{
	pid_t pid = start(sleep_in_threads);
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "pid=%d", pid);
	load_module("/tests/hold_mmap.ko", parameters);
	ksft_test_result(maps_can_be_read(pid), "mmap lock held: /proc/PID/maps can be read\n");
	for (int i = 0; i < 3; i++) {
		struct rows *table = read_in_time(tables[i], pid);

		ksft_test_result(is_right(tables[i], table, pid, SLEEPERS) &&
				 others_are_told(tables[i], table, pid),
				 "%s: mmap lock held: every value is shown\n", tables[i]);
		rows_free(table);
	}
	must(unload_module("hold_mmap") ? -1 : 0);
	end_child(pid);
}

/* The lock of each mapping is held too: no mapping can be read. */
static void test_mappings_held(void)
{
	pid_t pid = start(sleep_in_threads);
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "pid=%d mappings=1", pid);
	load_module("/tests/hold_mmap.ko", parameters);
	ksft_test_result(!maps_can_be_read(pid),
			 "mapping locks held: /proc/PID/maps blocks\n");
	for (int i = 0; i < 3; i++) {
		struct rows *table = read_in_time(tables[i], pid);

		ksft_test_result(is_locked(tables[i], table, pid) &&
				 others_are_told(tables[i], table, pid),
				 "%s: mapping locks held: all %d threads are locked\n", tables[i],
				 SLEEPERS);
		ksft_test_result(strstr(table->summary, "cut short"),
				 "%s: mapping locks held: the summary says 'cut short'\n",
				 tables[i]);
		rows_free(table);
	}
	must(unload_module("hold_mmap") ? -1 : 0);
	for (int i = 0; i < 3; i++) {
		struct rows *table = rows_read(tables[i]);

		ksft_test_result(is_right(tables[i], table, pid, SLEEPERS),
				 "%s: locks released: every value is right\n", tables[i]);
		rows_free(table);
	}
	end_child(pid);
}

/* The lock of a mapping is held that one of several frames is in. */
static void test_one_mapping_held(void)
{
	pid_t pid = start(sleep_with_a_mapping);
	char parameters[64];
	struct rows *table;

	snprintf(parameters, sizeof(parameters), "pid=%d mapping=%lu", pid, told->held);
	load_module("/tests/hold_mmap.ko", parameters);
	table = rows_read("uframes");
	must(unload_module("hold_mmap") ? -1 : 0);
	/* Reads /proc/PID/maps, which would wait for the lock. */
	ksft_test_result(frames_are(table, pid, told->tid[0], told->address[0], FRAMES - 1,
				    "locked"),
			 "uframes: lock of the last frame's mapping held: the frames before are shown\n");
	ksft_test_result(frames_are(table, pid, told->tid[1], told->address[1], FRAMES, "null") &&
			 others_are_told("uframes", table, pid) &&
			 strstr(table->summary, "\n# 1 threads cut short:"),
			 "uframes: lock of a mapping held: one thread is cut short, no other\n");
	rows_free(table);
	end_child(pid);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(3 + 7 + 13 + 2);
	load_taskscope("");
	told = must(mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0));
	test_busy();
	test_lock_held();
	test_mappings_held();
	test_one_mapping_held();
	ksft_finished();
}
