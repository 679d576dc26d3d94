// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are programs whose PIDs are drawn, each of which computes on a CPU of its own; the
 * kernel's tracepoint of high-resolution timers, which says on which CPU a timer of the module has
 * expired, and who `current` was; and probes where Rust takes a lock or asks for memory.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "contexts.h"
#include "report.h"
#include "guest.h"

#define CPUS 2
/* More tasks than the oracle knows. */
#define COUNTS_MAX 2000
/* That of the student's file, in nanoseconds. */
#define PERIOD "period=1000000"

/* How often a task was interrupted on a CPU. */
struct counted {
	int cpu, pid;
	unsigned long times;
};

struct counts {
	struct counted counted[COUNTS_MAX];
	size_t number;
	const char *bad; /* a line that is none, or has what another one has */
	const char *key;
};

/* Whether there is room for it. */
static bool add(struct counts *counts, int cpu, int pid, unsigned long times)
{
	if (counts->number == COUNTS_MAX)
		return false;
	counts->counted[counts->number++] = (struct counted){ cpu, pid, times };
	return true;
}

static bool has(const struct counts *counts, int cpu, int pid)
{
	for (size_t i = 0; i < counts->number; i++)
		if (counts->counted[i].cpu == cpu && counts->counted[i].pid == pid)
			return true;
	return false;
}

/* 0 if it has none. */
static unsigned long times_of(const struct counts *counts, int cpu, int pid)
{
	unsigned long times = 0;

	for (size_t i = 0; i < counts->number; i++)
		if (counts->counted[i].cpu == cpu && counts->counted[i].pid == pid)
			times += counts->counted[i].times;
	return times;
}

static unsigned long times_on(const struct counts *counts, int cpu)
{
	unsigned long times = 0;

	for (size_t i = 0; i < counts->number; i++)
		if (counts->counted[i].cpu == cpu)
			times += counts->counted[i].times;
	return times;
}

/* What the kernel says. */
static struct counts *ask_oracle(void)
{
	char *text = slurp("/sys/kernel/debug/callback_oracle", NULL), *rest = text, *line;
	struct counts *counts = calloc(1, sizeof(*counts));

	while ((line = next_line(&rest))) {
		unsigned long times;
		int cpu, pid;

		errno = 0;
		if (sscanf(line, "hrtimer %d %*s %d %lu", &cpu, &pid, &times) == 3 &&
		    !add(counts, cpu, pid, times))
			die("too many tasks");
	}
	free(text);
	return counts;
}

/* What the file says. */
static struct counts *read_counts(void)
{
	char *text = read_answer(), *rest = text, *line;
	struct counts *counts = calloc(1, sizeof(*counts));

	while (!counts->bad && (line = next_line(&rest))) {
		unsigned long times;
		int cpu, pid, end = -1;

		if (sscanf(line, "%d %d %lu%n", &cpu, &pid, &times, &end) != 3 || line[end])
			counts->key = "format";
		else if (has(counts, cpu, pid))
			counts->key = "repeated";
		else if (!add(counts, cpu, pid, times))
			counts->key = "too-many";
		if (counts->key)
			counts->bad = strdup(line);
	}
	free(text);
	return counts;
}

/* How many timer interrupts a CPU has had. */
static unsigned long interrupts_on(int cpu)
{
	char *text = slurp("/proc/interrupts", NULL), *at = strstr(text, "LOC:");
	unsigned long number = 0;

	errno = 0;
	if (!at)
		die("/proc/interrupts has no line LOC");
	at += strlen("LOC:");
	for (int i = 0; i <= cpu; i++)
		number = strtoul(at, &at, 10);
	free(text);
	return number;
}

static struct shared {
	atomic_int computing; /* how many programs compute on their CPUs */
	atomic_bool is_crowded[CPUS]; /* whether enough threads have computed there */
} *shared;

static void compute(int cpu)
{
	stay_on(cpu);
	shared->computing++;
	for (;;)
		;
}

static void compute_on(void *cpu)
{
	compute(*(int *)cpu);
}

static pid_t start_program_on(int cpu, const char *name)
{
	pid_t pid = must(fork_with_pid(drawn_number(name)));

	if (!pid)
		compute(cpu);
	return pid;
}

static void *compute_for_a_moment(void *unused)
{
	double end = monotonic() + 0.002;

	while (monotonic() < end)
		;
	return NULL;
}

/* One thread after another, each for more than a period. */
static void crowd(void *number)
{
	int cpu = *(int *)number;
	pthread_t thread;

	stay_on(cpu);
	while (!shared->is_crowded[cpu]) {
		errno = pthread_create(&thread, NULL, compute_for_a_moment, NULL);
		if (errno)
			die("no thread");
		pthread_join(thread, NULL);
	}
}

static unsigned long begin[CPUS];

static void begin_interrupts(void)
{
	for (int cpu = 0; cpu < CPUS; cpu++)
		begin[cpu] = interrupts_on(cpu);
}

