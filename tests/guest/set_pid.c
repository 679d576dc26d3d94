// SPDX-License-Identifier: GPL-2.0
/*
 * set_pid works like ftrace's set_event_pid: a list of PIDs. Tables that are opened later
 * show those tasks only. A rejected write changes nothing, nor does an open that fails.
 */
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"

#define SET_PID TABLES "set_pid"

static pid_t leader, thread, other;
static atomic_int *tid;

/* One open and one write; the errno, or 0 if all bytes were accepted. */
static int write_list(int flags, const char *list, size_t size)
{
	int descriptor = must(open(SET_PID, O_WRONLY | O_CLOEXEC | flags));
	ssize_t count;

	errno = 0;
	count = size ? write(descriptor, list, size) : 0;
	close(descriptor);
	if (count == -1)
		return errno;
	return count == (ssize_t)size ? 0 : -1;
}

/* `echo LIST > set_pid`, or with >>. */
static int echo(int flags, const char *format, ...)
{
	char line[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	strcat(line, "\n");
	return write_list(flags, line, strlen(line));
}

static int compare(const void *one, const void *other)
{
	return *(pid_t *)one - *(pid_t *)other;
}

/* The list, as it reads, has exactly these PIDs, in any order. */
static bool lists_these(const pid_t *pids, size_t count)
{
	char *text = slurp(SET_PID, NULL), *at = text, *end;
	pid_t *listed = malloc((count + 1) * sizeof(*listed));
	pid_t *sorted = malloc((count + 1) * sizeof(*sorted));
	size_t found = 0;
	bool same;

	for (;;) {
		long pid = strtol(at, &end, 10);

		if (end == at || found > count)
			break;
		if (found < count)
			listed[found] = pid;
		found++;
		at = end;
	}
	at += strspn(at, "\n ");
	memcpy(sorted, pids, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	if (found == count)
		qsort(listed, found, sizeof(*listed), compare);
	same = found == count && !memcmp(listed, sorted, count * sizeof(*listed)) && !*at;
	if (!same)
		ksft_print_msg("it reads %.200s\n", text);
	free(text);
	free(listed);
	free(sorted);
	return same;
}

#define COUNT(...) (sizeof((pid_t []){ __VA_ARGS__ }) / sizeof(pid_t))
#define lists(...) lists_these((pid_t []){ __VA_ARGS__ }, COUNT(__VA_ARGS__))

/* The table has rows for exactly these PIDs. */
static bool holds_these(const char *name, const pid_t *pids, size_t count)
{
	struct task_table *table = table_read(name);
	bool same = table->rows == count && !table_twice(table);

	for (size_t i = 0; i < count; i++)
		same = same && table_find(table, pids[i]);
	if (!same)
		ksft_print_msg("%s has %zu rows, and not %zu\n", name, table->rows, count);
	table_free(table);
	return same;
}

#define holds(name, ...) holds_these(name, (pid_t []){ __VA_ARGS__ }, COUNT(__VA_ARGS__))

static bool holds_all(void)
{
	struct task_table *table = table_read("threads");
	bool all = table->rows > 20 && table_find(table, 0) && table_find(table,
									  2) && table_find(table,
											   thread);

	table_free(table);
	return all;
}

static void *sleep_for_ever(void *unused)
{
	*tid = syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

static void start_thread(void *unused)
{
	pthread_t it;

	if (pthread_create(&it, NULL, sleep_for_ever, NULL))
		die("pthread_create");
}

static void test_lists(void)
{
	struct stat status;

	must(stat(SET_PID, &status));
	ksft_test_result((status.st_mode & 07777) == 0600 && !status.st_uid,
			 "mode 0600, owner root\n");
	ksft_test_result(lists_these(NULL, 0) && holds_all(),
			 "after the load: the list is empty, the tables have all threads\n");
	ksft_test_result(!echo(O_TRUNC, "%d", leader) && lists(leader),
			 "one PID: the list is that PID\n");
	ksft_test_result(holds("threads", leader) && holds("processes", leader),
			 "one PID: the tables have rows of it only\n");
	ksft_test_result(!echo(O_TRUNC, "%d", thread) && holds("threads", thread) &&
			 holds_these("processes", NULL, 0),
			 "TID of a second thread: a row in threads, none in processes\n");
	ksft_test_result(!echo(O_TRUNC, "%d %d 2", thread, other) && lists(thread, other, 2),
			 "three PIDs: the list is these PIDs\n");
	ksft_test_result(holds("threads", thread, other, 2) && holds("processes", other, 2),
			 "three PIDs: the tables have rows of these only\n");
	ksft_test_result(!echo(O_TRUNC, "%d", other) && lists(other),
			 "a second >: the list is the new PID only\n");
	ksft_test_result(!echo(O_APPEND, "%d", leader) && lists(other, leader),
			 ">>: the PID is added\n");
	ksft_test_result(!echo(O_APPEND, "%d %d", leader, leader) && lists(other, leader),
			 ">> of a PID that is listed: it is listed once\n");
	ksft_test_result(!echo(O_TRUNC, "  %d   %d  ", leader, other) && lists(leader, other),
			 "several spaces: both PIDs are listed\n");
	ksft_test_result(!echo(O_TRUNC, "%d\n%d", leader, other) && lists(leader, other),
			 "one PID per line: both PIDs are listed\n");
	ksft_test_result(!write_list(O_TRUNC, "1", 1) && lists(1),
			 "no newline at the end: the PID is listed\n");
	/* No process has this PID, and none gets it during the test. */
	ksft_test_result(!echo(O_TRUNC, "32767 %d", leader) && lists(32767, leader) &&
			 holds("threads", leader),
			 "PID of no process: it is listed and has no row\n");
	ksft_test_result(!echo(O_TRUNC, "%s", "") && lists_these(NULL, 0) && holds_all(),
			 "an empty line: the list is empty, the tables have all threads\n");
	echo(O_TRUNC, "%d", leader);
	ksft_test_result(!write_list(O_TRUNC, "", 0) && lists_these(NULL, 0) && holds_all(),
			 "O_TRUNC and no write: the list is empty, the tables have all threads\n");
}

static void test_descriptor(void)
{
	int descriptor = must(open(SET_PID, O_WRONLY | O_TRUNC));
	/* Set at run time: the compiler would reject a constant. */
	char *nowhere = (char *)strtoul("8", NULL, 10);
	char pid[20];
	bool good;

	snprintf(pid, sizeof(pid), "%d ", leader);
	must(write(descriptor, pid, strlen(pid)));
	snprintf(pid, sizeof(pid), "%d ", other);
	must(write(descriptor, pid, strlen(pid)));
	good = lists(leader, other);
	errno = 0;
	good = good && write(descriptor, "x", 1) == -1 && errno == EINVAL;
	errno = 0;
	good = good && write(descriptor, nowhere, 5) == -1 && errno == EFAULT;
	close(descriptor);
	ksft_test_result(good && lists(leader, other),
			 "two writes to one descriptor: both PIDs are listed\n");
}

/* A long list is written in pieces, which may end in the middle of a number. */
static void test_cut_numbers(void)
{
	int descriptor = must(open(SET_PID, O_WRONLY | O_TRUNC));
	bool good;

	must(write(descriptor, "1 23", 4));
	good = lists(1, 23);
	must(write(descriptor, "45 6", 4));
	good = good && lists(1, 2345, 6);
	must(write(descriptor, "7", 1));
	good = good && lists(1, 2345, 67);
	must(write(descriptor, " 8\n", 3));
	close(descriptor);
	ksft_test_result(good && lists(1, 2345, 67, 8),
			 "a number split over two writes: one PID\n");

	echo(O_TRUNC, "23");
	descriptor = must(open(SET_PID, O_WRONLY | O_APPEND));
	must(write(descriptor, "23", 2));
	must(write(descriptor, "4\n", 2));
	close(descriptor);
	ksft_test_result(lists(23, 234),
			 "a split number that begins like a listed PID: the listed PID stays\n");
}

static void test_snapshots(void)
{
	int before, after;
	struct task_table *all, *one;
	size_t size;
	char *text;

	echo(O_TRUNC, "%s", "");
	before = must(open(TABLES "threads", O_RDONLY));
	echo(O_TRUNC, "%d", thread);
	after = must(open(TABLES "threads", O_RDONLY));
	echo(O_TRUNC, "%d", other);
	text = slurp_descriptor(before, &size);
	all = table_parse(text, size);
	text = slurp_descriptor(after, &size);
	one = table_parse(text, size);
	ksft_test_result(all->rows > 20, "table opened before the write: its rows do not change\n");
	ksft_test_result(one->rows == 1 && table_find(one, thread),
			 "table opened after the write: the rows of the list at its open\n");
	table_free(all);
	table_free(one);
	close(before);
	close(after);
	echo(O_TRUNC, "2");
	text = slurp(TABLES "current", NULL);
	ksft_test_result(strstr(text, "pid:"),
			 "a list without the reader: current shows the reader\n");
	free(text);
}

/*
 * The summary has the number of rows and what they are. If set_pid leaves out others, it has the
 * number of all, which /proc has too. Some threads may come or go meanwhile.
 */
static bool counts(const char *name, const char *noun, bool selected)
{
	struct rows *table = rows_read(name);
	struct proc_thread *thread;
	size_t threads = proc_threads(&thread), expected = 0, all = 0;
	char line[100];
	bool good;

	for (size_t i = 0; i < threads; i++)
		expected += thread[i].pid == thread[i].tgid || !strcmp(noun, "threads");
	free(thread);
	if (selected && sscanf(table->summary, "# %*u of %zu ", &all) == 1)
		snprintf(line, sizeof(line), "# %zu of %zu %s, the others left out by set_pid\n",
			 table->rows, all, noun);
	else
		snprintf(line, sizeof(line), "# %zu %s\n", all = table->rows, noun);
	good = !strcmp(table->summary, line) && labs((long)(all - expected)) < 10;
	if (!good)
		ksft_print_msg("%zu in /proc, and %s says: %s", expected, name, table->summary);
	rows_free(table);
	return good;
}

static void test_summaries(void)
{
	bool good;

	echo(O_TRUNC, "%s", "");
	good = counts("threads", "threads", false) & counts("processes", "processes", false);
	ksft_test_result(good, "no list: the summaries count the threads and the processes\n");
	echo(O_TRUNC, "%d %d", leader, other);
	good = counts("threads", "threads", true) & counts("processes", "processes", true);
	ksft_test_result(good, "two PIDs: the summaries have the number of all too\n");
}

/* The position of an open file, as the kernel shows it. */
static long position_of(int descriptor)
{
	char path[40], *text, *at;
	long position;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", descriptor);
	text = slurp(path, NULL);
	at = strstr(text, "pos:");
	position = at ? atol(at + strlen("pos:")) : -1;
	free(text);
	return position;
}

static void test_position(void)
{
	int descriptor = must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC));
	long first, second;

	must(write(descriptor, "1 2 3", 5));
	first = position_of(descriptor);
	must(write(descriptor, " 4", 2));
	second = position_of(descriptor);
	close(descriptor);
	ksft_print_msg("position %ld, then %ld\n", first, second);
	ksft_test_result(first == 5 && second == 7,
			 "writes of 5 and of 2 bytes: the position is behind them\n");
}

/* A number may go on in the next write, but not in the one after a refused one. */
static bool refused_between(void)
{
	int file = must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC));
	bool good;

	must(write(file, "12", 2));
	good = write(file, "x", 1) == -1 && errno == EINVAL;
	must(write(file, "34", 2));
	good &= lists(12, 34);
	close(file);
	return good & lists(12, 34);
}

