// SPDX-License-Identifier: GPL-2.0
/*
 * A fatal signal ends an open and a read of every table in every phase: while tasks are
 * walked, threads are visited, addresses are hashed, rows are laid out, and the rows before
 * an offset are skipped. It also ends a write to set_pid.
 *
 * A test module counts how often taskscope checks for a fatal signal on behalf of a reader,
 * and kills the reader at the n-th check: the open must fail and do nothing more. The number
 * of checks must fit the number of rows.
 *
 * Then readers are killed at moments that are spread over the time of each operation, and
 * the time until they have exited is printed. KILLED_THREADS and KILLED_MOMENTS, if set, are
 * the numbers of threads and moments. With 100,000 threads, each reader should exit within
 * 50 ms on a machine that is not busy.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "whole.h"

#define SET_PID TABLES "set_pid"

/* At most this number of rows is laid out between two checks. */
#define ROWS 1024

/* At how many of the checks a reader is killed. */
#define TRIES 3

/* At most this number of bytes of a list is read between two checks. */
#define BYTES 4096

enum operation { OPEN, READ, SKIP, NOTHING, WRITE };
static const char * const operations[] = { "open", "read", "skip", "nothing", "write" };

static const struct {
	const char *name;
	/* How many tasks a critical section handles; 0: the table walks no tasks. */
	long section;
	/* Whether the table has processes only. */
	bool leaders;
	/* Whether all rows of a task are laid out together, by the read of the file. */
	bool one;
	/* Whether a section also ends at each address space. */
	bool spaces;
	/* Whether the reader visits these one by one. A kernel thread does it for uframes. */
	bool visits;
} tables[] = {
	{ "threads", 1024 },
	{ "processes", 1024, .leaders = true },
	{ "kstacks", 1024 },
	{ "kframes", 64, .one = true },
	{ "syscalls", 1024 },
	{ "ustacks", 1024, .spaces = true, .visits = true },
	{ "uframes", 1024, .spaces = true },
	{ "segments", 1024, .leaders = true, .spaces = true, .visits = true },
	{ "set_pid", .one = true },
};

/* What a reader tells the test. */
static struct {
	int begun;	/* how many operations */
} *shared;

/* A table, and what the test expects of it. */
struct table {
	const char *name;
	size_t size;
	long rows, sections, most_sections, visits, laid_out, most_after;
};

/* What the test module has counted for a reader. */
struct counts {
	int asked, sections, asked_before, opened;
	int status;		/* as of wait() */
};

static char text[1 << 16];

static int open_table(const struct table *table)
{
	char path[100];

	snprintf(path, sizeof(path), TABLES "%s", table->name);
	return must(open(path, O_RDONLY | O_CLOEXEC));
}

/* Adds many PIDs to the list, by one write; with O_TRUNC to an empty one. Its size. */
static size_t list_many(int truncate)
{
	int descriptor = must(open(SET_PID, O_WRONLY | O_CLOEXEC | truncate));
	char *list = malloc(8 * 20000);
	size_t size = 0;

	for (int i = 1; i < 20000; i++)
		size += sprintf(list + size, "%d ", i);
	must(write(descriptor, list, size));
	close(descriptor);
	free(list);
	return size;
}

/* Runs an operation on a descriptor; the open and the write need none. */
static void operate(const struct table *table, enum operation operation, int descriptor)
{
	switch (operation) {
	case OPEN:
		close(open_table(table));
		break;
	case READ:
		must(lseek(descriptor, 0, SEEK_SET));
		while (must(read(descriptor, text, sizeof(text))))
			;
		break;
	case SKIP:
		/* A read of the last byte lays out all rows. */
		must(pread(descriptor, text, 1, table->size - 1));
		break;
	case WRITE:
		list_many(0);
		break;
	case NOTHING:
		memset(text, 0, sizeof(text));
		break;
	}
}

/* Runs the operation in a child, which is killed at the check numbered `at`. */
static struct counts count(const struct table *table, enum operation operation, int at)
{
	static const char * const names[] = { "asked", "sections", "asked_before", "opened" };
	struct counts counts;
	int go[2], ready[2];
	char byte = 0;
	pid_t pid;

	must(pipe2(go, O_CLOEXEC));
	must(pipe2(ready, O_CLOEXEC));
	pid = fork_child();
	if (!pid) {
		bool opens = operation == OPEN || operation == WRITE;
		int descriptor = opens ? -1 : open_table(table);

		must(write(ready[1], &byte, 1));
		must(read(go[0], &byte, 1));
		operate(table, operation, descriptor);
		_exit(0);
	}
	must(read(ready[0], &byte, 1));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		set_parameter("kill_at", names[i], 0);
	set_parameter("kill_at", "at", at);
	set_parameter("kill_at", "pid", pid);
	must(write(go[1], &byte, 1));
	must(waitpid(pid, &counts.status, 0));
	set_parameter("kill_at", "pid", 0);
	counts.asked = parameter_value("kill_at", "asked");
	counts.sections = parameter_value("kill_at", "sections");
	counts.asked_before = parameter_value("kill_at", "asked_before");
	counts.opened = parameter_value("kill_at", "opened");
	close(go[0]);
	close(go[1]);
	close(ready[0]);
	close(ready[1]);
	return counts;
}

