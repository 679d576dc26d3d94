// SPDX-License-Identifier: GPL-2.0
/*
 * Frames of kernel stacks. Sleeping threads have those of /proc/PID/stack, threads of a test
 * module have a known number of frames of known functions, and a running or dead thread has
 * a reason instead. No kernel address is shown, even if a module is unloaded meanwhile.
 *
 * ROUNDS, if set, is how often a module is loaded and unloaded.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "spinner.h"

#define DEEP_STACK "/tests/deep_stack.ko"

/* /proc/PID/stack has at most this number of frames. */
#define FRAMES 64

/* The frames of a thread in /proc, a line each, in the table's form. */
static char *proc_stack(pid_t tgid, pid_t pid)
{
	char path[64], *text, *from, *to;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stack", tgid, pid);
	text = try_slurp(path, NULL);
	for (from = to = text; from && *from;) {
		if (!strncmp(from, "[<0>] ", 6))
			from += 6;
		do {
			*to = *from;
			to++;
		} while (*from++ != '\n');
	}
	if (text)
		*to = 0;
	return text;
}

/* The frames of a thread in the table. DEPTH must count from 0 in consecutive rows. */
static char *table_stack(const struct rows *table, pid_t pid)
{
	char *text = calloc(1, table->size), *at = text;
	size_t row = rows_find(table, pid), first = row;

	for (; row < table->rows && table->pid[row] == pid; row++) {
		if (rows_number(table, row, "DEPTH") != (long)(row - first))
			at += sprintf(at, "(DEPTH %s) ", rows_value(table, row, "DEPTH"));
		at += sprintf(at, "%s\n", rows_value(table, row, "FRAME"));
	}
	return text;
}

/* The thread has one row, with a reason instead of frames. */
static bool labelled(const struct rows *table, pid_t pid, const char *word)
{
	size_t row = rows_find(table, pid);
	bool good = row < table->rows && !strcmp(rows_value(table, row, "FRAME"), word) &&
		    !strcmp(rows_value(table, row, "DEPTH"), "-") &&
		    (row + 1 == table->rows || table->pid[row + 1] != pid);

	if (!good)
		ksft_print_msg("%d is %s\n", pid,
			       row < table->rows ? rows_value(table, row, "FRAME") : "not there");
	return good;
}

/* SYMBOL+0xOFFSET/0xSIZE, with [MODULE] if it is in one; or a reason; or a hashed address. */
static bool well_formed(const char *frame)
{
	unsigned long offset, size;
	int end = 0;
	const char *plus = strchr(frame, '+');

	if (!strcmp(frame, "on-cpu") || !strcmp(frame, "released") || is_address(frame))
		return true;
	if (!plus || plus == frame || sscanf(plus, "+0x%lx/0x%lx%n", &offset, &size, &end) != 2 ||
	    offset > size || size > 1 << 24)
		return false;
	plus += end;
	return !*plus || (!strncmp(plus, " [", 2) && plus[strlen(plus) - 1] == ']');
}

static int malformed(const struct rows *table)
{
	int wrong = 0;

	for (size_t row = 0; row < table->rows; row++)
		if (!well_formed(rows_value(table, row, "FRAME"))) {
			ksft_print_msg("%d: %s\n", table->pid[row],
				       rows_value(table, row, "FRAME"));
			wrong++;
		}
	return wrong;
}

/* Compares each thread that slept all the while and whose stack in /proc did not change. */
static bool as_proc(void)
{
	struct proc_thread *thread, after;
	size_t threads = proc_threads(&thread), compared = 0, different = 0, lost = 0;
	char **before = calloc(threads, sizeof(*before));
	struct rows *table;

	for (size_t i = 0; i < threads; i++)
		before[i] = proc_stack(thread[i].tgid, thread[i].pid);
	table = rows_read("kframes");
	for (size_t i = 0; i < threads; i++) {
		char *now = proc_stack(thread[i].tgid, thread[i].pid), *ours;

		if (before[i] && now && *now && !strcmp(before[i], now) &&
		    thread[i].pid != getpid() &&
		    proc_thread(thread[i].tgid, thread[i].pid, &after) &&
		    after.switches == thread[i].switches && after.state != 'R') {
			ours = table_stack(table, thread[i].pid);
			compared++;
			if (strcmp(ours, now)) {
				different++;
				ksft_print_msg("%d: %s, and in /proc %s\n", thread[i].pid, ours,
					       now);
			}
			free(ours);
		}
		/* Even a thread that has run meanwhile has a row. */
		lost += now && before[i] && rows_find(table, thread[i].pid) == table->rows;
		free(now);
		free(before[i]);
	}
	ksft_print_msg("%zu of %zu threads compared\n", compared, threads);
	free(before);
	free(thread);
	rows_free(table);
	return compared > 20 && !different && !lost;
}

