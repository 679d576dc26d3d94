// SPDX-License-Identifier: GPL-2.0
/*
 * A walk over the task list leaves its RCU read-side critical section after 1,024 tasks, and goes
 * on in another one. A test module stops it in between. The task at which it stopped dies, and so
 * do tasks before and after it. The memory of the dead is reused, and a process that the walk has
 * seen to its end starts new threads. Then the walk goes on and must find its position. churn.c
 * does the same at random moments, for shorter times. Or the walk stops in a process whose leader
 * is then replaced, and not yet released.
 *
 * A process that starts threads all the time cannot keep the walk going: the walk does not follow
 * them.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "table.h"

/* The tasks of a critical section. */
#define SECTION 1024
#define EARLY 5
#define VICTIMS 40
#define MARKERS 20
#define NEWBORN 80

static struct shared {
	bool breed, die;
	int born;
} *shared;

static pid_t marker[MARKERS];

static void start_thread(void *(*body)(void *))
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 16384);
	if (pthread_create(&thread, &attributes, body, NULL))
		die("pthread_create");
}

/* Starts threads of its own when it is told to. */
static void breed(void *unused)
{
	while (!__atomic_load_n(&shared->breed, __ATOMIC_SEQ_CST))
		usleep(1000);
	for (int i = 0; i < 3; i++)
		start_thread(pause_for_ever);
	__atomic_store_n(&shared->born, 1, __ATOMIC_SEQ_CST);
}

static void *sleep_until_told(void *unused)
{
	while (!__atomic_load_n(&shared->die, __ATOMIC_SEQ_CST))
		usleep(10000);
	return NULL;
}

/* Starts threads that die when they are told to, between threads that stay. */
static void start_threads(void *unused)
{
	for (int i = 0; i < EARLY; i++)
		start_thread(pause_for_ever);
	for (int i = 0; i < VICTIMS; i++)
		start_thread(sleep_until_told);
	for (int i = 0; i < MARKERS; i++)
		start_thread(pause_for_ever);
	__atomic_store_n(&shared->born, 1, __ATOMIC_SEQ_CST);
}

static int threads_of(pid_t process)
{
	struct proc_thread thread;

	return proc_thread(process, process, &thread) ? thread.threads : 0;
}

/* Starts so many threads that the section ends in the middle of the later victims. */
static struct crowd fill(void)
{
	struct task_table *table = table_read("threads");
	long rows = table->rows;

	table_free(table);
	/* The crowd has a leader too, and so may the victims. */
	return start_crowd(SECTION - rows - 2 - VICTIMS / 2);
}

static void *read_threads(void *table)
{
	*(struct task_table **)table = table_try_read("threads");
	return NULL;
}

/* Reads `threads`, and calls change(argument) while the walk is stopped. */
static struct task_table *read_in_two_sections(void (*change)(void *), void *argument)
{
	struct task_table *table;
	pthread_t reader;

	load_module("/tests/hold_walk.ko", "");
	if (pthread_create(&reader, NULL, read_threads, &table))
		die("pthread_create");
	wait_until(parameter_is_set("hold_walk", "stopped"), "the walk does not stop");
	change(argument);
	set_parameter("hold_walk", "let_go", 1);
	pthread_join(reader, NULL);
	must(unload_module("hold_walk") ? -1 : 0);
	return table;
}

/*
 * The memory of dead tasks is freed by callbacks of RCU, and new tasks get it. A thread that has
 * left /proc may not have left its CPU yet: the memory of the last ones may not be free.
 */
static void reuse_memory(void)
{
	load_module("/tests/run_callbacks.ko", "");
	must(unload_module("run_callbacks") ? -1 : 0);
	for (int i = 0; i < NEWBORN; i++)
		if (!fork_child())
			for (;;)
				pause();
}

