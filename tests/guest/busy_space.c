// SPDX-License-Identifier: GPL-2.0
/*
 * Address spaces whose lock is taken. Threads that map and unmap all the time do not
 * hide the one beside them that sleeps: it is shown in each of many opens, as it is
 * in /proc/PID/maps. And a lock that is held for ever: what /proc/PID/maps shows then is
 * shown, what cannot be told is `locked`, the open ends soon, and no other process is
 * affected.
 *
 * What is right comes from the program: where its threads stand, and their frames.
 *
 * ROUNDS, if set, is how often each table is read.
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

#define PAGE 4096ul
#define STACK (8 * PAGE)
#define MAPPERS 8
#define SLEEPERS 5
/* The tables wait a second in all at most. */
#define READ_LIMIT 5
/* So often wrong, a table is read no more. */
#define WRONG_MAX 3

enum { FRAMES = 4 };

/* What a process tells of itself. */
static struct told {
	pid_t tid[SLEEPERS];
	unsigned long stack[SLEEPERS], sp[SLEEPERS], address[SLEEPERS][FRAMES];
	unsigned long turns;
	int ready;
} *told;

static const char *const tables[] = { "ustacks", "uframes", "segments" };

/* A thread that stands on a stack of its own between two guards, with frames. */
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
	__atomic_store_n(&told->ready, 1, __ATOMIC_RELEASE);
}

static pid_t start(void (*body)(void *))
{
	pid_t pid;

	memset(told, 0, sizeof(*told));
	pid = start_child(body, NULL);
	wait_until(__atomic_load_n(&told->ready, __ATOMIC_ACQUIRE), "a process does not begin");
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
 * All segments are told. The process was forked, and has text, data and bss where this
 * program has them; the stacks of its threads are in mmap.
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

/* The table is right for the process and the first sleepers of it. */
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

static void select_threads(const char *list)
{
	close(must(open(TABLES "set_pid", O_WRONLY | O_TRUNC)));
	write_file(TABLES "set_pid", list);
}

static unsigned long turns(void)
{
	return __atomic_load_n(&told->turns, __ATOMIC_RELAXED);
}

static void test_busy(void)
{
	long times = rounds("ROUNDS", 50, 1000);
	pid_t pid = start(be_busy);
	struct mapping mapping;
	char list[32];

	snprintf(list, sizeof(list), "%d %d", pid, told->tid[0]);
	select_threads(list);
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
		ksft_print_msg("the others mapped %lu times meanwhile\n", turns() - before);
		ksft_test_result(right == times && shown == times && turns() - before > MAPPERS,
				 "%s: a thread asleep beside %d that map\n", tables[i], MAPPERS);
	}
	select_threads("\n");
	end_child(pid);
}

/* Reads a table; it ends in time, and has the process and others in it. */
static struct rows *read_in_time(const char *name, pid_t pid)
{
	time_t began = seconds();
	struct rows *table = rows_read(name);

	ksft_test_result(seconds() - began < READ_LIMIT, "%s: the open ends in time\n", name);
	return table;
}

/* No other process is said to be locked. */
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

/* Whether /proc/PID/maps is there to be read, or waits for the lock. */
static bool maps_can_be_read(pid_t pid)
{
	pid_t reader = start_child(read_maps, &pid);
	bool read;

	/* start_child() has it sleep when it has read them. */
	wait_for_state(reader, reader, "SD");
	read = proc_state(reader, reader) == 'S';
	end_child(reader);
	return read;
}

/* Of a process whose mappings cannot be told: nothing that they would tell. */
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

/* The lock of the address space is held: /proc/PID/maps does without it. */
static void test_lock_held(void)
{
	pid_t pid = start(sleep_in_threads);
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "pid=%d", pid);
	load_module("/tests/hold_mmap.ko", parameters);
	ksft_test_result(maps_can_be_read(pid), "/proc/PID/maps can be read with the lock held\n");
	for (int i = 0; i < 3; i++) {
		struct rows *table = read_in_time(tables[i], pid);

		ksft_test_result(is_right(tables[i], table, pid, SLEEPERS) &&
				 others_are_told(tables[i], table, pid),
				 "%s: the lock is held, and all is shown\n", tables[i]);
		rows_free(table);
	}
	must(unload_module("hold_mmap") ? -1 : 0);
	end_child(pid);
}

/* And the lock of each mapping: nothing can be told of them. */
static void test_mappings_held(void)
{
	pid_t pid = start(sleep_in_threads);
	char parameters[32];

	snprintf(parameters, sizeof(parameters), "pid=%d mappings=1", pid);
	load_module("/tests/hold_mmap.ko", parameters);
	ksft_test_result(!maps_can_be_read(pid),
			 "/proc/PID/maps waits with the mappings' locks held\n");
	for (int i = 0; i < 3; i++) {
		struct rows *table = read_in_time(tables[i], pid);

		ksft_test_result(is_locked(tables[i], table, pid) &&
				 others_are_told(tables[i], table, pid),
				 "%s: %d threads of one process, all locked\n", tables[i],
				 SLEEPERS);
		ksft_test_result(strstr(table->summary, "cut short"),
				 "%s: the summary says so\n", tables[i]);
		rows_free(table);
	}
	must(unload_module("hold_mmap") ? -1 : 0);
	for (int i = 0; i < 3; i++) {
		struct rows *table = rows_read(tables[i]);

		ksft_test_result(is_right(tables[i], table, pid, SLEEPERS),
				 "%s: right when the locks are let go\n", tables[i]);
		rows_free(table);
	}
	end_child(pid);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(3 + 7 + 13);
	load_taskscope("");
	told = must(mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0));
	test_busy();
	test_lock_held();
	test_mappings_held();
	ksft_finished();
}