/* Reads a table of at least `threads` threads, two to a process. */
static struct table look_at(size_t which, long threads)
{
	struct table table = { .name = tables[which].name };
	long tasks = tables[which].leaders ? threads / 2 : threads;
	char path[100], *whole;

	snprintf(path, sizeof(path), TABLES "%s", table.name);
	whole = slurp(path, &table.size);
	for (size_t i = 0; i < table.size; i++)
		table.rows += whole[i] == '\n';
	free(whole);
	if (tables[which].section) {
		/* All but the last byte. */
		table.sections = (tasks - 1) / tables[which].section;
		if (tables[which].visits)
			table.sections += tasks;
		/* Other threads need a few more. */
		table.most_sections = tables[which].spaces ? LONG_MAX : table.sections + 5;
		table.laid_out = tables[which].one ? tasks : table.rows;
		table.visits = tables[which].spaces ? tasks : 0;
	}
	/* A look at an address space has checks of its own. */
	table.most_after = tables[which].spaces ? LONG_MAX : 20 + 20 * table.laid_out / ROWS;
	return table;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* An operation that is killed at any check does nothing more. */
static bool obeys(const struct table *table, enum operation operation, int questions)
{
	/* The list of set_pid exists before it is opened. */
	bool good = questions || !table->laid_out;

	for (int i = 0; i < TRIES && i < questions; i++) {
		/* The first check, the last but one, and others between them. */
		int at = 1 + (questions > 2 ? (long)i * (questions - 2) / (TRIES - 1) : i);
		struct counts counts = count(table, operation, at);

		/* The number of visited threads varies by a few. */
		if (counts.asked < at && at > questions * 9 / 10)
			continue;
		if (was_killed(counts.status) && counts.asked == at && !counts.opened)
			continue;
		ksft_print_msg("killed at check %d of %d: %d checks, %d opened, status %#x\n", at,
			       questions, counts.asked, counts.opened, counts.status);
		good = false;
	}
	return good;
}

static void test_open(const struct table *table)
{
	struct counts whole = count(table, OPEN, 0);
	int after = whole.asked - whole.asked_before;

	ksft_print_msg("%s: %ld rows, %d sections and more, %d checks, %d of them later\n",
		       table->name, table->rows, whole.sections, whole.asked, after);
	ksft_test_result(!whole.status && whole.opened == 1 && whole.sections >= table->sections &&
			 whole.asked_before >= whole.sections && whole.asked >= table->visits,
			 "%s: open checks for a fatal signal in every critical section%s\n",
			 table->name, table->visits ? " and at every address space" : "");
	ksft_test_result(whole.sections <= table->most_sections,
			 "%s: open has no more critical sections than its threads need\n",
			 table->name);
	ksft_test_result(after >= table->laid_out / ROWS,
			 "%s: open checks for a fatal signal once per %d rows of layout\n",
			 table->name, ROWS);
	/* Other steps check as well, each of them once in a while. */
	ksft_test_result(after <= table->most_after,
			 "%s: open does not check much more often\n", table->name);
	ksft_test_result(obeys(table, OPEN, whole.asked),
			 "%s: killed at any check of an open: the open fails and stops\n",
			 table->name);
}

static void test_skip(const struct table *table)
{
	struct counts whole = count(table, SKIP, 0);
	long rows = table->rows / ROWS;

	ksft_test_result(!whole.status && whole.asked >= rows,
			 "%s: skipping %ld rows checks for a fatal signal %ld times\n",
			 table->name, table->rows, rows);
	ksft_test_result(obeys(table, SKIP, whole.asked),
			 "%s: killed at any check of a skip: the skip stops\n", table->name);
}

/* A write that is killed at any check leaves the list as it was. */
static void test_write(void)
{
	const struct table table = { .name = "set_pid" };
	size_t size = list_many(O_TRUNC);
	int checks = count(&table, WRITE, 0).asked;
	bool good = true;

	ksft_test_result(checks >= (int)(size / BYTES),
			 "set_pid: a write of %zu bytes checks for a fatal signal once per %d\n",
			 size, BYTES);
	for (int i = 0; i < TRIES; i++) {
		struct counts counts;
		char *list;

		close(must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC)));
		counts = count(&table, WRITE, 1 + i * (checks - 1) / (TRIES - 1));
		list = slurp(SET_PID, NULL);
		if (!was_killed(counts.status) || *list) {
			ksft_print_msg("status %#x, the list is %.20s...\n", counts.status, list);
			good = false;
		}
		free(list);
	}
	ksft_test_result(good, "set_pid: killed at any check of a write: the list is as before\n");
}