/* How many frames of a thread begin with the symbol and end with the given text. */
static int count(const struct rows *table, pid_t pid, const char *symbol, const char *end)
{
	int found = 0;

	for (size_t row = rows_find(table, pid); row < table->rows && table->pid[row] == pid;
	     row++) {
		const char *frame = rows_value(table, row, "FRAME");
		size_t length = strlen(frame);

		found += !strncmp(frame, symbol, strlen(symbol)) && length > strlen(end) &&
			 !strcmp(frame + length - strlen(end), end);
	}
	return found;
}

/* The summary counts the rows that have a frame, and those that have a reason instead. */
static bool has_right_counts(const struct rows *table)
{
	long frames = 0, running = 0, released = 0;
	char words[160];

	for (size_t row = 0; row < table->rows; row++) {
		const char *frame = rows_value(table, row, "FRAME");

		if (!strcmp(frame, "on-cpu"))
			running++;
		else if (!strcmp(frame, "released"))
			released++;
		else
			frames++;
	}
	snprintf(words, sizeof(words), "\n# %ld frames, %ld threads on-cpu, %ld threads released\n",
		 frames, running, released);
	return strstr(table->summary, words);
}

/* The threads of deep_stack have frames of known functions, as many as their levels say. */
static bool deep_as_known(const struct rows *table)
{
	char *text = slurp("/sys/kernel/debug/deep_stack", NULL), *line = text, words[100];
	int pid, levels, truncated = 0;
	bool good = true;

	for (; *line; line = strchr(line, '\n') + 1) {
		int frames, bottoms, descends, threads;

		if (sscanf(line, "%d %d", &pid, &levels) != 2)
			die("deep_stack says %s", line);
		frames = count(table, pid, "", "");
		bottoms = count(table, pid, "deep_stack_bottom+", " [deep_stack]");
		descends = count(table, pid, "deep_stack_descend+", " [deep_stack]");
		threads = count(table, pid, "deep_stack_thread+", " [deep_stack]");
		ksft_print_msg("%d levels: %d frames, %d of %d in deep_stack_descend()\n", levels,
			       frames, descends, levels);
		truncated += levels >= FRAMES;
		if (levels < FRAMES)
			good &= bottoms == 1 && descends == levels && threads == 1 &&
				frames > levels + 2;
		else
			/* Only the innermost frames are shown. */
			good &= frames == FRAMES && bottoms == 1 && descends == FRAMES - bottoms &&
				!threads;
	}
	snprintf(words, sizeof(words), "\n# %d stacks truncated, to the innermost %d frames\n",
		 truncated, FRAMES);
	if (truncated < 2 || !strstr(table->summary, words))
		good = false;
	free(text);
	return good && has_right_counts(table);
}

static bool said_truncated(const struct rows *table, int stacks)
{
	char words[100];

	if (!stacks)
		return !strstr(table->summary, "truncated");
	snprintf(words, sizeof(words), "\n# %d stacks truncated, to the innermost %d frames\n",
		 stacks, FRAMES);
	return strstr(table->summary, words);
}

/* How many frames the thread of deep_stack with this number of levels has in the table. */
static int frames_of(const struct rows *table, int levels)
{
	char *text = slurp("/sys/kernel/debug/deep_stack", NULL), *line = text;
	int pid, found, frames = -1;

	for (; *line; line = strchr(line, '\n') + 1)
		if (sscanf(line, "%d %d", &pid, &found) == 2 && found == levels)
			frames = count(table, pid, "", "");
	free(text);
	return frames;
}

/* No stack is truncated; then one has as many frames as are shown, and one has one more. */
static bool truncated_above_most(void)
{
	struct rows *table = rows_read("kframes");
	bool good = said_truncated(table, 0);
	char parameters[60];
	int others;

	rows_free(table);
	load_module(DEEP_STACK, "levels=1,1,1,24");
	table = rows_read("kframes");
	others = frames_of(table, 24) - 24;
	good &= others > 0 && said_truncated(table, 0);
	rows_free(table);
	must(unload_module("deep_stack") ? -1 : 0);
	snprintf(parameters, sizeof(parameters), "levels=1,1,%d,%d", FRAMES - others,
		 FRAMES - others + 1);
	load_module(DEEP_STACK, parameters);
	table = rows_read("kframes");
	ksft_print_msg("%d frames besides the levels: %d and %d frames, %s\n", others,
		       frames_of(table, FRAMES - others), frames_of(table, FRAMES - others + 1),
		       table->summary);
	good &= frames_of(table, FRAMES - others) == FRAMES &&
		frames_of(table, FRAMES - others + 1) == FRAMES && said_truncated(table, 1);
	rows_free(table);
	must(unload_module("deep_stack") ? -1 : 0);
	return good;
}

