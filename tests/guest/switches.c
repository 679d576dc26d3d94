// SPDX-License-Identifier: GPL-2.0
/*
 * SWITCHES: how often a thread has been switched away from. It is the sum of the two counts in
 * /proc/PID/status. It belongs to the values beside it: a child that runs at any point of the
 * reader's look at it tells by these values how often it had been switched away from.
 */
#include <linux/futex.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "spinner.h"
#include "stand.h"
#include "workers.h"

static const char * const tables[] = {
	"threads", "processes", "kstacks", "kframes", "syscalls", "ustacks", "uframes",
};

#define TABLES_COUNT ((int)ARRAY_SIZE(tables))
/* How many switches are provoked. */
#define TURNS 20

/* The count in each row of the thread, which must all be the same; -1 if it has no row. */
static long shown_in(const struct rows *table, pid_t pid)
{
	long shown = -1;

	for (size_t row = rows_find(table, pid); row < table->rows; row++) {
		if (table->pid[row] != pid)
			break;
		if (shown >= 0 && rows_number(table, row, "SWITCHES") != shown)
			die("%d has rows with different counts", pid);
		shown = rows_number(table, row, "SWITCHES");
	}
	return shown;
}

static long shown(const char *name, pid_t pid)
{
	struct rows *table = rows_read(name);
	long count = shown_in(table, pid);

	rows_free(table);
	return count;
}

/* --- every thread */

/* Of the threads that are not switched away from between two looks at /proc. */
static void test_every_thread(void)
{
	pid_t zombie = start_zombie();
	struct proc_thread *before, *after;
	struct rows *table[TABLES_COUNT];
	size_t befores = proc_threads(&before), afters;

	for (int i = 0; i < TABLES_COUNT; i++)
		table[i] = rows_read(tables[i]);
	afters = proc_threads(&after);
	for (int i = 0; i < TABLES_COUNT; i++) {
		size_t compared = 0, different = 0;
		bool has_zombie = false;

		for (size_t j = 0, k = 0; j < befores; j++) {
			const struct proc_thread *thread = &before[j];
			long found = shown_in(table[i], thread->pid);

			/* Both are in the order of /proc. */
			while (k < afters && (after[k].tgid < thread->tgid ||
					      (after[k].tgid == thread->tgid &&
					       after[k].pid < thread->pid)))
				k++;
			if (found < 0 || k == afters || after[k].pid != thread->pid ||
			    after[k].switches != thread->switches)
				continue;
			compared++;
			has_zombie |= thread->pid == zombie;
			if (found == (long)thread->switches)
				continue;
			different++;
			ksft_print_msg("%d: SWITCHES is %ld, /proc has %lu\n", thread->pid, found,
				       thread->switches);
		}
		ksft_print_msg("%zu threads of %zu compared\n", compared, befores);
		ksft_test_result(!different && has_zombie &&
				 compared > (*tables[i] == 'u' ? 3 : 30),
				 "%s: every thread that is not switched meanwhile: as in /proc\n",
				 tables[i]);
		rows_free(table[i]);
	}
	free(before);
	free(after);
	must(waitpid(zombie, NULL, 0));
}

/* --- a switch on purpose */

static int *turn;

static long futex(int operation, int value)
{
	return syscall(SYS_futex, turn, operation, value, NULL);
}