static void test_refused(void)
{
	static const char * const lists[] = {
		"x", "-1", "-", "+", "1x", "x1", "1,2", "1-2", "1 x", "x 1", "1 2 -3",
		"1 2 3 four", "1.5", "#",
		"99999999999999999999", "1 99999999999999999999",
		"18446744073709551617", "4294967297",
		"2147483648", "-4294967295", "1\\n2", "\"1\"", "!1", "*", "1\t2x", "1;2",
	};
	int wrong = 0;

	echo(O_TRUNC, "%d %d", leader, other);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		int error = echo(O_APPEND, "%s", lists[i]), plain = echo(0, "%s", lists[i]);

		if (error != EINVAL || plain != EINVAL || !lists(leader, other)) {
			ksft_print_msg("'%s': %s, %s\n", lists[i], strerror(error),
				       strerror(plain));
			wrong++;
			echo(O_TRUNC, "%d %d", leader, other);
		}
	}
	ksft_test_result(!wrong, "invalid lists: EINVAL, the list is unchanged\n");
	ksft_test_result(write_list(O_APPEND, "1\0002 x", 5) == EINVAL && lists(leader, other),
			 "a byte 0 in the list: EINVAL, the list is unchanged\n");
	ksft_test_result(write_list(O_APPEND, "\377\376", 2) == EINVAL && lists(leader, other),
			 "bytes above 127: EINVAL, the list is unchanged\n");
	ksft_test_result(holds("threads", leader, other),
			 "after the invalid lists: the tables have rows of the old list\n");
	ksft_test_result(refused_between(),
			 "an invalid list after a number: the next digits are another number\n");
}

