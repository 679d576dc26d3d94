// SPDX-License-Identifier: GPL-2.0
/*
 * Fault injection: the first, the second, the third ... memory allocation or copy to or from
 * user space fails, in loading the module, in opening and reading each of its files, and in a
 * write, until an operation meets no fault. The operation must return the matching error, leave
 * nothing half done, and succeed the next time. An open that succeeds must show the same rows as
 * without the fault.
 *
 * In some opens the next allocation from a slab fails, too: kvrealloc() repeats an allocation that
 * has failed, so that one fault alone never makes kvrealloc() fail.
 *
 * The files are those that the directory has, so a new table is included. kmemleak checks
 * for leaks when the guest ends.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"
#include "isolation.h"
#include "rows.h"
#include "whole.h"

#define DEBUGFS "/sys/kernel/debug/"

/* No operation has so many faults, unless it never ends. */
#define MOST 5000

static const char * const allocations[] = { "failslab", "fail_page_alloc" };
static const char * const copies[] = { "fail_usercopy" };

static int fail_nth, make_it_fail;

static void set(const char *capability, const char *name, const char *value)
{
	char path[100];

	snprintf(path, sizeof(path), DEBUGFS "%s/%s", capability, name);
	write_file(path, value);
}

/* Switches fault injection off: no call whose stack has an address below the limit fails. */
static void spare(const char * const *capabilities, size_t count, bool spared)
{
	for (size_t i = 0; i < count; i++)
		set(capabilities[i], "reject-end", spared ? "0xffffffffffffffff" : "0");
}

static void set_up(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(allocations); i++) {
		/* By default, allocations that may sleep do not fail. */
		set(allocations[i], "ignore-gfp-wait", "N");
		/* No log line for faults that the test asks for. */
		set(allocations[i], "verbose", "0");
	}
	/* An allocation of a task with make-it-fail, after that of fail-nth. */
	set("failslab", "task-filter", "Y");
	set("failslab", "probability", "100");
	set("fail_page_alloc", "min-order", "0");
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_usercopy", "verbose", "0");
	fail_nth = must(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
	make_it_fail = must(open("/proc/thread-self/make-it-fail", O_RDWR | O_CLOEXEC));
}

/* How many allocations fail. */
enum faults { ONE, TWO };

static void arm(int nth, enum faults faults)
{
	char text[20];

	if (faults == TWO) {
		/* That of fail-nth counts, too. */
		set("failslab", "times", "2");
		must(pwrite(make_it_fail, "1", 1, 0));
	}
	must(pwrite(fail_nth, text, snprintf(text, sizeof(text), "%d", nth), 0));
}

/*
 * Ends the injection; returns whether the operation met the fault. Reading and writing
 * fail-nth also copies from and to user space: the operation did not meet a fault that
 * occurs there.
 */
static bool disarm(void)
{
	int error = errno;
	char text[20] = "";
	bool met = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	if (pwrite(fail_nth, "0", 1, 0) != 1)
		must(pwrite(fail_nth, "0", 1, 0));
	must(pwrite(make_it_fail, "0", 1, 0));
	errno = error;
	return met;
}

/* The counts of one operation. */
struct sweep {
	int faults;	/* that the operation met */
	int errors;	/* that the operation returned for them */
	int wrong;
};

static void wrong(struct sweep *sweep, const char *what, int nth, int error)
{
	if (!sweep->wrong++)
		ksft_print_msg("fault %d: %s (%s)\n", nth, what, error ? strerror(error) : "-");
}

static void report(const struct sweep *sweep, const char *what, const char *name)
{
	ksft_print_msg("%s %s: %d faults, %d errors\n", what, name, sweep->faults, sweep->errors);
	ksft_test_result(sweep->faults && !sweep->wrong,
			 "%s %s: the right error, then success\n", what, name);
}

static char *image;
static size_t image_size;

/* From memory: the kernel warns if it has no memory to read the file into. */
static int load(void)
{
	return syscall(SYS_init_module, image, image_size, "") ? errno : 0;
}

static char **files;
static size_t file_count;

