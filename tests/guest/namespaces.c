// SPDX-License-Identifier: GPL-2.0
/*
 * Readers in other namespaces or with fewer rights: in a PID namespace, in a user namespace,
 * with some of root's capabilities. And what an open file shows to a process that gets its
 * descriptor.
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
	{ "ustacks", true }, { "uframes", true }, { "segments", true }, { "cpus", true },
};

#define FILES ((int)ARRAY_SIZE(files))

/* Shared by the test and its children. */
static struct {
	pid_t test, reader, parent;
} *shared;

static int table_open_error(const char *name, int flags)
{
	char path[100];

	snprintf(path, sizeof(path), TABLES "%s", name);
	return open_error(path, flags);
}

/* Every open has the first errno; files that need CAP_SYS_PTRACE have the second one. */
static bool all_answer(int error, int error_for_ptrace)
{
	bool good = true;

	for (int i = 0; i < FILES; i++) {
		int want = files[i].needs_ptrace ? error_for_ptrace : error;
		int got = table_open_error(files[i].name, O_RDONLY);

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

/* Runs as process 1 of a PID namespace. Each bit of the result is a check that passed. */
enum { SELF = 1, ALL = 2, CONTEXTS = 4, SET_INIT = 8, SET_SELF = 16, EVERYTHING = 31 };

static int read_as_first(void)
{
	struct contexts *contexts;
	int good = 0;

	wait_until(shared->reader, "the PID outside is not known");
	if (getpid() != 1 || getppid())
		die("this is process %d of its namespace", getpid());
	if (current_has("\npid: %d\n", shared->reader) &&
	    current_has("\nppid: %d\n", shared->parent))
		good |= SELF;
	/* Threads outside of the namespace. */
	if (has_row("threads", 1) && has_row("threads", 2) && has_row("threads", shared->test) &&
	    has_row("processes", shared->reader) && has_row("ustacks", shared->test) &&
	    has_row("kframes", 2))
		good |= ALL;
	contexts = contexts_read();
	if (atoi(contexts_find(contexts, "syscall", -1)->pid) == shared->reader)
		good |= CONTEXTS;
	contexts_free(contexts);
	write_set_pid("1");
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
	/* This process is outside of the namespace, but set_pid is the same list. */
	snprintf(number, sizeof(number), "%d", getpid());
	write_set_pid("");
	write_set_pid(number);
	if (has_row("threads", getpid()) && !has_row("threads", 1))
		status |= SET_SELF;
	write_set_pid("");
	return status;
}

static void test_pid_namespace(void)
{
	int good = in_child(read_in_pid_namespace);

	/* The child was killed. */
	if (good > EVERYTHING)
		good = 0;
	ksft_test_result(good & SELF,
			 "PID namespace: current has the PID of the initial namespace\n");
	ksft_test_result(good & ALL,
			 "PID namespace: the tables have the threads of all namespaces\n");
	ksft_test_result(good & CONTEXTS,
			 "PID namespace: contexts has the PID of the initial namespace\n");
	ksft_test_result(good & SET_INIT,
			 "PID namespace: 1 in set_pid is PID 1 of the initial namespace\n");
	ksft_test_result(good & SET_SELF, "PID namespace: set_pid is the same list as outside\n");
}

static int read_as_mapped_other(void)
{
	become_namespace_root(OTHER);
	return all_answer(EACCES, EACCES) && table_open_error("set_pid", O_WRONLY) == EACCES;
}

/* The caller is root outside too and owns the files; its capabilities are the namespace's. */
static int read_as_mapped_root(void)
{
	become_namespace_root(0);
	return all_answer(EPERM, EPERM) && table_open_error("set_pid", O_WRONLY | O_TRUNC) == EPERM;
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
			 "user namespace of another user, as its root: EACCES\n");
	write_set_pid("1");
	ksft_test_result(in_child(read_as_mapped_root) == 1 && has_row("threads", 1) &&
			 !has_row("threads", 2),
			 "user namespace of root, as its root: EPERM, set_pid unchanged\n");
	write_set_pid("");
	shared->reader = 0;
	pid = fork_child();
	if (!pid)
		_exit(sleep_as_mapped());
	wait_until(shared->reader, "no process in a namespace");
	rows = rows_read("threads");
	row = rows_find(rows, pid);
	ksft_test_result(row < rows->rows && rows_number(rows, row, "UID") == OTHER &&
			 rows_number(rows, row, "EUID") == OTHER,
			 "user namespace: a row of its root has the UID from outside\n");
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

/* Root with these capabilities only gets these errnos. */
static bool answers(unsigned long capabilities, int error, int error_for_ptrace)
{
	reader.capabilities = capabilities;
	reader.uid = 0;
	reader.error = error;
	reader.error_for_ptrace = error_for_ptrace;
	return in_child(read_as_reader) == 1;
}

/* Another user with these capabilities gets this errno. */
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
			 "without one capability but these two: every open succeeds\n");
	free(last);
	ksft_test_result(answers(~admin, EPERM, EPERM), "without CAP_SYS_ADMIN: EPERM\n");
	ksft_test_result(answers(~ptrace, 0, EPERM),
			 "without CAP_SYS_PTRACE: EPERM for user space, frames and calls\n");
	ksft_test_result(answers(admin | ptrace, 0, 0),
			 "with these two capabilities only: every open succeeds\n");
	ksft_test_result(answers(admin, 0, EPERM) && answers(ptrace, EPERM, EPERM) &&
			 answers(0, EPERM, EPERM),
			 "with one of the two capabilities, or none: EPERM\n");
	ksft_test_result(other_answers(admin | ptrace, EACCES),
			 "another user with these two capabilities: EACCES\n");
	ksft_test_result(other_answers(admin | ptrace | ONLY(CAP_DAC_READ_SEARCH), 0),
			 "another user with CAP_DAC_READ_SEARCH too: every open succeeds\n");
}

/* Sends, or receives, a descriptor as unix(7) says. */
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

/* Another user, in other namespaces, gets a descriptor of a file that it may not open. */
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
	/* The receiver has read it to the end. The text was captured before the fork. */
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
			 "descriptor passed to another user: the text is that of the open\n");
	rows_free(rows);
	good = handed("current", &text);
	ksft_test_result(good && strstr(text, "\nuid: 0\n"),
			 "descriptor passed to another user: current is its opener\n");
	free(text);
	ksft_test_result(handed("segments", &text),
			 "descriptor passed to another user: segments can be read\n");
	free(text);

	descriptor = must(open(SET_PID, O_WRONLY | O_CLOEXEC));
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	pid = fork_child();
	if (!pid)
		_exit(receive_and_write());
	send_descriptor(ends[0], descriptor);
	must(waitpid(pid, &status, 0));
	ksft_test_result(!status && has_row("threads", 2) && !has_row("threads", 1),
			 "descriptor passed to another user: set_pid can be written\n");
	close(descriptor);
	close(ends[0]);
	close(ends[1]);
	write_set_pid("");
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(5 + 3 + 1 + 7 + 4);
	load_taskscope("");
	/* The files must refuse the calls themselves, without help of their directories. */
	must(chmod("/sys/kernel/debug", 0755));
	must(chmod("/sys/kernel/debug/taskscope", 0755));
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	shared->test = getpid();
	test_pid_namespace();
	test_user_namespace();
	ksft_test_result(in_child(read_in_other_namespaces) == 1,
			 "other kinds of namespaces: every open succeeds, with all threads\n");
	test_capabilities();
	test_handed();
	must(chmod("/sys/kernel/debug", 0700));
	ksft_finished();
}
