// SPDX-License-Identifier: GPL-2.0
/*
 * A thread takes over its process from the leader. A test module stops it when it has the
 * leader's PID, but not yet the leader's place on the list. `processes` must show the process
 * by the thread that has its PID. exec.c reaches that moment very rarely.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"

/* Set when the child may execute a program. */
static bool *go;

static void *execute(void *unused)
{
	static char *const program[] = { "/proc/self/exe", "again", NULL };

	while (!__atomic_load_n(go, __ATOMIC_SEQ_CST))
		usleep(1000);
	execv(program[0], program);
	_exit(1);
}

/* Not on the reader's CPU: the stopped thread keeps its CPU busy. */
static void become_two(void *unused)
{
	pthread_t thread;

	stay_on(1);
	if (pthread_create(&thread, NULL, execute, NULL))
		die("pthread_create");
}

/* The process has one row, of the thread that has its PID. */
static bool shows(const struct task_table *table, pid_t process)
{
	int rows = 0, leaders = 0;

	for (size_t i = 0; i < table->rows; i++) {
		rows += table->row[i].tgid == process;
		leaders += table->row[i].pid == process;
	}
	ksft_print_msg("%d rows of the process, %d with its PID\n", rows, leaders);
	return rows == 1 && leaders == 1;
}

/*
 * A snapshot of `processes` while a thread of *pid is stopped inside execve(). The thread
 * continues after a second, which may be too early if the reader has to wait for something
 * else. Then the table proves nothing, and the next process is stopped.
 */
static struct task_table *in_the_middle(pid_t *pid)
{
	time_t end = seconds() + WAIT_LIMIT;

	while (seconds() < end) {
		struct task_table *processes;
		bool in_time;

		__atomic_store_n(go, false, __ATOMIC_SEQ_CST);
		*pid = start_child(become_two, NULL);
		set_parameter("hold_exec", "in_vain", 0);
		set_parameter("hold_exec", "let_go", 0);
		set_parameter("hold_exec", "stopped", 0);
		set_parameter("hold_exec", "pid", *pid);
		__atomic_store_n(go, true, __ATOMIC_SEQ_CST);
		wait_until(parameter_is_set("hold_exec", "stopped"), "no thread takes over");
		processes = table_read("processes");
		in_time = !parameter_is_set("hold_exec", "in_vain");
		set_parameter("hold_exec", "let_go", 1);
		if (in_time)
			return processes;
		table_free(processes);
		end_child(*pid);
	}
	die("no thread was stopped for long enough");
}

int main(int argc, char **argv)
{
	struct task_table *processes;
	pid_t pid;

	if (argc > 1)
		for (;;)
			pause();
	ksft_print_header();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		ksft_exit_skip("needs a second CPU\n");
	ksft_set_plan(2);
	go = mmap(NULL, sizeof(*go), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	load_taskscope("");
	load_module("/tests/hold_exec.ko", "");
	stay_on(0);

	processes = in_the_middle(&pid);
	ksft_test_result(shows(processes, pid),
			 "execve stopped in the takeover: one row, of the thread with the PID\n");
	table_free(processes);

	wait_for_state(pid, pid, "S");
	processes = table_read("processes");
	ksft_test_result(shows(processes, pid),
			 "after the takeover: one row, of the thread with the PID\n");
	table_free(processes);
	ksft_finished();
}
