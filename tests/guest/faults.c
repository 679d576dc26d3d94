// SPDX-License-Identifier: GPL-2.0
/*
 * Allocations that fail, and copies from and to the reader: the first, the
 * second, the third ... of loading the module, and of opening and of reading
 * each of its files, until an operation meets no fault any more. The answer is
 * the error that fits; nothing is half done; the next try works.
 *
 * What may fail is what the directory holds, so that a new table is a case.
 * That nothing leaks is for kmemleak to say, when the guest ends.
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

/* No operation has that many faults; an endless one has. */
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

/* A stack with any address in it is one that is spared. */
static void spare(const char * const *capabilities, size_t count, bool spared)
{
	for (size_t i = 0; i < count; i++)
		set(capabilities[i], "reject-end", spared ? "0xffffffffffffffff" : "0");
}

static void set_up(void)
{
	for (size_t i = 0; i < SIZE(allocations); i++) {
		/* Or allocations that may sleep would be spared. */
		set(allocations[i], "ignore-gfp-wait", "N");
		/* The log is for what nobody has asked for. */
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
 * Returns whether the fault was met. Reading and writing that file copies as
 * well: a fault that comes so late was not met by the operation.
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

/* Counts of one sweep. */
struct sweep {
	int faults;	/* met */
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
	ksft_test_result(sweep->faults && !sweep->wrong, "%s %s\n", what, name);
}

static char *image;
static size_t image_size;

/* From memory: the kernel warns when it has none to read a file into. */
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

/* Every file that belongs there is there, and no other. */
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
			die("there is no end to the faults of a load");
		arm(nth);
		error = load();
		met = disarm();
		sweep.faults += met;
		sweep.errors += error != 0;
		if (error) {
			if (!met)
				wrong(&sweep, "no load, without a fault", nth, error);
			if (loaded() || !access(TABLES, F_OK))
				wrong(&sweep, "not loaded, and there is something", nth, error);
			error = load();
			if (error)
				wrong(&sweep, "the next load", nth, error);
		}
		if (!all_files())
			wrong(&sweep, "loaded, without all its files", nth, 0);
		error = unload_module("taskscope");
		if (error)
			wrong(&sweep, "no unload", nth, error);
	}
	report(&sweep, "load", "the module");
}

/* What two texts of the same table have in common. */
static bool alike(const char *text, const char *other)
{
	size_t first = strcspn(text, "\n"), size = strlen(text), other_size = strlen(other);

	/* The first line, and an end that is one. */
	return size > first && other_size > first && !strncmp(text, other, first + 1) &&
	       text[size - 1] == '\n' && other[other_size - 1] == '\n';
}

/*
 * `anew`: each time after the module was loaded anew, when it has no memory of a table
 * before, and all of it must be had.
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
			die("there is no end to the faults of opening %s", name);
		if (anew && (unload_module("taskscope") || load()))
			die("the module cannot be loaded anew");
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
			wrong(&sweep, "opened, and not to be read", nth, 0);
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

	/* So that no copy meets a page that is not there. */
	memset(buffer, 1, sizeof(buffer));
	for (int nth = 1; met; nth++) {
		int file = must(open(path, O_RDONLY | O_CLOEXEC));
		size_t size;
		ssize_t count;
		char *text;

		if (nth > MOST)
			die("there is no end to the faults of reading %s", name);
		arm(nth);
		count = read(file, buffer, sizeof(buffer));
		met = disarm();
		sweep.faults += met;
		if (count < 0) {
			sweep.errors++;
			if (!met || errno != expected)
				wrong(&sweep, "read", nth, errno);
		}
		/* The text is still the one it has been. */
		must(lseek(file, 0, SEEK_SET));
		text = slurp_descriptor(file, &size);
		if (!text || (count > 0 && ((size_t)count > size || memcmp(text, buffer, count))))
			wrong(&sweep, "the next read", nth, text ? 0 : errno);
		free(text);
		close(file);
	}
	/* A read of little text allocates nothing more. */
	ksft_print_msg("%s %s: %d faults, %d errors\n", what, name, sweep.faults, sweep.errors);
	ksft_test_result((sweep.faults || expected == ENOMEM) && !sweep.wrong, "%s %s\n", what,
			 name);
}

static void sweep_file(const char *name)
{
	struct stat status;
	char path[300];

	snprintf(path, sizeof(path), TABLES "%s", name);
	must(stat(path, &status));
	/* What is written there is all that is to be read. */
	if (status.st_mode & 0200)
		write_file(path, "1");
	/* Of one table only: a load takes long, and what is kept is kept for all. */
	sweep_open(path, name, O_RDONLY, ENOMEM, !strcmp(name, "threads"), "open");
	sweep_open(path, name, status.st_mode & 0200 ? O_RDWR : O_RDONLY, ENOMEM, false,
		   "open again, as its mode lets one,");
	sweep_read(path, name, ENOMEM, "read");
	spare(allocations, SIZE(allocations), true);
	spare(copies, SIZE(copies), false);
	sweep_read(path, name, EFAULT, "read, with copies that fail,");
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
