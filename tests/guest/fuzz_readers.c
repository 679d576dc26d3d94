// SPDX-License-Identifier: GPL-2.0
/*
 * Random sequences of calls on all files, while the module is loaded and unloaded.
 *
 * The number of a sequence decides its calls. Each sequence runs in a process of its own, which
 * knows what every call must return: a model has the offset of each open file, its flags, and all
 * bytes of its text that were read so far, by whichever call. Two reads of a byte must agree, and
 * so must two reads that find the end. When a file is closed, its text is read once more from the
 * beginning, and must be whole. /proc/self/fdinfo has the offset after each call, and
 * /sys/module/taskscope/refcnt the number of open files.
 *
 * A sequence that fails is run again without some of its calls, until no call can be left out.
 *
 * SEED is the first sequence, or 1. With MINUTES, sequences are run for so long; without, as many
 * as SEQUENCES.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "capabilities.h"
#include "guest.h"
#include "whole.h"

#define RUNNERS 2
#define MOST_CALLS 40
#define SLOTS 6
/* Descriptors of a sequence and of the processes that it forks. */
#define MOST_FILES 40
/* No text is so long. */
#define ROOM 8000000
#define PIECE 65536
#define UNTOUCHED 0xa5

/* A call of a sequence. The numbers decide about arguments, as far as the call has some. */
struct call {
	unsigned char kind, slot, other;
	unsigned int number[3];
};

/* An open file, which several descriptors of several processes may share. */
struct file {
	int descriptors;
	int name, flags;
	off_t offset;
	/* Where reads have found bytes, and where the first has found the end. */
	off_t most, end;
	char text[ROOM];
	bool known[ROOM];
};

/* What a sequence and the processes that it forks have in common. */
struct model {
	struct file file[MOST_FILES];
	int trace_size;
	char trace[20000];
	/* Why the sequence has failed; empty if it has not. */
	char problem[400];
};

/* What all processes have in common. */
static struct {
	atomic_ulong next, done, opened, absent, loads, refused, ended;
	atomic_bool quiet, failed, stop;
	atomic_ulong failure;
} *shared;

static char **files;
static int file_count;

static struct model *model;

/* The descriptors of this process; -1 and NULL if a slot has none. */
static int descriptor[SLOTS];
static struct file *open_file[SLOTS];

/* --- what a sequence says */

/* Adds to the list of calls. */
static void __printf(1, 2) say(const char *format, ...)
{
	int room = sizeof(model->trace) - model->trace_size, size;
	va_list arguments;

	va_start(arguments, format);
	size = vsnprintf(model->trace + model->trace_size, room, format, arguments);
	va_end(arguments);
	model->trace_size += size < room ? size : room - 1;
}

/* Ends this process and the sequence. */
static void __noreturn __printf(1, 2) fail(const char *format, ...)
{
	va_list arguments;

	if (!*model->problem) {
		va_start(arguments, format);
		vsnprintf(model->problem, sizeof(model->problem), format, arguments);
		va_end(arguments);
	}
	_exit(1);
}

static const char *error_name(int error)
{
	return error ? strerrorname_np(error) ?: "an unknown errno" : "no error";
}

/* The call has set errno, or has succeeded if `failed` is false. */
static void expect(bool failed, int want)
{
	int error = failed ? errno : 0;

	say(" = %s\n", error_name(error));
	if (error != want)
		fail("%s instead of %s", error_name(error), error_name(want));
}

/* --- open files */

static bool is_path(const struct file *file)
{
	return file && file->flags & O_PATH;
}

static bool is_readable(const struct file *file)
{
	return file && !is_path(file) && (file->flags & O_ACCMODE) != O_WRONLY;
}

static bool is_set_pid(const struct file *file)
{
	return !strcmp(files[file->name], "set_pid");
}

/* How many files the sequence has open; O_PATH does not open a file. */
static int held(void)
{
	int count = 0;

	for (int i = 0; i < MOST_FILES; i++)
		count += model->file[i].descriptors && !is_path(&model->file[i]);
	return count;
}

static int module_references(void)
{
	char *text = try_slurp("/sys/module/taskscope/refcnt", NULL);
	int references = text ? atoi(text) : 0;

	free(text);
	return references;
}

/*
 * Each open file has a reference to the module. An unload that is refused takes another one for a
 * moment (try_release_module_ref()): then there seems to be one less.
 */
static void check_references(void)
{
	int files = held();

	if (files && !comes_true(module_references() >= files))
		fail("the module has %d references, and %d files are open", module_references(),
		     files);
}

static struct file *new_file(int name, int flags)
{
	struct file *file = model->file;

	while (file->descriptors)
		file++;
	memset(file->known, 0, file->most);
	file->descriptors = 1;
	file->name = name;
	file->flags = flags;
	file->offset = 0;
	file->most = 0;
	file->end = ROOM;
	return file;
}

static void set_slot(int slot, int new, struct file *file)
{
	descriptor[slot] = new;
	open_file[slot] = file;
}

/* Compares what was read at an offset with what is known, and adds it. */
static void learn(struct file *file, const char *bytes, size_t count, off_t at)
{
	if (count && at + count > ROOM)
		fail("bytes up to %ld", at + count);
	for (size_t i = 0; i < count; i++) {
		if (file->known[at + i] && file->text[at + i] != bytes[i])
			fail("byte %ld of %s differs from the earlier read", at + i,
			     files[file->name]);
		file->text[at + i] = bytes[i];
		file->known[at + i] = true;
	}
	if (count && file->most < (off_t)(at + count))
		file->most = at + count;
	if (file->most > file->end)
		fail("bytes up to %ld, and the end at %ld", file->most, file->end);
}

