// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are threads of modules, which have measured their own stacks: some that sleep,
 * one that was preempted. For all other threads it is the table kstacks, before and after.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "cpus.h"
#include "guest.h"
#include "rows.h"

/*
 * Bytes of a stack below the thread's own frame: more than the kernel needs to put a thread to
 * sleep, or to interrupt and preempt a running one.
 */
#define BELOW 1024
/* The CPU of the threads that want to run. This program stays on CPU 0. */
#define BUSY_CPU 1

/* The threads of deep_stack: in the order of that module. */
#define DEEP 4
static struct deep {
	int pid, calls;
	unsigned long size, base, pointer;
	char hash[20];
} deep[DEEP];

/* What the student's function has said of a thread. */
struct answer {
	bool is_there, has_stack, has_use;
	char base[24], size[24], used[24];
};

#define PIDS 4194304
static struct answer *answers;
/* The table, before and after the answers were made. */
static struct rows *before, *after;

static void read_answers(void)
{
	char *text = read_answer(), *line, *rest = text;

	if (!text)
		die("the answer cannot be read");
	free(answers);
	answers = calloc(PIDS, sizeof(*answers));
	while ((line = next_line(&rest))) {
		struct answer answer = { .is_there = true };
		int pid, words = sscanf(line, "%d 0x%23s %23s %23s", &pid, answer.base, answer.size,
					answer.used);

		if (words < 1 || pid < 0 || pid >= PIDS)
			die("the answer has the line '%s'", line);
		answer.has_stack = words == 4;
		answer.has_use = answer.has_stack && strcmp(answer.used, "none");
		answers[pid] = answer;
	}
	free(text);
}

/* Whether the thread has not run between the two tables, or has run all the time. */
static bool is_still(pid_t pid, const char *valid)
{
	size_t first = rows_find(before, pid), second = rows_find(after, pid);

	return first < before->rows && second < after->rows &&
	       !strcmp(rows_value(before, first, "VALID"), valid) &&
	       !strcmp(rows_value(after, second, "VALID"), valid) &&
	       !strcmp(rows_value(before, first, "SWITCHES"),
		       rows_value(after, second, "SWITCHES"));
}

static bool read_all(pid_t spins, pid_t waits, pid_t zombie)
{
	if (before)
		rows_free(before);
	if (after)
		rows_free(after);
	before = rows_read("kstacks");
	read_answers();
	after = rows_read("kstacks");
	return is_still(spins, "on-cpu") && is_still(waits, "ok") && is_still(zombie, "released");
}

static void start_deep(void)
{
	char parameters[80], *text, *line;

	snprintf(parameters, sizeof(parameters), "levels=1,4,%s,%s", drawn("calls"),
		 drawn("more"));
	load_module("/tests/deep_stack.ko", parameters);
	text = slurp("/sys/kernel/debug/deep_stack", NULL);
	line = text;
	for (int i = 0; i < DEEP; i++) {
		if (sscanf(line, "%d %d %lu %19s %lx %lx\n", &deep[i].pid, &deep[i].calls,
			   &deep[i].size, deep[i].hash, &deep[i].base, &deep[i].pointer) != 6)
			die("deep_stack says %s", line);
		wait_for_state(deep[i].pid, deep[i].pid, "I");
		line = strchr(line, '\n') + 1;
	}
	free(text);
}

/* What the thread itself has measured. */
static long own_use(const struct deep *deep)
{
	return deep->base + deep->size - deep->pointer;
}

static const char *use_of(pid_t pid)
{
	const struct answer *answer = &answers[pid];

	return !answer->is_there ? "no line" : !answer->has_stack ? "no stack" : answer->used;
}

/* Whether the use is what the thread itself has measured, and a little more. */
static bool is_near(pid_t pid, long own)
{
	long used = atol(answers[pid].used);

	return answers[pid].has_use && used > own && used < own + BELOW;
}

/* The mistake that explains the use of a thread that does not run; NULL if it is right. */
static const char *mistake_of(pid_t pid, long own, long size, unsigned long pointer)
{
	const struct answer *answer = &answers[pid];
	unsigned long used = strtoul(answer->used, NULL, 10);

	if (is_near(pid, own))
		return NULL;
	if (!answer->has_stack)
		return "no-stack";
	if (!answer->has_use)
		return "no-use";
	if (used + own < (unsigned long)size && used + own > (unsigned long)size - BELOW)
		return "wrong-end";
	return used > pointer - BELOW && used < pointer + BELOW ? "stack-pointer" : "*";
}

/*
 * Below their own frames all of them sleep in the same functions, so that their uses differ by
 * exactly what they have measured. The number of calls of a thread, if that is so.
 */
static char *calls_by_use(const struct deep *deeper)
{
	const struct answer *first = &answers[deep[0].pid], *second = &answers[deeper->pid];
	long wrong = atol(second->used) - atol(first->used) - own_use(deeper) + own_use(&deep[0]);
	char *text;

	if (!first->has_use || !second->has_use)
		return strdup("unknown");
	if (wrong)
		must(asprintf(&text, "a use that is wrong by %ld bytes", wrong));
	else
		must(asprintf(&text, "%d", deeper->calls));
	return text;
}

