// SPDX-License-Identifier: GPL-2.0
/*
 * What threads do for user space: what /proc/PID/syscall says of every blocked thread,
 * what a program knows of a call that it makes itself, the name of the call in the table
 * that it was made by, and a word for a thread that runs. 32-bit programs are in compat.c.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "spinner.h"
#include "workers.h"

#if defined(__x86_64__)
#define NATIVE "x86_64"
#elif defined(__aarch64__)
#define NATIVE "aarch64"
#endif

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

/* A helper that has not executed its program yet; 0 if there is none. */
static pid_t helper;

/* What is on its stack are no registers of user space, or those of another thread. */
static bool never_in_user_space(const struct proc_thread *thread)
{
	return thread->flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER) ||
	       thread->pid == helper;
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

/* The table of a call of a thread that none has told to use another, and a name. */
static bool names_call(const struct rows *table, size_t row)
{
	bool in_call = rows_number(table, row, "NR") >= 0;
	const char *abi = rows_value(table, row, "ABI"), *call = rows_value(table, row, "CALL");

	if (!strcmp(abi, in_call ? NATIVE : "-") && !strcmp(call, "-") == !in_call)
		return true;
	ksft_print_msg("%d: NR is %s, ABI %s, CALL %s\n", table->pid[row],
		       rows_value(table, row, "NR"), abi, call);
	return false;
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
		if (never_in_user_space(&thread[i]))
			snprintf(now, sizeof(now), "-1");
		users += !never_in_user_space(&thread[i]);
		kernels += !!(thread[i].flags & PF_KTHREAD);
		different += !names_call(table, row);
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
	bool good = has(table, pid, "NR", nr) && has(table, pid, "ABI", "-") &&
		    has(table, pid, "CALL", "-");

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
	return has(table, pid, "NR", number) && has(table, pid, "ABI", NATIVE) &&
	       has(table, pid, "CALL", "futex") && has(table, pid, "ARG0", address) &&
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

/* A system call that blocks for ever, by the number and the name of the C library. */
struct call {
	const char *abi, *name;
	long number, argument[6];
	pid_t pid;
};

static void make_call(void *pointer)
{
	const struct call *call = pointer;
	const long *argument = call->argument;

	for (;;)
		syscall(call->number, argument[0], argument[1], argument[2], argument[3],
			argument[4], argument[5]);
}

/* Each of the calls is made, and its row is as it should be. */
static bool names(struct call *calls, size_t count)
{
	struct rows *table;
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		calls[i].pid = start_child(make_call, &calls[i]);
		wait_for_state(calls[i].pid, calls[i].pid, "S");
	}
	table = rows_read("syscalls");
	for (size_t i = 0; i < count; i++) {
		pid_t pid = calls[i].pid;

		wrong += rows_number(table, rows_find(table, pid), "NR") != calls[i].number ||
			 !has(table, pid, "ABI", calls[i].abi) ||
			 !has(table, pid, "CALL", calls[i].name);
		end_child(pid);
	}
	rows_free(table);
	return !wrong;
}

static bool native_names(void)
{
	static const unsigned long no_signal;
	static const struct timespec long_time = { .tv_sec = 1 << 30 };
	static struct epoll_event event;
	static int zero;
	int ends[2];
	struct call calls[] = {
#define CALL(name, ...) { NATIVE, #name, SYS_##name, { __VA_ARGS__ } }
		CALL(read, 0, (long)&zero, 1),
		CALL(ppoll),
		CALL(pselect6),
		CALL(epoll_pwait, 0, (long)&event, 1, -1, 0, 8),
		CALL(clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&long_time),
		CALL(rt_sigsuspend, (long)&no_signal, sizeof(no_signal)),
		CALL(rt_sigtimedwait, (long)&no_signal, 0, 0, sizeof(no_signal)),
		/* One of the last numbers. */
		CALL(futex_wait, (long)&zero, 0, FUTEX_BITSET_MATCH_ANY,
		     FUTEX2_SIZE_U32 | FUTEX2_PRIVATE, 0, CLOCK_MONOTONIC),
	};

	must(pipe(ends));
	calls[0].argument[0] = ends[0];
	calls[3].argument[0] = must(epoll_create1(0));
	return names(calls, sizeof(calls) / sizeof(*calls));
}

/* No table has it. */
#define NAMELESS 1000

static void make_nameless_call(void *unused)
{
	must(ptrace(PTRACE_TRACEME, 0, 0, 0));
	must(raise(SIGSTOP));
	syscall(NAMELESS);
}

/* It would return at once: a tracer stops it on its way into the call. */
static bool nameless(void)
{
	pid_t pid = start_child(make_nameless_call, NULL);
	struct rows *table;
	char number[20];
	bool good;

	must(waitpid(pid, NULL, 0));
	must(ptrace(PTRACE_SYSCALL, pid, 0, 0));
	must(waitpid(pid, NULL, 0));
	wait_for_state(pid, pid, "t");
	table = rows_read("syscalls");
	snprintf(number, sizeof(number), "%d", NAMELESS);
	good = has(table, pid, "NR", number) && has(table, pid, "ABI", NATIVE) &&
	       has(table, pid, "CALL", "-");
	rows_free(table);
	end_child(pid);
	return good;
}

#ifdef __x86_64__
/* pause() of i386 has the number of shmget() of x86-64. */
#define I386_PAUSE 29

#define I386_GETPID 20

static long call_as_i386(long number)
{
	long result = number;

	asm volatile("int $0x80" : "+a" (result) : "b" (0x11), "c" (0x22), "d" (0x33),
		     "S" (0x44), "D" (0x55) : "memory");
	return result;
}

