// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is where the stacks lie: those of the CPUs by the kernel's own variables, and that of
 * the thread by THREAD_SIZE of the kernel's headers. Which code was interrupted is arranged.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "report.h"
#include "guest.h"

/* A line of the answer. */
struct row {
	char what[40], context[20], mode[20], stack[20], comm[40];
	int cpu;
	unsigned long pointer, base, size;
};

#define ROWS_MAX 60

struct answer {
	struct row row[ROWS_MAX];
	size_t rows;
};

static struct answer read_rows(void)
{
	char *text = read_answer(), *rest = text, *line;
	struct answer answer = { 0 };

	if (!text)
		die("the answer cannot be read");
	while ((line = next_line(&rest))) {
		struct row *row = &answer.row[answer.rows++];

		errno = 0;
		if (answer.rows == ROWS_MAX ||
		    sscanf(line, "%39s %d %lx %lx %lx %19s %19s %19s %39s", row->what, &row->cpu,
			   &row->pointer, &row->base, &row->size, row->context, row->mode,
			   row->stack, row->comm) != 9)
			die("a line of the answer: %s", line);
	}
	free(text);
	return answer;
}

/* The first row of that name, on a CPU unless `cpu` is -1. */
static const struct row *find(const struct answer *answer, const char *what, int cpu)
{
	for (size_t i = 0; i < answer->rows; i++)
		if (!strcmp(answer->row[i].what, what) &&
		    (cpu < 0 || answer->row[i].cpu == cpu))
			return &answer->row[i];
	errno = 0;
	die("the answer has no line %s", what);
}

static bool has_row(const struct answer *answer, const char *what)
{
	for (size_t i = 0; i < answer->rows; i++)
		if (!strcmp(answer->row[i].what, what))
			return true;
	return false;
}

/* The address of a variable of the kernel, by /proc/kallsyms: "ADDRESS TYPE NAME", a line each. */
static unsigned long address_of(const char *variable, const char *symbols)
{
	char end[60];
	const char *line;

	snprintf(end, sizeof(end), " %s\n", variable);
	line = strstr(symbols, end);
	errno = 0;
	if (!line)
		die("the kernel has no variable %s", variable);
	while (line > symbols && line[-1] != '\n')
		line--;
	return strtoul(line, NULL, 16);
}

#define STACKS_MAX 8

/* The interrupt stacks and the NMI stacks of the CPUs. */
static struct stack {
	int cpu;
	char kind[20];
	unsigned long begin, end;
} stacks[STACKS_MAX];
static size_t stacks_known;
static unsigned long thread_size;

static void ask_oracles(void)
{
	char *symbols = slurp("/proc/kallsyms", NULL);
	char parameters[120], *text, *rest, *line;

	snprintf(parameters, sizeof(parameters), "irq=%#lx exceptions=%#lx",
		 address_of("hardirq_stack_ptr", symbols),
		 address_of("cea_exception_stacks", symbols));
	free(symbols);
	load_module("/tests/stack_oracle.ko", parameters);
	load_module("/tests/context_oracle.ko", "");
	thread_size = parameter_value("context_oracle", "thread_size");
	text = slurp("/sys/module/stack_oracle/parameters/stacks", NULL);
	rest = text;
	while ((line = next_line(&rest))) {
		struct stack *stack = &stacks[stacks_known++];

		errno = 0;
		if (stacks_known == STACKS_MAX || sscanf(line, "%d %19s %lx %lx", &stack->cpu,
							 stack->kind, &stack->begin,
							 &stack->end) != 4)
			die("a line of the oracle: %s", line);
	}
	free(text);
}

/* Whose stack it is, by the addresses. */
static const char *truth(const struct row *row)
{
	const char *found = NULL;

	if (row->pointer - row->base < thread_size)
		found = "Task";
	for (size_t i = 0; i < stacks_known; i++) {
		const struct stack *stack = &stacks[i];

		if (stack->cpu != row->cpu || row->pointer < stack->begin ||
		    row->pointer >= stack->end)
			continue;
		errno = 0;
		if (found)
			die("%lx is in two stacks", row->pointer);
		found = !strcmp(stack->kind, "irq") ? "Irq" : "Nmi";
	}
	errno = 0;
	if (!found)
		die("%s: %lx is in no stack that is known", row->what, row->pointer);
	return found;
}

static bool is_in(const struct row *row, const char *stack)
{
	return !strcmp(truth(row), stack);
}

static bool is_right(const struct row *row)
{
	return is_in(row, row->stack);
}

/* "Task of COMM", or another stack. */
static char *whose(const char *stack, const char *comm)
{
	char *text;

	must(asprintf(&text, strcmp(stack, "Task") ? "%s" : "%s of %s", stack, comm));
	return text;
}

