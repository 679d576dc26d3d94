// SPDX-License-Identifier: GPL-2.0
/*
 * What a reader sees who is elsewhere, or may less: in a PID namespace, in a user
 * namespace, with some of root's capabilities; and what an open file shows to whom it
 * is handed.
 */
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "capabilities.h"
#include "contexts.h"
#include "guest.h"
#include "rows.h"

#define SET_PID TABLES "set_pid"
#define OTHER 1000

static const struct {
	const char *name;
	bool needs_ptrace;
} files[] = {
	{ "current", false }, { "contexts", false }, { "processes", false }, { "threads", false },
	{ "kstacks", false }, { "set_pid", false }, { "kframes", true }, { "syscalls", true },
	{ "ustacks", true }, { "uframes", true }, { "segments", true },
};

#define FILES ((int)(sizeof(files) / sizeof(*files)))

/* What the test and its children tell each other. */
static struct {
	pid_t test, reader, parent;
} *shared;

/* What function returns, in a child. */
static int in_child(int (*function)(void))
{
	pid_t pid = fork_child();
	int status;

	if (!pid)
		_exit(function());
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int open_error(const char *name, int flags)
{
	char path[100];
	int descriptor;

	snprintf(path, sizeof(path), TABLES "%s", name);
	descriptor = open(path, flags | O_CLOEXEC);
	if (descriptor < 0)
		return errno;
	close(descriptor);
	return 0;
}

/* All files answer an open so; the second number is for those that need CAP_SYS_PTRACE. */
static bool all_answer(int error, int error_for_ptrace)
{
	bool good = true;

	for (int i = 0; i < FILES; i++) {
		int want = files[i].needs_ptrace ? error_for_ptrace : error;
		int got = open_error(files[i].name, O_RDONLY);

		if (got != want) {
			ksft_print_msg("%s: %s, and not %s\n", files[i].name, strerror(got),
				       strerror(want));
			good = false;
		}
	}
	return good;
}

static bool has_row(const char *table, pid_t pid)
{
	struct rows *rows = rows_read(table);
	bool has = rows_find(rows, pid) < rows->rows;

	rows_free(rows);
	return has;
}

static bool current_has(const char *format, int number)
{
	char *text = slurp(TABLES "current", NULL), line[50];
	bool has;

	snprintf(line, sizeof(line), format, number);
	has = strstr(text, line);
	if (!has)
		ksft_print_msg("no %s in %s\n", line, text);
	free(text);
	return has;
}

/* Process 1 of a PID namespace, and all of it; the bits are of what is as it should be. */
enum { SELF = 1, ALL = 2, CONTEXTS = 4, SET_INIT = 8, SET_SELF = 16, EVERYTHING = 31 };

static int read_as_first(void)
{
	struct contexts *contexts;
	int good = 0;

	wait_until(shared->reader, "nobody knows this process");
	if (getpid() != 1 || getppid())
		die("this is process %d of its namespace", getpid());
	if (current_has("\npid: %d\n", shared->reader) &&
	    current_has("\nppid: %d\n", shared->parent))
		good |= SELF;
	/* Of processes that the namespace does not know at all. */
	if (has_row("threads", 1) && has_row("threads", 2) && has_row("threads", shared->test) &&
	    has_row("processes", shared->reader) && has_row("ustacks", shared->test) &&
	    has_row("kframes", 2))
		good |= ALL;
	contexts = contexts_read();
	if (atoi(contexts_find(contexts, "syscall", -1)->pid) == shared->reader)
		good |= CONTEXTS;
	contexts_free(contexts);
	write_file(SET_PID, "1");
	if (has_row("threads", 1) && !has_row("threads", shared->reader))
		good |= SET_INIT;
	return good;
}

static int read_in_pid_namespace(void)
{
	int status;
	pid_t pid;
	char number[20];

	must(unshare(CLONE_NEWPID));
	shared->parent = getpid();
	pid = fork_child();
	if (!pid)
		_exit(read_as_first());
	shared->reader = pid;
	must(waitpid(pid, &status, 0));
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	/* A child of this process is not of its own namespace, but the list is the same. */
	snprintf(number, sizeof(number), "%d", getpid());
	close(must(open(SET_PID, O_WRONLY | O_TRUNC)));
	write_file(SET_PID, number);
	if (has_row("threads", getpid()) && !has_row("threads", 1))
		status |= SET_SELF;
	close(must(open(SET_PID, O_WRONLY | O_TRUNC)));
	return status;
}

static void test_pid_namespace(void)
{
	int good = in_child(read_in_pid_namespace);

	/* Killed, for one. */
	if (good > EVERYTHING)
		good = 0;
	ksft_test_result(good & SELF, "PID namespace: current has the PID of the initial one\n");
	ksft_test_result(good & ALL, "PID namespace: the tables have all threads there are\n");
	ksft_test_result(good & CONTEXTS, "PID namespace: so has contexts\n");
	ksft_test_result(good & SET_INIT, "PID namespace: 1 in set_pid is the initial one's\n");
	ksft_test_result(good & SET_SELF, "PID namespace: all share one list\n");
}

/* A user namespace in which who the caller is outside is root. */
static void become_namespace_root(uid_t uid)
{
	char map[30];

	if (uid) {
		must(setgroups(0, NULL));
		must(setresgid(uid, uid, uid));
		must(setresuid(uid, uid, uid));
		/* What setresuid took away, and what a map of one's own needs. */
		must(prctl(PR_SET_DUMPABLE, 1));
	}
	must(unshare(CLONE_NEWUSER));
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	if (getuid())
		die("no root in the namespace");
}

static int read_as_mapped_other(void)
{
	become_namespace_root(OTHER);
	return all_answer(EACCES, EACCES) && open_error("set_pid", O_WRONLY) == EACCES;
}

/* Root outside as well: the files are its own, but its capabilities are of the namespace. */
static int read_as_mapped_root(void)
{
	become_namespace_root(0);
	return all_answer(EPERM, EPERM) && open_error("set_pid", O_WRONLY | O_TRUNC) == EPERM;
}

static int sleep_as_mapped(void)
{
	become_namespace_root(OTHER);
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	shared->reader = 1;
	for (;;)
		pause();
}

static void test_user_namespace(void)
{
	struct rows *rows;
	size_t row;
	pid_t pid;

	ksft_test_result(in_child(read_as_mapped_other) == 1,
			 "user namespace: root of another user's: EACCES\n");
	write_file(SET_PID, "1");
	ksft_test_result(in_child(read_as_mapped_root) == 1 && has_row("threads", 1) &&
			 !has_row("threads", 2),
			 "user namespace: root of root's own: EPERM, and set_pid as it was\n");
	close(must(open(SET_PID, O_WRONLY | O_TRUNC)));
	shared->reader = 0;
	pid = fork_child();
	if (!pid)
		_exit(sleep_as_mapped());
	wait_until(shared->reader, "no process in a namespace");
	rows = rows_read("threads");
	row = rows_find(rows, pid);
	ksft_test_result(row < rows->rows && rows_number(rows, row, "UID") == OTHER &&
			 rows_number(rows, row, "EUID") == OTHER,
			 "user namespace: its root is who it is outside\n");
	rows_free(rows);
	end_child(pid);
}

static int read_in_other_namespaces(void)
{
	must(unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP));
	return all_answer(0, 0) && has_row("threads", 1) && has_row("threads", shared->test);
}

