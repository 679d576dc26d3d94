// SPDX-License-Identifier: GPL-2.0
/*
 * Bad input. Each case is a call on a file, with the errno that is expected; 0 means that
 * the call succeeds and changes nothing. After each call everything must be as before:
 * the list of set_pid, read through another descriptor; the text of a table that is open;
 * a new table; the contents of the directory; and the module's use count.
 *
 * What set_pid accepts and rejects is compared with ftrace's set_event_pid.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <kselftest.h>

#include "capabilities.h"
#include "guest.h"
#include "rows.h"

#define SET_PID TABLES "set_pid"
#define SET_EVENT_PID "/sys/kernel/tracing/set_event_pid"
#define SET_EVENT_NOTRACE_PID "/sys/kernel/tracing/set_event_notrace_pid"
#define LIST "1\n2\n"

/* The case is run on each of the tables. */
#define EACH NULL

/* The call succeeded although it should fail, or returned wrong data. */
#define TAKEN (-1)

static const char * const tables[] = {
	"current", "contexts", "processes", "threads", "kstacks", "kframes", "ustacks", "uframes",
	"segments", "syscalls", "cpus",
};

struct kind {
	const char *call, *what, *file;
	/* Makes the call on the file; returns its errno, or 0. */
	int (*attempt)(const struct kind *kind, const char *path);
	int want;
	long number;
	const char *input;
	size_t size;
};

/* Two pages, the second of which is not mapped; and an address without a mapping. */
static char *edge;
/* Set at run time: the compiler would reject constants. */
static char *nowhere, *kernel_address;

static int error_of(long result)
{
	return result == -1 ? errno : 0;
}

/* Like error_of(), for a new descriptor, which is closed. */
static int close_error_of(int descriptor)
{
	int error = error_of(descriptor);

	if (descriptor >= 0)
		close(descriptor);
	return error;
}

/* Opens the file, makes the call and closes the file; the errno of the call. */
#define ON(path, flags, call) ({					\
	int descriptor = must(open(path, (flags) | O_CLOEXEC, 0600));	\
	int _error;							\
									\
	errno = 0;							\
	_error = error_of(call);					\
	close(descriptor);						\
	_error;								\
})

#define INPUT(text) .input = text, .size = sizeof(text) - 1

static int open_as(const struct kind *kind, const char *path)
{
	return close_error_of(open(path, kind->number | O_CLOEXEC, 0600));
}

/* Access mode 3: neither reading nor writing. Some drivers use it for ioctl(). */
static int open_for_nothing(const struct kind *kind, const char *path)
{
	char byte;

	return ON(path, O_ACCMODE, read(descriptor, &byte, 1));
}

static int open_path(const struct kind *kind, const char *path)
{
	char byte;

	return ON(path, O_PATH, read(descriptor, &byte, 1));
}

static int open_below(const struct kind *kind, const char *path)
{
	char longer[400];

	snprintf(longer, sizeof(longer), "%s%s", path, kind->input);
	return close_error_of(open(longer, O_RDONLY | O_CLOEXEC));
}

