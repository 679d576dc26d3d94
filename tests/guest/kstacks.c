// SPDX-License-Identifier: GPL-2.0
/*
 * Kernel stacks. Every thread has one, of the kernel's size. Its use equals what the threads
 * of a test module have measured themselves. A running or dead thread has no such number.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "spinner.h"

/*
 * Bytes of a stack below the thread's own frame: more than the kernel needs to put a thread
 * to sleep, or to interrupt and preempt a running one.
 */
#define SLEEP 1024

/* The threads of deep_stack, as that module describes them. */
#define DEEP 4
static struct deep {
	int pid, levels;
	unsigned long size, base, pointer;
	char hash[20];
} deep[DEEP];

static void read_deep(void)
{
	char *text = slurp("/sys/kernel/debug/deep_stack", NULL), *line = text;

	for (int i = 0; i < DEEP; i++) {
		if (sscanf(line, "%d %d %lu %19s %lx %lx\n", &deep[i].pid, &deep[i].levels,
			   &deep[i].size, deep[i].hash, &deep[i].base, &deep[i].pointer) != 6)
			die("deep_stack says %s", line);
		wait_for_state(deep[i].pid, deep[i].pid, "I");
		line = strchr(line, '\n') + 1;
	}
	free(text);
}

static void test_measured(const struct rows *table)
{
	bool sized = true, based = true, bounded = true, exact = true;
	long used[DEEP];

	for (int i = 0; i < DEEP; i++) {
		size_t row = rows_find(table, deep[i].pid);
		long own = deep[i].base + deep[i].size - deep[i].pointer;

		if (row == table->rows)
			die("no row for thread %d", deep[i].pid);
		used[i] = rows_number(table, row, "USED");
		sized &= rows_number(table, row, "SIZE") == (long)deep[i].size;
		based &= row_has(table, row, "BASE", deep[i].hash) &&
			 row_has(table, row, "VALID", "ok");
		ksft_print_msg("%d levels: measured %ld, USED %ld\n", deep[i].levels, own, used[i]);
		bounded &= used[i] > own && used[i] < own + SLEEP;
		/* Below their own frames, all of them sleep in the same functions. */
		exact &= used[i] - used[0] == (long)(deep[0].pointer - deep[i].pointer) -
			 (long)(deep[0].base - deep[i].base);
	}
	ksft_test_result(sized, "SIZE: the kernel's THREAD_SIZE\n");
	ksft_test_result(based, "BASE: as %%p prints it\n");
	ksft_test_result(bounded, "USED: what the thread measured, and less than 1 KiB more\n");
	ksft_test_result(exact, "USED: two threads differ by exactly what they measured\n");
}

/*
 * A thread that never sleeps and has been preempted: it is runnable, but does not run. Its
 * function uses `own` bytes of the stack. It was interrupted at most `times` times before it
 * was preempted.
 */
static bool is_preempted(const struct rows *table, pid_t pid, long own, int times)
{
	size_t row = rows_find(table, pid);
	long used = row < table->rows ? rows_number(table, row, "USED") : 0;

	ksft_print_msg("preempted: measured %ld, USED %ld\n", own, used);
	return proc_state(pid, pid) == 'R' && row_has(table, row, "VALID", "ok") && used > own &&
	       used < own + times * SLEEP;
}

static void test_preempted(pid_t spinner)
{
	pid_t busy, taker = start_spinner();
	char parameters[30];
	struct rows *table;

	/* All three run on the CPU of the spinners. */
	snprintf(parameters, sizeof(parameters), "cpu=%ld", sysconf(_SC_NPROCESSORS_ONLN) - 1);
	load_module("/tests/busy_thread.ko", parameters);
	busy = parameter_value("busy_thread", "pid");
	table = read_beside_spinner(taker, "kstacks");
	/* The kernel enables interrupts again on its way back to user space. */
	ksft_test_result(is_preempted(table, spinner, 0, 2),
			 "thread preempted in user space: ok\n");
	ksft_test_result(is_preempted(table, busy, parameter_value("busy_thread", "used"), 1),
			 "thread preempted in the kernel: ok, USED as it measured\n");
	rows_free(table);
	end_child(taker);
	if (unload_module("busy_thread"))
		die("busy_thread cannot be unloaded");
}