#define CROWD 40

/* So many threads with the most frames, one after the other, that room for more has to be made. */
static bool crowd_of_deep(void)
{
	char parameters[CROWD * 4 + 20], *text, *line;
	struct rows *table;
	int at = sprintf(parameters, "levels=100"), full = 0;
	bool good;

	for (int i = 1; i < CROWD; i++)
		at += sprintf(parameters + at, ",100");
	load_module(DEEP_STACK, parameters);
	table = rows_read("kframes");
	text = slurp("/sys/kernel/debug/deep_stack", NULL);
	for (line = text; *line; line = strchr(line, '\n') + 1)
		full += count(table, strtol(line, NULL, 10), "", "") == FRAMES;
	ksft_print_msg("%d stacks of %d frames\n", full, FRAMES);
	good = full == CROWD && said_truncated(table, CROWD) && has_right_counts(table);
	free(text);
	rows_free(table);
	must(unload_module("deep_stack") ? -1 : 0);
	return good;
}

/* A process that has never run, because this one keeps the CPU. */
static bool newborn_as_proc(void)
{
	struct rows *table;
	char *before, *after, *ours;
	bool good;
	pid_t pid;

	stay_on(0);
	be_real_time(1);
	pid = fork_child();
	if (!pid) {
		pause();
		_exit(0);
	}
	before = proc_stack(pid, pid);
	table = rows_read("kframes");
	after = proc_stack(pid, pid);
	be_real_time(0);
	ours = table_stack(table, pid);
	good = before && after && !strcmp(before, after) && !strcmp(ours, after) &&
	       *ours && strchr(ours, '\n') == ours + strlen(ours) - 1 && has_right_counts(table);
	ksft_print_msg("before %s, after %s, in the table %s\n", before, after, ours);
	free(before);
	free(after);
	free(ours);
	rows_free(table);
	end_child(pid);
	return good;
}

/* The module is unloaded before the table is read; the open has kept the names. */
static bool outlives_module(void)
{
	int descriptor = must(open(TABLES "kframes", O_RDONLY | O_CLOEXEC));
	struct rows *table;
	int named = 0;
	bool good;

	if (unload_module("deep_stack"))
		die("deep_stack cannot be unloaded");
	table = rows_read_descriptor(descriptor, "kframes");
	close(descriptor);
	for (size_t row = 0; row < table->rows; row++)
		named += !!strstr(rows_value(table, row, "FRAME"), " [deep_stack]");
	good = named > 1 + 4 + 24 + FRAMES && !malformed(table);
	rows_free(table);
	table = rows_read("kframes");
	for (size_t row = 0; row < table->rows; row++)
		good &= !strstr(rows_value(table, row, "FRAME"), "deep_stack");
	rows_free(table);
	return good;
}

/* A thread of the module long_name sleeps in a function whose name is as long as names can be. */
static bool long_name_whole(void)
{
	static const char end[] = " [long_name]";
	char *stack, *line;
	struct rows *table;
	const char *frame;
	size_t length;
	bool good;
	pid_t pid;

	load_module("/tests/long_name.ko", "");
	pid = thread_named("long_name");
	wait_for_state(pid, pid, "I");
	stack = proc_stack(pid, pid);
	line = strtok(stack, "\n");
	table = rows_read("kframes");
	frame = rows_value(table, rows_find(table, pid), "FRAME");
	length = strlen(frame);
	ksft_print_msg("%zu bytes\n", length);
	good = length > 500 && !strcmp(frame, line) && !strcmp(frame + length - strlen(end), end);
	free(stack);
	rows_free(table);
	must(unload_module("long_name") ? -1 : 0);
	return good;
}

/* An address without a symbol is hashed like others, or raw with raw_pointers=1. */
static bool nameless_hashed(void)
{
	char address[20], *stack;
	struct rows *table;
	const char *frame;
	bool good;
	pid_t pid;

	load_module("/tests/nameless.ko", "");
	pid = thread_named("nameless");
	wait_for_state(pid, pid, "I");
	stack = proc_stack(pid, pid);
	if (sscanf(stack, "0x%16[0-9a-f]\n", address) != 1)
		die("the kernel has a symbol for it: %s", stack);
	free(stack);
	table = rows_read("kframes");
	frame = rows_value(table, rows_find(table, pid), "FRAME");
	ksft_print_msg("hashed %s\n", frame);
	good = is_address(frame) && !strncmp(frame, "00000000", 8) && strcmp(frame, address);
	rows_free(table);

	if (unload_module("taskscope"))
		die("taskscope cannot be unloaded");
	load_taskscope("raw_pointers=1");
	table = rows_read("kframes");
	frame = rows_value(table, rows_find(table, pid), "FRAME");
	ksft_print_msg("raw %s\n", frame);
	good &= !strcmp(frame, address);
	rows_free(table);
	return good;
}

