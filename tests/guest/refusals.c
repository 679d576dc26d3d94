// SPDX-License-Identifier: GPL-2.0
/*
 * Each forbidden operation on a table fails with an errno and changes nothing: any operation
 * by other users, root of a user namespace included, even if the directories let them pass;
 * and anything but reading by root.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <kselftest.h>

#include "capabilities.h"
#include "guest.h"
#include "table.h"
#include "whole.h"

static char path[100];

static bool refusal(int error)
{
	return error == EACCES || error == EPERM || error == EROFS || error == EINVAL;
}

static int open_to_read(const char *path)
{
	return open_error(path, O_RDONLY);
}

static int open_to_write(const char *path)
{
	return open_error(path, O_WRONLY);
}

static int see_directory(const char *path)
{
	return access("/sys/kernel/debug/taskscope/.", R_OK | X_OK) ? errno : 0;
}

static int change_mode(const char *path)
{
	return chmod(path, 0666) ? errno : 0;
}

static void test_others(void)
{
	ksft_test_result(as_other(become_user, open_to_read, path) == EACCES,
			 "%s: open for reading by another user: EACCES\n", path);
	ksft_test_result(as_other(become_user, open_to_write, path) == EACCES,
			 "%s: open for writing by another user: EACCES\n", path);
	ksft_test_result(as_other(become_namespace_root, open_to_read, path) == EACCES &&
			 as_other(become_namespace_root, open_to_write, path) == EACCES,
			 "%s: open by root of a user namespace: EACCES\n", path);
	ksft_test_result(as_other(become_namespace_root, change_mode, path) == EPERM,
			 "%s: chmod by root of a user namespace: EPERM\n",
			 path);
}

/* After all attempts, the open file and a new open still read a table. */
static bool still_reads(int descriptor)
{
	char *text, *again;
	bool good;

	must(lseek(descriptor, 0, SEEK_SET));
	text = slurp_descriptor(descriptor, NULL);
	again = slurp(path, NULL);
	good = text && strlen(text) > 200 && strlen(again) > 200 && !strncmp(text, again, 5);
	free(text);
	free(again);
	return good;
}

/* splice() fails with EINVAL, or moves the text. */
static bool splices(int descriptor)
{
	int ends[2];
	char bytes[100], want[100];
	ssize_t count;

	must(pipe(ends));
	must(pread(descriptor, want, sizeof(want), 0));
	must(lseek(descriptor, 0, SEEK_SET));
	errno = 0;
	count = splice(descriptor, NULL, ends[1], NULL, sizeof(bytes), 0);
	if (count > 0) {
		must(read(ends[0], bytes, count));
		count = memcmp(bytes, want, count) ? -2 : 0;
	} else if (count == -1 && errno == EINVAL) {
		count = 0;
	} else {
		count = -2;
	}
	close(ends[0]);
	close(ends[1]);
	return !count;
}

static void test_root(void)
{
	int descriptor = must(open(path, O_RDONLY | O_CLOEXEC)), argument = 0;
	struct stat status;

	must(fstat(descriptor, &status));
	ksft_test_result((status.st_mode & 07777) == 0400 && !status.st_uid &&
			 S_ISREG(status.st_mode),
			 "%s: mode 0400, owner root\n", path);
	ksft_test_result(refusal(open_error(path, O_WRONLY)),
			 "%s: open for writing by root: refused\n", path);
	ksft_test_result(refusal(open_error(path, O_RDWR)),
			 "%s: open for reading and writing by root: refused\n", path);
	ksft_test_result(refusal(open_error(path, O_WRONLY | O_APPEND)) &&
			 refusal(open_error(path, O_WRONLY | O_TRUNC)),
			 "%s: open with O_APPEND or O_TRUNC by root: refused\n", path);
	errno = 0;
	ksft_test_result(write(descriptor, "x", 1) == -1 && errno == EBADF, "%s: write: EBADF\n",
			 path);
	errno = 0;
	ksft_test_result(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, descriptor, 0) == MAP_FAILED &&
			 errno == ENODEV,
			 "%s: private mmap: ENODEV\n", path);
	errno = 0;
	ksft_test_result(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
			      0) == MAP_FAILED &&
			 (errno == EACCES || errno == ENODEV),
			 "%s: shared mmap: EACCES or ENODEV\n", path);
	errno = 0;
	ksft_test_result(ioctl(descriptor, TCGETS, &argument) == -1 && errno == ENOTTY,
			 "%s: ioctl TCGETS: ENOTTY\n", path);
	errno = 0;
	ksft_test_result(ftruncate(descriptor, 0) == -1 && (errno == EINVAL || errno == EBADF),
			 "%s: ftruncate: EINVAL or EBADF\n", path);
	ksft_test_result(splices(descriptor), "%s: splice: EINVAL, or the text\n", path);
	ksft_test_result(still_reads(descriptor),
			 "%s: after these attempts: still readable\n", path);
	close(descriptor);
}

int main(void)
{
	char **files;
	int tables = 0;

	ksft_print_header();
	load_taskscope("");
	files = file_names();
	for (char **file = files; *file; file++)
		tables += strcmp(*file, "set_pid") != 0;
	ksft_set_plan(1 + tables * 15 + 4 + 1);
	/* The files must refuse the calls themselves, without help of their directories. */
	must(chmod("/sys/kernel/debug", 0755));
	must(chmod("/sys/kernel/debug/taskscope", 0755));
	ksft_test_result(!as_other(become_user, see_directory, path) &&
			 !as_other(become_namespace_root, see_directory, path),
			 "directory: another user can list it\n");
	for (char **file = files; *file; file++) {
		if (!strcmp(*file, "set_pid"))
			continue;
		snprintf(path, sizeof(path), TABLES "%s", *file);
		test_others();
		test_root();
	}
	snprintf(path, sizeof(path), TABLES "set_pid");
	test_others();
	ksft_test_result(!open_error(path, O_RDWR),
			 "%s: open for reading and writing by root: no error\n", path);
	must(chmod("/sys/kernel/debug", 0700));
	ksft_finished();
}