static struct {
	unsigned long capabilities;
	uid_t uid;
	int error, error_for_ptrace;
} reader;

static int read_as_reader(void)
{
	must(prctl(PR_SET_KEEPCAPS, 1));
	must(setresuid(reader.uid, reader.uid, reader.uid));
	keep_capabilities(reader.capabilities);
	return all_answer(reader.error, reader.error_for_ptrace);
}

/* Root with these capabilities alone gets these answers. */
static bool answers(unsigned long capabilities, int error, int error_for_ptrace)
{
	reader.capabilities = capabilities;
	reader.uid = 0;
	reader.error = error;
	reader.error_for_ptrace = error_for_ptrace;
	return in_child(read_as_reader) == 1;
}

/* Another user who has kept these capabilities. */
static bool other_answers(unsigned long capabilities, int error)
{
	reader.capabilities = capabilities;
	reader.uid = OTHER;
	reader.error = error;
	reader.error_for_ptrace = error;
	return in_child(read_as_reader) == 1;
}

static void test_capabilities(void)
{
	unsigned long admin = ONLY(CAP_SYS_ADMIN), ptrace = ONLY(CAP_SYS_PTRACE);
	char *last = slurp("/proc/sys/kernel/cap_last_cap", NULL);
	int wrong = 0;

	for (int capability = 0; capability <= atoi(last); capability++) {
		if (capability == CAP_SYS_ADMIN || capability == CAP_SYS_PTRACE)
			continue;
		if (!answers(~ONLY(capability), 0, 0)) {
			ksft_print_msg("without capability %d\n", capability);
			wrong++;
		}
	}
	ksft_test_result(!wrong && atoi(last) >= CAP_CHECKPOINT_RESTORE,
			 "capabilities: each of the others may be lacking\n");
	free(last);
	ksft_test_result(answers(~admin, EPERM, EPERM), "capabilities: not CAP_SYS_ADMIN\n");
	ksft_test_result(answers(~ptrace, 0, EPERM),
			 "capabilities: nor CAP_SYS_PTRACE, for frames and calls\n");
	ksft_test_result(answers(admin | ptrace, 0, 0), "capabilities: these two are enough\n");
	ksft_test_result(answers(admin, 0, EPERM) && answers(ptrace, EPERM, EPERM) &&
			 answers(0, EPERM, EPERM), "capabilities: but not one of them\n");
	ksft_test_result(other_answers(admin | ptrace, EACCES),
			 "capabilities: another user with both: EACCES\n");
	ksft_test_result(other_answers(admin | ptrace | ONLY(CAP_DAC_READ_SEARCH), 0),
			 "capabilities: and with CAP_DAC_READ_SEARCH all files\n");
}

