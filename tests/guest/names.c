// SPDX-License-Identifier: GPL-2.0
/*
 * A name may contain any byte but 0. Whatever it contains, it is one value in one row: a
 * name can forge no line, column, summary or terminal escape sequence.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"

/* Names, and how the interface shows them, worked out by hand. */
static const struct {
	const char *what, *name, *shown;
} names[] = {
	{ "a plain name", "plain", "plain" },
	{ "a newline", "new\nline", "new\\012line" },
	{ "a newline at the end", "end\n", "end\\012" },
	{ "only a newline", "\n", "\\012" },
	{ "a tab", "ta\tb", "ta\\011b" },
	{ "an escape sequence", "\033[31mred\033[0m", "\\033[31mred\\033[0m" },
	{ "a backslash", "back\\slash", "back\\134slash" },
	{ "an escape sequence of the tables", "\\012", "\\134012" },
	{ "bytes above 127", "\303\244\377\200", "\\303\\244\\377\\200" },
	{ "DEL", "\177", "\\177" },
	{ "a kernel thread's brackets", "[kthreadd]", "[kthreadd]" },
	{ "15 spaces", "               ", "\\040             \\040" },
	{ "one space", " ", "\\040" },
	{ "two spaces", "  ", "\\040\\040" },
	{ "a space in front", " x", "\\040x" },
	{ "a space at the end", "x ", "x\\040" },
	{ "spaces within", "a  b c", "a  b c" },
	{ "an empty name", "", "\\000" },
	{ "a summary", "# 3 threads", "# 3 threads" },
	{ "a summary in a line of its own", "x\n# 3 threads", "x\\012# 3 threads" },
	{ "a row in a line of its own", "\n1 1 0 0 0 S u", "\\0121 1 0 0 0 S u" },
	{ "a carriage return", "over\rwrite", "over\\015write" },
	{ "a dash", "-", "-" },
	{ "a percent sign", "%s%n%p", "%s%n%p" },
	{ "15 bytes that are all escaped", "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17",
	  "\\001\\002\\003\\004\\005\\006\\007\\010\\011\\012\\013\\014\\015\\016\\017" },
	{ "a name of 16 bytes, which the kernel cuts", "sixteen letters!", "sixteen letters" },
};

#define NAMES ((int)ARRAY_SIZE(names))

struct named {
	const char *name;
	atomic_int tid;
};

static void *take_name(void *argument)
{
	struct named *named = argument;

	must(prctl(PR_SET_NAME, named->name));
	named->tid = syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

/* Starts `count` threads; all have their names when this returns. */
static void start_named(struct named *named, int count)
{
	pthread_t thread;

	for (int i = 0; i < count; i++)
		if (pthread_create(&thread, NULL, take_name, &named[i]))
			die("pthread_create");
	for (int i = 0; i < count; i++)
		wait_until(named[i].tid, "a thread does not start");
}

/* Each byte once, at the start, in the middle and at the end of a name. */
static void test_bytes(void)
{
	static struct named named[256 * 3];
	struct task_table *table;
	int wrong = 0;

	for (int i = 3; i < 256 * 3; i++) {
		char name[4] = "xyz";

		name[i % 3] = i / 3;
		named[i].name = strdup(name);
	}
	start_named(named + 3, 255 * 3);
	table = table_read("threads");
	for (int i = 3; i < 256 * 3; i++) {
		const struct task_row *row = table_find(table, named[i].tid);
		char shown[16];

		escape_comm(named[i].name, 3, false, shown);
		if (!row || strcmp(row->comm, shown)) {
			ksft_print_msg("byte %d, %s, is shown as %s\n", i / 3, shown,
				       row ? row->comm : "nothing");
			wrong++;
		}
	}
	ksft_test_result(!wrong, "every byte at every position: escaped as documented\n");
	table_free(table);
}

static void test_kernel_threads(void)
{
	struct task_table *table = table_read("threads");
	int wrong = 0, kernel = 0;

	for (size_t i = 0; i < table->rows; i++) {
		const struct task_row *row = &table->row[i];
		size_t length = strlen(row->comm);
		bool brackets = length > 2 && row->comm[0] == '[' && row->comm[length - 1] == ']';

		if (!strcmp(row->kind, "kernel")) {
			kernel++;
			wrong += !brackets;
		}
	}
	ksft_test_result(kernel > 10 && !wrong, "kernel threads: COMM is in brackets\n");
	table_free(table);
}

/* Takes each name in turn and reads it in `current`. */
static void test_current(void)
{
	int wrong = 0;

	for (int i = 0; i < NAMES; i++) {
		char *text, line[100];

		must(prctl(PR_SET_NAME, names[i].name));
		text = slurp(TABLES "current", NULL);
		for (char *c = text; *c; c++)
			wrong += *c != '\n' && (*c < ' ' || *c > '~');
		snprintf(line, sizeof(line), "%s\n", names[i].shown);
		if (strncmp(text, "comm:", 5) ||
		    strncmp(text + 5 + strspn(text + 5, " "), line, strlen(line))) {
			ksft_print_msg("%s: current begins with %.60s\n", names[i].what, text);
			wrong++;
		}
		free(text);
	}
	must(prctl(PR_SET_NAME, "names"));
	ksft_test_result(!wrong, "current: every name is escaped as documented\n");
}

/* Counts the rows of this process and its children; other processes may come and go. */
static size_t own(const struct task_table *table)
{
	size_t count = 0;

	for (size_t i = 0; i < table->rows; i++)
		count += table->row[i].tgid == getpid() || table->row[i].ppid == getpid();
	return count;
}

int main(void)
{
	static struct named named[NAMES];
	struct task_table *table, *processes;
	size_t rows;

	ksft_print_header();
	ksft_set_plan(NAMES + 5);
	load_taskscope("");

	table = table_read("threads");
	rows = own(table);
	table_free(table);
	for (int i = 0; i < NAMES; i++)
		named[i].name = names[i].name;
	start_named(named, NAMES);
	/* The parse is a result: no line has anything but the expected values. */
	table = table_try_read("threads");
	ksft_test_result(!*table->problem && own(table) == rows + NAMES && table->summaries < 5,
			 "all names: one row for each name, and no other row\n");
	if (*table->problem)
		die("%s", table->problem);
	for (int i = 0; i < NAMES; i++) {
		const struct task_row *row = table_find(table, named[i].tid);

		if (row)
			ksft_print_msg("%s\n", row->comm);
		ksft_test_result(row && !strcmp(row->comm, names[i].shown) &&
				 !strcmp(row->kind, "user") &&
				 row->tgid == getpid() && row->ppid == getppid(),
				 "%s: escaped as documented\n", names[i].what);
	}
	/* `processes` too: it shows the leader's name. */
	must(prctl(PR_SET_NAME, " 1\n1 # \\ "));
	processes = table_read("processes");
	ksft_test_result(!strcmp(table_find(processes, getpid())->comm,
				 "\\0401\\0121 # \\134\\040"),
			 "processes: newline, backslash and spaces in a name: all escaped\n");
	test_kernel_threads();
	test_current();
	test_bytes();
	ksft_finished();
}