static void come_and_go(void *unused)
{
	int file = must(open(DEEP_STACK, O_RDONLY | O_CLOEXEC));

	for (;;) {
		must(syscall(SYS_finit_module, file, "", 0));
		must(syscall(SYS_delete_module, "deep_stack", 0));
	}
}

/* A module is loaded and unloaded while stacks with its frames are recorded. */
static bool storm(void)
{
	long times = rounds("ROUNDS", 100 / slower(), 300 / slower());
	long round, wrong = 0, met = 0, nameless = 0;
	pid_t loader = start_child(come_and_go, NULL);
	time_t end = seconds() + WAIT_LIMIT;

	for (round = 0; round < times || (!met && seconds() < end); round++) {
		struct rows *table = rows_read("kframes");
		bool there = false;

		wrong += malformed(table);
		for (size_t row = 0; row < table->rows; row++) {
			const char *frame = rows_value(table, row, "FRAME");

			there |= !!strstr(frame, " [deep_stack]");
			nameless += is_address(frame);
		}
		met += there;
		rows_free(table);
	}
	end_child(loader);
	unload_module("deep_stack");
	ksft_print_msg("%ld tables, %ld with frames of the module, %ld frames without a symbol\n",
		       round, met, nameless);
	return !wrong && met;
}

/*
 * The only idle task with a row is that of CPU 0, which does not run while the reader does. /proc
 * has no stack of it.
 */
static int lacks_idle_loop(void)
{
	stay_on(0);
	return count(rows_read("kframes"), 0, "cpu_startup_entry+", "") != 1;
}

int main(void)
{
	pid_t spinner, sleeper, zombie;
	struct rows *table;
	char pids[30], *now, *ours;

	ksft_print_header();
	ksft_set_plan(17);
	load_taskscope("");
	load_module(DEEP_STACK, "levels=4,24,100,100");
	spinner = start_spinner();
	sleeper = start_child(NULL, NULL);
	wait_for_state(sleeper, sleeper, "S");
	zombie = start_zombie();

	ksft_test_result(as_proc(), "sleeping threads: the frames of /proc/PID/stack\n");
	table = read_beside_spinner(spinner, "kframes");
	ksft_test_result(!malformed(table), "every frame: a symbol, no address\n");
	ksft_test_result(deep_as_known(table),
			 "threads of a module: frames of known functions, of known number\n");
	ksft_test_result(labelled(table, spinner, "on-cpu"), "running thread: on-cpu\n");
	ksft_test_result(labelled(table, getpid(), "on-cpu"), "reader: on-cpu\n");
	ksft_test_result(labelled(table, zombie, "released"), "zombie: released\n");
	ksft_test_result(count(table, sleeper, "__x64_sys_pause+", "") ||
			 count(table, sleeper, "__do_sys_pause+", "") ||
			 count(table, sleeper, "__arm64_sys_ppoll+", "") ||
			 count(table, sleeper, "do_sys_poll+", ""),
			 "sleeping thread: a frame of its system call\n");
	rows_free(table);
	must(waitpid(zombie, NULL, 0));
	ksft_test_result(!in_child(lacks_idle_loop),
			 "reader on CPU 0: swapper/0 has a frame of its idle loop\n");

	snprintf(pids, sizeof(pids), "%d", sleeper);
	write_set_pid(pids);
	table = rows_read("kframes");
	now = proc_stack(sleeper, sleeper);
	ours = table_stack(table, sleeper);
	ksft_test_result(table->rows > 2 && table->pid[0] == sleeper &&
			 table->pid[table->rows - 1] == sleeper && !strcmp(now, ours) &&
			 !strncmp(table->summary,
			 "# 1 of ", 7), "set_pid: the rows of that thread only\n");
	rows_free(table);
	write_set_pid("");

	ksft_test_result(outlives_module(),
			 "module unloaded after the open: its symbols are shown\n");
	end_child(spinner);
	ksft_test_result(storm(), "module loaded and unloaded during opens: no address is shown\n");
	ksft_test_result(as_proc(), "after the unloads: the frames of /proc/PID/stack\n");
	ksft_test_result(truncated_above_most(),
			 "stacks of %d frames and one more: only the latter is truncated\n",
			 FRAMES);
	ksft_test_result(crowd_of_deep(), "%d stacks with the most frames: all are there\n", CROWD);
	ksft_test_result(newborn_as_proc(),
			 "process that has never run: the frame of /proc/PID/stack\n");
	ksft_test_result(long_name_whole(),
			 "function with a name of 500 bytes: all of it, and the module\n");
	ksft_test_result(nameless_hashed(), "address without a symbol: hashed\n");
	ksft_finished();
}