/* Each turn ends with one switch. Nothing preempts this thread, which has its CPU to itself. */
static void take_turns(void *unused)
{
	stay_on(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	be_real_time(99);
	for (;;)
		futex(FUTEX_WAIT, __atomic_load_n(turn, __ATOMIC_SEQ_CST));
}

/* Wakes the sleeping child, which is switched away from when it sleeps again. */
static void provoke_switch(pid_t child)
{
	unsigned long before = proc_switches(child, child);

	__atomic_add_fetch(turn, 1, __ATOMIC_SEQ_CST);
	if (must(futex(FUTEX_WAKE, 1)) != 1)
		die("the child does not sleep");
	wait_until(proc_switches(child, child) != before, "the child does not sleep again");
	wait_for_sleep(child, child, "S");
}

static void test_provoked(pid_t child)
{
	for (int i = 0; i < TABLES_COUNT; i++) {
		long before = shown(tables[i], child), after;

		for (int turns = 0; turns < TURNS; turns++)
			provoke_switch(child);
		after = shown(tables[i], child);
		ksft_test_result(after == before + TURNS && before > 0,
				 "%s: %d switches on purpose: SWITCHES grew by %d\n", tables[i],
				 TURNS, TURNS);
	}
}

static void test_joins(pid_t child)
{
	long first = shown(tables[0], child);
	bool equal = true, apart = true;

	for (int i = 0; i < TABLES_COUNT; i++)
		equal &= shown(tables[i], child) == first;
	for (int i = 0; i < TABLES_COUNT; i++) {
		provoke_switch(child);
		apart &= shown(tables[i], child) == first + i + 1;
	}
	ksft_test_result(equal, "no switch between the opens: equal counts in all tables\n");
	ksft_test_result(apart, "a switch between each two opens: counts that differ by one\n");
}

/* A thread that keeps its CPU: its count does not change. */
static void test_running(void)
{
	pid_t spinner = start_spinner();
	bool good = true;

	for (int i = 0; i < TABLES_COUNT; i++) {
		unsigned long before;
		struct rows *table = read_beside_counted(spinner, tables[i], &before);
		long found = shown_in(table, spinner);

		rows_free(table);
		if (found != (long)before)
			ksft_print_msg("%s: SWITCHES is %ld, /proc has %lu\n", tables[i], found,
				       before);
		good &= found == (long)before && before > 0;
	}
	ksft_test_result(good, "thread that keeps its CPU: as in /proc in each table\n");
	end_child(spinner);
}

/* --- a thread that runs at each point of the look at it */

/*
 * What the sleeper shares. In even turns it sleeps in ppoll(), in odd ones in clock_nanosleep(),
 * with another program counter and stack pointer. Its name, and an argument that neither call
 * uses, is how often it had been switched away from before: `turn` is odd if that number is.
 */
static struct sleeper {
	long nap;		/* in nanoseconds */
	unsigned long turns;	/* that have ended */
	unsigned long unclean;	/* of these, in which something else had the CPU meanwhile */
	int keeps;		/* whether it keeps its CPU when it has woken */
} *sleeper;

#define UNUSED_COUNT "ARG5"

/*
 * Counts the switches of this thread. Not by getrusage(), which would wait for the task lock while
 * the reader holds that.
 */
static struct counter {
	int descriptor;
	long before;		/* the switches before it counted */
} counter;

static long read_counter(void)
{
	unsigned long long count;

	if (read(counter.descriptor, &count, sizeof(count)) != sizeof(count))
		die("a perf event cannot be read");
	return counter.before + count;
}

static long switches_so_far(void)
{
	struct rusage usage;

	must(getrusage(RUSAGE_THREAD, &usage));
	return usage.ru_nvcsw + usage.ru_nivcsw;
}

static void start_counter(void)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(event),
		.config = PERF_COUNT_SW_CONTEXT_SWITCHES,
	};
	long before;

	counter.descriptor = must(syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
	do {
		counter.before = 0;
		before = switches_so_far();
		counter.before = before - read_counter();
	} while (switches_so_far() != before);
}

static inline __attribute__((always_inline)) long
call(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
	long result;

	asm volatile("syscall" : "=a"(result)
		     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x0 asm("x0") = a, x1 asm("x1") = b, x2 asm("x2") = c, x3 asm("x3") = d,
		x4 asm("x4") = e, x5 asm("x5") = f, x8 asm("x8") = number;

	asm volatile("svc #0" : "+r"(x0)
		     : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8) : "memory");
	return x0;
#else
#error "call() is not written for this architecture"
#endif
}

static __attribute__((noinline)) void sleep_even(long count, const struct timespec *nap)
{
	call(SYS_ppoll, 0, 0, (long)nap, 0, 0, count);
}

