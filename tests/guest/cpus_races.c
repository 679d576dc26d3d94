// SPDX-License-Identifier: GPL-2.0
/*
 * `cpus` under stress: many readers while CPUs go offline and online, processes start, execute
 * programs and exit, and a module spins for a moment, is unloaded and loaded again; readers that
 * are interrupted or killed while a CPU does not answer. Each table is whole and has its reader.
 * Nothing is left behind.
 *
 * OPENS and READERS, if set, are the number of opens in the storm, and of those who open.
 * Documentation/contexts.md has a command for 10,000 opens.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "contexts.h"
#include "cpus.h"
#include "guest.h"
#include "races.h"
#include "trace.h"

#define READERS_MOST 32

static struct {
	unsigned long opens, silent, births;
	bool enough;
} *shared;

static struct rows *try_read(void)
{
	int file = open(TABLES "cpus", O_RDONLY | O_CLOEXEC);
	struct rows *table;

	if (file < 0)
		return NULL;
	table = rows_read_descriptor(file, "cpus");
	close(file);
	return table;
}

/*
 * The table is whole, and a CPU runs the reader. (A CPU that answers late may run the reader too,
 * which has gone there.)
 */
static bool right(const struct rows *table)
{
	long last = -1, own = 0;

	for (size_t row = 0; row < table->rows; row++) {
		long cpu = rows_number(table, row, "CPU");

		own += cpu != last && table->pid[row] == getpid();
		last = cpu;
	}
	if (!own)
		ksft_print_msg("no CPU runs %d:\n%.3000s\n", getpid(), table->text);
	return cpus_whole(table) && own;
}

static void read_again(void *unused)
{
	struct rows *table = try_read();

	if (!table || !right(table))
		_exit(1);
	__atomic_fetch_add(&shared->silent, cpus_said(table, "did not answer"), __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&shared->opens, 1, __ATOMIC_SEQ_CST);
	rows_free(table);
}

/* In a child: reads until told to stop; exits with 1 on a wrong table. */
static pid_t start_reader(void)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	while (!__atomic_load_n(&shared->enough, __ATOMIC_SEQ_CST))
		read_again(NULL);
	_exit(0);
}

static char *again[] = { "/proc/self/exe", "again", NULL };

/* Processes that spin for a moment in user space, or execute this program, and exit. */
static void be_born_and_die(void *unused)
{
	for (;; __atomic_fetch_add(&shared->births, 1, __ATOMIC_SEQ_CST)) {
		pid_t pid = must(fork());

		if (!pid) {
			if (getpid() % 2)
				execv(again[0], again);
			for (volatile int i = 0; i < 100000; i++)
				;
			_exit(0);
		}
		must(waitpid(pid, NULL, 0));
	}
}

/* Loads the module that spins, lets it spin for a moment, and unloads it. */
static void spin_for_a_moment(int cpu, long round)
{
	static const char * const how[] = { "how=enabled", "how=softirq", "how=disabled" };

	load_spin(cpu, 2, how[round % 3]);
	start_spin();
	usleep(2000);
	stop_spin();
	unload_spin();
}

static bool storm(long opens, int readers, int cpu, long *hotplugs, long *spins)
{
	pid_t reader[READERS_MOST], crowd[2];
	bool good = true;

	shared->opens = 0;
	shared->enough = false;
	for (int i = 0; i < 2; i++)
		crowd[i] = start_child(be_born_and_die, NULL);
	for (int i = 0; i < readers; i++)
		reader[i] = start_reader();
	stay_on(0);
	for (long round = 0;; round++) {
		unsigned long done = __atomic_load_n(&shared->opens, __ATOMIC_SEQ_CST);
		int status;

		if (done >= (unsigned long)opens && (cpu < 0 || (*hotplugs >= 2 && *spins >= 3)))
			break;
		if (cpu >= 0) {
			set_online(cpu, false);
			set_online(cpu, true);
			++*hotplugs;
			spin_for_a_moment(cpu, round);
			++*spins;
		} else {
			usleep(1000);
		}
		/* A reader that has ended has seen a wrong table. */
		for (int i = 0; i < readers; i++)
			if (must(waitpid(reader[i], &status, WNOHANG)))
				die("reader: status %#x", status);
	}
	__atomic_store_n(&shared->enough, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < readers; i++)
		good &= !wait_for(reader[i]);
	for (int i = 0; i < 2; i++)
		end_child(crowd[i]);
	return good;
}

/* For unload_under_readers(). */
static enum read_result read_once(void)
{
	struct rows *table = try_read();
	enum read_result result;

