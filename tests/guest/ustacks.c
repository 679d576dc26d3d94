// SPDX-License-Identifier: GPL-2.0
/*
 * User stacks: the stack pointer of each thread as the thread has set it, the mapping as
 * /proc/PID/maps has it, and the limits. Exactly the threads with a user space have a row.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "capabilities.h"
#include "guest.h"
#include "rows.h"
#include "spinner.h"
#include "stand.h"
#include "workers.h"

/* Seconds. A table waits for one lock at most 100 ms, and for all at most a second. */
#define READ_LIMIT 5

static unsigned long hexadecimal(const struct rows *table, size_t row, const char *column)
{
	const char *text = rows_value(table, row, column);
	char *end;
	unsigned long value = strtoul(text, &end, 16);

	return *end ? 0 : value;
}

/* The row has this stack pointer, and the mapping that /proc shows for it. */
static bool stands_at(const struct rows *table, pid_t tgid, pid_t pid, unsigned long sp)
{
	size_t row = rows_find(table, pid);
	struct mapping mapping;
	bool good;

	if (!row_has(table, row, "VALID", "ok") || !proc_mapping(tgid, sp, &mapping))
		return false;
	good = rows_number(table, row, "TGID") == tgid && hexadecimal(table, row, "SP") == sp &&
	       hexadecimal(table, row, "START") == mapping.start &&
	       hexadecimal(table, row, "END") == mapping.end &&
	       rows_number(table, row, "SIZE") == (long)(mapping.end - mapping.start) &&
	       rows_number(table, row, "USED") == (long)(mapping.end - sp);
	if (!good)
		ksft_print_msg("%d: SP %s START %s END %s SIZE %s USED %s, not %lx in %lx-%lx\n",
			       pid, rows_value(table, row, "SP"), rows_value(table, row, "START"),
			       rows_value(table, row, "END"), rows_value(table, row, "SIZE"),
			       rows_value(table, row, "USED"), sp, mapping.start, mapping.end);
	return good;
}