static void learn_end(struct file *file, off_t at)
{
	if (at < file->most)
		fail("the end at %ld, and bytes up to %ld", at, file->most);
	if (at < file->end)
		file->end = at;
}

/*
 * Checks what a read of `wanted` bytes at an offset has returned, -1 with errno. `room`: so many
 * bytes of the buffer can be written.
 */
static void check_read(struct file *file, const char *bytes, ssize_t count, size_t wanted,
		       size_t room, off_t at)
{
	if (count < 0)
		say(" = %s\n", error_name(errno));
	else
		say(" = %ld\n", count);
	if (count < 0 && errno == EFAULT && room < wanted && at < file->end)
		return;
	if (count < 0)
		fail("%s", error_name(errno));
	if ((size_t)count > room)
		fail("%ld bytes were read, and there is room for %ld", count, room);
	for (size_t i = count; i < room; i++)
		if ((unsigned char)bytes[i] != UNTOUCHED)
			fail("byte %ld of the buffer is written, after the last byte read", i);
	learn(file, bytes, count, at);
	if (!count && wanted)
		learn_end(file, at);
}

/* A kernel's own record of the offset: no call reaches the file. */
static void check_offset(int slot)
{
	struct file *file = open_file[slot];
	char path[50], *text;
	long offset;

	if (!file || is_path(file))
		return;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", descriptor[slot]);
	text = slurp(path, NULL);
	if (sscanf(text, "pos: %ld", &offset) != 1)
		fail("no offset in %s", text);
	free(text);
	if (offset != file->offset)
		fail("the offset is %ld instead of %ld", offset, file->offset);
}

/* Reads all of the file in pieces. */
static void check_text(int slot, size_t piece)
{
	struct file *file = open_file[slot];
	const char *problem;
	ssize_t count;
	char *text;

	if (!is_readable(file))
		return;
	if (lseek(descriptor[slot], 0, SEEK_SET))
		fail("a seek to the beginning: %s", error_name(errno));
	file->offset = 0;
	text = malloc(piece);
	do {
		const int line = model->trace_size;

		memset(text, UNTOUCHED, piece);
		say("    %d: read the rest, %zu bytes at %ld", slot, piece, file->offset);
		count = read(descriptor[slot], text, piece);
		check_read(file, text, count, piece, piece, file->offset);
		file->offset += count;
		/* The trace has one line, below, for all reads that succeed. */
		model->trace_size = line;
	} while (count);
	free(text);
	say("    %d: read from the beginning to the end, %zu bytes at a time = %ld\n", slot, piece,
	    file->end);
	check_offset(slot);
	text = strndup(file->text, file->end);
	problem = whole(files[file->name], text, file->end);
	if (problem)
		fail("%s: %s", files[file->name], problem);
	free(text);
}

/* Sizes around those at which the kernel or the module cuts a text. */
static size_t piece_size(unsigned int number)
{
	static const size_t sizes[] = {
		0, 1, 2, 7, 61, 255, 256, 512, 4095, 4096, 4097, 16384, 32767, 32768, PIECE,
	};

	return sizes[number % ARRAY_SIZE(sizes)];
}

/* Offsets in the text, at its end, and far from it. */
static off_t text_offset(const struct file *file, unsigned int number)
{
	const off_t most = file ? file->most : 0;
	const unsigned int rest = number / 8;

	switch (number % 8) {
	case 0:
		return 0;
	case 1:
		return most;
	case 2:
		return rest % 3 ? most + rest % 5000 : INT64_MAX - (1 << 20);
	case 3:
		return (off_t)(rest % 64) * 4096 + (off_t)(rest / 64 % 3) - 1;
	default:
		return rest % (most + 100);
	}
}

static char *buffer(size_t size)
{
	static char bytes[PIECE];

	return memset(bytes, UNTOUCHED, size);
}

/* --- the calls */

static void close_slot(int slot)
{
	struct file *file = open_file[slot];

	if (!file)
		return;
	say("    %d: close", slot);
	expect(close(descriptor[slot]), 0);
	file->descriptors--;
	set_slot(slot, -1, NULL);
}

static void do_close(const struct call *call)
{
	if (!open_file[call->slot]) {
		say("    %d: close", call->slot);
		expect(close(-1), EBADF);
		return;
	}
	if (call->number[0] % 2)
		check_text(call->slot, piece_size(call->number[1]) ?: 100);
	close_slot(call->slot);
}

/* open() returns `want`, or that the module is not there, unless the sequence has a file open. */
static void opened(int slot, int name, int flags, int new, int want)
{
	int error = new < 0 ? errno : 0;

	if ((error == ENOENT || error == ENXIO) && !held()) {
		say(" = %s\n", error_name(error));
		shared->absent++;
		/* A load takes longer than the rest of the sequence. */
		usleep(100000 * slower());
		return;
	}
	expect(new < 0, want);
	if (new < 0)
		return;
	set_slot(slot, new, new_file(name, flags));
	shared->opened += !is_path(open_file[slot]);
	check_references();
	check_offset(slot);
}

