// SPDX-License-Identifier: GPL-2.0
/*
 * What may not be done to a table is refused with a word, and leaves it as it
 * was: by others than root, root of a user namespace among them, even where the
 * directories would let them; and by root, who may read, but nothing else.
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"

static const char * const tables[] = {
	"current", "contexts", "processes", "threads", "kstacks", "kframes", "syscalls",
};

#define TABLE_COUNT ((int)(sizeof(tables) / sizeof(*tables)))

static char path[100];

/* The errno of an open, or 0. */
static int open_error(int flags)
{
	int descriptor = open(path, flags | O_CLOEXEC);

	if (descriptor < 0)
		return errno;
	close(descriptor);
	return 0;
}

static bool refusal(int error)
{
	return error == EACCES || error == EPERM || error == EROFS || error == EINVAL;
}

/* Runs as another user; returns what function returns. */
static int as_other(int (*function)(void), uid_t uid, bool namespace)
{
	int status;
	pid_t pid = fork_child();

	if (!pid) {
		must(setgroups(0, NULL));
		must(setresgid(uid, uid, uid));
		must(setresuid(uid, uid, uid));
		if (namespace) {
			char map[30];

			/* What setresuid took away, and what a map of one's own needs. */
			must(prctl(PR_SET_DUMPABLE, 1));
			must(unshare(CLONE_NEWUSER));
			snprintf(map, sizeof(map), "0 %u 1", uid);
			write_file("/proc/self/uid_map", map);
			if (getuid())
				die("no root in the namespace");
		}
		_exit(function());
	}
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int open_to_read(void)
{
	return open_error(O_RDONLY);
}

static int open_to_write(void)
{
	return open_error(O_WRONLY);
}

static int see_directory(void)
{
	return access("/sys/kernel/debug/taskscope/.", R_OK | X_OK) ? errno : 0;
}

static int change_mode(void)
{
	return chmod(path, 0666) ? errno : 0;
}

static void test_others(void)
{
	ksft_test_result(as_other(open_to_read, 1000, false) == EACCES,
			 "%s: another user may not read\n", path);
	ksft_test_result(as_other(open_to_write, 1000, false) == EACCES, "%s: nor write\n", path);
	ksft_test_result(as_other(open_to_read, 1000, true) == EACCES &&
			 as_other(open_to_write, 1000, true) == EACCES,
			 "%s: nor may root of a user namespace\n", path);
	ksft_test_result(as_other(change_mode, 1000, true) == EPERM, "%s: who cannot change that\n",
			 path);
}

/* After all that was tried, what is open and what is opened reads as ever. */
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

/* The descriptor delivers nothing this way, or its text. */
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
			 "%s: mode 0400, of root\n", path);
	ksft_test_result(refusal(open_error(O_WRONLY)), "%s: no open for writing\n", path);
	ksft_test_result(refusal(open_error(O_RDWR)), "%s: nor for both\n", path);
	ksft_test_result(refusal(open_error(O_WRONLY | O_APPEND)) &&
			 refusal(open_error(O_WRONLY | O_TRUNC)),
			 "%s: nor for appending or to cut it\n", path);
	errno = 0;
	ksft_test_result(write(descriptor, "x", 1) == -1 && errno == EBADF, "%s: no write\n", path);
	errno = 0;
	ksft_test_result(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, descriptor, 0) == MAP_FAILED &&
			 errno == ENODEV,
			 "%s: no mapping\n", path);
	errno = 0;
	ksft_test_result(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor,
			      0) == MAP_FAILED &&
			 (errno == EACCES || errno == ENODEV), "%s: no shared mapping\n", path);
	errno = 0;
	ksft_test_result(ioctl(descriptor, TCGETS, &argument) == -1 && errno == ENOTTY,
			 "%s: no ioctl\n", path);
	errno = 0;
	ksft_test_result(ftruncate(descriptor, 0) == -1 && (errno == EINVAL || errno == EBADF),
			 "%s: no ftruncate\n", path);
	ksft_test_result(splices(descriptor), "%s: splice says EINVAL, or the text\n", path);
	ksft_test_result(still_reads(descriptor), "%s: reads as ever\n", path);
	close(descriptor);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(1 + TABLE_COUNT * 15 + 3);
	load_taskscope("");
	/* The files are to refuse by themselves, not only the directories above them. */
	must(chmod("/sys/kernel/debug", 0755));
	must(chmod("/sys/kernel/debug/taskscope", 0755));
	ksft_test_result(!as_other(see_directory, 1000, true), "others see the directory\n");
	for (int i = 0; i < TABLE_COUNT; i++) {
		snprintf(path, sizeof(path), TABLES "%s", tables[i]);
		test_others();
		test_root();
	}
	snprintf(path, sizeof(path), TABLES "set_pid");
	ksft_test_result(as_other(open_to_read, 1000, true) == EACCES, "%s: read by root alone\n",
			 path);
	ksft_test_result(as_other(open_to_write, 1000, true) == EACCES &&
			 as_other(open_to_write, 1000,
				  false) == EACCES, "%s: written by root alone\n", path);
	ksft_test_result(!open_error(O_RDWR), "%s: which root may\n", path);
	must(chmod("/sys/kernel/debug", 0700));
	ksft_finished();
}