static int create(const struct kind *kind, const char *path)
{
	return close_error_of(open(TABLES "new", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static int open_temporary(const struct kind *kind, const char *path)
{
	return close_error_of(open(TABLES, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600));
}

static int write_as(const struct kind *kind, const char *path)
{
	ssize_t count = 0;
	int error = ON(path, kind->number, count = write(descriptor, kind->input, kind->size));

	return error ?: count == (ssize_t)kind->size ? 0 : TAKEN;
}

/* Writes the same list with O_TRUNC, with O_APPEND and with neither. */
static int write_list(const struct kind *kind, const char *path)
{
	static const int flags[] = { O_TRUNC, O_APPEND, 0 };
	struct kind plain = *kind;
	int error = 0;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		plain.number = O_WRONLY | flags[i];
		error = write_as(&plain, path);
		if (error != kind->want)
			break;
	}
	return error;
}

/* A list whose invalid part comes after a valid first piece. */
static int write_late(const struct kind *kind, const char *path)
{
	size_t size = kind->number;
	char *list = malloc(size);
	struct kind late = *kind;
	int error;

	memset(list, ' ', size);
	for (size_t i = 0; i + 4 < size; i += 4)
		memcpy(list + i, "77 ", 3);
	memcpy(list + size - kind->size, kind->input, kind->size);
	late.input = list;
	late.size = size;
	error = write_list(&late, path);
	free(list);
	return error;
}

static int write_nowhere(const struct kind *kind, const char *path)
{
	struct kind list = *kind;

	list.input = nowhere;
	list.size = kind->number;
	return write_list(&list, path);
}

/*
 * The kernel rejects these writes before it calls the file's write operation. With
 * O_TRUNC, the file therefore sees no write, and the close clears the list.
 */
static int write_unasked(const struct kind *kind, const char *path)
{
	struct kind list = *kind;

	list.input = kernel_address;
	list.size = kind->number;
	list.number = O_WRONLY | O_APPEND;
	return write_as(&list, path);
}

/* A list that ends in an unmapped page: its last byte cannot be read. */
static int write_edge(const struct kind *kind, const char *path)
{
	struct kind list = *kind;

	memset(edge, ' ', PAGE);
	memcpy(edge + PAGE - 4, "77 7", 4);
	list.input = edge + PAGE - kind->number;
	list.size = kind->number + 1;
	return write_list(&list, path);
}

static int pwrite_at(const struct kind *kind, const char *path)
{
	return ON(path, O_WRONLY, pwrite(descriptor, "7", 1, kind->number));
}

static int writev_nowhere(const struct kind *kind, const char *path)
{
	struct iovec pieces[] = { { nowhere, 3 }, { "7 ", 2 } };

	return ON(path, O_WRONLY | O_TRUNC, writev(descriptor, pieces, 2));
}

static int read_write_only(const struct kind *kind, const char *path)
{
	char byte;

	return ON(path, O_WRONLY, read(descriptor, &byte, 1));
}

static int seek(const struct kind *kind, const char *path)
{
	loff_t offset = kind->size ? *(const loff_t *)kind->input : 0;

	return ON(path, O_RDONLY, lseek(descriptor, offset, kind->number));
}

#define OFFSET(number) .input = (const char *)&(const loff_t){ number }, .size = sizeof(loff_t)

/* Past the end there is no text, and a read before the end returns the same text. */
static int read_far(const struct kind *kind, const char *path)
{
	int descriptor = must(open(path, O_RDONLY | O_CLOEXEC));
	char first[10], again[10], byte;
	int error;

	must(read(descriptor, first, sizeof(first)));
	error = lseek(descriptor, kind->number, SEEK_SET) != kind->number ||
		read(descriptor, &byte, 1) || pread(descriptor, &byte, 1, kind->number - 1) ||
		lseek(descriptor, 0, SEEK_SET) ||
		read(descriptor, again, sizeof(again)) != sizeof(again) ||
		memcmp(first, again, sizeof(first)) ? TAKEN : 0;
	close(descriptor);
	return error;
}

/* From an offset at which the new offset would exceed the largest possible one. */
static int seek_over(const struct kind *kind, const char *path)
{
	return ON(path, O_RDONLY,
		  must(lseek(descriptor, INT64_MAX - 1, SEEK_SET)) ?
		  lseek(descriptor, INT64_MAX, SEEK_CUR) : 0);
}

static int pread_at(const struct kind *kind, const char *path)
{
	char bytes[100];

	return ON(path, O_RDONLY, pread(descriptor, bytes, sizeof(bytes), kind->number));
}

static int read_nowhere(const struct kind *kind, const char *path)
{
	return ON(path, O_RDONLY, read(descriptor, nowhere, kind->number));
}

static int read_kernel(const struct kind *kind, const char *path)
{
	return ON(path, O_RDONLY, read(descriptor, kernel_address, 100));
}

/*
 * Reads into a buffer of which only the first ten bytes are mapped: the read returns at
 * most ten bytes, and the next read loses none.
 */
static int read_edge(const struct kind *kind, const char *path)
{
	int descriptor = must(open(path, O_RDONLY | O_CLOEXEC)), error;
	char first[20], rest[20];
	ssize_t count;
	off_t at;

	must(pread(descriptor, first, sizeof(first), 0));
	count = read(descriptor, edge + PAGE - 10, 100);
	error = error_of(count);
	at = must(lseek(descriptor, 0, SEEK_CUR));
	if (count < 0)
		count = 0;
	if (count > 10 || at != count || memcmp(edge + PAGE - 10, first, count) ||
	    read(descriptor, rest, 10) != 10 || memcmp(rest, first + count, 10))
		error = TAKEN;
	close(descriptor);
	return error;
}

static int readv_wrong(const struct kind *kind, const char *path)
{
	static char bytes[10];
	static struct iovec pieces[IOV_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		pieces[i] = (struct iovec){ bytes, 1 };
	if (kind->input)
		pieces[0].iov_len = *(const loff_t *)kind->input;
	return ON(path, O_RDONLY, syscall(SYS_readv, descriptor, pieces, kind->number));
}

static int readv_nowhere(const struct kind *kind, const char *path)
{
	return ON(path, O_RDONLY, syscall(SYS_readv, descriptor, nowhere, 2));
}

static int readv_into_nowhere(const struct kind *kind, const char *path)
{
	char bytes[10];
	struct iovec pieces[] = { { nowhere, 3 }, { bytes, 2 } };

	return ON(path, O_RDONLY, readv(descriptor, pieces, 2));
}

static int preadv_flags(const struct kind *kind, const char *path)
{
	char bytes[10];
	struct iovec piece = { bytes, sizeof(bytes) };

	return ON(path, O_RDONLY, preadv2(descriptor, &piece, 1, 0, kind->number));
}

static int control(const struct kind *kind, const char *path)
{
	char argument[256] = { 0 };

	return ON(path, O_RDONLY, ioctl(descriptor, kind->number, argument));
}

static int map(const struct kind *kind, const char *path)
{
	return ON(path, O_RDONLY,
		  (intptr_t)mmap(NULL, PAGE, kind->number, kind->size, descriptor, 0));
}

static int cut_descriptor(const struct kind *kind, const char *path)
{
	return ON(path, kind->number, ftruncate(descriptor, 0));
}

static int cut_path(const struct kind *kind, const char *path)
{
	return error_of(truncate(path, kind->number));
}

static int allocate(const struct kind *kind, const char *path)
{
	return ON(path, kind->number, fallocate(descriptor, 0, 0, 100));
}

static int from_pipe(const struct kind *kind, const char *path)
{
	int ends[2], error;

	must(pipe2(ends, O_CLOEXEC));
	must(write(ends[1], "7", 1));
	error = ON(path, O_WRONLY, splice(ends[0], NULL, descriptor, NULL, 1, 0));
	close(ends[0]);
	close(ends[1]);
	return error;
}

static int to_pipe(const struct kind *kind, const char *path)
{
	int ends[2], error;

	must(pipe2(ends, O_CLOEXEC));
	error = ON(path, O_RDONLY, splice(descriptor, NULL, ends[1], NULL, 100, 0));
	close(ends[0]);
	close(ends[1]);
	return error;
}

static int tee_file(const struct kind *kind, const char *path)
{
	int ends[2], error;

	must(pipe2(ends, O_CLOEXEC));
	error = ON(path, O_RDONLY, tee(descriptor, ends[1], 100, 0));
	close(ends[0]);
	close(ends[1]);
	return error;
}

static int send_file(const struct kind *kind, const char *path)
{
	int target = must(open("/tmp/bad_input", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	int error = ON(path, O_RDONLY, sendfile(target, descriptor, NULL, 100));

	close(target);
	return error;
}

static int copy_range(const struct kind *kind, const char *path)
{
	int target = must(open("/tmp/bad_input", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	int error = ON(path, O_RDONLY, copy_file_range(descriptor, NULL, target, NULL, 100, 0));

	close(target);
	return error;
}

static int synchronize(const struct kind *kind, const char *path)
{
	return ON(path, O_RDONLY, fsync(descriptor));
}

static int list_file(const struct kind *kind, const char *path)
{
	char entries[1000];

	return ON(path, O_RDONLY, syscall(SYS_getdents64, descriptor, entries, sizeof(entries)));
}

static int lock_file(const struct kind *kind, const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = kind->number };

	return ON(path, kind->size, fcntl(descriptor, F_SETLK, &lock));
}

static int set_flags(const struct kind *kind, const char *path)
{
	return ON(path, strcmp(kind->file ?: "", "set_pid") ? O_RDONLY : O_RDWR,
		  fcntl(descriptor, kind->number, kind->size));
}

static int execute(const struct kind *kind, const char *path)
{
	char * const arguments[] = { "table", NULL };

	return error_of(execv(path, arguments));
}

static int change_directory(const struct kind *kind, const char *path)
{
	return error_of(chdir(path));
}

static int set_attribute(const struct kind *kind, const char *path)
{
	return error_of(setxattr(path, "user.taskscope", "x", 1, 0));
}

static int get_attribute(const struct kind *kind, const char *path)
{
	char value[10];

	return error_of(getxattr(path, "user.taskscope", value, sizeof(value)));
}

static int remove_file(const struct kind *kind, const char *path)
{
	return error_of(unlink(path));
}

static int remove_directory(const struct kind *kind, const char *path)
{
	return error_of(rmdir("/sys/kernel/debug/taskscope"));
}

static int move_file(const struct kind *kind, const char *path)
{
	return error_of(rename(path, kind->input));
}

static int move_directory(const struct kind *kind, const char *path)
{
	return error_of(rename("/sys/kernel/debug/taskscope", "/sys/kernel/debug/scope"));
}

static int link_file(const struct kind *kind, const char *path)
{
	return error_of(link(path, kind->input));
}

static int link_name(const struct kind *kind, const char *path)
{
	return error_of(symlink("threads", TABLES "new"));
}

static int make_node(const struct kind *kind, const char *path)
{
	return error_of(mknod(TABLES "new", kind->number | 0600, makedev(1, 3)));
}

static int make_directory(const struct kind *kind, const char *path)
{
	return error_of(mkdir(TABLES "new", 0700));
}

static int change_mode(const char *path)
{
	return error_of(chmod(path, 0666));
}

static int change_owner(const char *path)
{
	return error_of(chown(path, 1000, 1000));
}

static int change_times(const char *path)
{
	return error_of(utimes(path, NULL));
}

static int cut(const char *path)
{
	return error_of(truncate(path, 0));
}

/* The directories let that user reach the files. */
static int other_changes_mode(const struct kind *kind, const char *path)
{
	return as_other(become_user, change_mode, path);
}

static int other_changes_owner(const struct kind *kind, const char *path)
{
	return as_other(become_user, change_owner, path);
}

static int other_changes_times(const struct kind *kind, const char *path)
{
	return as_other(become_user, change_times, path);
}

static int other_cuts(const struct kind *kind, const char *path)
{
	return as_other(become_user, cut, path);
}

static const struct kind kinds[] = {
	{ "open", "O_WRONLY", EACH, open_as, EACCES, O_WRONLY },
	{ "open", "O_RDWR", EACH, open_as, EACCES, O_RDWR },
	{ "open", "O_WRONLY | O_APPEND", EACH, open_as, EACCES, O_WRONLY | O_APPEND },
	{ "open", "O_WRONLY | O_TRUNC", EACH, open_as, EACCES, O_WRONLY | O_TRUNC },
	{ "open", "O_RDONLY | O_TRUNC", EACH, open_as, 0, O_RDONLY | O_TRUNC },
	{ "open", "O_RDONLY | O_TRUNC", "set_pid", open_as, 0, O_RDONLY | O_TRUNC },
	{ "open", "O_CREAT | O_EXCL", EACH, open_as, EEXIST, O_RDONLY | O_CREAT | O_EXCL },
	{ "open", "O_DIRECTORY", EACH, open_as, ENOTDIR, O_RDONLY | O_DIRECTORY },
	{ "open", "O_DIRECT", EACH, open_as, EINVAL, O_RDONLY | O_DIRECT },
	{ "open", "O_WRONLY | O_DIRECT", "set_pid", open_as, EINVAL, O_WRONLY | O_DIRECT },
	{ "open", "access mode 3, then read", EACH, open_for_nothing, EBADF },
	{ "open", "O_PATH, then read", EACH, open_path, EBADF },
	{ "open", "a path below the file", EACH, open_below, ENOTDIR, INPUT("/x") },
	{ "open", "a trailing slash", "threads", open_below, ENOTDIR, INPUT("/") },
	{ "open", "the name and one more letter", "threads", open_below, ENOENT, INPUT("x") },
	{ "open", "O_CREAT of a new file", "", create, EACCES },
	{ "open", "O_TMPFILE", "", open_temporary, EOPNOTSUPP },

	{ "write", "to a read-only descriptor", EACH, write_as, EBADF, O_RDONLY, INPUT("1") },
	{ "write", "to a read-only descriptor", "set_pid", write_as, EBADF, O_RDONLY, INPUT("7") },
	{ "read", "from a write-only descriptor", "set_pid", read_write_only, EBADF },
	{ "write", "letters", "set_pid", write_list, EINVAL, INPUT("init") },
	{ "write", "a letter after a number", "set_pid", write_list, EINVAL, INPUT("7 8 9x") },
	{ "write", "a negative number", "set_pid", write_list, EINVAL, INPUT("7 -1") },
	{ "write", "a sign alone", "set_pid", write_list, EINVAL, INPUT("-") },
	{ "write", "a plus", "set_pid", write_list, EINVAL, INPUT("+7") },
	{ "write", "hexadecimal", "set_pid", write_list, EINVAL, INPUT("0x7") },
	{ "write", "an exponent", "set_pid", write_list, EINVAL, INPUT("1e3") },
	{ "write", "a fraction", "set_pid", write_list, EINVAL, INPUT("7.0") },
	{ "write", "commas", "set_pid", write_list, EINVAL, INPUT("7,8") },
	{ "write", "a comment", "set_pid", write_list, EINVAL, INPUT("7 # 8") },
	{ "write", "a byte 0 alone", "set_pid", write_list, EINVAL, INPUT("\0") },
	{ "write", "a byte 0 at the end", "set_pid", write_list, EINVAL, INPUT("7\0") },
	{ "write", "a byte 0 between numbers", "set_pid", write_list, EINVAL, INPUT("7\0008") },
	{ "write", "a digit of another script", "set_pid", write_list, EINVAL, INPUT("\331\247") },
	{ "write", "a space of Latin-1", "set_pid", write_list, EINVAL, INPUT("7\2408") },
	{ "write", "the first PID too large", "set_pid", write_list, EINVAL, INPUT("4194304") },
	{ "write", "the first PID too large, with leading zeros", "set_pid",
	write_list, EINVAL, INPUT("0004194304") },
	{ "write", "2^31", "set_pid", write_list, EINVAL, INPUT("2147483648") },
	{ "write", "1 + 2^32", "set_pid", write_list, EINVAL, INPUT("4294967297") },
	{ "write", "1 + 2^64", "set_pid", write_list, EINVAL, INPUT("18446744073709551617") },
	{ "write", "invalid at byte 256 of 256", "set_pid", write_late, EINVAL, 256, INPUT("x") },
	{ "write", "invalid at byte 257 of 257", "set_pid", write_late, EINVAL, 257, INPUT("x") },
	{ "write", "invalid at the end of 1 MiB", "set_pid", write_late, EINVAL, 1 << 20,
	  INPUT(" 4194304") },
	{ "write", "unmapped memory", "set_pid", write_nowhere, EFAULT, 4 },
	{ "write", "kernel memory", "set_pid", write_unasked, EFAULT, 4 },
	{ "write", "memory that ends after 4 bytes", "set_pid", write_edge, EFAULT, 4 },
	{ "write", "memory that ends after 256 bytes", "set_pid", write_edge, EFAULT, 256 },
	{ "write", "memory that ends after 4096 bytes", "set_pid", write_edge, EFAULT, 4096 },
	{ "write", "LONG_MAX bytes", "set_pid", write_unasked, EFAULT, LONG_MAX },
	{ "write", "more than LONG_MAX bytes", "set_pid", write_unasked, EFAULT, LONG_MIN },
	{ "write", "no bytes", "set_pid", write_as, 0, O_WRONLY | O_APPEND },
	{ "write", "white space, appended", "set_pid", write_as, 0, O_WRONLY | O_APPEND,
	  INPUT(" \t\r\n") },
	{ "pwrite", "at -1", "set_pid", pwrite_at, EINVAL, -1 },
	{ "pwrite", "at 1", "set_pid", pwrite_at, ESPIPE, 1 },
	{ "pwrite", "at LONG_MAX", "set_pid", pwrite_at, ESPIPE, LONG_MAX },
	{ "writev", "unmapped memory first", "set_pid", writev_nowhere, EFAULT },

	{ "lseek", "SEEK_SET -1", EACH, seek, EINVAL, SEEK_SET, OFFSET(-1) },
	{ "lseek", "SEEK_CUR -1", EACH, seek, EINVAL, SEEK_CUR, OFFSET(-1) },
	{ "lseek", "SEEK_CUR past the largest offset", EACH, seek_over, EINVAL },
	{ "lseek", "SEEK_CUR by INT64_MIN", EACH, seek, EINVAL, SEEK_CUR, OFFSET(INT64_MIN) },
	{ "lseek", "SEEK_END", EACH, seek, EINVAL, SEEK_END },
	{ "lseek", "SEEK_DATA", EACH, seek, EINVAL, SEEK_DATA },
	{ "lseek", "SEEK_HOLE", EACH, seek, EINVAL, SEEK_HOLE },
	{ "lseek", "whence 5", EACH, seek, EINVAL, 5 },
	{ "lseek", "whence -1", EACH, seek, EINVAL, -1 },
	{ "lseek, read", "1 TiB past the end", EACH, read_far, 0, 1L << 40 },
	{ "lseek, read", "at the largest offset", EACH, read_far, 0, INT64_MAX - 1 },
	{ "pread", "at -1", EACH, pread_at, EINVAL, -1 },
	{ "pread", "past the largest offset", EACH, pread_at, EINVAL, LONG_MAX },
	{ "read", "into unmapped memory", EACH, read_nowhere, EFAULT, 100 },
	{ "read", "into kernel memory", EACH, read_kernel, EFAULT },
	{ "read", "into kernel memory", "set_pid", read_kernel, EFAULT },
	{ "read", "more than LONG_MAX bytes", EACH, read_nowhere, EFAULT, LONG_MIN },
	{ "read", "into a buffer that ends after 10 bytes", EACH, read_edge, 0 },
	{ "readv", "-1 pieces", EACH, readv_wrong, EINVAL, -1 },
	{ "readv", "too many pieces", EACH, readv_wrong, EINVAL, IOV_MAX + 1 },
	{ "readv", "a piece of -1 bytes", EACH, readv_wrong, EINVAL, 2, OFFSET(-1) },
	{ "readv", "pieces in unmapped memory", EACH, readv_nowhere, EFAULT },
	{ "readv", "into unmapped memory", EACH, readv_into_nowhere, EFAULT },
	{ "preadv2", "an unknown flag", EACH, preadv_flags, EOPNOTSUPP, 1 << 30 },
	{ "preadv2", "RWF_NOWAIT", EACH, preadv_flags, EOPNOTSUPP, RWF_NOWAIT },

	{ "ioctl", "TCGETS", EACH, control, ENOTTY, TCGETS },
	{ "ioctl", "an unknown command", "set_pid", control, ENOTTY, 0x12345678 },
	{ "ioctl", "FIBMAP", EACH, control, EINVAL, FIBMAP },
	{ "mmap", "private", EACH, map, ENODEV, PROT_READ, .size = MAP_PRIVATE },
	{ "mmap", "shared", EACH, map, ENODEV, PROT_READ, .size = MAP_SHARED },
	{ "mmap", "shared, writable", EACH, map, EACCES, PROT_READ | PROT_WRITE,
	  .size = MAP_SHARED },
	{ "ftruncate", "a read-only descriptor", EACH, cut_descriptor, EINVAL, O_RDONLY },
	{ "ftruncate", "a write-only descriptor", "set_pid", cut_descriptor, 0, O_WRONLY },
	{ "truncate", "to -1", EACH, cut_path, EINVAL, -1 },
	{ "truncate", "to 0", "set_pid", cut_path, 0, 0 },
	{ "fallocate", "a read-only descriptor", EACH, allocate, EBADF, O_RDONLY },
	{ "fallocate", "a write-only descriptor", "set_pid", allocate, EOPNOTSUPP, O_WRONLY },
	{ "splice", "into a pipe", EACH, to_pipe, EINVAL },
	{ "splice", "from a pipe", "set_pid", from_pipe, EINVAL },
	{ "tee", "no pipe", EACH, tee_file, EINVAL },
	{ "sendfile", "into a file", EACH, send_file, EINVAL },
	{ "copy_file_range", "into another file system", EACH, copy_range, EXDEV },
	{ "fsync", "", EACH, synchronize, EINVAL },
	{ "getdents64", "", EACH, list_file, ENOTDIR },
	{ "fcntl", "a write lock, read-only descriptor", EACH, lock_file, EBADF, SEEK_SET,
	  .size = O_RDONLY },
	{
	"fcntl", "a lock with an unknown whence", "set_pid", lock_file, EINVAL, 9, .size = O_RDWR },
	{ "fcntl", "O_DIRECT", EACH, set_flags, EINVAL, F_SETFL, .size = O_DIRECT },
	{ "fcntl", "a seal, read-only descriptor", EACH, set_flags, EPERM, F_ADD_SEALS,
	  .size = F_SEAL_WRITE },
	{ "fcntl", "a seal", "set_pid", set_flags, EINVAL, F_ADD_SEALS, .size = F_SEAL_WRITE },
	{ "fcntl", "the size of a pipe", EACH, set_flags, EBADF, F_SETPIPE_SZ, .size = 4096 },
	{ "execve", "", EACH, execute, EACCES },
	{ "chdir", "", EACH, change_directory, ENOTDIR },
	{ "setxattr", "", EACH, set_attribute, EOPNOTSUPP },
	{ "getxattr", "", EACH, get_attribute, EOPNOTSUPP },

	{ "unlink", "", EACH, remove_file, EPERM },
	{ "unlink", "", "set_pid", remove_file, EPERM },
	{ "rename", "in the directory", EACH, move_file, EPERM, INPUT(TABLES "new") },
	{ "rename", "over another file", "set_pid", move_file, EPERM, INPUT(TABLES "threads") },
	{ "rename", "into another file system", "threads", move_file, EXDEV, INPUT("/tmp/new") },
	{ "rename", "of the directory", "", move_directory, EPERM },
	{ "link", "in the directory", EACH, link_file, EPERM, INPUT(TABLES "new") },
	{ "link", "into another file system", "threads", link_file, EXDEV, INPUT("/tmp/new") },
	{ "symlink", "", "", link_name, EPERM },
	{ "mknod", "a device", "", make_node, EPERM, S_IFCHR },
	{ "mknod", "a pipe", "", make_node, EPERM, S_IFIFO },
	{ "mkdir", "", "", make_directory, EPERM },
	{ "rmdir", "", "", remove_directory, EPERM },
	{ "chmod", "by another user", EACH, other_changes_mode, EPERM },
	{ "chmod", "by another user", "set_pid", other_changes_mode, EPERM },
	{ "chown", "by another user", EACH, other_changes_owner, EPERM },
	{ "utimes", "by another user", "set_pid", other_changes_times, EACCES },
	{ "truncate", "by another user", "set_pid", other_cuts, EACCES },
};

/* The parameters and flags of a load, with the expected errno; 0 if the load succeeds. */
struct load {
	const char *what, *parameters;
	int want;
	int flags;
	const char *path;
};

static const struct load loads[] = {
	{ "a bool parameter of maybe", "raw_pointers=maybe", EINVAL },
	{ "a bool parameter of 2", "raw_pointers=2", EINVAL },
	{ "a parameter without a value", "raw_pointers", EINVAL },
	{ "an empty value", "raw_pointers=", EINVAL },
	{ "the same parameter twice", "raw_pointers=1 raw_pointers=0", EEXIST },
	{ "a valid value, then an invalid one", "raw_pointers=1 raw_pointers=maybe", EINVAL },
	{ "an unknown parameter, which the kernel ignores", "colour=blue", 0 },
	{ "unknown flags", "", EINVAL, .flags = 1 << 20 },
	{ "a file that is no module", "", ENOEXEC, .path = "/init" },
	{ "a directory", "", EINVAL, .path = "/tmp" },
};

/* The directory's entries with their inodes, modes and owners. */
static char *directory_text(void)
{
	struct dirent **entry;
	int count = must(scandir(TABLES, &entry, NULL, alphasort));
	char *text = calloc(count + 1, 300);

	for (int i = 0; i < count; i++) {
		struct stat status;
		char path[300];

		snprintf(path, sizeof(path), TABLES "%s", entry[i]->d_name);
		must(stat(path, &status));
		/* The module does not own the parent directory. */
		if (strcmp(entry[i]->d_name, ".."))
			sprintf(text + strlen(text), "%.200s %lu %o %u %u %lu\n", entry[i]->d_name,
				status.st_ino, status.st_mode, status.st_uid, status.st_gid,
				(unsigned long)status.st_nlink);
		free(entry[i]);
	}
	free(entry);
	return text;
}

/* The state before the first bad input. */
static struct {
	char *directory, *users;
	int descriptor;
	char *text;
	size_t size;
} before;

static void remember(void)
{
	before.descriptor = must(open(TABLES "threads", O_RDONLY | O_CLOEXEC));
	before.text = slurp_descriptor(before.descriptor, &before.size);
	write_file(SET_PID, LIST);
	before.directory = directory_text();
	before.users = slurp("/sys/module/taskscope/refcnt", NULL);
}

static void forget(void)
{
	close(must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC)));
	close(before.descriptor);
	free(before.text);
	free(before.directory);
	free(before.users);
}

/* Compares a text with its earlier version, prints it if it differs, and frees it. */
static bool same(const char *what, char *text, const char *was)
{
	bool same = !strcmp(text, was);

	if (!same)
		ksft_print_msg("%s: %s\n", what, text);
	free(text);
	return same;
}

static bool nothing_changed(void)
{
	bool good = same("set_pid", slurp(SET_PID, NULL), LIST);
	struct rows *rows;

	good &= same("in use", slurp("/sys/module/taskscope/refcnt", NULL), before.users);
	good &= same("directory", directory_text(), before.directory);
	must(lseek(before.descriptor, 0, SEEK_SET));
	good &= same("open table", slurp_descriptor(before.descriptor, NULL), before.text);
	rows = rows_read("threads");
	if (rows->rows != 2 || rows_find(rows, 1) == 2 || rows_find(rows, 2) == 2) {
		ksft_print_msg("threads: %.300s\n", rows->text);
		good = false;
	}
	rows_free(rows);
	return good;
}

static const char *error_name(int error)
{
	if (!error)
		return "no error";
	/* TAKEN has no name, and neither has 255: a child that made the call was killed. */
	return strerrorname_np(error) ?: "another answer";
}

/* One case on one file. */
static bool refuses(const struct kind *kind, const char *file)
{
	char path[100];
	int error;

	snprintf(path, sizeof(path), TABLES "%s", file);
	error = kind->attempt(kind, path);
	if (error != kind->want)
		ksft_print_msg("%s: %s, and not %s\n", file, error_name(error),
			       error_name(kind->want));
	return error == kind->want;
}

static void test_kind(const struct kind *kind)
{
	bool good = true;

	if (kind->file)
		good = refuses(kind, kind->file);
	else
		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			good &= refuses(kind, tables[i]);
	if (!nothing_changed()) {
		good = false;
		forget();
		remember();
	}
	ksft_test_result(good, "%s%s%s, %s: %s\n", kind->call, *kind->what ? ": " : "", kind->what,
			 !kind->file ? "each table" : *kind->file ? kind->file : "the directory",
			 error_name(kind->want));
}

static bool is_loaded(void)
{
	return !access("/sys/module/taskscope", F_OK) || !access(TABLES, F_OK);
}

/* Loads and unloads without an error. */
static bool loads_now(void)
{
	bool good = !is_loaded();

	load_taskscope("");
	rows_free(rows_read("threads"));
	return good & !unload_module("taskscope");
}

static int load_error(const char *path, const char *parameters, int flags)
{
	int file = must(open(path, O_RDONLY | O_CLOEXEC)), error;

	error = error_of(syscall(SYS_finit_module, file, parameters, flags));
	close(file);
	return error;
}

static void test_loads(void)
{
	size_t size, cuts[] = { 0, 1, 64, 1000 };
	char *module = slurp("/taskscope.ko", &size);
	int wrong = 0, error;

	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		const struct load *load = &loads[i];

		error = load_error(load->path ?: "/taskscope.ko", load->parameters, load->flags);
		if (!error)
			must(unload_module("taskscope") ? -1 : 0);
		ksft_test_result(error == load->want && loads_now(), "load: %s: %s\n", load->what,
				 error_name(load->want));
	}
	ksft_test_result(error_of(syscall(SYS_finit_module, -1, "", 0)) == EBADF && loads_now(),
			 "load: an invalid descriptor: EBADF\n");
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
		wrong += error_of(syscall(SYS_init_module, module, cuts[i], "")) != ENOEXEC;
	wrong += error_of(syscall(SYS_init_module, module, size / 2, "")) != ENOEXEC;
	ksft_test_result(!wrong && loads_now(), "load: a truncated module: ENOEXEC\n");
	ksft_test_result(error_of(syscall(SYS_init_module, nowhere, size, "")) == EFAULT &&
			 error_of(syscall(SYS_init_module, module, size, nowhere)) == EFAULT &&
			 loads_now(), "load: unmapped memory: EFAULT\n");
	free(module);
}

static void test_while_loaded(void)
{
	ksft_test_result(load_error("/taskscope.ko", "", 0) == EEXIST && nothing_changed(),
			 "load: twice: EEXIST\n");
	ksft_test_result(load_error("/taskscope.ko", "raw_pointers=1", 0) == EEXIST &&
			 nothing_changed(), "load: twice, with other parameters: EEXIST\n");
	ksft_test_result(unload_module("taskscope") == EAGAIN && nothing_changed(),
			 "unload: while a file is open: EAGAIN\n");
	ksft_test_result(unload_module("Taskscope") == ENOENT && unload_module("") == ENOENT &&
			 nothing_changed(), "unload: by another name: ENOENT\n");
}

/* Input to both lists, and the errno of set_pid where it is documented to differ. */
static const struct {
	const char *what, *input;
	size_t size;
	bool differs;
	int want;
} lists[] = {
	{ "a PID", INPUT("7") },
	{ "a line", INPUT("7\n") },
	{ "several PIDs", INPUT("7 8 9\n") },
	{ "white space of all kinds", INPUT(" 7\t8\v9\f10\r11\n\n 12 ") },
	{ "white space alone", INPUT("\t \t") },
	{ "a PID twice", INPUT("7 8 7") },
	{ "PID 0", INPUT("0") },
	{ "the largest PID", INPUT("4194303") },
	{ "letters", INPUT("init") },
	{ "a letter after a number", INPUT("7 8x 9") },
	{ "a letter at the end", INPUT("7 8 x") },
	{ "a negative number", INPUT("-1") },
	{ "a sign", INPUT("-") },
	{ "a fraction", INPUT("7.0") },
	{ "commas", INPUT("7,8") },
	{ "a comment", INPUT("# 7") },
	{ "1 + 2^64", INPUT("18446744073709551617") },
	/* set_event_pid takes C notation, counts modulo 2^32, and large numbers give EPERM. */
	{ "hexadecimal", INPUT("0x7"), true, EINVAL },
	{ "a plus", INPUT("+7"), true, EINVAL },
	{ "a leading zero", INPUT("010"), true, 0 },
	{ "1 + 2^32", INPUT("4294967297"), true, EINVAL },
	{ "the first PID too large", INPUT("4194304"), true, EINVAL },
	{ "a byte 0", INPUT("7\0008"), true, EINVAL },
};

/* The errno of a write to a list that holds PID 2, and the list after the write. */
static int list_after(const char *path, const char *input, size_t size, int flags, char **list)
{
	struct kind kind = { .input = input, .size = size, .number = O_WRONLY | flags };
	int error;

	close(must(open(path, O_WRONLY | O_TRUNC | O_CLOEXEC)));
	write_file(path, "2\n");
	error = write_as(&kind, path);
	*list = slurp(path, NULL);
	return error;
}

static void test_lists(void)
{
	if (mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, NULL) && errno != EBUSY)
		die("tracefs");
	/*
	 * An entry in this list keeps the scheduler's tracepoints enabled. Without it the
	 * kernel would patch the scheduler each time the other list is set or cleared.
	 */
	write_file(SET_EVENT_NOTRACE_PID, "2\n");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		char *ours, *theirs;
		int error = list_after(SET_PID, lists[i].input, lists[i].size, O_APPEND, &ours);
		int their_error = list_after(SET_EVENT_PID, lists[i].input, lists[i].size,
					     O_APPEND, &theirs);
		bool good = error == their_error && !strcmp(ours, theirs);

		if (lists[i].differs)
			good = !good && error == lists[i].want;
		if (!good)
			ksft_print_msg("%s, %s; set_event_pid: %s, %s\n", error_name(error), ours,
				       error_name(their_error), theirs);
		ksft_test_result(good, "%s set_event_pid: %s: %s\n",
				 lists[i].differs ? "different from" : "same as", lists[i].what,
				 error_name(error));
		free(ours);
		free(theirs);
	}
	close(must(open(SET_EVENT_PID, O_WRONLY | O_TRUNC | O_CLOEXEC)));
	close(must(open(SET_EVENT_NOTRACE_PID, O_WRONLY | O_TRUNC | O_CLOEXEC)));
	umount("/sys/kernel/tracing");
}

int main(void)
{
	bool has_tracing;

	ksft_print_header();
	has_tracing = !access("/sys/kernel/tracing", F_OK);
	ksft_set_plan(ARRAY_SIZE(kinds) + 4 + ARRAY_SIZE(loads) + 3 +
		      (has_tracing ? ARRAY_SIZE(lists) : 1));
	nowhere = (char *)strtoul("8", NULL, 10);
	kernel_address = (char *)strtoul("0xffff888000000000", NULL, 16);
	edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(mprotect(edge + PAGE, PAGE, PROT_NONE));
	load_taskscope("");
	/* The files must refuse the calls themselves, without help of their directories. */
	must(chmod("/sys/kernel/debug", 0755));
	must(chmod("/sys/kernel/debug/taskscope", 0755));
	remember();
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		test_kind(&kinds[i]);
	test_while_loaded();
	must(chmod("/sys/kernel/debug", 0700));
	forget();
	if (has_tracing)
		test_lists();
	else
		ksft_test_result_skip("this kernel has no set_event_pid\n");
	must(unload_module("taskscope") ? -1 : 0);
	test_loads();
	ksft_print_msg("%zu kinds of bad input to %zu tables, set_pid and the loader\n",
		       ARRAY_SIZE(kinds) + 4 + ARRAY_SIZE(loads) + 3, ARRAY_SIZE(tables));
	ksft_finished();
}