static __attribute__((noinline)) void sleep_odd(long count, const struct timespec *nap)
{
	char elsewhere[1000];

	asm volatile("" : : "r"(elsewhere) : "memory");
	call(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)nap, 0, 0, count);
}

static void do_nothing(int signal)
{
}

static void sleep_often(void *unused)
{
	struct sigaction action = { .sa_handler = do_nothing };

	must(sigaction(SIGUSR1, &action, NULL));
	stay_on(sysconf(_SC_NPROCESSORS_ONLN) - 1);
	be_real_time(99);
	start_counter();
	for (;;) {
		struct timespec nap = { sleeper->nap / 1000000000, sleeper->nap % 1000000000 };
		long count = read_counter();
		char name[16];

		snprintf(name, sizeof(name), "%ld", count);
		prctl(PR_SET_NAME, name);
		if (read_counter() != count)
			continue;
		if (count % 2)
			sleep_odd(count, &nap);
		else
			sleep_even(count, &nap);
		/* No switch at all if the time was over before it slept. */
		if (read_counter() > count + 1)
			__atomic_add_fetch(&sleeper->unclean, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&sleeper->turns, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&sleeper->keeps, __ATOMIC_SEQ_CST))
			relax();
	}
}

/* A table, the column that tells even from odd turns, and what it has in these. */
struct witness {
	const char *table, *column, *running_column, *running;
	bool is_of_user;	/* the column has a register of user space */
	char even[100], odd[100];
};

static struct witness witnesses[] = {
	{ "kstacks", "USED", "VALID", "on-cpu" },
	{ "kframes", "FRAME", "FRAME", "on-cpu" },
	{ "syscalls", "PC", "NR", "running", true },
	{ "ustacks", "SP", "VALID", "on-cpu", true },
	{ "uframes", "ADDRESS", "FRAME", "end: on-cpu", true },
};

#define WITNESSES ((int)ARRAY_SIZE(witnesses))

/*
 * The kernel places the frames of each system call at a random offset from the high end of the
 * stack: USED is larger by up to this number of bytes.
 */
#define OFFSET_MAX 1024

static bool is_used(const struct witness *witness)
{
	return !strcmp(witness->column, "USED");
}

/*
 * Learns from a long sleep what the columns have in it: the least USED of odd turns, the most of
 * even ones.
 */
static void learn(pid_t pid)
{
	for (int i = 0; i < WITNESSES; i++) {
		struct rows *table = rows_read(witnesses[i].table);
		size_t row = rows_find(table, pid);
		bool is_odd = (rows_number(table, row, "SWITCHES") - 1) % 2;
		char *known = is_odd ? witnesses[i].odd : witnesses[i].even;
		const char *value = rows_value(table, row, witnesses[i].column);

		if (!*known || !is_used(&witnesses[i]) || (atol(value) < atol(known)) == is_odd)
			snprintf(known, sizeof(witnesses[i].odd), "%s", value);
		rows_free(table);
	}
}

#define LESSONS 20

static pid_t start_sleeper(void)
{
	pid_t pid;

	sleeper->nap = 1000000000000;
	pid = start_child(sleep_often, NULL);
	for (int i = 0; i < LESSONS; i++) {
		wait_for_sleep(pid, pid, "S");
		learn(pid);
		if (i == LESSONS - 1)
			sleeper->nap = 1000000 * slower();
		must(kill(pid, SIGUSR1));
		wait_until(__atomic_load_n(&sleeper->turns, __ATOMIC_SEQ_CST) > (unsigned long)i,
			   "the sleeper does not wake");
	}
	for (int i = 0; i < WITNESSES; i++) {
		ksft_print_msg("%s: %s is %s or %s\n", witnesses[i].table, witnesses[i].column,
			       witnesses[i].even, witnesses[i].odd);
		if (!*witnesses[i].even || !*witnesses[i].odd ||
		    !strcmp(witnesses[i].even, witnesses[i].odd))
			die("%s does not tell one turn from the next", witnesses[i].column);
	}
	return pid;
}

/* What a row says about its count. */
enum verdict { NOTHING, RIGHT, WRONG };