/* From now on this process may write to files in the directory, but not truncate them. */
static void forbid_to_truncate(void)
{
	struct landlock_ruleset_attr handled = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE,
	};
	struct landlock_path_beneath_attr allowed = {
		.allowed_access = LANDLOCK_ACCESS_FS_WRITE_FILE,
		.parent_fd = must(open(TABLES, O_PATH | O_CLOEXEC)),
	};
	int rules = must(syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0));

	must(syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &allowed, 0));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	must(syscall(SYS_landlock_restrict_self, rules, 0));
}

static int truncate_under_landlock(void)
{
	forbid_to_truncate();
	return open_error(SET_PID, O_WRONLY | O_TRUNC);
}

static int add_under_landlock(void)
{
	forbid_to_truncate();
	return echo(O_APPEND, "%d", other);
}

static void test_refused_opens(void)
{
	static const int modes[] = { O_WRONLY, O_RDWR };
	int landlock = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);
	int wrong = 0;

	echo(O_TRUNC, "%d", leader);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		wrong += open_error(SET_PID, modes[i] | O_TRUNC | O_DIRECT) != EINVAL ||
			 !lists(leader);
		wrong += open_error(SET_PID, modes[i] | O_DIRECT) != EINVAL || !lists(leader);
	}
	ksft_test_result(!wrong && holds("threads", leader),
			 "open with O_DIRECT: EINVAL, and the list is unchanged\n");
	/* Landlock has the right to truncate since version 3 of its ABI. */
	if (landlock < 3) {
		ksft_test_result_skip("this kernel's Landlock cannot forbid to truncate\n");
		ksft_test_result_skip("this kernel's Landlock cannot forbid to truncate\n");
	} else {
		ksft_test_result(in_child(truncate_under_landlock) == EACCES && lists(leader),
				 "truncation refused by Landlock: the list is unchanged\n");
		ksft_test_result(!in_child(add_under_landlock) && lists(leader, other),
				 "write allowed by Landlock: the PID is added\n");
	}
	ksft_test_result(!open_error(SET_PID, O_WRONLY | O_TRUNC) && lists_these(NULL, 0),
			 "the next truncating open and close: the list is empty\n");
}