/* The threads that have stayed are there once, and the markers are in order. */
static bool right(const struct task_table *table, const struct crowd *crowd)
{
	pid_t twice = table_twice(table);
	long markers = 0, others = 0;

	for (size_t i = 0; i < table->rows; i++) {
		pid_t pid = table->row[i].pid;

		if (markers < MARKERS && pid == marker[markers])
			markers++;
		else if (others < crowd->count && pid == crowd->tid[others])
			others++;
	}
	if (*table->problem || twice || markers != MARKERS || others != crowd->count)
		ksft_print_msg("%s: PID %d twice, %ld of %d markers, %ld of %ld others\n",
			       table->problem, twice, markers, MARKERS, others, crowd->count);
	return !*table->problem && !twice && markers == MARKERS && others == crowd->count;
}

static bool has_stopped_among(const struct task_table *table, pid_t before, pid_t after)
{
	bool was = table_find(table, before), is = table_find(table, after);

	if (!was || is)
		ksft_print_msg("the walk stopped %s them\n", was ? "after" : "before");
	return was && !is;
}

static void kill_processes(void *victims)
{
	for (int i = 0; i < VICTIMS; i++)
		end_child(((pid_t *)victims)[i]);
	__atomic_store_n(&shared->breed, true, __ATOMIC_SEQ_CST);
	wait_until(__atomic_load_n(&shared->born, __ATOMIC_SEQ_CST), "no new threads");
	reuse_memory();
}

static void test_processes(void)
{
	pid_t breeder = start_child(breed, NULL), victim[VICTIMS];
	struct crowd crowd = fill();
	struct task_table *table;

	for (int i = 0; i < VICTIMS; i++)
		victim[i] = start_child(NULL, NULL);
	for (int i = 0; i < MARKERS; i++)
		marker[i] = start_child(NULL, NULL);
	table = read_in_two_sections(kill_processes, victim);
	ksft_test_result(has_stopped_among(table, victim[0], victim[VICTIMS - 1]),
			 "processes die between two sections of the walk: it stopped among them\n");
	ksft_test_result(right(table, &crowd),
			 "processes die between two sections of the walk: all other threads are there once\n");
	table_free(table);
	for (int i = 0; i < MARKERS; i++)
		end_child(marker[i]);
	end_child(crowd.pid);
	end_child(breeder);
}

static void kill_threads(void *process)
{
	__atomic_store_n(&shared->die, true, __ATOMIC_SEQ_CST);
	wait_until(threads_of(*(pid_t *)process) == EARLY + MARKERS + 1, "threads do not die");
	reuse_memory();
}

static void test_threads(void)
{
	struct crowd crowd = fill();
	struct proc_thread *thread;
	struct task_table *table;
	pid_t process, victim[2] = { 0 };
	size_t threads;
	int found = 0;

	shared->born = 0;
	process = start_child(start_threads, NULL);
	wait_until(__atomic_load_n(&shared->born, __ATOMIC_SEQ_CST), "no threads");
	/* /proc lists the threads in the order of the task list. */
	threads = proc_threads(&thread);
	for (size_t i = 0; i < threads; i++) {
		if (thread[i].tgid != process || thread[i].pid == process)
			continue;
		if (found == EARLY)
			victim[0] = thread[i].pid;
		else if (found == EARLY + VICTIMS - 1)
			victim[1] = thread[i].pid;
		else if (found >= EARLY + VICTIMS && found < EARLY + VICTIMS + MARKERS)
			marker[found - EARLY - VICTIMS] = thread[i].pid;
		found++;
	}
	free(thread);
	if (found != EARLY + VICTIMS + MARKERS)
		die("%d threads", found);
	table = read_in_two_sections(kill_threads, &process);
	ksft_test_result(has_stopped_among(table, victim[0], victim[1]),
			 "threads die between two sections of the walk: it stopped among them\n");
	ksft_test_result(right(table, &crowd),
			 "threads die between two sections of the walk: all other threads are there once\n");
	table_free(table);
	end_child(process);
	end_child(crowd.pid);
}

/* A process whose leader is replaced, and processes after it that die. */
struct takeover {
	pid_t process, doomed[VICTIMS];
};