/* Sends, or receives, a descriptor, as unix(7) has it. */
static void send_descriptor(int channel, int descriptor)
{
	char byte = 0, room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room,
				  .msg_controllen = sizeof(room) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
	must(sendmsg(channel, &message, 0));
}

static int receive_descriptor(int channel)
{
	char byte, room[CMSG_SPACE(sizeof(int))];
	struct iovec piece = { &byte, 1 };
	struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1, .msg_control = room,
				  .msg_controllen = sizeof(room) };
	int descriptor;

	must(recvmsg(channel, &message, 0));
	if (!CMSG_FIRSTHDR(&message))
		die("no descriptor came");
	memcpy(&descriptor, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return descriptor;
}

static int ends[2];

/* Another user, in namespaces of his own, who gets what he may not open himself. */
static int receive_and_read(void)
{
	char path[50], *text, *again;
	int descriptor, status;
	pid_t pid;

	become_namespace_root(OTHER);
	must(unshare(CLONE_NEWPID));
	pid = fork_child();
	if (pid) {
		must(waitpid(pid, &status, 0));
		return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
	}
	descriptor = receive_descriptor(ends[1]);
	text = slurp_descriptor(descriptor, NULL);
	must(lseek(descriptor, 0, SEEK_SET));
	again = slurp_descriptor(descriptor, NULL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", descriptor);
	if (open(path, O_RDONLY) >= 0 || errno != EACCES || strcmp(text, again))
		_exit(1);
	must(write(ends[1], text, strlen(text)));
	_exit(0);
}

static int receive_and_write(void)
{
	int descriptor = receive_descriptor(ends[1]);

	become_namespace_root(OTHER);
	return write(descriptor, "2", 1) != 1;
}

static bool handed(const char *name, char **got)
{
	char path[100];
	int descriptor, status;
	size_t size, used = 0;
	char *text;
	pid_t pid;
	bool good;

	snprintf(path, sizeof(path), TABLES "%s", name);
	descriptor = must(open(path, O_RDONLY | O_CLOEXEC));
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	pid = fork_child();
	if (!pid)
		_exit(receive_and_read());
	send_descriptor(ends[0], descriptor);
	close(ends[1]);
	*got = calloc(1, 1 << 22);
	for (ssize_t count; (count = read(ends[0], *got + used, (1 << 22) - 1 - used)) > 0;)
		used += count;
	must(waitpid(pid, &status, 0));
	/* What he has read it to the end of, and was captured before he lived. */
	must(lseek(descriptor, 0, SEEK_SET));
	text = slurp_descriptor(descriptor, &size);
	good = !status && size == used && !memcmp(text, *got, size);
	free(text);
	close(descriptor);
	close(ends[0]);
	return good;
}

static void test_handed(void)
{
	struct rows *rows;
	char *text;
	int descriptor, status;
	bool good;
	pid_t pid;

	good = handed("threads", &text);
	rows = rows_parse(text, strlen(text));
	ksft_test_result(good && !*rows->problem && rows_find(rows, shared->test) < rows->rows,
			 "handed over: the text is that of the open\n");
	rows_free(rows);
	good = handed("current", &text);
	ksft_test_result(good && strstr(text, "\nuid: 0\n"),
			 "handed over: current is who has opened it\n");
	free(text);
	ksft_test_result(handed("segments", &text), "handed over: so what needs CAP_SYS_PTRACE\n");
	free(text);

	descriptor = must(open(SET_PID, O_WRONLY | O_CLOEXEC));
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	pid = fork_child();
	if (!pid)
		_exit(receive_and_write());
	send_descriptor(ends[0], descriptor);
	must(waitpid(pid, &status, 0));
	ksft_test_result(!status && has_row("threads", 2) && !has_row("threads", 1),
			 "handed over: set_pid is written to as by who has opened it\n");
	close(descriptor);
	close(ends[0]);
	close(ends[1]);
	close(must(open(SET_PID, O_WRONLY | O_TRUNC)));
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(5 + 3 + 1 + 7 + 4);
	load_taskscope("");
	/* The files are to refuse by themselves, not only the directories above them. */
	must(chmod("/sys/kernel/debug", 0755));
	must(chmod("/sys/kernel/debug/taskscope", 0755));
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared->test = getpid();
	test_pid_namespace();
	test_user_namespace();
	ksft_test_result(in_child(read_in_other_namespaces) == 1,
			 "namespaces of other kinds change nothing\n");
	test_capabilities();
	test_handed();
	must(chmod("/sys/kernel/debug", 0700));
	ksft_finished();
}