/* The exit closes the inherited descriptors. */
static int exit_at_once(void)
{
	return 0;
}

static int never_write(void)
{
	must(open(SET_PID, O_WRONLY | O_TRUNC));
	return 0;
}

static int kill_itself(void)
{
	must(open(SET_PID, O_WRONLY | O_TRUNC));
	return raise(SIGKILL);
}

/* One open file may have several descriptors, in several processes. */
static void test_shared_files(void)
{
	int descriptor, second, error;
	char pid[20], text[100] = "";

	/* As shells redirect: they close the opened descriptor before the command writes. */
	echo(O_TRUNC, "%d", leader);
	descriptor = must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC));
	second = must(dup(descriptor));
	close(descriptor);
	error = write(second, "x", 1) == -1 ? errno : 0;
	close(second);
	ksft_test_result(error == EINVAL && lists(leader),
			 "a duplicate closed, then a list refused: the list is unchanged\n");

	snprintf(pid, sizeof(pid), "%d\n", other);
	descriptor = must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC));
	second = must(dup(descriptor));
	close(descriptor);
	error = !lists(leader);
	must(write(second, pid, strlen(pid)));
	close(second);
	ksft_test_result(!error && lists(other),
			 "a duplicate closed, then a list written: the list is the new one\n");

	descriptor = must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC));
	second = must(dup(descriptor));
	close(descriptor);
	error = !lists(other);
	close(second);
	ksft_test_result(!error && lists_these(NULL, 0),
			 "all duplicates closed without a write: the list is empty\n");

	echo(O_TRUNC, "%d", leader);
	descriptor = must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC));
	error = in_child(exit_at_once);
	error |= !lists(leader);
	must(write(descriptor, pid, strlen(pid)));
	close(descriptor);
	ksft_test_result(!error && lists(other),
			 "inherited and closed by a child, then a list written: the new list\n");

	echo(O_TRUNC, "%d", leader);
	error = system("echo x >" SET_PID " 2>/dev/null");
	ksft_test_result(error && lists(leader),
			 "a shell's > of an invalid list: the list is unchanged\n");
	error = system(": >" SET_PID);
	ksft_test_result(!error && lists_these(NULL, 0),
			 "a shell's > of nothing: the list is empty\n");

	echo(O_TRUNC, "%d", leader);
	ksft_test_result(!in_child(never_write) && lists_these(NULL, 0),
			 "truncated by a process that exits: the list is empty\n");
	echo(O_TRUNC, "%d", leader);
	ksft_test_result(in_child(kill_itself) == 255 && lists_these(NULL, 0),
			 "truncated by a process that is killed: the list is empty\n");

	echo(O_TRUNC, "%d", leader);
	descriptor = must(open(SET_PID, O_RDWR | O_TRUNC | O_CLOEXEC));
	must(read(descriptor, text, sizeof(text) - 1));
	snprintf(pid, sizeof(pid), "%d\n", leader);
	error = strcmp(text, pid);
	close(descriptor);
	ksft_test_result(!error && lists_these(NULL, 0),
			 "read through a descriptor with O_TRUNC: the old list\n");
}

