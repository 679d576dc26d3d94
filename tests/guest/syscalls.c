// SPDX-License-Identifier: GPL-2.0
/*
 * What threads do for user space: what /proc/PID/syscall says of everyone who waits,
 * what a program knows of a call that it makes itself, and a word for who runs.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "spinner.h"

static const char * const values[] = {
	"NR", "ARG0", "ARG1", "ARG2", "ARG3", "ARG4", "ARG5", "SP", "PC",
};

/* Waits for what never comes, with arguments that are known. */
static int *word;

static void wait_on_futex(void *unused)
{
	for (;;)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, 0x5115, 0x6116);
}

/* What /proc has of a thread, as the table would have it; an empty string if it runs or is gone. */
static void proc_call(const struct proc_thread *thread, char *text, size_t size)
{
	char path[64], *line, *newline;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", thread->tgid, thread->pid);
	line = try_slurp(path, NULL);
	*text = 0;
	if (!line)
		return;
	newline = strchr(line, '\n');
	if (newline)
		*newline = 0;
	if (strcmp(line, "running"))
		snprintf(text, size, "%s", line);
	free(line);
}

/* A row as /proc writes it: without the arguments of no call. */
static void table_call(const struct rows *table, size_t row, char *text, size_t size)
{
	size_t used = 0;

	*text = 0;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values) && used < size; i++) {
		const char *value = rows_value(table, row, values[i]);

		if (strcmp(value, "-"))
			used += snprintf(text + used, size - used, "%s%s", used ? " " : "", value);
	}
}

/* Every thread with a user space that waited all the while; and those that have none. */
static bool as_proc(void)
{
	struct proc_thread *thread, after;
	size_t threads = proc_threads(&thread), users = 0, kernels = 0, different = 0;
	char (*before)[200] = calloc(threads, sizeof(*before)), now[200], ours[200];
	struct rows *table;

	for (size_t i = 0; i < threads; i++)
		proc_call(&thread[i], before[i], sizeof(before[i]));
	table = rows_read("syscalls");
	for (size_t i = 0; i < threads; i++) {
		size_t row = rows_find(table, thread[i].pid);

		proc_call(&thread[i], now, sizeof(now));
		if (!*now || strcmp(now, before[i]) || thread[i].state == 'Z' ||
		    !proc_thread(thread[i].tgid, thread[i].pid, &after) ||
		    after.switches != thread[i].switches)
			continue;
		if (row == table->rows)
			die("no row for thread %d", thread[i].pid);
		table_call(table, row, ours, sizeof(ours));
		/* /proc takes the zeros that no user space has left for call 0. */
		if (thread[i].flags & PF_KTHREAD)
			snprintf(now, sizeof(now), "-1");
		users += !(thread[i].flags & PF_KTHREAD);
		kernels += !!(thread[i].flags & PF_KTHREAD);
		if (strcmp(now, ours)) {
			different++;
			ksft_print_msg("%d: '%s', and not '%s'\n", thread[i].pid, ours, now);
		}
	}
	ksft_print_msg("%zu threads of programs and %zu of the kernel compared\n", users, kernels);
	rows_free(table);
	free(before);
	free(thread);
	return !different && users > 2 && kernels > 20;
}

static bool has(const struct rows *table, pid_t pid, const char *column, const char *value)
{
	size_t row = rows_find(table, pid);
	const char *found = row < table->rows ? rows_value(table, row, column) : "no row";

	if (strcmp(found, value))
		ksft_print_msg("%d: %s is %s, and not %s\n", pid, column, found, value);
	return !strcmp(found, value);
}

/* NR is a word, and nothing else is known. */
static bool only(const struct rows *table, pid_t pid, const char *nr)
{
	bool good = has(table, pid, "NR", nr);

	for (size_t i = 1; i < sizeof(values) / sizeof(*values); i++)
		good &= has(table, pid, values[i], "-");
	return good;
}

