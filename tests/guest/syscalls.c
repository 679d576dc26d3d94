// SPDX-License-Identifier: GPL-2.0
/*
 * System calls of threads: as in /proc/PID/syscall for every blocked thread; as a program
 * knows them of its own calls; the name of the call in the table of its ABI; and a word for
 * a running thread. compat.c has 32-bit programs.
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
#include "stand.h"
#include "workers.h"

#if defined(__x86_64__)
#define NATIVE "x86_64"
#elif defined(__aarch64__)
#define NATIVE "aarch64"
#endif

static const char * const values[] = {
	"NR", "ARG0", "ARG1", "ARG2", "ARG3", "ARG4", "ARG5", "SP", "PC",
};

/* A futex wait that never ends, with known arguments. */
static int *word;

static void wait_on_futex(void *unused)
{
	for (;;)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, 0x5115, 0x6116);
}

/* The call of a thread in /proc, in the table's form; empty if the thread runs or is gone. */
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

/* A usermode helper that has not executed its program yet; 0 if there is none. */
static pid_t helper;

/* Its stack has no user registers, or those of the thread that it was created from. */
static bool never_in_user_space(const struct proc_thread *thread)
{
	return thread->flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER) ||
	       thread->pid == helper;
}

/* A row in the form of /proc, without the "-" of missing arguments. */
static void table_call(const struct rows *table, size_t row, char *text, size_t size)
{
	size_t used = 0;

	*text = 0;
	for (size_t i = 0; i < ARRAY_SIZE(values) && used < size; i++) {
		const char *value = rows_value(table, row, values[i]);

		if (strcmp(value, "-"))
			used += snprintf(text + used, size - used, "%s%s", used ? " " : "", value);
	}
}

/* A thread in a call has the native ABI and a name, any other thread has neither. */
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

/* Compares each thread with a user space that was blocked all the while, and kernel threads. */
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
		/* A thread without user registers has zeros, which /proc shows as call 0. */
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

/* NR is that word, and every other value is missing. */
static bool only(const struct rows *table, pid_t pid, const char *nr)
{
	bool good = thread_has(table, pid, "NR", nr) && thread_has(table, pid, "ABI", "-") &&
		    thread_has(table, pid, "CALL", "-");

	for (size_t i = 1; i < ARRAY_SIZE(values); i++)
		good &= thread_has(table, pid, values[i], "-");
	return good;
}

static bool known_call(const struct rows *table, pid_t pid)
{
	char number[30], address[30], operation[30];

	snprintf(number, sizeof(number), "%d", SYS_futex);
	snprintf(address, sizeof(address), "%p", word);
	snprintf(operation, sizeof(operation), "%#x", FUTEX_WAIT_PRIVATE);
	return thread_has(table, pid, "NR", number) && thread_has(table, pid, "ABI", NATIVE) &&
	       thread_has(table, pid, "CALL", "futex") && thread_has(table, pid, "ARG0", address) &&
	       thread_has(table, pid, "ARG1", operation) && thread_has(table, pid, "ARG2", "0x0") &&
	       thread_has(table, pid, "ARG3", "0x0") && thread_has(table, pid, "ARG4", "0x5115") &&
	       thread_has(table, pid, "ARG5", "0x6116");
}

/* The value is an address in a mapping whose line in /proc/PID/maps has the words. */
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

/* Two threads spin on one CPU, so one is runnable and waits: neither is blocked. */
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

/* Whether a thread is blocked in this call: a process that starts can block elsewhere first. */
static bool is_in_call(pid_t pid, long number)
{
	struct proc_syscall call;

	return proc_syscall(pid, pid, &call) && call.number == number;
}

/* Makes each call in a process of its own, and checks its row. */
static bool names(struct call *calls, size_t count)
{
	struct rows *table;
	int wrong = 0;

	for (size_t i = 0; i < count; i++) {
		calls[i].pid = start_child(make_call, &calls[i]);
		wait_until(is_in_call(calls[i].pid, calls[i].number), "%s is not blocked",
			   calls[i].name);
		wait_for_state(calls[i].pid, calls[i].pid, "S");
	}
	table = rows_read("syscalls");
	for (size_t i = 0; i < count; i++) {
		pid_t pid = calls[i].pid;

		wrong += rows_number(table, rows_find(table, pid), "NR") != calls[i].number ||
			 !thread_has(table, pid, "ABI", calls[i].abi) ||
			 !thread_has(table, pid, "CALL", calls[i].name);
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
	return names(calls, ARRAY_SIZE(calls));
}

/* A number that no system call has. */
#define NAMELESS 1000

static void make_nameless_call(void *unused)
{
	must(ptrace(PTRACE_TRACEME, 0, 0, 0));
	must(raise(SIGSTOP));
	syscall(NAMELESS);
}

/* The call would return at once, so a tracer stops the thread at its entry. */
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
	good = thread_has(table, pid, "NR", number) && thread_has(table, pid, "ABI", NATIVE) &&
	       thread_has(table, pid, "CALL", "-");
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

/* On a kernel without such calls the instruction faults. */
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

	wait_until(is_in_call(pid, I386_PAUSE), "the process is not blocked");
	wait_for_state(pid, pid, "S");
	table = rows_read("syscalls");
	good = thread_has(table, pid, "NR", "29") && thread_has(table, pid, "ABI", "i386") &&
	       thread_has(table, pid, "CALL", "pause") && thread_has(table, pid, "ARG0", "0x11") &&
	       thread_has(table, pid, "ARG1", "0x22") && thread_has(table, pid, "ARG2", "0x33") &&
	       thread_has(table, pid, "ARG3", "0x44") && thread_has(table, pid, "ARG4", "0x55");
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

	return names(calls, ARRAY_SIZE(calls));
}
#endif