static char *map(size_t size, void *at)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0);
	char *memory = mmap(at, size, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/* Shared with children: whether they sleep, and which thread does. */
static struct shared {
	unsigned long sp;
	int there;
	atomic_int tid;
} *shared;

static void wait_there(pid_t tgid, pid_t pid)
{
	wait_until(__atomic_load_n(&shared->there, __ATOMIC_ACQUIRE), "a child does not sleep");
	wait_for_sleep(tgid, pid, "S");
	shared->there = 0;
}

/* Moves its first stack down by a number of bytes. */
static void move_down(void *bytes)
{
	char here;
	unsigned long sp = ((unsigned long)&here & ~15ul) - PAGE - (unsigned long)bytes;

	/* The kernel extends the stack when a page below it is touched. */
	for (char *page = &here; (unsigned long)page > sp; page -= PAGE)
		*(volatile char *)page = 1;
	shared->sp = sp;
	stand(sp, 0, &shared->there);
}

static void test_moving(void)
{
	unsigned long end = 0, used[2], moved = 3 * 1024 * 1024;

	for (int i = 0; i < 2; i++) {
		pid_t pid = start_child(move_down, (void *)(i * moved));
		struct rows *table;
		size_t row;

		wait_there(pid, pid);
		table = rows_read("ustacks");
		row = rows_find(table, pid);
		ksft_test_result(stands_at(table, pid, pid, shared->sp),
				 "first stack, moved down by %lu bytes: as in /proc\n", i * moved);
		used[i] = rows_number(table, row, "USED");
		end = end ?: hexadecimal(table, row, "END");
		/* Both children are forks: only the depth of the stack differs. */
		if (i)
			ksft_test_result(hexadecimal(table, row, "END") == end &&
					 used[1] - used[0] == moved,
					 "first stack, moved down: USED grows, END stays\n");
		rows_free(table);
		end_child(pid);
	}
}

static void test_threads(void)
{
	char *low = map(64 * PAGE, NULL);
	struct rows *table;
	pid_t lowest, middle, hole, nowhere, kernel;

	/* Each stack is a mapping of its own: the kernel does not merge different neighbours. */
	must(mprotect(low, PAGE, PROT_NONE));
	must(mprotect(low + 9 * PAGE, PAGE, PROT_NONE));
	lowest = start_standing((unsigned long)low + PAGE, 0);
	middle = start_standing((unsigned long)low + 5 * PAGE + 16, 0);
	hole = start_standing((unsigned long)low + 9 * PAGE + 32, 0);
	nowhere = start_standing(0x1000, 0);
	kernel = start_standing(-0x1000ul, 0);
	table = rows_read("ustacks");
	ksft_test_result(stands_at(table, getpid(), lowest, (unsigned long)low + PAGE),
			 "mapped stack, SP at its lowest byte: as in /proc\n");
	ksft_test_result(stands_at(table, getpid(), middle, (unsigned long)low + 5 * PAGE + 16),
			 "two threads in one mapping: both as in /proc\n");
	ksft_test_result(stands_at(table, getpid(), hole, (unsigned long)low + 9 * PAGE + 32),
			 "stack without read access: as in /proc\n");
	ksft_test_result(thread_has(table, nowhere, "VALID", "unmapped") &&
			 thread_has(table, nowhere, "SP", "00001000") &&
			 thread_has(table, nowhere, "START", "-") &&
			 thread_has(table, nowhere, "END", "-") &&
			 thread_has(table, nowhere, "SIZE", "-") &&
			 thread_has(table, nowhere, "USED", "-"),
			 "SP in unmapped memory: unmapped\n");
	ksft_test_result(thread_has(table, kernel, "VALID", "unmapped") &&
			 thread_has(table, kernel, "SP", "fffffffffffff000"),
			 "SP in the kernel: unmapped\n");
	rows_free(table);
}

static void handle(int signal)
{
	unsigned long sp = (unsigned long)__builtin_frame_address(0) - 4 * PAGE;

	shared->sp = sp & ~15ul;
	stand(shared->sp, 0, &shared->there);
}

static char *alternate;

static void use_alternate_stack(void *unused)
{
	stack_t stack = { .ss_sp = alternate, .ss_size = 16 * PAGE };
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };

	must(sigaltstack(&stack, NULL));
	must(sigaction(SIGUSR1, &action, NULL));
	raise(SIGUSR1);
}

static void test_alternate_stack(void)
{
	struct rows *table;
	pid_t pid;

	alternate = map(18 * PAGE, NULL);
	/* With unmapped space around it, so that the kernel does not merge it. */
	must(mprotect(alternate, PAGE, PROT_NONE));
	must(mprotect(alternate + 17 * PAGE, PAGE, PROT_NONE));
	alternate += PAGE;
	pid = start_child(use_alternate_stack, NULL);
	wait_there(pid, pid);
	table = rows_read("ustacks");
	ksft_test_result(shared->sp > (unsigned long)alternate &&
			 stands_at(table, pid, pid, shared->sp) &&
			 hexadecimal(table, rows_find(table, pid), "START") ==
				(unsigned long)alternate &&
			 rows_number(table, rows_find(table, pid), "SIZE") == 16 * (long)PAGE,
			 "signal handler on an alternate stack: that stack\n");
	rows_free(table);
	end_child(pid);
}

static bool limits_are(const struct rows *table, pid_t pid)
{
	char path[64], soft[32], hard[32], *text, *at;

	snprintf(path, sizeof(path), "/proc/%d/limits", pid);
	text = slurp(path, NULL);
	at = strstr(text, "Max stack size");
	if (!at || sscanf(at, "Max stack size %31s %31s", soft, hard) != 2)
		die("limits");
	free(text);
	return thread_has(table, pid, "RLIM_CUR", soft) &&
	       thread_has(table, pid, "RLIM_MAX", hard);
}

static void set_limit(void *limit)
{
	must(setrlimit(RLIMIT_STACK, limit));
	stand((unsigned long)__builtin_frame_address(0) & ~15ul, 0, &shared->there);
}

