// SPDX-License-Identifier: GPL-2.0
/*
 * The layout of every table that has columns, with values of every width that a column can
 * have. In each line a value stands under the name of its column: all values of a column begin
 * where the name begins, or all end where it ends. Between two columns there is a place that is
 * blank in every line, so no value touches or overwrites its neighbour. No value is cut.
 *
 * The expected places come from the header line. The expected values come from /proc, and from
 * this test, which has chosen them.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "stand.h"
#include "whole.h"

/* The most frames of a user stack that a table shows, as documented. */
#define FRAMES_MAX 128
#define PID_MAX 4194304

/* --- the layout */

/* The place of a word in its line: its first byte, and the byte after it. */
struct place {
	size_t start, end;
};

/*
 * Finds the first words of a line, and then the rest, which is the last one. Returns how many it
 * has found.
 */
static int find_words(const char *line, size_t length, int count, struct place *word)
{
	size_t at = 0;
	int found = 0;

	while (found < count) {
		while (at < length && line[at] == ' ')
			at++;
		if (at == length)
			return found;
		word[found].start = at;
		while (at < length && (line[at] != ' ' || found == count - 1))
			at++;
		word[found++].end = at;
	}
	return found;
}

struct layout {
	int columns;
	struct place name[MOST_COLUMNS];
	struct place extent[MOST_COLUMNS];	/* of all lines */
	bool left[MOST_COLUMNS], right[MOST_COLUMNS];	/* the side of all values */
	bool is_complete;	/* each line has a value in each column */
};

static void add_line(struct layout *layout, const char *line, size_t length)
{
	struct place word[MOST_COLUMNS];

	if (find_words(line, length, layout->columns, word) < layout->columns) {
		ksft_print_msg("a value is missing in %.*s\n", (int)length, line);
		layout->is_complete = false;
		return;
	}
	for (int i = 0; i < layout->columns; i++) {
		layout->left[i] &= word[i].start == layout->name[i].start;
		layout->right[i] &= word[i].end == layout->name[i].end;
		if (word[i].start < layout->extent[i].start)
			layout->extent[i].start = word[i].start;
		if (word[i].end > layout->extent[i].end)
			layout->extent[i].end = word[i].end;
	}
}

static struct layout layout_of(const struct rows *table)
{
	struct layout layout = { .columns = table->columns, .is_complete = true };
	const char *line = table->text, *end = strchr(line, '\n');

	find_words(line, end - line, layout.columns, layout.name);
	for (int i = 0; i < layout.columns; i++) {
		layout.extent[i] = layout.name[i];
		layout.left[i] = true;
		layout.right[i] = true;
	}
	for (line = end + 1; *line && *line != '#'; line = end + 1) {
		end = strchr(line, '\n');
		add_line(&layout, line, end - line);
	}
	return layout;
}

/* Each column has all its values on the left, or all on the right; the last one on the left. */
static bool is_aligned(const struct rows *table, const struct layout *layout)
{
	bool good = layout->is_complete;

	for (int i = 0; i < layout->columns; i++) {
		bool is_last = i == layout->columns - 1;

		if (layout->left[i] || (layout->right[i] && !is_last))
			continue;
		ksft_print_msg("%s: its values are not under its name\n", table->name[i]);
		good = false;
	}
	return good;
}

static bool is_separated(const struct rows *table, const struct layout *layout)
{
	bool good = layout->is_complete;

	for (int i = 0; i + 1 < layout->columns; i++) {
		if (layout->extent[i].end < layout->extent[i + 1].start)
			continue;
		ksft_print_msg("%s reaches to byte %zu, and %s begins at byte %zu\n",
			       table->name[i], layout->extent[i].end, table->name[i + 1],
			       layout->extent[i + 1].start);
		good = false;
	}
	return good;
}

static bool is_laid_out(const struct rows *table)
{
	struct layout layout = layout_of(table);

	return is_aligned(table, &layout) & is_separated(table, &layout);
}

/* --- processes and threads with values of every width */

#define PROCESSES_MAX 60

static pid_t process[PROCESSES_MAX];
static int processes;

static void add_process(pid_t pid)
{
	if (processes == PROCESSES_MAX)
		die("too many processes");
	wait_for_sleep(pid, pid, "S");
	process[processes++] = pid;
}

/* What a process changes about itself. */
struct shape {
	unsigned int uid, euid;
	int threads, name_length;
	struct rlimit stack;
	unsigned long arguments[2];
};

static void take_shape(void *pointer)
{
	const struct shape *shape = pointer;
	static const char name[] = "abcdefghijklmno";
	pthread_t thread;

	for (int i = 1; i < shape->threads; i++)
		if (pthread_create(&thread, NULL, pause_for_ever, NULL))
			die("pthread_create");
	prctl(PR_SET_NAME, name + strlen(name) - shape->name_length);
	must(setrlimit(RLIMIT_STACK, &shape->stack));
	must(syscall(SYS_setresgid, shape->uid, shape->euid, 0));
	must(syscall(SYS_setresuid, shape->uid, shape->euid, 0));
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	/* ppoll() ignores its last two arguments, as it has no mask of signals. */
	for (;;)
		syscall(SYS_ppoll, NULL, 0, NULL, NULL, shape->arguments[0], shape->arguments[1]);
}