static enum verdict judge_stack(const struct witness *witness, const struct rows *table, size_t row)
{
	long count = rows_number(table, row, "SWITCHES");
	const char *value = rows_value(table, row, witness->column);
	bool is_even = !strcmp(value, witness->even), is_odd = !strcmp(value, witness->odd);

	if (is_used(witness) && *value != '-') {
		is_even = atol(value) > atol(witness->odd) + OFFSET_MAX;
		is_odd = atol(value) < atol(witness->even) - OFFSET_MAX;
	}
	/* A thread that has run meanwhile has one row, and no value from before or after. */
	for (size_t i = 0; i < table->rows; i++)
		if (!strcmp(rows_value(table, i, witness->running_column), witness->running))
			return table->rows == 1 &&
			       (!strcmp(value, "-") || !strcmp(value, witness->running)) ?
			       NOTHING : WRONG;
	if (!is_even && !is_odd)
		return NOTHING;
	if ((count - 1) % 2 != is_odd)
		return WRONG;
	if (!strcmp(witness->table, "syscalls") &&
	    rows_number(table, row, UNUSED_COUNT) + 1 != count)
		return WRONG;
	return RIGHT;
}

/* In `threads`, where no row says whether the thread runs, the count is not newer than the rest. */
static enum verdict judge_name(const struct rows *table, size_t row)
{
	long count = rows_number(table, row, "SWITCHES"), name = rows_number(table, row, "COMM");

	if (count > name + 1)
		return WRONG;
	return count == name + 1 ? RIGHT : NOTHING;
}

/* A row that is wrong proves nothing if something else has preempted the sleeper meanwhile. */
static bool is_clean(unsigned long unclean)
{
	unsigned long turns = __atomic_load_n(&sleeper->turns, __ATOMIC_SEQ_CST);

	wait_until(__atomic_load_n(&sleeper->turns, __ATOMIC_SEQ_CST) > turns + 1,
		   "the sleeper does not wake");
	return __atomic_load_n(&sleeper->unclean, __ATOMIC_SEQ_CST) == unclean;
}

static unsigned long parameter(const char *name)
{
	return parameter_value("run_between", name);
}

/* Opens the table; the sleeper has a turn at that stop. How many stops there are. */
static unsigned long
look_once(const char *name, const struct witness *witness, pid_t pid, unsigned long at, long *found)
{
	unsigned long unclean = __atomic_load_n(&sleeper->unclean, __ATOMIC_SEQ_CST), stops;
	enum verdict verdict;
	struct rows *table;

	set_parameter("run_between", "at", at);
	set_parameter("run_between", "passed", 0);
	table = rows_read(name);
	stops = parameter("passed");
	if (table->rows && table->pid[0] != pid)
		die("another thread in %s", name);
	verdict = witness ? judge_stack(witness, table, 0) : judge_name(table, 0);
	if (parameter("late"))
		die("the sleeper does not run");
	if (verdict == WRONG && !is_clean(unclean))
		verdict = NOTHING;
	if (verdict == WRONG)
		ksft_print_msg("a turn at stop %lu of %lu:\n%s\n", at, stops, table->text);
	found[verdict]++;
	rows_free(table);
	return stops;
}

static void test_turns(const char *name, const struct witness *witness, pid_t pid)
{
	long found[3] = {}, opens = 0;
	unsigned long stops = 1;

	for (int i = 0; i < rounds("ROUNDS", 4, 50); i++)
		/* Without a turn, too. There are fewer stops if the sleeper runs already. */
		for (unsigned long at = 0; at <= stops; at++, opens++) {
			unsigned long now = look_once(name, witness, pid, at, found);

			stops = now > stops ? now : stops;
		}
	ksft_print_msg("%ld opens, %lu stops: %ld right, %ld wrong, %ld prove nothing\n", opens,
		       stops, found[RIGHT], found[WRONG], found[NOTHING]);
	if (witness)
		ksft_test_result(!found[WRONG] && found[RIGHT] > 2 && stops > 4,
				 "%s: thread runs while its row is read: SWITCHES and %s are of one sleep\n",
				 name, witness->column);
	else
		ksft_test_result(!found[WRONG] && found[RIGHT] > 2 && stops > 1,
				 "%s: thread runs while its row is read: SWITCHES is not newer than COMM\n",
				 name);
}