static void test_limits(void)
{
	struct rlimit limits[] = {
		{ 1 << 20, 1 << 24 },
		{ 12345, RLIM_INFINITY },
		{ RLIM_INFINITY, RLIM_INFINITY },
		{ 0, 5ul << 40 },
	};

	for (int i = 0; i < 4; i++) {
		pid_t pid = start_child(set_limit, &limits[i]);
		struct rows *table;

		wait_there(pid, pid);
		table = rows_read("ustacks");
		ksft_test_result(limits_are(table, pid),
				 "stack limits of %lu and %lu: as in /proc\n",
				 limits[i].rlim_cur, limits[i].rlim_max);
		rows_free(table);
		end_child(pid);
	}
}

static char *clone_stack;

static int share_memory(void *unused)
{
	shared->tid = syscall(SYS_gettid);
	stand((unsigned long)clone_stack + 8 * PAGE, 0, &shared->there);
}

/* A process that shares the address space of another one, and one that waits in vfork(). */
static void test_sharing(void)
{
	struct rows *table;
	size_t row;
	pid_t pid;

	clone_stack = map(16 * PAGE, NULL);
	pid = must(clone(share_memory, clone_stack + 16 * PAGE, CLONE_VM | SIGCHLD, NULL));
	wait_there(pid, pid);
	table = rows_read("ustacks");
	ksft_test_result(stands_at(table, pid, pid, (unsigned long)clone_stack + 8 * PAGE),
			 "process with a shared address space: as in /proc\n");
	rows_free(table);
	kill(pid, SIGKILL);
	must(waitpid(pid, NULL, __WALL));

	pid = fork_child();
	if (!pid) {
		must(clone(share_memory, clone_stack + 16 * PAGE, CLONE_VM | CLONE_VFORK | SIGCHLD,
			   NULL));
		_exit(1);
	}
	/* A process that waits in vfork() sleeps uninterruptibly. */
	wait_for_sleep(pid, pid, "D");
	wait_until(__atomic_load_n(&shared->there, __ATOMIC_ACQUIRE), "a child does not sleep");
	shared->there = 0;
	wait_for_sleep(shared->tid, shared->tid, "S");
	table = rows_read("ustacks");
	row = rows_find(table, pid);
	ksft_test_result(row_has(table, row, "VALID", "ok") && rows_number(table, row, "USED") > 0,
			 "process that waits in vfork(): ok\n");
	ksft_test_result(stands_at(table, shared->tid, shared->tid,
				   (unsigned long)clone_stack + 8 * PAGE),
			 "child of vfork(): as in /proc\n");
	kill(shared->tid, SIGKILL);
	rows_free(table);
	must(waitpid(pid, NULL, 0));
}

static void end_first_thread(void *unused)
{
	shared->tid = start_standing((unsigned long)map(4 * PAGE, NULL) + 2 * PAGE, 0);
	syscall(SYS_exit, 0);
}

static void test_others(void)
{
	pid_t spinner = start_spinner(), leaderless, zombie, kernel;
	struct rows *table;
	size_t row;

	table = read_beside_spinner(spinner, "ustacks");
	row = rows_find(table, spinner);
	ksft_test_result(row_has(table, row, "VALID", "on-cpu") && row_has(table, row, "SP", "-") &&
			 row_has(table, row, "START", "-") && row_has(table, row, "USED", "-") &&
			 limits_are(table, spinner), "running thread: on-cpu\n");
	row = rows_find(table, getpid());
	ksft_test_result(row_has(table, row, "VALID", "ok") && rows_number(table, row, "USED") > 0,
			 "reader: ok, USED above 0\n");
	rows_free(table);
	end_child(spinner);

	leaderless = start_child(end_first_thread, NULL);
	zombie = start_zombie();
	wait_for_state(leaderless, leaderless, "Z");
	table = rows_read("ustacks");
	ksft_test_result(thread_has(table, zombie, "VALID", "no-mm") &&
			 thread_has(table, zombie, "SP", "-") &&
			 thread_has(table, zombie, "END", "-"), "zombie: no-mm\n");
	ksft_test_result(thread_has(table, leaderless, "VALID", "no-mm") &&
			 thread_has(table, shared->tid, "VALID", "ok"),
			 "first thread dead: no-mm; its other thread: ok\n");
	/* kthreadd */
	kernel = 2;
	ksft_test_result(rows_find(table, kernel) == table->rows, "kernel thread: no row\n");
	rows_free(table);
	must(waitpid(zombie, NULL, 0));
	end_child(leaderless);
}