static void pause_as_i386(void *unused)
{
	for (;;)
		call_as_i386(I386_PAUSE);
}

/* Where there are no such calls, the instruction is a fault. */
static bool has_i386_calls(void)
{
	pid_t pid = fork_child();
	int status;

	if (!pid)
		_exit(call_as_i386(I386_GETPID) != getpid());
	must(waitpid(pid, &status, 0));
	return !status;
}

static bool i386_call(void)
{
	pid_t pid = start_child(pause_as_i386, NULL);
	struct rows *table;
	bool good;

	wait_for_state(pid, pid, "S");
	table = rows_read("syscalls");
	good = has(table, pid, "NR", "29") && has(table, pid, "ABI", "i386") &&
	       has(table, pid, "CALL", "pause") && has(table, pid, "ARG0", "0x11") &&
	       has(table, pid, "ARG1", "0x22") && has(table, pid, "ARG2", "0x33") &&
	       has(table, pid, "ARG3", "0x44") && has(table, pid, "ARG4", "0x55");
	rows_free(table);
	end_child(pid);
	return good;
}

#define X32_BIT 0x40000000
/* Above the numbers that x32 shares with x86-64. */
#define X32_RT_SIGTIMEDWAIT 523

static bool x32_names(void)
{
	static const unsigned long no_signal;
	struct call calls[] = {
		{ "x32", "pause", X32_BIT | SYS_pause },
		{ "x32", "rt_sigtimedwait", X32_BIT | X32_RT_SIGTIMEDWAIT,
		  { (long)&no_signal, 0, 0, sizeof(no_signal) } },
	};

	return names(calls, sizeof(calls) / sizeof(*calls));
}
#endif

static void test_other_tables(void)
{
#ifdef __x86_64__
	if (has_i386_calls())
		ksft_test_result(i386_call(), "a call by int $0x80: the table is that of i386\n");
	else
		ksft_test_result_skip("a call by int $0x80: this kernel has none\n");
	if (syscall(X32_BIT | SYS_getpid) == getpid())
		ksft_test_result(x32_names(), "a call of x32: the table is that of x32\n");
	else
		ksft_test_result_skip("a call of x32: this kernel has none\n");
#else
	ksft_test_result_skip("a call by int $0x80: there is none on this machine\n");
	ksft_test_result_skip("a call of x32: there is none on this machine\n");
#endif
}

/* The kernel makes these threads for a user program; none of them has been in user space. */
static void test_workers(void)
{
	struct worker workers[] = {
		start_ring_poller(), start_ring_worker(), start_user_worker(),
	};
	struct rows *table;

	for (int i = 0; i < 3; i++)
		wait_for_state(workers[i].process, workers[i].thread, "S");
	table = rows_read("syscalls");
	ksft_test_result(only(table, workers[0].thread, "-1"),
			 "io_uring's thread that polls submissions is in no call\n");
	ksft_test_result(only(table, workers[1].thread, "-1"), "nor is io_uring's worker\n");
	ksft_test_result(only(table, workers[2].thread, "-1"), "nor a worker of vhost's kind\n");
	rows_free(table);
}

/* What the tables say of the helper: MM, NOTE, and what its row in ustacks is worth. */
static bool is_helper(const char *mm, const char *note, const char *valid)
{
	struct rows *calls = rows_read("syscalls"), *threads = rows_read("threads"),
		    *stacks = rows_read("ustacks");
	bool good = only(calls, helper, "-1") && has(threads, helper, "KIND", "user") &&
		    has(threads, helper, "MM", mm) && has(threads, helper, "NOTE", note) &&
		    has(stacks, helper, "VALID", valid) && has(stacks, helper, "SP", "-");

	rows_free(calls);
	rows_free(threads);
	rows_free(stacks);
	return good;
}

static void test_helpers(void)
{
	helper = start_helper(NULL);
	ksft_test_result(is_helper("NULL", "pre-exec", "no-mm"),
			 "a usermode helper before its exec is in no call\n");
	if (unload_module("hold_helper"))
		die("hold_helper cannot be unloaded");
	helper = start_helper("/tmp/held");
	ksft_test_result(is_helper("set", "-", "exec"),
			 "nor in the middle of it, with an address space and no registers\n");
}

int main(void)
{
	pid_t spinner, waiter, stopped, zombie;
	struct rows *table;
	char pids[30];

	ksft_print_header();
	ksft_set_plan(21);
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

	test_workers();
	test_helpers();
	ksft_test_result(as_proc(), "calls are those of /proc/PID/syscall\n");
	table = read_beside_spinner(spinner, "syscalls");
	ksft_test_result(only(table, spinner, "running"), "a thread that spins is running\n");
	ksft_test_result(only(table, getpid(), "running"), "so is who reads\n");
	ksft_test_result(known_call(table, waiter), "a call with the arguments that were given\n");
	ksft_test_result(lies_in(table, waiter, "SP", "[stack]"), "SP lies in the user stack\n");
	ksft_test_result(lies_in(table, waiter, "PC", " r-xp "), "PC lies in the program\n");
	ksft_test_result(has(table, stopped, "NR", "-1") && has(table, stopped, "ARG0", "-") &&
			 has(table, stopped, "ARG5", "-") && has(table, stopped, "ABI", "-") &&
			 has(table, stopped, "CALL", "-") &&
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
	ksft_test_result(native_names(), "calls have the names of the C library\n");
	ksft_test_result(nameless(), "a number without a name\n");
	test_other_tables();
	ksft_test_result(both_run(spinner), "who waits for a processor is running as well\n");
	ksft_finished();
}