/* Returns the mistake that was found. */
static const char *look_at_sleepers(void)
{
	char subject[120], want[60];
	const char *key = NULL;

	for (int i = 0; i < DEEP && !key; i++)
		key = mistake_of(deep[i].pid, own_use(&deep[i]), deep[i].size, deep[i].pointer);
	for (int i = 0; i < DEEP; i++) {
		const struct answer *answer = &answers[deep[i].pid];
		long own = own_use(&deep[i]);

		snprintf(subject, sizeof(subject), "use of PID %d, asleep in %d calls", deep[i].pid,
			 deep[i].calls);
		snprintf(want, sizeof(want), "%ld to %ld", own, own + BELOW);
		look_at("asleep", subject, is_near(deep[i].pid, own) ? want : use_of(deep[i].pid),
			want, key);
		snprintf(subject, sizeof(subject), "base of PID %d", deep[i].pid);
		look_at("asleep", subject, answer->has_stack ? answer->base : "no stack",
			deep[i].hash, key ?: "base");
		snprintf(subject, sizeof(subject), "size of the stack of PID %d", deep[i].pid);
		snprintf(want, sizeof(want), "%lu", deep[i].size);
		look_at("asleep", subject, answer->has_stack ? answer->size : "no stack", want,
			key ?: "size");
	}
	look_at("asleep", "calls of the third thread, by its use beside that of the first",
		calls_by_use(&deep[2]), "${calls}", key);
	look_at("asleep", "calls of the fourth thread, by its use beside that of the first",
		calls_by_use(&deep[3]), "${more}", key);
	return key;
}

/* A number and an example, or "none". */
static char *number_of(size_t number, const char *example)
{
	char *text;

	if (!number)
		return strdup("none");
	must(asprintf(&text, "%zu, %s among them", number, example));
	return text;
}

/* Compares with the table what is known of a thread at both times. */
static bool is_right(size_t row, char *example, size_t size)
{
	const char *base = rows_value(before, row, "BASE"), *used = rows_value(before, row, "USED");
	const char *length = rows_value(before, row, "SIZE");
	pid_t pid = before->pid[row];
	const struct answer *answer = &answers[pid];

	if (!pid || !is_still(pid, rows_value(before, row, "VALID")))
		return true;
	if (!strcmp(rows_value(before, row, "VALID"), "released")) {
		snprintf(example, size, "PID %d, which has no stack", pid);
		return answer->is_there && !answer->has_stack;
	}
	if (!strcmp(used, "-"))
		used = "none";
	snprintf(example, size, "PID %d with base %s, size %s, use %s", pid, base, length, used);
	return answer->has_stack && !strcmp(answer->base, base) && !strcmp(answer->size, length) &&
	       !strcmp(answer->used, used);
}

static void look_at_all(const char *key)
{
	char example[200] = "", first[sizeof(example)] = "";
	size_t wrong = 0, fullest = 0;

	for (size_t row = 0; row < before->rows; row++) {
		if (!is_right(row, example, sizeof(example)) && !wrong++)
			memcpy(first, example, sizeof(first));
		if (rows_number(before, row, "USED") > rows_number(before, fullest, "USED"))
			fullest = row;
	}
	look_at("all", "threads of which the table kstacks says something else",
		number_of(wrong, first), "none", key);
	shown("the fullest of %zu stacks: %s of %s bytes, of %s", before->rows,
	      rows_value(before, fullest, "USED"), rows_value(before, fullest, "SIZE"),
	      rows_value(before, fullest, "COMM"));
}

int main(void)
{
	char parameters[30], subject[120], want[60];
	const char *key, *running = "running-guessed";
	pid_t zombie, waits, spins;
	long own;

	if (sysconf(_SC_NPROCESSORS_ONLN) <= BUSY_CPU)
		die("this exercise needs %d CPUs", BUSY_CPU + 1);
	load_exercise("asleep", "word");
	stay_on(0);
	start_deep();
	zombie = start_zombie();
	snprintf(parameters, sizeof(parameters), "cpu=%d", BUSY_CPU);
	load_module("/tests/busy_thread.ko", parameters);
	waits = parameter_value("busy_thread", "pid");
	own = parameter_value("busy_thread", "used");
	spins = load_spin(BUSY_CPU, 30, "how=idle");
	start_spin();
	wait_until(read_all(spins, waits, zombie), "the threads do not do what they should");
	stop_spin();

	key = look_at_sleepers();
	if (!key && (answers[spins].has_use || !answers[waits].has_use))
		running = answers[getpid()].has_use ? "running-guessed" : "letter";
	if (!key && answers[spins].has_use && answers[waits].has_use && !answers[getpid()].has_use)
		running = "current-only";
	snprintf(subject, sizeof(subject), "use of PID %d, which reads the file, and so runs",
		 getpid());
	look_at("running", subject, use_of(getpid()), "none", key ?: running);
	snprintf(subject, sizeof(subject), "use of PID %d, which runs on CPU %d, in state I", spins,
		 BUSY_CPU);
	look_at("running", subject, use_of(spins), "none", key ?: running);
	snprintf(subject, sizeof(subject), "use of PID %d, in state R, which waits for CPU %d",
		 waits, BUSY_CPU);
	snprintf(want, sizeof(want), "%ld to %ld", own, own + BELOW);
	look_at("waiting", subject, is_near(waits, own) ? want : use_of(waits), want,
		key ?: running);
	snprintf(subject, sizeof(subject), "PID %d, a zombie whose stack is released", zombie);
	look_at("released", subject,
		!answers[zombie].is_there ? "no line" :
		answers[zombie].has_stack ? "a stack" : "no stack",
		"no stack", key ?: "released-read");
	look_at_all(key);
	unload_exercise("all");
	return 0;
}