/* Exactly the threads that have a user space in /proc have a live row. */
static void test_every_thread(void)
{
	struct proc_thread *thread;
	struct rows *table;
	int wrong = 0, live = 0, user = 0;
	size_t count;
	pid_t worker;

	start_borrower();
	worker = start_user_worker().thread;
	/* Waits until the threads of this test that are about to sleep do so. */
	count = proc_threads(&thread);
	table = rows_read("ustacks");
	for (size_t i = 0; i < count; i++) {
		size_t row = rows_find(table, thread[i].pid);
		bool has = row < table->rows &&
			   strcmp(rows_value(table, row, "VALID"), "no-mm");
		bool should = thread[i].has_mm &&
			!(thread[i].flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER));

		live += has;
		user += should;
		if (has != should) {
			ksft_print_msg("%d, %.*s: %s\n", thread[i].pid,
				       (int)thread[i].comm_length, thread[i].comm,
				       has ? "has a row" : "has none");
			wrong++;
		}
	}
	ksft_print_msg("%d threads of %zu, %d live rows of %zu\n", user, count, live, table->rows);
	ksft_test_result(!wrong && user > 5 && (size_t)user < count && live == user,
			 "exactly the threads with user space in /proc: a live row\n");
	ksft_test_result(rows_find(table, worker) == table->rows,
			 "vhost worker and borrowed address space: no row\n");
	rows_free(table);
	free(thread);
}

/* How many threads have a user space, and how many have none. */
struct census {
	size_t with, without;
};

static struct census take_census(void)
{
	struct census census = { .without = 1 };	/* swapper/0, which /proc has not */
	struct proc_thread *thread;
	size_t count = proc_threads(&thread);

	for (size_t i = 0; i < count; i++) {
		if (thread[i].has_mm &&
		    !(thread[i].flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER)))
			census.with++;
		else
			census.without++;
	}
	free(thread);
	return census;
}

/* Reads a table while no thread comes or goes. */
static struct rows *read_with_census(const char *name, struct census *census)
{
	for (time_t end = seconds() + WAIT_LIMIT; seconds() <= end;) {
		struct rows *table;
		struct census after;

		*census = take_census();
		table = rows_read(name);
		after = take_census();
		if (after.with == census->with && after.without == census->without)
			return table;
		rows_free(table);
	}
	errno = 0;
	die("threads come and go all the time");
}

/* The summary begins with this line. */
static bool summary_is(const struct rows *table, const char *line)
{
	if (!strncmp(table->summary, line, strlen(line)))
		return true;
	ksft_print_msg("not %s but %s", line, table->summary);
	return false;
}

static void test_summary(void)
{
	static const char * const tables[] = { "ustacks", "uframes" };
	pid_t zombie = start_zombie();
	char list[32], line[200];
	struct census all;
	struct rows *table;

	snprintf(list, sizeof(list), "2 %d %d\n", getpid(), zombie);
	for (int i = 0; i < 2; i++) {
		table = read_with_census(tables[i], &all);
		snprintf(line, sizeof(line), "# %zu threads with user space, %zu without\n",
			 all.with, all.without);
		ksft_test_result(summary_is(table, line),
				 "%s: the summary counts the threads as /proc has them\n",
				 tables[i]);
		rows_free(table);
		write_set_pid(list);
		table = read_with_census(tables[i], &all);
		snprintf(line, sizeof(line),
			 "# 1 threads with user space, 2 without, %zu left out by set_pid\n",
			 all.with + all.without - 3);
		ksft_test_result(table->rows == (i ? rows_find(table, zombie) + 1 : 2) &&
				 summary_is(table, line),
				 "%s: set_pid: the rows of those threads only, the others are left out\n",
				 tables[i]);
		rows_free(table);
		write_set_pid("");
	}
	must(waitpid(zombie, NULL, 0));
}