static int by_name(const void *one, const void *other)
{
	return strcmp(*(char * const *)one, *(char * const *)other);
}

/* The names in the directory, sorted; NULL if there is none. */
static char **list(size_t *count)
{
	DIR *directory = opendir(TABLES);
	struct dirent *entry;
	char **names = NULL;

	*count = 0;
	if (!directory)
		return NULL;
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		names = realloc(names, (*count + 1) * sizeof(*names));
		names[(*count)++] = strdup(entry->d_name);
	}
	closedir(directory);
	qsort(names, *count, sizeof(*names), by_name);
	return names;
}

/* The directory has every file of the module, and no other. */
static bool all_files(void)
{
	size_t count;
	char **names = list(&count);
	bool same = count == file_count;

	for (size_t i = 0; i < count; i++) {
		same = same && !strcmp(names[i], files[i]);
		free(names[i]);
	}
	free(names);
	return same;
}

static bool loaded(void)
{
	return !access("/sys/module/taskscope", F_OK);
}

static void sweep_load(void)
{
	struct sweep sweep = {};
	bool met = true;

	for (int nth = 1; met; nth++) {
		int error;

		if (nth > MOST)
			die("the faults of a load do not end");
		arm(nth, ONE);
		error = load();
		met = disarm();
		sweep.faults += met;
		sweep.errors += error != 0;
		if (error) {
			if (!met)
				wrong(&sweep, "no load, although there was no fault", nth, error);
			if (loaded() || !access(TABLES, F_OK))
				wrong(&sweep, "not loaded, but something is left", nth, error);
			error = load();
			if (error)
				wrong(&sweep, "the next load", nth, error);
		}
		if (!all_files())
			wrong(&sweep, "loaded, but a file is missing", nth, 0);
		error = unload_module("taskscope");
		if (error)
			wrong(&sweep, "no unload", nth, error);
	}
	report(&sweep, "allocations fail, load of", "the module");
}

/* How many rows follow each other with the PID of the first. */
static size_t block(const struct rows *table, size_t row)
{
	size_t end = row;

	while (end < table->rows && table->pid[end] == table->pid[row])
		end++;
	return end - row;
}

/* Whether a thread that has rows in `table` from `row` on has the same rows in `other`. */
static bool same_block(const struct rows *table, size_t row, const struct rows *other)
{
	size_t at = rows_find(other, table->pid[row]), count = block(table, row);

	if (at == other->rows || block(other, at) != count)
		return false;
	for (size_t i = 0; i < count; i++)
		for (int column = 0; column < table->columns; column++)
			if (strcmp(table->value[row + i][column], other->value[at + i][column]))
				return false;
	return true;
}

/*
 * Whether the tables differ in a thread that has the same rows in `before` and in a table of now.
 */
static bool lacks_some(const char *name, const struct rows *before, const struct rows *table)
{
	struct rows *now = NULL;
	bool lacks = false;

	for (size_t row = 0; row < before->rows && !lacks; row += block(before, row)) {
		/* The reader itself calls open() at several places. */
		if (before->pid[row] == getpid() || same_block(before, row, table))
			continue;
		if (!now)
			now = rows_read(name);
		lacks = same_block(before, row, now);
		if (lacks)
			ksft_print_msg("PID %d:\n%s\nwithout the fault:\n%s\n", before->pid[row],
				       table->text, now->text);
	}
	if (now)
		rows_free(now);
	return lacks;
}

static bool is_table(const char *name)
{
	return strcmp(name, "current") && strcmp(name, "set_pid");
}

/*
 * What is wrong with the text of a file that could be opened, or NULL. A table is compared with a
 * usual one: an open that meets a fault fails, or shows all that it shows without.
 */