/* The rules for every row of any thread. Returns how many rows break them. */
static int malformed(const struct rows *table)
{
	long page = sysconf(_SC_PAGESIZE);
	int wrong = 0;

	for (size_t row = 0; row < table->rows; row++) {
		const char *valid = rows_value(table, row, "VALID");
		const char *base = rows_value(table, row, "BASE");
		const char *used = rows_value(table, row, "USED");
		const char *size = rows_value(table, row, "SIZE");
		long bytes = rows_number(table, row, "USED");
		bool good;

		if (!strcmp(valid, "ok"))
			good = is_address(base) && bytes > 0 && bytes % sizeof(long) == 0 &&
			       bytes <= (long)deep[0].size &&
			       rows_number(table, row, "SIZE") == (long)deep[0].size;
		else if (!strcmp(valid, "on-cpu"))
			good = is_address(base) && !strcmp(used, "-") &&
			       rows_number(table, row, "SIZE") % page == 0;
		else
			good = !strcmp(valid, "released") && !strcmp(base, "-") &&
			       !strcmp(used, "-") && !strcmp(size, "-");
		if (!good)
			ksft_print_msg("%d: BASE %s SIZE %s USED %s VALID %s\n", table->pid[row],
				       base, size, used, valid);
		wrong += !good;
	}
	return wrong;
}

/* Every thread that was in /proc before and after the open has exactly one row. */
static bool complete(void)
{
	struct proc_thread *before, *after;
	size_t befores, afters, lasting = 0, lost = 0;
	struct rows *table;
	char path[] = TABLES "kstacks";
	int descriptor;

	befores = proc_threads(&before);
	descriptor = must(open(path, O_RDONLY | O_CLOEXEC));
	afters = proc_threads(&after);
	table = rows_read_descriptor(descriptor, path);
	close(descriptor);
	for (size_t i = 0; i < befores; i++)
		for (size_t j = 0; j < afters; j++)
			if (before[i].pid == after[j].pid && before[i].tgid == after[j].tgid) {
				size_t row = rows_find(table, before[i].pid);

				lasting++;
				lost += row == table->rows ||
					rows_number(table, row, "TGID") != before[i].tgid;
			}
	ksft_print_msg("%zu threads of /proc, %zu rows\n", lasting, table->rows);
	/* swapper/0 is not in /proc. */
	lost += table->rows < lasting + 1 || table->pid[0] != 0;
	for (size_t i = 0; i < table->rows; i++)
		lost += rows_find(table, table->pid[i]) != i;
	rows_free(table);
	free(before);
	free(after);
	return !lost && lasting > 20;
}

int main(void)
{
	pid_t spinner, sleeper, zombie;
	struct rows *table;
	char pids[30];
	size_t row;

	ksft_print_header();
	ksft_set_plan(14);
	load_taskscope("");
	load_module("/tests/deep_stack.ko", "");
	read_deep();

	spinner = start_spinner();
	sleeper = start_child(NULL, NULL);
	zombie = start_zombie();
	wait_for_state(sleeper, sleeper, "S");

	ksft_test_result(complete(), "every thread of /proc: one row\n");
	table = read_beside_spinner(spinner, "kstacks");
	test_measured(table);
	ksft_test_result(!malformed(table), "every row: a number or a reason\n");
	ksft_test_result(thread_has(table, spinner, "VALID", "on-cpu") &&
			 thread_has(table, spinner, "USED", "-"), "running thread: on-cpu\n");
	ksft_test_result(thread_has(table, getpid(), "VALID", "on-cpu") &&
			 thread_has(table, getpid(), "USED", "-"), "reader: on-cpu\n");
	row = rows_find(table, sleeper);
	ksft_test_result(row_has(table, row, "VALID", "ok") && rows_number(table, row, "USED") > 0,
			 "sleeping thread: ok, USED above 0\n");
	ksft_test_result(thread_has(table, zombie, "VALID", "released") &&
			 thread_has(table, zombie, "BASE", "-") &&
			 thread_has(table, zombie, "SIZE", "-") &&
			 thread_has(table, zombie, "USED", "-"), "zombie: released\n");
	rows_free(table);
	must(waitpid(zombie, NULL, 0));
	test_preempted(spinner);

	snprintf(pids, sizeof(pids), "%d %d", sleeper, deep[0].pid);
	write_set_pid(pids);
	table = rows_read("kstacks");
	ksft_test_result(table->rows == 2 && rows_find(table, sleeper) < 2 &&
			 rows_find(table, deep[0].pid) < 2 &&
			 strstr(table->summary, "# 2 of "),
			 "set_pid: the rows of those threads only\n");
	rows_free(table);
	write_set_pid("");

	table = rows_read("kstacks");
	ksft_test_result(table->rows > 20 && strstr(table->summary, " threads\n"),
			 "empty set_pid: all threads\n");
	rows_free(table);
	ksft_finished();
}