/* `comm` is the name of the arranged `current`; with NULL, any task may be `current`. */
static void compare(const char *id, const struct row *row, const char *comm, const char *key)
{
	char subject[120];

	snprintf(subject, sizeof(subject), "%s, stack pointer %#lx, stack of current from %#lx",
		 row->what, row->pointer, row->base);
	look_at(id, subject, whose(row->stack, row->comm),
		whose(truth(row), comm ?: row->comm), key);
	shown("%-13s on CPU %d: %s", row->what, row->cpu, whose(row->stack, row->comm));
}

static void compute(void *cpu)
{
	stay_on(*(int *)cpu);
	must(prctl(PR_SET_NAME, drawn("victim")));
	for (;;)
		;
}

static bool is_victim(const struct row *row)
{
	return !strcmp(row->comm, drawn("victim"));
}

/* Whether the timer of CPU 1 has interrupted the program in user space. */
static bool has_interrupted(struct answer *answer)
{
	const struct row *row;

	*answer = read_rows();
	row = find(answer, "hrtimer", 1);
	return is_victim(row) && !strcmp(row->mode, "user");
}

/* Whether an NMI has come that uses this stack: from the program, or from the kernel's own code. */
static bool has_nmi(int port, struct answer *answer, const char *stack)
{
	const struct row *row;

	must(write(port, "\n", 1));
	*answer = read_rows();
	if (!has_row(answer, "nmi"))
		return false;
	row = find(answer, "nmi", 0);
	return is_in(row, stack) && is_victim(row) == !strcmp(stack, "Task");
}

/* Compares the ends of the stacks that do not exist: of this kernel's size, or of other sizes. */
static bool compare_ends(const struct answer *answer, const char *id, bool of_this_size,
			 bool report, const char *key)
{
	bool all_right = true;

	for (size_t i = 0; i < answer->rows; i++) {
		const struct row *row = &answer->row[i];
		bool is_nmi = !strcmp(row->context, "nmi"), is_inside;
		const char *want, *mistake = key;
		char subject[120];
		bool is_of_this_size = row->size == thread_size;

		if (*row->comm != '-' || is_of_this_size != of_this_size)
			continue;
		is_inside = row->pointer >= row->base && row->pointer < row->base + row->size;
		want = is_inside ? "Task" : is_nmi ? "Nmi" : "Irq";
		all_right &= !strcmp(row->stack, want);
		if (!report)
			continue;
		snprintf(subject, sizeof(subject), "%#lx of %s, stack from %#lx of %lu bytes",
			 row->pointer, is_nmi ? "an NMI" : "an interrupt", row->base, row->size);
		if (!mistake && of_this_size)
			mistake = !strcmp(row->what, "end")    ? "high-end" :
				  !strcmp(row->what, "lowest") ? "low-end" :
								 NULL;
		look_at(id, subject, row->stack, want, mistake);
	}
	return all_right;
}

int main(void)
{
	int port = must(open("/dev/nmi", O_WRONLY | O_CLOEXEC));
	struct answer user, nmi_user, nmi;
	const char *key = NULL;
	const struct row *row;
	pid_t victim;

	ask_oracles();
	load_exercise("call", "victim");
	must(prctl(PR_SET_NAME, drawn("reader")));
	stay_on(0);
	victim = start_child(compute, &(int){ 1 });
	wait_until(has_interrupted(&user), "no timer interrupts the program");
	end_child(victim);
	stay_on(1);
	victim = start_child(compute, &(int){ 0 });
	wait_until(has_nmi(port, &nmi_user, "Task"), "no NMI comes to the program");
	end_child(victim);
	wait_until(has_nmi(port, &nmi, "Nmi"), "no NMI comes to the idle task");

	row = find(&user, "hrtimer", 1);
	if (!is_right(find(&user, "syscall", -1)))
		key = !strcmp(row->stack, "Irq") ? "nothing-yet" : NULL;
	else if (!strcmp(find(&nmi, "below", -1)->stack, "Task") ||
		 !strcmp(find(&nmi, "above", -1)->stack, "Task"))
		key = "one-end";
	else if (is_right(find(&user, "interrupt", -1)) && !is_right(row))
		key = "context-alone";
	else if (is_right(row) && !is_right(find(&nmi, "nmi", 0)))
		key = "nmi";
	else if (compare_ends(&nmi, "ends", true, false, NULL) &&
		 !compare_ends(&nmi, "sizes", false, false, NULL))
		key = "size-written-in";

	compare("call", find(&user, "syscall", -1), "${reader}", key);
	compare("interrupt", find(&user, "interrupt", -1), NULL, key);
	compare("softirq", find(&user, "softirq", -1), NULL, key);
	compare("softirq", find(&user, "softirq-later", -1), NULL, key);
	compare("user", row, "${victim}", key);
	compare("user", find(&nmi_user, "nmi", 0), "${victim}", key);
	compare("nmi", find(&nmi, "nmi", 0), NULL, key);
	compare_ends(&nmi, "ends", true, true, key);
	compare_ends(&nmi, "sizes", false, true, key);
	unload_exercise("sizes");
	return 0;
}