static void do_open(const struct call *call)
{
	static const struct {
		const char *what;
		int flags, error, error_of_set_pid;
	} how[] = {
		{ "O_RDONLY", O_RDONLY },
		{ "O_RDONLY", O_RDONLY },
		{ "O_RDONLY", O_RDONLY },
		{ "O_CLOEXEC", O_CLOEXEC },
		{ "O_NONBLOCK", O_NONBLOCK },
		{ "O_NOATIME", O_NOATIME },
		{ "O_PATH", O_PATH },
		{ "O_RDWR", O_RDWR, EACCES },
		{ "O_WRONLY", O_WRONLY, EACCES },
		{ "O_DIRECT", O_DIRECT, EINVAL, EINVAL },
		{ "O_DIRECTORY", O_DIRECTORY, ENOTDIR, ENOTDIR },
	};
	const int name = call->number[0] % file_count, which = call->number[1] % ARRAY_SIZE(how);
	char path[100];

	close_slot(call->slot);
	snprintf(path, sizeof(path), TABLES "%s", files[name]);
	say("    %d: open %s, %s", call->slot, files[name], how[which].what);
	opened(call->slot, name, how[which].flags, open(path, how[which].flags),
	       strcmp(files[name], "set_pid") ? how[which].error : how[which].error_of_set_pid);
}

/*
 * A new open of the same file, which is not by O_PATH: the kernel looks at the operations of a
 * file that has never been opened before it sees that the file is removed, and those of a module
 * that is unloaded are gone.
 */
static void do_reopen(const struct call *call)
{
	const struct file *file = open_file[call->other];
	char path[50];
	int name;

	if (!file || is_path(file) || call->slot == call->other)
		return;
	name = file->name;
	close_slot(call->slot);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor[call->other]);
	say("    %d: open /proc/self/fd of %d, %s", call->slot, call->other, files[name]);
	opened(call->slot, name, O_RDONLY, open(path, O_RDONLY), 0);
}

/* Waits for a child that has a part of the sequence. */
static void join(pid_t child)
{
	int status;

	must(waitpid(child, &status, 0));
	if (WIFSIGNALED(status))
		fail("a child: signal %d", WTERMSIG(status));
	if (status)
		fail("a child: exit status %d", WEXITSTATUS(status));
}

static void do_open_without_capability(const struct call *call)
{
	const char *name = files[call->number[0] % file_count];
	char path[100];
	pid_t child;

	snprintf(path, sizeof(path), TABLES "%s", name);
	say("    open %s without CAP_SYS_ADMIN", name);
	child = fork_child();
	if (!child) {
		int error;

		drop_capability(CAP_SYS_ADMIN);
		error = open_error(path, O_RDONLY);
		if ((error != ENOENT && error != ENXIO) || held()) {
			errno = error;
			expect(error, EPERM);
		} else {
			say(" = %s\n", error_name(error));
		}
		_exit(0);
	}
	join(child);
}

/* Reads at the offset of the file, by the call that `number` chooses. */
static ssize_t read_by(int call, int from, char *bytes, size_t size)
{
	struct iovec piece[3] = {
		{ bytes, size / 3 }, { bytes + size / 3, 0 },
		{ bytes + size / 3, size - size / 3 },
	};

	switch (call) {
	case 0:
		return readv(from, piece, 3);
	case 1:
		return preadv2(from, piece, 3, -1, 0);
	default:
		return read(from, bytes, size);
	}
}

static void do_read(const struct call *call)
{
	static const char * const names[] = { "readv", "preadv2 at -1", "read" };
	struct file *file = open_file[call->slot];
	const size_t size = piece_size(call->number[0]);
	const int by = call->number[1] % 3;
	char *bytes = buffer(size);
	ssize_t count;

	say("    %d: %s %zu bytes", call->slot, names[by], size);
	count = read_by(by, descriptor[call->slot], bytes, size);
	if (!is_readable(file)) {
		expect(count < 0, EBADF);
		return;
	}
	say(" at %ld", file->offset);
	check_read(file, bytes, count, size, size, file->offset);
	file->offset += count;
}

static void do_pread(const struct call *call)
{
	struct file *file = open_file[call->slot];
	const size_t size = piece_size(call->number[0]);
	const off_t at = text_offset(file, call->number[1]);
	struct iovec piece = { buffer(size), size };
	ssize_t count;

	if (call->number[2] % 2) {
		say("    %d: pread %zu bytes at %ld", call->slot, size, at);
		count = pread(descriptor[call->slot], piece.iov_base, size, at);
	} else {
		say("    %d: preadv %zu bytes at %ld", call->slot, size, at);
		count = preadv(descriptor[call->slot], &piece, 1, at);
	}
	if (at < 0 || !is_readable(file))
		expect(count < 0, at < 0 ? EINVAL : EBADF);
	else
		check_read(file, piece.iov_base, count, size, size, at);
}

/* RWF_NOWAIT is refused: to make a text may sleep. */
static void do_pread_nowait(const struct call *call)
{
	struct iovec piece = { buffer(100), 100 };

	say("    %d: preadv2 with RWF_NOWAIT", call->slot);
	expect(preadv2(descriptor[call->slot], &piece, 1, 0, RWF_NOWAIT) < 0,
	       is_readable(open_file[call->slot]) ? EOPNOTSUPP : EBADF);
}

/* Into a buffer of which only the first bytes are mapped. */
static void do_read_edge(const struct call *call)
{
	struct file *file = open_file[call->slot];
	const size_t room = call->number[0] % 300, size = room + 1 + call->number[1] % 5000;
	char *pages, *bytes;
	ssize_t count;

	if (!is_readable(file))
		return;
	pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(munmap(pages + PAGE, 2 * PAGE));
	bytes = memset(pages + PAGE - room, UNTOUCHED, room);
	say("    %d: read %zu bytes into room for %zu at %ld", call->slot, size, room,
	    file->offset);
	count = read(descriptor[call->slot], bytes, size);
	check_read(file, bytes, count, size, room, file->offset);
	file->offset += count > 0 ? count : 0;
	must(munmap(pages, PAGE));
}