/* Whether each CPU has had so many timer interrupts since then. */
static bool had_interrupts(unsigned long number)
{
	for (int cpu = 0; cpu < CPUS; cpu++)
		if (interrupts_on(cpu) < begin[cpu] + number)
			return false;
	return true;
}

#define ENOUGH 20
/* The tick alone interrupts a CPU that computes: a period of 1 ms passes more often than that. */
#define INTERRUPTS 500

/* Whether both programs were interrupted often enough. */
static bool are_counted(const pid_t *pid)
{
	struct counts *oracle = ask_oracle();
	bool are = true;

	for (int cpu = 0; cpu < CPUS; cpu++)
		are &= times_of(oracle, cpu, pid[cpu]) >= ENOUGH;
	free(oracle);
	return are;
}

/* More tasks than are in a table of a usual size; they are interrupted less often than this. */
#define CROWD 300
#define CROWD_INTERRUPTS (20 * CROWD)

/* Whether so many tasks were interrupted on each CPU. */
static bool are_crowded(void)
{
	struct counts *oracle = ask_oracle();
	bool are = true;

	for (int cpu = 0; cpu < CPUS; cpu++) {
		int tasks = 0;

		for (size_t i = 0; i < oracle->number; i++)
			tasks += oracle->counted[i].cpu == cpu;
		shared->is_crowded[cpu] = tasks >= CROWD;
		are &= tasks >= CROWD;
	}
	free(oracle);
	return are;
}

/* Whether the timer of a CPU has stopped, although the CPU computes. */
static bool has_stopped[CPUS];

static void look_for_stopped_timers(void)
{
	struct counts *before = ask_oracle(), *after;

	begin_interrupts();
	wait_until(had_interrupts(ENOUGH), "the CPUs have no timer interrupts");
	after = ask_oracle();
	for (int cpu = 0; cpu < CPUS; cpu++)
		has_stopped[cpu] = times_on(after, cpu) == times_on(before, cpu);
	free(before);
	free(after);
}

/* Has many tasks interrupted, and returns whether they were. They have ended then. */
static bool interrupt_crowd(void)
{
	pid_t pid[CPUS];

	for (int cpu = 0; cpu < CPUS; cpu++)
		pid[cpu] = start_child(crowd, &(int){ cpu });
	begin_interrupts();
	wait_until(are_crowded() || had_interrupts(CROWD_INTERRUPTS),
		   "the CPUs have no timer interrupts");
	if (!are_crowded())
		look_for_stopped_timers();
	for (int cpu = 0; cpu < CPUS; cpu++)
		end_child(pid[cpu]);
	return are_crowded();
}

static char *how_often(unsigned long number)
{
	char *text;

	must(asprintf(&text, "%lu times", number));
	return text;
}

/* The first row of the file that cannot be right, if it was read between the two oracles. */
static char *first_difference(const struct counts *before, const struct counts *answer,
			      const struct counts *after)
{
	char *text;

	for (size_t i = 0; i < after->number; i++) {
		const struct counted *is = &after->counted[i];
		unsigned long least = times_of(before, is->cpu, is->pid);
		unsigned long got = times_of(answer, is->cpu, is->pid);

		/* The tracepoint comes just before the handler. */
		if (got + 1 >= least && got <= is->times)
			continue;
		must(asprintf(&text, "%lu for PID %d on CPU %d, and the kernel has counted %lu",
			      got, is->pid, is->cpu, is->times));
		return text;
	}
	for (size_t i = 0; i < answer->number; i++) {
		const struct counted *is = &answer->counted[i];

		if (times_of(after, is->cpu, is->pid))
			continue;
		must(asprintf(&text, "%lu for PID %d on CPU %d, which was never interrupted there",
			      is->times, is->pid, is->cpu));
		return text;
	}
	return strdup("none");
}

/* The first row that has become less between two reads. */
static char *first_loss(const struct counts *earlier, const struct counts *later)
{
	char *text;

	for (size_t i = 0; i < earlier->number; i++) {
		const struct counted *was = &earlier->counted[i];
		unsigned long is = times_of(later, was->cpu, was->pid);

		if (is >= was->times)
			continue;
		must(asprintf(&text, "%lu for PID %d on CPU %d, after %lu", is, was->pid, was->cpu,
			      was->times));
		return text;
	}
	return strdup("none");
}