static void test_other_tables(void)
{
#ifdef __x86_64__
	if (has_i386_calls())
		ksft_test_result(i386_call(), "call by int $0x80: the number and name of i386\n");
	else
		ksft_test_result_skip("call by int $0x80: this kernel has none\n");
	if (syscall(X32_BIT | SYS_getpid) == getpid())
		ksft_test_result(x32_names(), "call of x32: the names of x32\n");
	else
		ksft_test_result_skip("call of x32: this kernel has none\n");
#else
	ksft_test_result_skip("call by int $0x80: this machine has none\n");
	ksft_test_result_skip("call of x32: this machine has none\n");
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
			 "io_uring's submission thread: -1\n");
	ksft_test_result(only(table, workers[1].thread, "-1"), "io_uring's worker: -1\n");
	ksft_test_result(only(table, workers[2].thread, "-1"), "vhost's worker: -1\n");
	rows_free(table);
}

static bool has_switches(const struct rows *table, pid_t pid)
{
	char number[30];

	snprintf(number, sizeof(number), "%lu", proc_switches(pid, pid));
	return thread_has(table, pid, "SWITCHES", number);
}

/* The rows of the helper: MM and NOTE in threads, VALID in ustacks. */
static bool is_helper(const char *mm, const char *note, const char *valid)
{
	struct rows *calls = rows_read("syscalls"), *threads = rows_read("threads"),
		    *stacks = rows_read("ustacks");
	bool good = only(calls, helper, "-1") && thread_has(threads, helper, "KIND", "user") &&
		    thread_has(threads, helper, "MM", mm) &&
		    thread_has(threads, helper, "NOTE", note) &&
		    thread_has(stacks, helper, "VALID", valid) &&
		    thread_has(stacks, helper, "SP", "-") &&
		    has_switches(calls, helper) && has_switches(threads, helper) &&
		    has_switches(stacks, helper);

	rows_free(calls);
	rows_free(threads);
	rows_free(stacks);
	return good;
}

static void test_helpers(void)
{
	helper = start_helper(NULL);
	ksft_test_result(is_helper("NULL", "pre-exec", "no-mm"),
			 "usermode helper before its execve: -1, pre-exec, no-mm\n");
	if (unload_module("hold_helper"))
		die("hold_helper cannot be unloaded");
	helper = start_helper("/tmp/held");
	ksft_test_result(is_helper("set", "-", "exec"),
			 "usermode helper inside its execve: -1, VALID exec\n");
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
	zombie = start_zombie();

	test_workers();
	test_helpers();
	ksft_test_result(as_proc(), "blocked threads: the calls of /proc/PID/syscall\n");
	table = read_beside_spinner(spinner, "syscalls");
	ksft_test_result(only(table, spinner, "running"), "running thread: running\n");
	ksft_test_result(only(table, getpid(), "running"), "reader: running\n");
	ksft_test_result(known_call(table, waiter),
			 "blocked call: the number, name and arguments of the program\n");
	ksft_test_result(lies_in(table, waiter, "SP", "[stack]"),
			 "blocked call: SP is in the user stack\n");
	ksft_test_result(lies_in(table, waiter, "PC", " r-xp "),
			 "blocked call: PC is in the program's text\n");
	ksft_test_result(thread_has(table, stopped, "NR", "-1") &&
			 thread_has(table, stopped, "ARG0", "-") &&
			 thread_has(table, stopped, "ARG5", "-") &&
			 thread_has(table, stopped, "ABI", "-") &&
			 thread_has(table, stopped, "CALL", "-") &&
			 lies_in(table, stopped, "SP", "[stack]") &&
			 lies_in(table, stopped, "PC", " r-xp "),
			 "stopped outside of a call: -1, with SP and PC\n");
	ksft_test_result(only(table, 2, "-1"), "kernel thread: -1\n");
	ksft_test_result(only(table, zombie, "-1"), "zombie: -1\n");
	rows_free(table);
	must(waitpid(zombie, NULL, 0));

	snprintf(pids, sizeof(pids), "%d", waiter);
	write_set_pid(pids);
	table = rows_read("syscalls");
	ksft_test_result(table->rows == 1 && known_call(table, waiter) &&
			 !strncmp(table->summary,
			 "# 1 of ", 7), "set_pid: the row of that thread only\n");
	rows_free(table);
	write_set_pid("");
	table = rows_read("syscalls");
	ksft_test_result(table->rows > 20, "empty set_pid: all threads\n");
	rows_free(table);
	ksft_test_result(native_names(), "CALL: the names of the C library\n");
	ksft_test_result(nameless(), "call without a name: its number and no name\n");
	test_other_tables();
	ksft_test_result(both_run(spinner),
			 "runnable threads: running, even if they wait for a CPU\n");
	ksft_finished();
}