static void *execute_when_told(void *unused)
{
	static char *const program[] = { "/proc/self/exe", "again", NULL };

	while (!__atomic_load_n(&shared->die, __ATOMIC_SEQ_CST))
		usleep(1000);
	execv(program[0], program);
	_exit(1);
}

static void start_successor(void *unused)
{
	for (int i = 0; i < VICTIMS; i++)
		start_thread(pause_for_ever);
	start_thread(execute_when_told);
	__atomic_store_n(&shared->born, 1, __ATOMIC_SEQ_CST);
}

/* The leader is off the list, and knows a next process that dies then. */
static void take_over(void *argument)
{
	const struct takeover *takeover = argument;
	char parameter[20];

	snprintf(parameter, sizeof(parameter), "pid=%d", takeover->process);
	load_module("/tests/hold_release.ko", parameter);
	__atomic_store_n(&shared->die, true, __ATOMIC_SEQ_CST);
	wait_until(parameter_is_set("hold_release", "stopped"), "no thread takes over");
	for (int i = 0; i < VICTIMS; i++)
		end_child(takeover->doomed[i]);
	reuse_memory();
}

static void test_takeover(void)
{
	struct crowd crowd = fill();
	struct takeover takeover;
	struct task_table *table;
	int rows = 0;

	shared->born = 0;
	shared->die = false;
	takeover.process = start_child(start_successor, NULL);
	wait_until(__atomic_load_n(&shared->born, __ATOMIC_SEQ_CST), "no threads");
	for (int i = 0; i < VICTIMS; i++)
		takeover.doomed[i] = start_child(NULL, NULL);
	for (int i = 0; i < MARKERS; i++)
		marker[i] = start_child(NULL, NULL);
	table = read_in_two_sections(take_over, &takeover);
	must(unload_module("hold_release") ? -1 : 0);
	for (size_t i = 0; i < table->rows; i++)
		rows += table->row[i].tgid == takeover.process;
	ksft_print_msg("%d rows of the process\n", rows);
	ksft_test_result(rows > 2 && rows < VICTIMS,
			 "leader replaced between two sections of the walk: it stopped among the threads\n");
	ksft_test_result(right(table, &crowd),
			 "leader replaced between two sections of the walk: all others are there once\n");
	table_free(table);
	for (int i = 0; i < MARKERS; i++)
		end_child(marker[i]);
	end_child(takeover.process);
	end_child(crowd.pid);
}

static void start_many(void *unused)
{
	while (!__atomic_load_n(&shared->breed, __ATOMIC_SEQ_CST))
		usleep(1000);
	for (int i = 0; i < 2 * SECTION; i++)
		start_thread(pause_for_ever);
	__atomic_store_n(&shared->born, 1, __ATOMIC_SEQ_CST);
}

static void let_start(void *unused)
{
	__atomic_store_n(&shared->breed, true, __ATOMIC_SEQ_CST);
	wait_until(__atomic_load_n(&shared->born, __ATOMIC_SEQ_CST), "no new threads");
}

static void test_newborn(void)
{
	struct crowd crowd = start_crowd(SECTION);
	struct task_table *table;
	pid_t process;
	int rows = 0;

	shared->born = 0;
	shared->breed = false;
	process = start_child(start_many, NULL);
	table = read_in_two_sections(let_start, NULL);
	for (size_t i = 0; i < table->rows; i++)
		rows += table->row[i].tgid == process;
	ksft_print_msg("%d rows of the process\n", rows);
	ksft_test_result(rows >= 1 && rows <= SECTION,
			 "%d threads start between two sections of the walk: one more section, most left out\n",
			 2 * SECTION);
	table_free(table);
	end_child(process);
	end_child(crowd.pid);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		for (;;)
			pause();
	ksft_print_header();
	ksft_set_plan(7);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	load_taskscope("");
	test_processes();
	test_threads();
	test_takeover();
	test_newborn();
	ksft_finished();
}