static const char *judge(const char *name, const struct rows *usual, char *text, size_t size)
{
	const char *problem = whole(name, text, size);
	struct rows *table;

	if (problem || !is_table(name))
		return problem;
	table = rows_parse(memcpy(malloc(size + 1), text, size + 1), size);
	if (!strcmp(name, "contexts"))
		problem = table->rows == usual->rows ? NULL : "a row is missing";
	/*
	 * The rows of `cpus` are of CPUs, and whole() looks for each of them. No program changes
	 * its mappings while its CPU is sampled.
	 */
	else if (!strcmp(name, "cpus"))
		problem = strstr(table->text, " locked ") ? "a frame of a program is lost" : NULL;
	else if (lacks_some(name, usual, table))
		problem = "a thread that has not run has other rows";
	rows_free(table);
	return problem;
}

static bool is_in_use(void)
{
	char *count = slurp("/sys/module/taskscope/refcnt", NULL);
	bool used = atoi(count);

	free(count);
	return used;
}

/*
 * With `anew`, the module is reloaded before each open: it then has no memory left from a
 * table before and must allocate all of it.
 */
static void sweep_open(const char *path, const char *name, int flags, enum faults faults, bool anew,
		       const char *what)
{
	struct rows *usual = is_table(name) ? rows_read(name) : NULL;
	struct sweep sweep = {};
	bool met = true;

	for (int nth = 1; met; nth++) {
		const char *problem;
		size_t size;
		char *text;
		int file;

		if (nth > MOST)
			die("the faults of opening %s do not end", name);
		if (anew && (unload_module("taskscope") || load()))
			die("the module cannot be reloaded");
		arm(nth, faults);
		file = open(path, flags | O_CLOEXEC);
		met = disarm();
		sweep.faults += met;
		if (file < 0) {
			sweep.errors++;
			if (!met || errno != ENOMEM)
				wrong(&sweep, "open", nth, errno);
			file = open(path, flags | O_CLOEXEC);
			if (file < 0) {
				wrong(&sweep, "the next open", nth, errno);
				continue;
			}
		}
		text = slurp_descriptor(file, &size);
		problem = text ? judge(name, usual, text, size) : "opened, but not readable";
		if (problem)
			wrong(&sweep, problem, nth, 0);
		free(text);
		close(file);
		if (is_in_use())
			wrong(&sweep, "something still refers to the module", nth, 0);
	}
	if (usual)
		rows_free(usual);
	report(&sweep, what, name);
}

static void sweep_read(const char *path, const char *name, int expected, const char *what)
{
	static char buffer[1 << 20];
	struct sweep sweep = {};
	bool met = true;

	/* Touches the pages, so that no copy causes a page fault. */
	memset(buffer, 1, sizeof(buffer));
	for (int nth = 1; met; nth++) {
		int file = must(open(path, O_RDONLY | O_CLOEXEC));
		size_t size;
		ssize_t count;
		char *text;

		if (nth > MOST)
			die("the faults of reading %s do not end", name);
		arm(nth, ONE);
		count = read(file, buffer, sizeof(buffer));
		met = disarm();
		sweep.faults += met;
		if (count < 0) {
			sweep.errors++;
			if (!met || errno != expected)
				wrong(&sweep, "read", nth, errno);
		}
		/* The text is the same as before the fault. */
		must(lseek(file, 0, SEEK_SET));
		text = slurp_descriptor(file, &size);
		if (!text || (count > 0 && ((size_t)count > size || memcmp(text, buffer, count))))
			wrong(&sweep, "the next read", nth, text ? 0 : errno);
		free(text);
		close(file);
	}
	/* A read of a short text allocates nothing. */
	ksft_print_msg("%s %s: %d faults, %d errors\n", what, name, sweep.faults, sweep.errors);
	ksft_test_result((sweep.faults || expected == ENOMEM) && !sweep.wrong,
			 "%s %s: the right error, then success\n", what, name);
}

/* A program that each CPU may be found to run. */
static void spin(void *unused)
{
	for (;;)
		relax();
}