static void test_long_list(void)
{
	size_t count = 20000, used = 0;
	char *list = malloc(count * 8);
	pid_t *pids = malloc(count * sizeof(*pids));
	int error;

	for (size_t i = 0; i < count; i++) {
		pids[i] = i + 1;
		used += sprintf(list + used, "%d ", pids[i]);
	}
	error = write_list(O_TRUNC, list, used);
	if (error)
		ksft_print_msg("%s\n", strerror(error));
	ksft_test_result(!error && lists_these(pids, count),
			 "20,000 PIDs in one write: all are listed\n");
	/* The last entry is not a PID. */
	list[used - 2] = 'x';
	echo(O_TRUNC, "%d", leader);
	ksft_test_result(write_list(O_APPEND, list, used - 1) == EINVAL && lists(leader),
			 "20,000 entries, the last invalid: the list is unchanged\n");
	free(list);
	free(pids);
}

/* Two threads change the list at the same time. It is long, so that each change takes a while. */
#define LISTED 1000
#define ADDED 60
#define EMPTIED 10

static pthread_barrier_t together;
static atomic_int added;

/* Adds every second PID, one after the other, and is inside write() almost all the time. */
static void *add_half(void *first)
{
	int descriptor = must(open(SET_PID, O_WRONLY | O_APPEND | O_CLOEXEC));

	pthread_barrier_wait(&together);
	for (long i = (long)first; i < 2 * ADDED; i += 2) {
		char pid[24];

		must(write(descriptor, pid, sprintf(pid, "%ld ", LISTED + 1 + i)));
		added++;
	}
	close(descriptor);
	return NULL;
}

static pthread_t start_to_add(void)
{
	pthread_t it;

	added = 0;
	if (pthread_create(&it, NULL, add_half, (void *)1))
		die("pthread_create");
	return it;
}

/* Empties the list in the middle of the additions; whether what was listed before is gone. */
static bool emptied(const char *list, size_t size)
{
	pthread_t adder;
	char *text;
	int file;
	bool gone;

	must(write_list(O_TRUNC, list, size) ? -1 : 0);
	adder = start_to_add();
	file = must(open(SET_PID, O_WRONLY | O_TRUNC | O_CLOEXEC));
	pthread_barrier_wait(&together);
	while (added < ADDED / 4)
		;
	close(file);
	pthread_join(adder, NULL);
	text = slurp(SET_PID, NULL);
	gone = strncmp(text, "1\n", 2);
	free(text);
	return gone;
}

static void test_changes_at_once(void)
{
	static pid_t pids[LISTED + 2 * ADDED];
	char *list = malloc(8 * LISTED);
	pthread_t adder;
	size_t size = 0;
	int wrong = 0;

	for (int i = 0; i < LISTED + 2 * ADDED; i++)
		pids[i] = i + 1;
	for (int i = 0; i < LISTED; i++)
		size += sprintf(list + size, "%d ", pids[i]);
	pthread_barrier_init(&together, NULL, 2);

	must(write_list(O_TRUNC, list, size) ? -1 : 0);
	adder = start_to_add();
	add_half((void *)0);
	pthread_join(adder, NULL);
	ksft_test_result(lists_these(pids, LISTED + 2 * ADDED),
			 "two threads add %d PIDs each at the same time: all are listed\n", ADDED);
	for (int i = 0; i < EMPTIED; i++)
		wrong += !emptied(list, size);
	ksft_test_result(!wrong,
			 "emptied while PIDs are added, %d times: the PIDs before are gone\n",
			 EMPTIED);
	free(list);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(47);
	load_taskscope("");
	tid = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	leader = start_child(start_thread, NULL);
	other = start_child(NULL, NULL);
	wait_until(*tid, "no thread");
	thread = *tid;
	test_lists();
	test_descriptor();
	test_cut_numbers();
	test_snapshots();
	test_refused();
	test_refused_opens();
	test_shared_files();
	test_long_list();
	test_position();
	test_summaries();
	test_changes_at_once();
	ksft_finished();
}