static void do_seek(const struct call *call)
{
	static const char * const names[] = { "SET", "CUR", "END", "DATA", "HOLE" };
	static const int whences[] = {
		SEEK_SET, SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE,
	};
	struct file *file = open_file[call->slot];
	const int whence = whences[call->number[1] % ARRAY_SIZE(whences)];
	off_t at = text_offset(file, call->number[0]), want = at, is;

	if (whence == SEEK_CUR && file) {
		at %= ROOM;
		at -= call->number[2] % 3 * file->offset;
		/* Negative if it is past the largest offset, as in the kernel. */
		want = (unsigned long)file->offset + at;
	}
	say("    %d: lseek to %ld, SEEK_%s", call->slot, at, names[whence]);
	is = lseek(descriptor[call->slot], at, whence);
	if (!file || is_path(file)) {
		expect(is < 0, EBADF);
	} else if (whence > SEEK_CUR || want < 0) {
		expect(is < 0, EINVAL);
	} else {
		expect(is < 0, 0);
		if (is != want)
			fail("the offset is %ld instead of %ld", is, want);
		file->offset = is;
	}
}

/* Descriptors are copied by these calls; each copy is of the same open file. */
static int copy(int from, int to, int by)
{
	int ends[2], new, byte = 0;
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec data = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};

	switch (by) {
	case 0:
		return dup(from);
	case 1:
		return fcntl(from, F_DUPFD_CLOEXEC, 50);
	case 2:
		return to < 0 ? fcntl(from, F_DUPFD, 0) : dup3(from, to, O_CLOEXEC);
	case 3:
		new = must(syscall(SYS_pidfd_open, getpid(), 0));
		by = syscall(SYS_pidfd_getfd, new, from, 0);
		close(new);
		return by;
	default:
		must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
		memcpy(CMSG_DATA(&control.header), &from, sizeof(from));
		new = -1;
		if (sendmsg(ends[0], &message, 0) == 1) {
			must(recvmsg(ends[1], &message, 0));
			memcpy(&new, CMSG_DATA(&control.header), sizeof(new));
		}
		close(ends[0]);
		close(ends[1]);
		return new;
	}
}

static void do_copy(const struct call *call)
{
	static const char * const names[] = {
		"dup", "F_DUPFD_CLOEXEC", "dup3", "pidfd_getfd", "SCM_RIGHTS",
	};
	struct file *file = open_file[call->slot];
	const int by = call->number[0] % 5;
	int new;

	if (call->slot == call->other)
		return;
	/* dup3() itself closes the other. */
	if (by != 2 || !file)
		close_slot(call->other);
	say("    %d: %s to %d", call->slot, names[by], call->other);
	new = copy(descriptor[call->slot], descriptor[call->other], by);
	expect(new < 0, file ? 0 : EBADF);
	if (!file)
		return;
	if (open_file[call->other])
		open_file[call->other]->descriptors--;
	file->descriptors++;
	set_slot(call->other, new, file);
	check_offset(call->other);
}

static void do_flags(const struct call *call)
{
	const int kept = O_ACCMODE | O_NONBLOCK | O_NOATIME | O_PATH | O_APPEND;
	struct file *file = open_file[call->slot];
	int flags, want;

	say("    %d: F_GETFL", call->slot);
	flags = fcntl(descriptor[call->slot], F_GETFL);
	expect(flags < 0, file ? 0 : EBADF);
	if (!file)
		return;
	if ((flags & kept) != (file->flags & kept))
		fail("the flags are %#x instead of %#x", flags, file->flags);
	want = is_path(file) ? EBADF : 0;
	say("    %d: F_SETFL O_NONBLOCK, the other way", call->slot);
	expect(fcntl(descriptor[call->slot], F_SETFL, flags ^ O_NONBLOCK) < 0, want);
	if (!want)
		file->flags ^= O_NONBLOCK;
	say("    %d: F_SETFL O_DIRECT", call->slot);
	expect(fcntl(descriptor[call->slot], F_SETFL, O_DIRECT) < 0, want ?: EINVAL);
}

static void do_poll(const struct call *call)
{
	struct pollfd of = { descriptor[call->slot], POLLIN | POLLOUT | POLLPRI };
	struct file *file = open_file[call->slot];
	int want = !file ? 0 : is_path(file) ? POLLNVAL : POLLIN | POLLOUT;

	say("    %d: poll", call->slot);
	expect(poll(&of, 1, 0) < 0, 0);
	if (of.revents != want)
		fail("the events are %#x instead of %#x", of.revents, want);
}

static void do_epoll(const struct call *call)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = must(epoll_create1(EPOLL_CLOEXEC));
	struct file *file = open_file[call->slot];

	say("    %d: EPOLL_CTL_ADD", call->slot);
	expect(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor[call->slot], &event),
	       file && !is_path(file) ? EPERM : EBADF);
	close(epoll);
}

static void do_map(const struct call *call)
{
	struct file *file = open_file[call->slot];
	const bool write = call->number[0] % 2;
	int want = !file || is_path(file) ? EBADF : !is_readable(file) ? EACCES : ENODEV;

	if (want == ENODEV && write && (file->flags & O_ACCMODE) != O_RDWR)
		want = EACCES;
	say("    %d: mmap, %s", call->slot, write ? "shared, to write" : "private, to read");
	expect(mmap(NULL, PAGE, write ? PROT_READ | PROT_WRITE : PROT_READ,
		    write ? MAP_SHARED : MAP_PRIVATE, descriptor[call->slot], 0) == MAP_FAILED,
	       want);
}