static void sweep_file(const char *name)
{
	pid_t spinner = strcmp(name, "cpus") ? 0 : start_child(spin, NULL);
	struct stat status;
	char path[300];

	snprintf(path, sizeof(path), TABLES "%s", name);
	must(stat(path, &status));
	/* A set_pid that is empty has no text to read. */
	if (status.st_mode & 0200)
		write_file(path, "1");
	/* For one table only: a load takes long, and all tables share the kept memory. */
	sweep_open(path, name, O_RDONLY, ONE, !strcmp(name, "threads"),
		   "an allocation fails, open of");
	sweep_open(path, name, status.st_mode & 0200 ? O_RDWR : O_RDONLY, TWO, false,
		   "two allocations fail, open of");
	sweep_read(path, name, ENOMEM, "allocations fail, read of");
	spare(allocations, ARRAY_SIZE(allocations), true);
	spare(copies, ARRAY_SIZE(copies), false);
	sweep_read(path, name, EFAULT, "copies fail, read of");
	spare(allocations, ARRAY_SIZE(allocations), false);
	spare(copies, ARRAY_SIZE(copies), true);
	if (status.st_mode & 0200)
		close(must(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)));
	if (spinner)
		end_child(spinner);
}

/* A write to set_pid adds its PIDs, or fails and leaves the list as it was. */
static void sweep_write(enum faults faults, const char *what)
{
	struct sweep sweep = {};
	bool met = true;

	for (int nth = 1; met; nth++) {
		const char *expected;
		ssize_t count;
		char *list;
		int file;

		if (nth > MOST)
			die("the faults of a write do not end");
		write_set_pid("1 2 3");
		file = must(open(TABLES "set_pid", O_WRONLY | O_APPEND | O_CLOEXEC));
		arm(nth, faults);
		count = write(file, "4 5", 3);
		met = disarm();
		sweep.faults += met;
		if (count < 0) {
			sweep.errors++;
			if (!met || errno != ENOMEM)
				wrong(&sweep, "write", nth, errno);
		}
		close(file);
		expected = count < 0 ? "1\n2\n3\n" : "1\n2\n3\n4\n5\n";
		list = slurp(TABLES "set_pid", NULL);
		if (strcmp(list, expected))
			wrong(&sweep, "another list than before", nth, 0);
		free(list);
	}
	close(must(open(TABLES "set_pid", O_WRONLY | O_TRUNC | O_CLOEXEC)));
	report(&sweep, what, "set_pid");
}

/* How many tests sweep_isolated() has. */
#define ISOLATED 2

/*
 * Isolates the first CPU, and opens the tables of CPUs. The row of an isolated CPU is then the
 * first row of `cpus`, for which the table allocates memory.
 */
static void sweep_isolated(void)
{
	int cpus[CPUS_MAX];

	if (online_cpus(cpus) < 2) {
		ksft_test_result_skip("isolated CPU: there is only one\n");
		ksft_test_result_skip("isolated CPU: there is only one\n");
		return;
	}
	stay_on(cpus[1]);
	make_partition(cpus[0]);
	isolate(true, cpus[0]);
	sweep_open(TABLES "cpus", "cpus", O_RDONLY, TWO, false,
		   "two allocations fail, isolated CPU, open of");
	sweep_open(TABLES "contexts", "contexts", O_RDONLY, TWO, false,
		   "two allocations fail, isolated CPU, open of");
	isolate(false, cpus[0]);
	remove_partition();
}

int main(void)
{
	int error;

	ksft_print_header();
	if (access("/proc/thread-self/fail-nth", F_OK) || access(DEBUGFS "failslab", F_OK))
		ksft_exit_skip("this kernel has no fault injection\n");
	set_up();
	spare(copies, ARRAY_SIZE(copies), true);

	image = slurp("/taskscope.ko", &image_size);
	error = load();
	if (error)
		die("the module does not load: %s", strerror(error));
	files = list(&file_count);
	if (file_count < 4)
		die("the directory has %zu files", file_count);
	error = unload_module("taskscope");
	if (error)
		die("the module does not unload: %s", strerror(error));

	ksft_set_plan(1 + 4 * file_count + 2 + ISOLATED);
	sweep_load();
	load_taskscope("");
	for (size_t i = 0; i < file_count; i++)
		sweep_file(files[i]);
	sweep_write(ONE, "an allocation fails, write to");
	sweep_write(TWO, "two allocations fail, write to");
	sweep_isolated();
	ksft_finished();
}