/* A process for each number of decimal digits, and one with the largest values. */
#define SHAPES 11

static struct shape shapes[SHAPES];

static void start_shapes(void)
{
	static const int threads[] = { 1, 2, 9, 10, 11, 99, 100, 1, 1, 1, 1 };
	unsigned long number = 1;

	for (int i = 0; i < SHAPES; i++, number *= 10) {
		unsigned int uid = number < UINT32_MAX ? number : UINT32_MAX - 2;

		shapes[i] = (struct shape) {
			.uid = uid, .euid = uid > 1 ? uid - 1 : UINT32_MAX - 1,
			.threads = threads[i], .name_length = 1 + i % 15,
			/* At least the stack that it uses already. */
			.stack = { 1 << 20, i ? (1 << 20) * number : RLIM_INFINITY },
			.arguments = { i < 1 ? 0 : ~0ul >> (64 - 4 * i), ~0ul >> (4 * i) },
		};
		add_process(start_child(take_shape, &shapes[i]));
	}
}

/* The last and the first PID of each number of digits that is above those of the boot. */
static void start_pids(void)
{
	static const pid_t pids[] = { 9999, 10000, 99999, 100000, 999999, 1000000, PID_MAX - 1 };

	for (size_t i = 0; i < ARRAY_SIZE(pids); i++)
		add_process(start_with_pid(pids[i]));
}

/* Stack pointers from few digits to all. */
static const unsigned long stack_pointers[] = {
	0x1000, 0x12345678, 0x123456789, 0x7ffffffff000, 0x123456789abcdef0, -4096ul,
};

static pid_t standing[ARRAY_SIZE(stack_pointers)], deep;

static void start_standing_threads(void)
{
	unsigned long (*record)[2] = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < ARRAY_SIZE(stack_pointers); i++)
		standing[i] = start_standing(stack_pointers[i], 0);
	/* A chain of more frames than are shown. */
	for (int i = 0; i < FRAMES_MAX + 10; i++) {
		record[i][0] = (unsigned long)record[i + 1];
		record[i][1] = (unsigned long)stand_pc;
	}
	deep = start_standing((unsigned long)record, (unsigned long)record);
}

/* --- the values */

static bool has_number(const struct rows *table, size_t row, const char *column,
		       const char *format, unsigned long number)
{
	char value[32];

	snprintf(value, sizeof(value), format, number);
	return row_has(table, row, column, value);
}

static bool has_column(const struct rows *table, const char *name)
{
	for (int i = 0; i < table->columns; i++)
		if (!strcmp(table->name[i], name))
			return true;
	return false;
}

/* The row of a process has the values of /proc, in those of the columns that the table has. */
static bool is_as_proc(const struct rows *table, size_t row, pid_t pid)
{
	struct proc_thread thread;
	const struct {
		const char *column;
		unsigned long number;
	} values[] = {
		{ "TGID", pid }, { "PID", pid },
		{ "PPID", proc_thread(pid, pid, &thread) ? thread.ppid : 0 },
		{ "UID", thread.uid }, { "EUID", thread.euid }, { "NTHR", thread.threads },
		{ "CPU", proc_stat(pid, 39) }, { "SWITCHES", thread.switches },
	};
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (has_column(table, values[i].column))
			good &= has_number(table, row, values[i].column, "%lu", values[i].number);
	return good & (!has_column(table, "COMM") || row_has(table, row, "COMM", thread.comm));
}

static bool are_as_proc(const char *name)
{
	struct rows *table = rows_read(name);
	bool good = true;

	for (int i = 0; i < processes; i++)
		good &= is_as_proc(table, rows_find(table, process[i]), process[i]);
	rows_free(table);
	return good;
}

static bool arguments_are_right(void)
{
	struct rows *table = rows_read("syscalls");
	bool good = true;

	for (int i = 0; i < SHAPES; i++) {
		size_t row = rows_find(table, process[i]);

		good &= has_number(table, row, "ARG4", "0x%lx", shapes[i].arguments[0]) &
			has_number(table, row, "ARG5", "0x%lx", shapes[i].arguments[1]);
	}
	rows_free(table);
	return good;
}

static bool limits_are_right(void)
{
	struct rows *table = rows_read("ustacks");
	bool good = true;

	for (int i = 0; i < SHAPES; i++) {
		size_t row = rows_find(table, process[i]);
		struct rlimit limit = shapes[i].stack;

		good &= has_number(table, row, "RLIM_CUR", "%lu", limit.rlim_cur) &
			(limit.rlim_max == RLIM_INFINITY ?
			 row_has(table, row, "RLIM_MAX", "unlimited") :
			 has_number(table, row, "RLIM_MAX", "%lu", limit.rlim_max));
	}
	rows_free(table);
	return good;
}