/* The locks of an address space and of its mappings are held for as long as a module is loaded. */
static void test_lock(void)
{
	static const char * const tables[] = { "ustacks", "uframes", "segments" };
	char parameters[32];
	struct rows *table;
	size_t row;
	time_t began;
	pid_t pid;

	shared->there = 0;
	pid = start_child(move_down, NULL);
	wait_there(pid, pid);
	snprintf(parameters, sizeof(parameters), "pid=%d mappings=1", pid);
	load_module("/tests/hold_mmap.ko", parameters);
	for (int i = 0; i < 3; i++) {
		began = seconds();
		table = rows_read(tables[i]);
		row = rows_find(table, pid);
		ksft_test_result(seconds() - began < READ_LIMIT && row < table->rows &&
				 strstr(table->summary, "cut short"),
				 "%s: locks held: the open returns, the summary says 'cut short'\n",
				 tables[i]);
		if (!i)
			ksft_test_result(row_has(table, row, "VALID", "locked") &&
					 row_has(table, row, "SP", "-") && limits_are(table, pid) &&
					 rows_number(table, row, "SWITCHES") ==
					 (long)proc_switches(pid, pid) &&
					 thread_has(table, getpid(), "VALID", "ok"),
					 "ustacks: locks held: that row is locked, SWITCHES as in /proc, others ok\n");
		rows_free(table);
	}
	must(unload_module("hold_mmap") ? -1 : 0);
	table = rows_read("ustacks");
	ksft_test_result(stands_at(table, pid, pid, shared->sp),
			 "ustacks: locks released: the row is as in /proc\n");
	rows_free(table);
	end_child(pid);
}

static void lose_capability(void *result)
{
	static const char * const tables[] = { "ustacks", "uframes", "segments" };
	int refused = 0;

	drop_capability(CAP_SYS_PTRACE);
	for (int i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof(path), TABLES "%s", tables[i]);
		refused += open(path, O_RDONLY) < 0 && errno == EPERM;
	}
	*(int *)result = open(TABLES "threads", O_RDONLY) < 0 ? -1 : refused;
}

static void test_rights(void)
{
	int *result = (int *)&shared->tid;
	pid_t pid;

	*result = -2;
	pid = start_child(lose_capability, result);
	wait_until(__atomic_load_n(result, __ATOMIC_ACQUIRE) != -2, "the child does not answer");
	ksft_test_result(*result == 3, "open without CAP_SYS_PTRACE: EPERM\n");
	end_child(pid);
}

/*
 * Each row takes a reference to the thread and to its address space. If the open did not put
 * them, those of dead processes would stay.
 */
static void test_references(void)
{
	static const struct {
		const char *cache, *what;
	} held[] = {
		{ "mm_struct", "an address space" },
		{ "task_struct", "a thread" },
	};
	enum { HELD = ARRAY_SIZE(held), PROCESSES = 60, FEW = PROCESSES / 4 };
	long before[HELD], after;
	pid_t child[PROCESSES];

	for (int i = 0; i < HELD; i++)
		before[i] = slab_objects(held[i].cache);
	for (int i = 0; i < PROCESSES; i++)
		child[i] = start_child(NULL, NULL);
	rows_free(rows_read("ustacks"));
	for (int i = 0; i < PROCESSES; i++)
		end_child(child[i]);
	for (int i = 0; i < HELD; i++) {
		after = slab_objects_in_the_end(held[i].cache, before[i] + FEW);
		ksft_print_msg("%s: %ld before, %ld after %d processes\n", held[i].cache,
			       before[i], after, PROCESSES);
		ksft_test_result(after <= before[i] + FEW,
				 "after the opens: no reference to %s is left\n", held[i].what);
	}
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(35);
	load_taskscope("");
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	test_moving();
	test_threads();
	test_alternate_stack();
	test_limits();
	test_sharing();
	test_others();
	test_every_thread();
	test_summary();
	test_lock();
	test_rights();
	test_references();
	ksft_finished();
}