static bool is_running(const struct witness *witness, const struct rows *table)
{
	return !strcmp(rows_value(table, 0, witness->running_column), witness->running);
}

/* Opens the table; at that stop the sleeper wakes, and keeps its CPU until after the open. */
static struct rows *open_at(const struct witness *witness, pid_t pid, unsigned long at)
{
	struct rows *table;

	wait_for_sleep(pid, pid, "S");
	__atomic_store_n(&sleeper->keeps, !!at, __ATOMIC_SEQ_CST);
	set_parameter("run_between", "at", at);
	set_parameter("run_between", "passed", 0);
	table = rows_read(witness->table);
	__atomic_store_n(&sleeper->keeps, 0, __ATOMIC_SEQ_CST);
	if (parameter("late"))
		die("the sleeper does not run");
	return table;
}

/* How many stops there are if the sleeper sleeps. */
static unsigned long stops_of(const struct witness *witness, pid_t pid)
{
	for (time_t end = seconds() + WAIT_LIMIT; seconds() <= end;) {
		struct rows *table = open_at(witness, pid, 0);
		bool running = is_running(witness, table);

		rows_free(table);
		if (!running)
			return parameter("passed");
	}
	errno = 0;
	die("the sleeper runs all the time");
}

/*
 * The sleeper still runs when the look at it goes on: its count is the same, and its registers are
 * others.
 */
static void test_keeps(const struct witness *witness, pid_t pid)
{
	unsigned long stops = stops_of(witness, pid);
	long running = 0, wrong = 0;

	set_parameter("run_between", "keeps", 1);
	for (unsigned long at = 1; at <= stops; at++) {
		struct rows *table = open_at(witness, pid, at);

		running += is_running(witness, table);
		if (!is_running(witness, table) && judge_stack(witness, table, 0) != RIGHT) {
			ksft_print_msg("woken at stop %lu of %lu:\n%s\n", at, stops, table->text);
			wrong++;
		}
		rows_free(table);
	}
	set_parameter("run_between", "keeps", 0);
	ksft_print_msg("%lu stops: %ld times %s\n", stops, running, witness->running);
	ksft_test_result(!wrong && running && stops > 4,
			 "%s: thread wakes while its row is read, and still runs: %s, or %s of its sleep\n",
			 witness->table, witness->running, witness->column);
}

static void test_all_turns(void)
{
	pid_t pid = start_sleeper();
	char *workers, text[20];

	/* Not on the CPU of the sleeper. A worker reads the stacks for `uframes`. */
	stay_on(0);
	workers = run_unbound_items_on(0);
	snprintf(text, sizeof(text), "%d", pid);
	write_set_pid(text);
	snprintf(text, sizeof(text), "pid=%d", pid);
	load_module("/tests/run_between.ko", text);
	for (int i = 0; i < WITNESSES; i++)
		test_turns(witnesses[i].table, &witnesses[i], pid);
	for (int i = 0; i < WITNESSES; i++)
		if (witnesses[i].is_of_user)
			test_keeps(&witnesses[i], pid);
	test_turns("threads", NULL, pid);
	test_turns("processes", NULL, pid);
	write_set_pid("");
	run_unbound_items_as_before(workers);
	ksft_print_msg("%lu turns, %lu with another switch\n", sleeper->turns, sleeper->unclean);
	end_child(pid);
}

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

int main(void)
{
	pid_t child;

	ksft_print_header();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		ksft_exit_skip("needs a second CPU\n");
	ksft_set_plan(2 * TABLES_COUNT + 3 + WITNESSES + 3 + 2);
	load_taskscope("");
	turn = share(sizeof(*turn));
	sleeper = share(sizeof(*sleeper));

	child = start_child(take_turns, NULL);
	wait_for_sleep(child, child, "S");
	test_every_thread();
	test_provoked(child);
	test_joins(child);
	end_child(child);
	test_running();
	test_all_turns();
	ksft_finished();
}