static void do_splice(const struct call *call)
{
	static const char * const names[] = { "splice", "sendfile", "tee", "splice at 0" };
	const int by = call->number[0] % 4, from = descriptor[call->slot];
	loff_t zero = 0;
	ssize_t count;
	int ends[2];

	must(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
	say("    %d: %s to a pipe", call->slot, names[by]);
	switch (by) {
	case 0:
		count = splice(from, NULL, ends[1], NULL, 100, 0);
		break;
	case 1:
		count = sendfile(ends[1], from, NULL, 100);
		break;
	case 2:
		count = tee(from, ends[1], 100, 0);
		break;
	default:
		count = splice(from, &zero, ends[1], NULL, 100, 0);
	}
	expect(count < 0, is_readable(open_file[call->slot]) ? EINVAL : EBADF);
	close(ends[0]);
	close(ends[1]);
}

static void do_refused(const struct call *call)
{
	struct file *file = open_file[call->slot];
	char bytes[256] = { 0 };

	say("    %d: ioctl", call->slot);
	expect(ioctl(descriptor[call->slot], TCGETS, bytes),
	       file && !is_path(file) ? ENOTTY : EBADF);
	if (file && !is_path(file) && (file->flags & O_ACCMODE) != O_RDONLY)
		return;
	say("    %d: write", call->slot);
	expect(write(descriptor[call->slot], "7", 1) < 0, EBADF);
}

static void do_stat(const struct call *call)
{
	struct file *file = open_file[call->slot];
	struct stat status;

	say("    %d: fstat", call->slot);
	expect(fstat(descriptor[call->slot], &status), file ? 0 : EBADF);
	if (file && (status.st_size || status.st_uid || status.st_gid ||
		     status.st_mode != (S_IFREG | (is_set_pid(file) ? 0600 : 0400))))
		fail("size %ld, mode %o, owner %u, group %u", status.st_size, status.st_mode,
		     status.st_uid, status.st_gid);
}

/* While a file is open, the directory has all files. */
static void do_list(const struct call *call)
{
	DIR *directory = opendir(TABLES);
	int names = 0;

	say("    list the directory");
	if (directory) {
		for (struct dirent *entry; (entry = readdir(directory));)
			names += *entry->d_name != '.';
		closedir(directory);
	}
	say(" = %d names\n", names);
	if (held() && names != file_count)
		fail("%d names instead of %d", names, file_count);
}

/* A ring with room for a request. */
struct ring {
	int descriptor;
	size_t size;
	char *queues;
	struct io_uring_sqe *request;
	struct io_uring_params parameters;
};

static unsigned int *in_queues(struct ring *ring, unsigned int offset)
{
	return (unsigned int *)(ring->queues + offset);
}

/* The result of a read by a ring: a count, or a negative errno. */
static int read_by_ring(int from, char *bytes, size_t size, off_t at, bool by_worker)
{
	struct ring ring = { 0 };
	struct io_uring_cqe *answer;
	int result;

	ring.descriptor = must(syscall(SYS_io_uring_setup, 1, &ring.parameters));
	ring.size = ring.parameters.cq_off.cqes + ring.parameters.cq_entries * sizeof(*answer);
	if (ring.size < ring.parameters.sq_off.array + sizeof(unsigned int))
		ring.size = ring.parameters.sq_off.array + sizeof(unsigned int);
	ring.queues = must(mmap(NULL, ring.size, PROT_READ | PROT_WRITE, MAP_SHARED,
				ring.descriptor, IORING_OFF_SQ_RING));
	ring.request = must(mmap(NULL, sizeof(*ring.request), PROT_READ | PROT_WRITE, MAP_SHARED,
				 ring.descriptor, IORING_OFF_SQES));
	*ring.request = (struct io_uring_sqe){
		.opcode = IORING_OP_READ, .fd = from, .addr = (uintptr_t)bytes, .len = size,
		.off = at, .flags = by_worker ? IOSQE_ASYNC : 0,
	};
	*in_queues(&ring, ring.parameters.sq_off.array) = 0;
	__atomic_store_n(in_queues(&ring, ring.parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring.descriptor, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	if (!__atomic_load_n(in_queues(&ring, ring.parameters.cq_off.tail), __ATOMIC_ACQUIRE))
		fail("no answer in the ring");
	answer = (struct io_uring_cqe *)(ring.queues + ring.parameters.cq_off.cqes);
	result = answer->res;
	must(munmap(ring.request, sizeof(*ring.request)));
	must(munmap(ring.queues, ring.size));
	close(ring.descriptor);
	return result;
}

static void do_ring_read(const struct call *call)
{
	struct file *file = open_file[call->slot];
	const size_t size = piece_size(call->number[0]);
	const bool by_worker = call->number[1] % 2, current = call->number[1] / 2 % 2;
	const off_t at = current ? -1 : text_offset(file, call->number[2]);
	char *bytes = buffer(size);
	int count;

	/* -1 is the offset of the file, and -2 is refused. */
	if (!current && at < 0)
		return;
	say("    %d: io_uring%s reads %zu bytes at %ld", call->slot, by_worker ? ", a worker," : "",
	    size, at);
	count = read_by_ring(descriptor[call->slot], bytes, size, at, by_worker);
	errno = count < 0 ? -count : 0;
	/* The kernel does not let a ring wait for a file with O_NONBLOCK. */
	if (file && file->flags & O_NONBLOCK && count == -EAGAIN) {
		say(" = EAGAIN\n");
		return;
	}
	if (!is_readable(file)) {
		expect(count < 0, EBADF);
		return;
	}
	check_read(file, bytes, count < 0 ? -1 : count, size, size, current ? file->offset : at);
	if (current)
		file->offset += count;
}

/* A read of one of two threads. */
struct half {
	int descriptor;
	size_t size;
	ssize_t count;
	char bytes[PIECE];
};

static void *read_half(void *argument)
{
	struct half *half = argument;

	half->count = read(half->descriptor, half->bytes, half->size);
	return NULL;
}

/* Two threads read at the offset that they share: each byte comes to one of them. */
static void do_threads(const struct call *call)
{
	static struct half half[2];
	struct file *file = open_file[call->slot];
	size_t size, used = 0;
	pthread_t thread;
	ssize_t count;
	char *bytes;
	int first;

	if (!is_readable(file))
		return;
	for (int i = 0; i < 2; i++) {
		half[i].descriptor = descriptor[call->slot];
		half[i].size = piece_size(call->number[i]) ?: 100;
	}
	say("    %d: two threads read %zu and %zu bytes at %ld", call->slot, half[0].size,
	    half[1].size, file->offset);
	if (pthread_create(&thread, NULL, read_half, &half[1]))
		fail("pthread_create");
	read_half(&half[0]);
	pthread_join(thread, NULL);
	say(" = %ld, %ld\n", half[0].count, half[1].count);
	if (half[0].count < 0 || half[1].count < 0)
		fail("a thread cannot read");
	/* The order is that in which the bytes fit to those of a read by one thread. */
	size = half[0].count + half[1].count;
	bytes = malloc(size + 1);
	/* One pread() returns no more than the kernel's buffer has at once. */
	while (used < size && (count = pread(descriptor[call->slot], bytes + used, size - used,
					     file->offset + used)) > 0)
		used += count;
	if (used < size)
		fail("pread() has less than the threads");
	first = memcmp(bytes, half[0].bytes, half[0].count) != 0;
	if (memcmp(bytes, half[first].bytes, half[first].count) ||
	    memcmp(bytes + half[first].count, half[!first].bytes, half[!first].count))
		fail("the threads read something else than pread()");
	learn(file, bytes, size, file->offset);
	file->offset += size;
	free(bytes);
}

/* A program that this program executes reads at the offset of the file that it inherits. */
static void do_execute(const struct call *call)
{
	struct file *file = open_file[call->slot];
	const size_t size = piece_size(call->number[0]);
	char *bytes = buffer(size), from[20], length[20];
	int ends[2], flags, status;
	size_t used = 0;
	pid_t child;

	if (!file)
		return;
	flags = must(fcntl(descriptor[call->slot], F_GETFD));
	snprintf(from, sizeof(from), "%d", descriptor[call->slot]);
	snprintf(length, sizeof(length), "%zu", size);
	must(pipe2(ends, O_CLOEXEC));
	say("    %d: exec, then read %zu bytes at %ld", call->slot, size, file->offset);
	child = fork_child();
	if (!child) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/proc/self/exe", "fuzz_readers", "read", from, length, NULL);
		_exit(255);
	}
	close(ends[1]);
	for (ssize_t count; (count = read(ends[0], bytes + used, size - used)) > 0; used += count)
		;
	close(ends[0]);
	must(waitpid(child, &status, 0));
	if (!WIFEXITED(status))
		fail("the program: signal %d", WTERMSIG(status));
	errno = WEXITSTATUS(status);
	if (flags & FD_CLOEXEC || !is_readable(file)) {
		expect(errno, EBADF);
		return;
	}
	check_read(file, bytes, errno ? -1 : (ssize_t)used, size, size, file->offset);
	file->offset += used;
}

/* What is executed: the errno is the exit status. */
static int read_for_sequence(char **argument)
{
	const size_t size = atol(argument[1]);
	char *bytes = malloc(size + 1);
	ssize_t count = read(atoi(argument[0]), bytes, size);

	if (count < 0)
		return errno;
	return write(STDOUT_FILENO, bytes, count) == count ? 0 : 255;
}

/* A process is killed while it reads the file and opens others. */
static void do_kill(const struct call *call)
{
	struct file *file = open_file[call->slot];
	char *bytes = buffer(PIECE), path[100];
	int status;
	pid_t child;

	snprintf(path, sizeof(path), TABLES "%s", files[call->number[0] % file_count]);
	say("    %d: a child that reads it, and opens %s, is killed\n", call->slot, path);
	child = fork_child();
	if (!child)
		for (off_t at = 0;; at = (at + 5000) % (1 << 20)) {
			if (is_readable(file))
				pread(descriptor[call->slot], bytes, PIECE, at);
			open_error(path, O_RDONLY);
		}
	usleep(call->number[1] % 3000 * slower());
	kill(child, SIGKILL);
	must(waitpid(child, &status, 0));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail("the child has ended with status %#x", status);
}

/* A ring that was closed leaves work to this thread. Both calls are interrupted by it. */
static int unload(void)
{
	int error;

	do
		error = unload_module("taskscope");
	while (error == EINTR);
	return error;
}

static int load(void)
{
	int module = must(open("/taskscope.ko", O_RDONLY | O_CLOEXEC));
	int error = TEMP_FAILURE_RETRY(syscall(SYS_finit_module, module, "", 0)) ? errno : 0;

	close(module);
	return error;
}

/* The module cannot be unloaded while a file is open. */
static void do_unload(const struct call *call)
{
	int error, files = held();

	/* Most sequences leave it to reload() to take the module away. */
	if (!files && call->number[0] % 4)
		return;
	say("    delete_module");
	check_references();
	error = unload();
	say(" = %s\n", error_name(error));
	if (files ? error != EAGAIN : error && error != EAGAIN && error != ENOENT && error != EBUSY)
		fail("%s with %d open files", error_name(error), files);
}

static void do_load(const struct call *call)
{
	int error, files = held();

	say("    finit_module");
	error = load();
	say(" = %s\n", error_name(error));
	if (files ? error != EEXIST : error && error != EEXIST && error != EBUSY)
		fail("%s with %d open files", error_name(error), files);
}

/* The next calls are those of a child: run_calls() sees to that. */
static void do_fork(const struct call *call)
{
}

static const struct {
	int weight;
	void (*run)(const struct call *call);
} kinds[] = {
	{ 20, do_open }, { 3, do_reopen }, { 2, do_open_without_capability }, { 18, do_read },
	{ 18, do_pread }, { 1, do_pread_nowait }, { 3, do_read_edge }, { 10, do_seek },
	{ 6, do_copy }, { 2, do_flags }, { 2, do_poll }, { 1, do_epoll }, { 2, do_map },
	{ 3, do_splice }, { 2, do_refused }, { 1, do_stat }, { 2, do_list }, { 6, do_ring_read },
	{ 3, do_threads }, { 2, do_execute }, { 2, do_kill }, { 2, do_unload }, { 1, do_load },
	{ 6, do_fork }, { 5, do_close },
};

/* --- sequences */

/* splitmix64 */
static unsigned long draw(unsigned long *state)
{
	unsigned long value = *state += 0x9e3779b97f4a7c15;

	value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
	value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
	return value ^ (value >> 31);
}

static unsigned char draw_kind(unsigned long *state)
{
	int sum = 0, at;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		sum += kinds[i].weight;
	at = draw(state) % sum;
	for (size_t i = 0;; i++) {
		at -= kinds[i].weight;
		if (at < 0)
			return i;
	}
}

/* The calls of a sequence; returns how many these are. */
static int draw_calls(unsigned long number, struct call *calls)
{
	unsigned long state = number;
	int count = 5 + draw(&state) % (MOST_CALLS - 4);

	for (int i = 0; i < count; i++) {
		calls[i].kind = draw_kind(&state);
		/* Few slots, so that most calls are on an open file. */
		calls[i].slot = draw(&state) % 4 ? draw(&state) % 2 : draw(&state) % SLOTS;
		calls[i].other = draw(&state) % SLOTS;
		for (size_t j = 0; j < ARRAY_SIZE(calls->number); j++)
			calls[i].number[j] = draw(&state);
		/* A sequence begins with open files. */
		if (i < 2) {
			calls[i].kind = 0;
			calls[i].slot = i;
		}
	}
	return count;
}

static void run_calls(const struct call *calls, int count, int depth)
{
	for (int i = 0; i < count; i++) {
		const bool forks = kinds[calls[i].kind].run == do_fork && depth < 3;
		const int part = 1 + calls[i].number[0] % 6;
		pid_t child;

		kinds[calls[i].kind].run(&calls[i]);
		check_offset(calls[i].slot);
		if (!forks)
			continue;
		/* The child has the next calls. It inherits the descriptors, and ends with them. */
		for (int slot = 0; slot < SLOTS; slot++)
			if (open_file[slot])
				open_file[slot]->descriptors++;
		say("    fork\n");
		child = fork_child();
		if (!child) {
			run_calls(calls + i + 1, part < count - i - 1 ? part : count - i - 1,
				  depth + 1);
			for (int slot = 0; slot < SLOTS; slot++)
				if (open_file[slot])
					open_file[slot]->descriptors--;
			say("    exit\n");
			_exit(0);
		}
		join(child);
		i += part;
	}
}

static void __noreturn run_sequence(const struct call *calls, int count)
{
	model->trace_size = 0;
	*model->trace = *model->problem = 0;
	for (int i = 0; i < MOST_FILES; i++)
		model->file[i].descriptors = 0;
	for (int slot = 0; slot < SLOTS; slot++)
		set_slot(slot, -1, NULL);
	/* A sequence takes less than a second on the stock kernel. */
	alarm(20 * patience());
	run_calls(calls, count, 0);
	for (int slot = 0; slot < SLOTS; slot++) {
		check_text(slot, PIECE);
		close_slot(slot);
	}
	_exit(0);
}

/* Runs calls in a process of their own; false if they fail. */
static bool passes(const struct call *calls, int count)
{
	pid_t child = fork_child();
	int status;

	if (!child)
		run_sequence(calls, count);
	must(waitpid(child, &status, 0));
	if (status && !*model->problem)
		snprintf(model->problem, sizeof(model->problem), "wait status %#x", status);
	return !status;
}

/* The kernel's log says what ran when the kernel complains. */
static void note(unsigned long number)
{
	char text[50];

	snprintf(text, sizeof(text), "<6>fuzz_readers: %lu", number);
	write_file("/dev/kmsg", text);
}

static void new_model(void)
{
	model = mmap(NULL, sizeof(*model), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (model == MAP_FAILED)
		die("no room for the model");
}

static void print_lines(const char *text)
{
	while (*text) {
		int length = strcspn(text, "\n");

		ksft_print_msg("%.*s\n", length, text);
		text += length + !!text[length];
	}
}

/* Runs one sequence after the other, until one fails. */
static void run_sequences(void *limit)
{
	struct call calls[MOST_CALLS];

	new_model();
	while (!shared->stop && !shared->failed) {
		unsigned long number = shared->next++;
		int count;

		/* No less than one reload, however few sequences that takes. */
		if (number >= *(unsigned long *)limit && shared->loads)
			break;
		note(number);
		count = draw_calls(number, calls);
		if (!passes(calls, count) && !atomic_exchange(&shared->failed, true)) {
			shared->failure = number;
			/* Now, because the kernel may crash when the sequence is repeated. */
			ksft_print_msg("sequence %lu has failed; SEED=%lu repeats it\n", number,
				       number);
			print_lines(model->trace);
			print_lines(model->problem);
		}
		shared->done++;
		/* Time in which no file is open, for the unload. */
		if (shared->quiet)
			usleep(rand() % 20000 * slower());
	}
	shared->ended++;
}

/* Loads and unloads the module all the time. */
static void reload(void *unused)
{
	for (;;) {
		int error = load();

		if (error && error != EEXIST && error != EBUSY)
			die("the module does not load: %s", error_name(error));
		usleep(rand() % 1000000 * slower());
		shared->quiet = true;
		while ((error = unload_module("taskscope")) == EAGAIN || error == EBUSY) {
			shared->refused++;
			usleep(rand() % 2000);
		}
		/* ENOENT: a sequence has unloaded the module. */
		if (error && error != ENOENT)
			die("the module does not unload: %s", error_name(error));
		shared->loads++;
		shared->quiet = false;
		usleep(rand() % 20000);
	}
}

/* --- a sequence that has failed */

/* The trace and the problem of the last run that has failed. */
static char *last_trace, *last_problem;

static bool fails_in(const struct call *calls, int count, int tries)
{
	for (int i = 0; i < tries; i++) {
		int error;

		/* EBUSY: it is being unloaded. */
		wait_until((error = load()) != EBUSY, "the module is neither there nor gone");
		if (error && error != EEXIST)
			die("the module does not load: %s", error_name(error));
		if (!passes(calls, count)) {
			free(last_trace);
			free(last_problem);
			last_trace = strdup(model->trace);
			last_problem = strdup(model->problem);
			return true;
		}
	}
	return false;
}

/* Leaves out as many calls as possible, in ever smaller groups; returns how many are left. */
static int minimise(struct call *calls, int count, int tries)
{
	struct call fewer[MOST_CALLS];

	for (int group = count / 2 ?: 1; group; group /= 2)
		for (int at = 0; at < count;) {
			int left_out = group < count - at ? group : count - at;

			memcpy(fewer, calls, at * sizeof(*calls));
			memcpy(fewer + at, calls + at + left_out,
			       (count - at - left_out) * sizeof(*calls));
			if (fails_in(fewer, count - left_out, tries)) {
				count -= left_out;
				memcpy(calls, fewer, count * sizeof(*calls));
			} else {
				at += group;
			}
		}
	return count;
}

/* Finds out which calls of the sequence fail, first without reloads beside it. */
static void explain(unsigned long number)
{
	struct call calls[MOST_CALLS];
	int count = draw_calls(number, calls), tries = 3;
	pid_t reloader = 0;

	new_model();
	if (!fails_in(calls, count, tries)) {
		reloader = start_child(reload, NULL);
		tries = 10;
		if (!fails_in(calls, count, tries)) {
			ksft_print_msg("the sequence does not fail again in %d runs\n", tries);
			end_child(reloader);
			return;
		}
	}
	count = minimise(calls, count, tries);
	ksft_print_msg("%d calls that fail%s:\n", count,
		       reloader ? " while the module is reloaded" : "");
	print_lines(last_trace);
	print_lines(last_problem);
	if (reloader)
		end_child(reloader);
}

/* The reloader and the runners only end when main() ends them. */
static void check_children(const pid_t *pids, int count)
{
	for (int i = 0; i < count; i++)
		if (has_ended(pids[i]))
			die("the %s has ended", i ? "runner of sequences" : "reloader");
}

int main(int argc, char **argv)
{
	const time_t minutes = getenv("MINUTES") ? setting("MINUTES", 1) : 0;
	const unsigned long first = setting("SEED", 1);
	unsigned long limit = first + rounds("SEQUENCES", 60, 600) / slower();
	const time_t begin = seconds();
	/* The reloader is the first. */
	pid_t pids[1 + RUNNERS];
	struct utsname kernel;

	if (argc > 1)
		return read_for_sequence(argv + 2);
	ksft_print_header();
	ksft_set_plan(2);
	if (minutes)
		limit = ULONG_MAX;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	shared->next = first;
	unload_module("taskscope");
	skip_suites();
	load_taskscope("");
	files = file_names();
	for (file_count = 0; files[file_count]; file_count++)
		;
	pids[0] = start_child(reload, NULL);
	for (int i = 1; i <= RUNNERS; i++)
		pids[i] = start_child(run_sequences, &limit);
	ksft_print_msg("the first sequence is %lu\n", first);
	while (shared->ended < RUNNERS && (!minutes || seconds() < begin + minutes * 60)) {
		check_children(pids, ARRAY_SIZE(pids));
		usleep(10000);
	}
	shared->stop = true;
	/* A runner that is killed would leave open files. */
	wait_until(shared->ended == RUNNERS, "a sequence does not end");
	check_children(pids, ARRAY_SIZE(pids));
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		end_child(pids[i]);
	uname(&kernel);
	ksft_print_msg("%ld seconds on %s\n", seconds() - begin, kernel.release);
	ksft_print_msg("%lu sequences of calls\n", shared->done);
	ksft_print_msg("%lu opens\n", shared->opened);
	ksft_print_msg("%lu opens that found no module\n", shared->absent);
	ksft_print_msg("%lu unloads and loads\n", shared->loads);
	ksft_print_msg("%lu unloads refused, because files were open\n", shared->refused);
	if (shared->failed)
		explain(shared->failure);
	ksft_test_result(!shared->failed, "every sequence: each call returns what it must\n");
	ksft_test_result(shared->opened && shared->loads,
			 "files were opened, the module reloaded\n");
	/* Files may be open until the end of the process that was killed. */
	wait_until(unload_module("taskscope") != EAGAIN, "a reference to the module is left");
	ksft_finished();
}