	if (!table)
		return READ_GONE;
	result = right(table) ? READ_RIGHT : READ_WRONG;
	rows_free(table);
	return result;
}

/* What happens beside a CPU whose interrupts are disabled. */
static int silent_cpu, kills;

enum { INTERRUPTED = 1, KILLED = 2, SILENT = 4, STOPPED = 8 };

/* The open looks for the thread of the silent CPU, and is killed in the walk over the threads. */
static bool killed_in_walk(void)
{
	pid_t pid = fork_child();
	int status;

	if (!pid) {
		must(raise(SIGSTOP));
		open(TABLES "cpus", O_RDONLY | O_CLOEXEC);
		_exit(0);
	}
	must(waitpid(pid, &status, WUNTRACED));
	set_parameter("kill_at", "at", 1);
	set_parameter("kill_at", "pid", pid);
	must(kill(pid, SIGCONT));
	status = wait_for(pid);
	ksft_print_msg("status %#x, %lu checks, %lu opened\n", status,
		       parameter_value("kill_at", "asked"), parameter_value("kill_at", "opened"));
	return WIFSIGNALED(status) && parameter_value("kill_at", "asked") == 1 &&
	       !parameter_value("kill_at", "opened");
}

static int end_opens(void)
{
	struct rows *table;
	int seen = 0;

	if (interrupted_open("cpus", 20000) == EINTR)
		seen |= INTERRUPTED;
	if (kill_opens("cpus", kills) == kills)
		seen |= KILLED;
	if (killed_in_walk())
		seen |= STOPPED;
	table = rows_read("cpus");
	if (!strcmp(cpus_value(table, silent_cpu, "VALID"), "silent"))
		seen |= SILENT;
	return seen;
}

static void test_silent(int cpu)
{
	struct rows *table;
	long armed;
	int seen;

	silent_cpu = cpu;
	load_module("/tests/kill_at.ko", "");
	trace_begin("timer/hrtimer_start", NULL);
	seen = beside_disabled_interrupts(cpu, end_opens);
	ksft_test_result(seen & INTERRUPTED,
			 "interrupts disabled: a signal ends the open with EINTR\n");
	ksft_test_result((seen & KILLED) && (seen & SILENT),
			 "interrupts disabled: SIGKILL ends the open, %d times\n", kills);
	ksft_test_result(seen & STOPPED,
			 "interrupts disabled: SIGKILL ends the search for the thread\n");
	must(unload_module("kill_at") ? -1 : 0);
	table = rows_read("cpus");
	ksft_test_result(right(table) && !cpus_said(table, "did not answer"),
			 "interrupts enabled again: every CPU answers\n");
	rows_free(table);
	/* The call of that open has come after all others. */
	armed = traced(cpu, "[taskscope]");
	trace_end();
	ksft_print_msg("%ld timers\n", armed);
	ksft_test_result(armed == 1,
			 "interrupts enabled again: calls of opens that have ended arm no timer\n");
	ksft_test_result(!unload_module("taskscope"),
			 "interrupts enabled again: the module unloads at once\n");
	load_taskscope("");
}

int main(int argc, char **argv)
{
	const long opens = rounds("OPENS", 64, 2000), unloads = rounds("UNLOADS", 3, 50);
	const int readers = setting("READERS", 4);
	int cpus[CPUS_MAX], online = online_cpus(cpus), cpu = online > 1 ? cpus[1] : -1;
	long hotplugs = 0, spins = 0;
	struct rows *table;

	if (argc > 1)
		return 0;
	if (readers > READERS_MOST)
		die("READERS=%d: there is room for %d", readers, READERS_MOST);
	ksft_print_header();
	ksft_set_plan(9);
	kills = rounds("KILLS", 3, 20);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ksft_test_result(unload_under_readers(read_once, unloads) == unloads,
			 "active readers: the module unloads, %ld times\n", unloads);
	load_taskscope("");
	ksft_test_result(storm(opens, readers, cpu, &hotplugs, &spins),
			 "%ld+ opens by %d readers, %ld hotplugs, %ld modules: every table is right\n",
			 opens, readers, hotplugs, spins);
	table = rows_read("cpus");
	ksft_test_result(right(table) && !cpus_said(table, "did not answer"),
			 "after the storm: every CPU answers\n");
	rows_free(table);
	ksft_print_msg("%lu processes, %lu times a CPU was silent\n", shared->births,
		       shared->silent);
	if (cpu < 0) {
		for (int i = 0; i < 6; i++)
			ksft_test_result_skip("needs two CPUs: one disables its interrupts\n");
		ksft_finished();
	}
	test_silent(cpu);
	ksft_finished();
}