int main(void)
{
	struct counts *earlier, *before, *answer, *after;
	pid_t pid[CPUS], other[CPUS];
	const char *const name[CPUS] = { "zero", "one" };
	const char *const want[CPUS] = { "${zero}", "${one}" };
	const char *key = NULL, *loss;
	unsigned long on[CPUS], enough = ENOUGH;
	bool are_many = false, expires[CPUS];
	int cpus[CPUS_MAX];
	char subject[120];

	if (online_cpus(cpus) != CPUS)
		die("the exercise needs two CPUs");
	shared = must(mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	load_module("/tests/callback_oracle.ko", PERIOD);
	load_module("/tests/atomic_oracle.ko", "");
	load_exercise("each", "word");
	for (int cpu = 0; cpu < CPUS; cpu++)
		pid[cpu] = start_program_on(cpu, name[cpu]);
	wait_until(shared->computing == CPUS, "the programs do not run");
	begin_interrupts();
	wait_until(are_counted(pid) || had_interrupts(INTERRUPTS),
		   "the CPUs have no timer interrupts");
	earlier = read_counts();
	for (int cpu = 0; cpu < CPUS; cpu++)
		end_child(pid[cpu]);
	/* A timer that does not expire, or has another period, may never meet so many. */
	if (are_counted(pid) && !parameter_value("callback_oracle", "off_period")) {
		enough = CROWD;
		are_many = interrupt_crowd();
	}
	before = ask_oracle();
	answer = read_counts();
	after = ask_oracle();

	for (int cpu = 0; cpu < CPUS; cpu++)
		on[cpu] = times_on(after, cpu);
	for (int cpu = 0; cpu < CPUS; cpu++)
		expires[cpu] = on[cpu] >= enough && !has_stopped[cpu];
	if (!expires[0] && !expires[1])
		key = "no-timer";
	else if (!expires[0] || !expires[1])
		key = "one-cpu";
	else if (enough == CROWD && !are_many)
		die("the timers have not met enough threads");
	else if (earlier->bad || answer->bad)
		key = earlier->key ?: answer->key;
	else if (!times_on(answer, 0) || !times_on(answer, 1))
		key = "not-counted";
	for (int cpu = 0; cpu < CPUS; cpu++) {
		snprintf(subject, sizeof(subject), "a timer of yours on CPU %d", cpu);
		look_at("each", subject,
			!on[cpu]	     ? "has never expired" :
			!expires[cpu]	     ? "has expired, and not again and again" :
						 "expires again and again",
			"expires again and again", key);
	}
	look_at_oracle("each",
		       "times that a timer was set to expire after another time than PERIOD",
		       "callback_oracle", "off_period", key ?: "period");
	look_at_oracle("each", "times that a second timer of a CPU has expired",
		       "callback_oracle", "second_timers", key ?: "two-timers");
	if (earlier->bad || answer->bad)
		look_at("whom", "a line of the file", earlier->bad ?: answer->bad,
			"CPU PID TIMES, for each CPU and PID once", key);
	loss = first_loss(earlier, answer);
	/* A handler whose try_lock() fails loses a count. */
	if (!key && parameter_value("atomic_oracle", "mutexes"))
		key = "mutex";
	else if (!key && parameter_value("atomic_oracle", "tries"))
		key = "gives-up";
	else if (!key && strcmp(loss, "none"))
		key = "emptied";
	look_at("whom", "a row that is less when the file is read again", loss, "none", key);
	for (int cpu = 0; cpu < CPUS; cpu++) {
		unsigned long got = times_of(answer, cpu, pid[cpu]);
		char number[20];

		snprintf(number, sizeof(number), "%d", pid[cpu]);
		snprintf(subject, sizeof(subject), "the program that has computed on CPU %d", cpu);
		look_at("whom", subject, got ? number : "not counted there", want[cpu], key);
		look_at("whom", subject, how_often(got),
			how_often(times_of(after, cpu, pid[cpu])), key);
		snprintf(subject, sizeof(subject), "the same program on CPU %d", 1 - cpu);
		look_at("whom", subject, how_often(times_of(answer, 1 - cpu, pid[cpu])),
			how_often(times_of(after, 1 - cpu, pid[cpu])), key);
		shown("CPU %d: interrupted %lu times, program %d %lu times, idle task %lu times",
		      cpu, times_on(answer, cpu), pid[cpu], got, times_of(answer, cpu, 0));
	}
	look_at("all", "the first row that is wrong", first_difference(before, answer, after),
		"none", key);
	look_at_oracle("sleeps", "mutexes that were taken where nothing may sleep",
		       "atomic_oracle", "mutexes", "mutex");
	look_at_oracle("sleeps", "requests for memory that may sleep, where nothing may",
		       "atomic_oracle", "allocations", "allocation");
	look_at_oracle("lock",
		       "locks that were taken in an interrupt, and also while one could come",
		       "atomic_oracle", "locks", "stall");
	/* So that what is wrong so far is known if the kernel does not survive what follows. */
	fflush(stdout);

	unload_exercise("unload");
	before = ask_oracle();
	for (int cpu = 0; cpu < CPUS; cpu++)
		other[cpu] = start_child(compute_on, &(int){ cpu });
	begin_interrupts();
	wait_until(had_interrupts(ENOUGH), "the CPUs have no timer interrupts");
	for (int cpu = 0; cpu < CPUS; cpu++)
		end_child(other[cpu]);
	after = ask_oracle();
	look_at("unload", "how often a timer has expired after the module was gone",
		how_often(times_on(after, 0) + times_on(after, 1) - times_on(before, 0) -
		      times_on(before, 1)),
		how_often(0), "outlives-the-module");
	return 0;
}
