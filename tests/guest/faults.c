// SPDX-License-Identifier: GPL-2.0
/*
 * Fault injection: the first, the second, the third ... memory allocation or copy to or from
 * user space fails, in loading the module and in opening and reading each of its files,
 * until an operation meets no fault. The operation must return the matching error, leave
 * nothing half done, and succeed the next time.
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

#include "guest.h"

#define DEBUGFS "/sys/kernel/debug/"

/* No operation has so many faults, unless it never ends. */
#define MOST 5000

static const char * const allocations[] = { "failslab", "fail_page_alloc" };
static const char * const copies[] = { "fail_usercopy" };

#define SIZE(array) (sizeof(array) / sizeof(*(array)))

static int fail_nth;

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
	for (size_t i = 0; i < SIZE(allocations); i++) {
		/* By default, allocations that may sleep do not fail. */
		set(allocations[i], "ignore-gfp-wait", "N");
		/* No log line for faults that the test asks for. */
		set(allocations[i], "verbose", "0");
	}
	set("fail_page_alloc", "min-order", "0");
	set("fail_page_alloc", "ignore-gfp-highmem", "N");
	set("fail_usercopy", "verbose", "0");
	fail_nth = must(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC));
}

static void arm(int nth)
{
	char text[20];

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
		arm(nth);
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

/* Whether two texts are of the same table. */
static bool alike(const char *text, const char *other)
{
	size_t first = strcspn(text, "\n"), size = strlen(text), other_size = strlen(other);

	/* The same first line, and a newline at the end. */
	return size > first && other_size > first && !strncmp(text, other, first + 1) &&
	       text[size - 1] == '\n' && other[other_size - 1] == '\n';
}

/*
 * With `anew`, the module is reloaded before each open: it then has no memory left from a
 * table before and must allocate all of it.
 */
static void sweep_open(const char *path, const char *name, int flags, int expected, bool anew,
		       const char *what)
{
	char *usual = slurp(path, NULL);
	struct sweep sweep = {};
	bool met = true;

	for (int nth = 1; met; nth++) {
		int file;
		char *text;

		if (nth > MOST)
			die("the faults of opening %s do not end", name);
		if (anew && (unload_module("taskscope") || load()))
			die("the module cannot be reloaded");
		arm(nth);
		file = open(path, flags | O_CLOEXEC);
		met = disarm();
		sweep.faults += met;
		if (file < 0) {
			sweep.errors++;
			if (!met || errno != expected)
				wrong(&sweep, "open", nth, errno);
			file = open(path, flags | O_CLOEXEC);
			if (file < 0) {
				wrong(&sweep, "the next open", nth, errno);
				continue;
			}
		}
		text = slurp_descriptor(file, NULL);
		if (!text || !alike(usual, text))
			wrong(&sweep, "opened, but not readable", nth, 0);
		free(text);
		close(file);
	}
	free(usual);
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
		arm(nth);
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

static void sweep_file(const char *name)
{
	struct stat status;
	char path[300];

	snprintf(path, sizeof(path), TABLES "%s", name);
	must(stat(path, &status));
	/* A set_pid that is empty has no text to read. */
	if (status.st_mode & 0200)
		write_file(path, "1");
	/* For one table only: a load takes long, and all tables share the kept memory. */
	sweep_open(path, name, O_RDONLY, ENOMEM, !strcmp(name, "threads"),
		   "allocations fail, open of");
	sweep_open(path, name, status.st_mode & 0200 ? O_RDWR : O_RDONLY, ENOMEM, false,
		   "allocations fail, another open of");
	sweep_read(path, name, ENOMEM, "allocations fail, read of");
	spare(allocations, SIZE(allocations), true);
	spare(copies, SIZE(copies), false);
	sweep_read(path, name, EFAULT, "copies fail, read of");
	spare(allocations, SIZE(allocations), false);
	spare(copies, SIZE(copies), true);
	if (status.st_mode & 0200)
		close(must(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)));
}

int main(void)
{
	int error;

	ksft_print_header();
	if (access("/proc/thread-self/fail-nth", F_OK) || access(DEBUGFS "failslab", F_OK))
		ksft_exit_skip("this kernel has no fault injection\n");
	set_up();
	spare(copies, SIZE(copies), true);

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

	ksft_set_plan(1 + 4 * file_count);
	sweep_load();
	load_taskscope("");
	for (size_t i = 0; i < file_count; i++)
		sweep_file(files[i]);
	ksft_finished();
}