/* An open that waits for the locks of a process is killed while it waits. */
static void test_wait(void)
{
	const struct table table = { .name = "segments" };
	pid_t pid = start_child(NULL, NULL);
	char number[32], parameters[32];
	struct counts counts;
	int checks;

	snprintf(number, sizeof(number), "%d\n", pid);
	write_set_pid(number);
	checks = count(&table, OPEN, 0).asked;
	snprintf(parameters, sizeof(parameters), "pid=%d mappings=1", pid);
	load_module("/tests/hold_mmap.ko", parameters);
	counts = count(&table, OPEN, 0);
	ksft_print_msg("%d checks, %d while a lock is held\n", checks, counts.asked);
	ksft_test_result(!counts.status && counts.asked > checks + 2,
			 "locks held: open checks for a fatal signal while it waits\n");
	/* No more checks than these are made outside of the wait. */
	counts = count(&table, OPEN, checks + 2);
	ksft_test_result(was_killed(counts.status) && counts.asked == checks + 2 && !counts.opened,
			 "locks held: killed while it waits: the open fails and stops\n");
	must(unload_module("hold_mmap") ? -1 : 0);
	end_child(pid);
	write_set_pid("");
}

static int compare(const void *one, const void *other)
{
	double difference = *(double *)one - *(double *)other;

	return (difference > 0) - (difference < 0);
}

static void repeat(const struct table *table, enum operation operation)
{
	int descriptor = operation == OPEN || operation == NOTHING ? -1 : open_table(table);

	for (;;) {
		__atomic_fetch_add(&shared->begun, 1, __ATOMIC_SEQ_CST);
		operate(table, operation, descriptor);
	}
}

/* Waits until the child begins the next operation. */
static void wait_for_next(void)
{
	int begun = __atomic_load_n(&shared->begun, __ATOMIC_SEQ_CST);

	while (__atomic_load_n(&shared->begun, __ATOMIC_SEQ_CST) == begun)
		usleep(10);
}

/* Kills readers at moments that are spread over an operation. */
static bool kill_by_the_clock(const struct table *table, enum operation operation, int moments)
{
	double *gone = malloc(moments * sizeof(*gone)), length = 0;
	bool good = true;

	for (int i = 0; i < moments; i++) {
		pid_t pid = fork_child();
		double before;
		int status;

		if (!pid)
			repeat(table, operation);
		wait_for_next();
		wait_for_next();
		if (!i) {
			before = 1e3 * monotonic();
			wait_for_next();
			length = 1e3 * monotonic() - before;
		}
		usleep(1e3 * length * (i + 0.5) / moments);
		before = 1e3 * monotonic();
		must(kill(pid, SIGKILL));
		must(waitpid(pid, &status, 0));
		gone[i] = 1e3 * monotonic() - before;
		good = good && was_killed(status);
	}
	ksft_print_msg("%s %s of %.2f ms, killed at %d moments:\n", table->name,
		       operations[operation], length, moments);
	qsort(gone, moments, sizeof(*gone), compare);
	ksft_print_msg("  gone after: median %.2f, 9 of 10 %.2f, most %.2f ms\n",
		       gone[moments / 2], gone[moments * 9 / 10], gone[moments - 1]);
	free(gone);
	return good;
}

/* All files are there and complete. */
static bool all_whole(void)
{
	char **names = file_names();
	bool good = true;

	for (int i = 0; names[i]; i++) {
		char path[100], *all;
		const char *problem;
		size_t size;

		snprintf(path, sizeof(path), TABLES "%s", names[i]);
		all = slurp(path, &size);
		problem = whole(names[i], all, size);
		if (problem) {
			ksft_print_msg("%s: %s\n", names[i], problem);
			good = false;
		}
		free(all);
	}
	return good;
}

int main(void)
{
	long threads = setting("KILLED_THREADS", 2200);
	int moments = rounds("KILLED_MOMENTS", 1, 100);
	struct crowd_shape shape = { .threads = threads, .group = 2 };
	struct rlimit files = { 100, 100 };
	bool good = true;

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tables) * 7 + 6);
	must(setrlimit(RLIMIT_CORE, &files));
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	load_taskscope("");
	load_module("/tests/kill_at.ko", "");
	start_crowd_of(&shape);
	/* For comparison. */
	kill_by_the_clock(&(struct table){ .name = "in user space," }, NOTHING, moments);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		bool lists = !strcmp(tables[i].name, "set_pid");
		struct table table;

		if (lists)
			list_many(O_TRUNC);
		table = look_at(i, threads);
		test_open(&table);
		test_skip(&table);
		for (enum operation operation = OPEN; operation <= SKIP; operation++)
			good = kill_by_the_clock(&table, operation, moments) && good;
		if (lists)
			close(must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC)));
	}
	test_write();
	test_wait();
	ksft_test_result(good, "killed at %d moments of each operation: all readers die\n",
			 moments);
	ksft_test_result(all_whole(), "after the kills: every table is complete\n");
	ksft_finished();
}