static bool stack_pointers_are_right(void)
{
	struct rows *table = rows_read("ustacks");
	bool good = true;

	for (size_t i = 0; i < ARRAY_SIZE(stack_pointers); i++)
		good &= has_number(table, rows_find(table, standing[i]), "SP", "%08lx",
				   stack_pointers[i]);
	rows_free(table);
	return good;
}

/* DEPTH counts from 0 in the rows of a thread, which has as many frames. */
static bool depths_are_right(const char *name, pid_t pid, size_t frames)
{
	struct rows *table = rows_read(name);
	size_t row = rows_find(table, pid);
	bool good = true;

	for (size_t i = 0; i < frames && good; i++)
		good = has_number(table, row + i, "PID", "%lu", pid) &&
		       has_number(table, row + i, "DEPTH", "%lu", i);
	rows_free(table);
	return good;
}

/* The thread of deep_stack with the most frames. */
static pid_t deepest_kernel_thread(void)
{
	char *text = slurp("/sys/kernel/debug/deep_stack", NULL);
	pid_t pid = 0;

	for (char *line = text; *line; line = strchr(line, '\n') + 1)
		pid = strtol(line, NULL, 10);
	free(text);
	return pid;
}

/* --- the tests */

static bool is_table(const char *name)
{
	return strcmp(name, "current") && strcmp(name, "set_pid");
}

static void test_layout(const char *name)
{
	char path[100], *text;
	struct rows *table;
	struct layout layout;
	size_t size;

	snprintf(path, sizeof(path), TABLES "%s", name);
	text = slurp(path, &size);
	table = rows_parse(text, size);
	if (*table->problem)
		ksft_print_msg("%s\n", table->problem);
	layout = layout_of(table);
	ksft_test_result(is_aligned(table, &layout) && !*table->problem,
			 "%s: each value is under its column's name\n", name);
	ksft_test_result(is_separated(table, &layout) && !*table->problem,
			 "%s: a blank place separates each two columns in all lines\n", name);
	rows_free(table);
}

/* A table of two processes, in this order; one of them has the widest values. */
static bool are_right(const char *name, pid_t first, pid_t second)
{
	struct rows *table;
	char list[32];
	bool good;

	snprintf(list, sizeof(list), "%d %d", first, second);
	write_set_pid(list);
	table = rows_read(name);
	good = is_laid_out(table) && is_as_proc(table, 0, first) &&
	       is_as_proc(table, rows_find(table, second), second);
	if (!good)
		ksft_print_msg("%.1000s\n", table->text);
	rows_free(table);
	write_set_pid("");
	return good;
}

static void test_widest_rows(void)
{
	static const char * const tables[] = {
		"threads", "processes", "kstacks", "kframes", "syscalls", "ustacks", "uframes",
		"segments",
	};
	/* The list of tasks is in the order of their birth. */
	pid_t before = start_child(NULL, NULL), widest = start_with_pid(PID_MAX - 2);
	pid_t after = start_child(NULL, NULL);

	wait_for_sleep(before, before, "S");
	wait_for_sleep(widest, widest, "S");
	wait_for_sleep(after, after, "S");
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		ksft_test_result(are_right(tables[i], widest, after),
				 "%s: the widest value in the first row: every value is right\n",
				 tables[i]);
		ksft_test_result(are_right(tables[i], before, widest),
				 "%s: the widest value in the last row: every value is right\n",
				 tables[i]);
	}
	end_child(before);
	end_child(widest);
	end_child(after);
}

int main(void)
{
	char **names;
	int tables = 0;

	ksft_print_header();
	load_taskscope("");
	load_module("/tests/deep_stack.ko", "");
	names = file_names();
	for (int i = 0; names[i]; i++)
		tables += is_table(names[i]);
	ksft_set_plan(2 * tables + 7 + 16);
	write_file("/proc/sys/kernel/pid_max", "4194304");
	start_shapes();
	start_pids();
	start_standing_threads();

	for (int i = 0; names[i]; i++)
		if (is_table(names[i]))
			test_layout(names[i]);
	ksft_test_result(are_as_proc("threads"), "threads: values of every width: as in /proc\n");
	ksft_test_result(are_as_proc("processes"),
			 "processes: values of every width: as in /proc\n");
	ksft_test_result(arguments_are_right(), "syscalls: arguments of every width: as passed\n");
	ksft_test_result(limits_are_right(), "ustacks: limits of every width: as set\n");
	ksft_test_result(stack_pointers_are_right(),
			 "ustacks: stack pointers of every width: as set\n");
	ksft_test_result(depths_are_right("kframes", deepest_kernel_thread(), 64),
			 "kframes: DEPTH of one and two digits: in order\n");
	ksft_test_result(depths_are_right("uframes", deep, FRAMES_MAX),
			 "uframes: DEPTH of one, two and three digits: in order\n");
	test_widest_rows();
	while (processes--)
		end_child(process[processes]);
	ksft_finished();
}