static bool known_call(const struct rows *table, pid_t pid)
{
	char number[30], address[30], operation[30];

	snprintf(number, sizeof(number), "%d", SYS_futex);
	snprintf(address, sizeof(address), "%p", word);
	snprintf(operation, sizeof(operation), "%#x", FUTEX_WAIT_PRIVATE);
	return has(table, pid, "NR", number) && has(table, pid, "ARG0", address) &&
	       has(table, pid, "ARG1", operation) && has(table, pid, "ARG2", "0x0") &&
	       has(table, pid, "ARG3", "0x0") && has(table, pid, "ARG4", "0x5115") &&
	       has(table, pid, "ARG5", "0x6116");
}

/* A user address within the mappings of the thread's process whose line has the words. */
static bool lies_in(const struct rows *table, pid_t pid, const char *column, const char *words)
{
	unsigned long address = rows_number(table, rows_find(table, pid), column), start, end;
	char path[64], *maps, *line;
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = slurp(path, NULL);
	for (line = strtok(maps, "\n"); line; line = strtok(NULL, "\n"))
		found |= sscanf(line, "%lx-%lx", &start, &end) == 2 && start <= address &&
			 address < end && strstr(line, words);
	free(maps);
	return found;
}

/* Of two that spin on one processor, one waits for it: neither is blocked. */
static bool both_run(pid_t one)
{
	pid_t other = start_spinner();
	int wrong = 0;

	for (int i = 0; i < 50; i++) {
		struct rows *table = rows_read("syscalls");

		wrong += !only(table, one, "running") || !only(table, other, "running");
		rows_free(table);
	}
	end_child(other);
	return !wrong;
}

int main(void)
{
	pid_t spinner, waiter, stopped, zombie;
	struct rows *table;
	char pids[30];

	ksft_print_header();
	ksft_set_plan(12);
	load_taskscope("");
	word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	waiter = start_child(wait_on_futex, NULL);
	wait_for_state(waiter, waiter, "S");
	stopped = start_spinner();
	must(kill(stopped, SIGSTOP));
	wait_for_state(stopped, stopped, "T");
	spinner = start_spinner();
	zombie = fork_child();
	if (!zombie)
		_exit(0);
	wait_for_state(zombie, zombie, "Z");

	ksft_test_result(as_proc(), "calls are those of /proc/PID/syscall\n");
	table = read_beside_spinner(spinner, "syscalls");
	ksft_test_result(only(table, spinner, "running"), "a thread that spins is running\n");
	ksft_test_result(only(table, getpid(), "running"), "so is who reads\n");
	ksft_test_result(known_call(table, waiter), "a call with the arguments that were given\n");
	ksft_test_result(lies_in(table, waiter, "SP", "[stack]"), "SP lies in the user stack\n");
	ksft_test_result(lies_in(table, waiter, "PC", " r-xp "), "PC lies in the program\n");
	ksft_test_result(has(table, stopped, "NR", "-1") && has(table, stopped, "ARG0", "-") &&
			 has(table, stopped, "ARG5", "-") &&
			 lies_in(table, stopped, "SP", "[stack]") &&
			 lies_in(table, stopped, "PC", " r-xp "),
			 "stopped outside any call: -1, and where\n");
	ksft_test_result(only(table, 2, "-1"), "a kernel thread is in no call\n");
	ksft_test_result(only(table, zombie, "-1"), "nor is a zombie\n");
	rows_free(table);
	must(waitpid(zombie, NULL, 0));

	snprintf(pids, sizeof(pids), "%d", waiter);
	write_file(TABLES "set_pid", pids);
	table = rows_read("syscalls");
	ksft_test_result(table->rows == 1 && known_call(table, waiter) &&
			 !strncmp(table->summary, "# 1 of ", 7), "set_pid selects\n");
	rows_free(table);
	must(close(must(open(TABLES "set_pid", O_WRONLY | O_TRUNC))));
	table = rows_read("syscalls");
	ksft_test_result(table->rows > 20, "an empty list selects all\n");
	rows_free(table);
	ksft_test_result(both_run(spinner), "who waits for a processor is running as well\n");
	ksft_finished();
}
