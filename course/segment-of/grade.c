// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are /proc/PID/maps and the addresses in /proc/PID/stat, of two programs that the
 * grader makes; and the table segments, which must agree with these.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "report.h"
#include "guest.h"
#include "range.h"
#include "rows.h"
#include "segments.h"
#include "stand.h"

#define PIECES_MAX 64
#define TEXT_MAX (1024 * 1024)

/* What a program tells the grader. */
static struct shared {
	atomic_bool done;
	unsigned long brk, hole, piece[PIECES_MAX];
	char text[TEXT_MAX];
} *shared;

/* A program: what the grader knows of it, and what the student's function has said. */
struct program {
	pid_t pid;
	const char *name;
	struct range text, data, bss, heap, stack, image;
	struct mapping *mapping;
	size_t mappings;
	struct rows *segments;
	char *answers;
};

/* A program that has a heap with a hole, and small mappings; and that opens the file. */
static void be_program(void *unused)
{
	long pieces = drawn_number("pieces"), heap = drawn_number("heap");
	char *memory = must(mmap(NULL, (2 * pieces + 1) * PAGE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	unsigned long end = (unsigned long)must(sbrk(0));
	size_t used = 0;
	ssize_t count;
	int file;

	/* Each second page is a mapping. */
	for (long i = 0; i <= pieces; i++) {
		must(munmap(memory + 2 * i * PAGE, PAGE));
		if (i < pieces)
			shared->piece[i] = (unsigned long)memory + (2 * i + 1) * PAGE;
	}
	end = (end + PAGE - 1) & -PAGE;
	/* It ends within a page, the rest of which is mapped too. */
	must(brk((void *)(end + heap * PAGE + PAGE / 2)));
	shared->hole = end + PAGE;
	must(munmap((void *)shared->hole, PAGE));
	shared->brk = (unsigned long)must(sbrk(0));
	/* From here on, nothing changes the mappings: malloc() is not called. */
	file = open(ANSWER, O_RDONLY | O_CLOEXEC);
	while (file >= 0 && used < TEXT_MAX - 1 &&
	       (count = read(file, shared->text + used, TEXT_MAX - 1 - used)) > 0)
		used += count;
	shared->text[used] = 0;
	shared->done = true;
}

static struct range range(unsigned long low, unsigned long high)
{
	return (struct range){ low, high };
}

static bool has(const struct range *range, unsigned long address)
{
	return range->low <= address && address < range->high;
}

/* The program waits from now on. */
static struct program start_program_of(const char *name)
{
	struct program program = { .name = name };
	unsigned long stack;

	shared->done = false;
	program.pid = start_child(be_program, NULL);
	if (!module_reaches(shared->done))
		end_as_slow();
	program.answers = strdup(shared->text);
	program.text = range(proc_stat(program.pid, 26), proc_stat(program.pid, 27));
	program.data = range(proc_stat(program.pid, 45), proc_stat(program.pid, 46));
	program.heap = range(proc_stat(program.pid, 47), shared->brk);
	program.bss = range(program.data.high, program.heap.low);
	program.image = proc_image(program.pid);
	program.mappings = proc_mappings(program.pid, &program.mapping);
	stack = proc_stat(program.pid, 28);
	for (size_t i = 0; i < program.mappings; i++) {
		const struct mapping *mapping = &program.mapping[i];

		if (mapping->start <= stack && stack < mapping->end)
			program.stack = range(mapping->start, mapping->end);
	}
	program.segments = rows_read("segments");
	return program;
}

static void end_program_of(struct program *program)
{
	end_child(program->pid);
	free(program->mapping);
	free(program->answers);
	rows_free(program->segments);
}

static bool is_mapped(const struct program *program, unsigned long address)
{
	for (size_t i = 0; i < program->mappings; i++)
		if (program->mapping[i].start <= address && address < program->mapping[i].end)
			return true;
	return false;
}

/* The segments, by their names in the answers and in the table. */
#define NAMES 5
static const char *const names[NAMES] = { "Text", "Data", "Heap", "Stack", "Bss" };
static const char *const rows[NAMES] = { "text", "data", "heap", "stack", "bss" };

static const struct range *range_of(const struct program *program, const char *name)
{
	const struct range *const ranges[NAMES] = { &program->text, &program->data, &program->heap,
						    &program->stack, &program->bss };

	for (int i = 0; i < NAMES; i++)
		if (!strcmp(names[i], name))
			return ranges[i];
	return NULL;
}

static const char *truth_of(const struct program *program, unsigned long address)
{
	if (!is_mapped(program, address))
		return "-";
	for (int i = 0; i < NAMES; i++) {
		if (!has(range_of(program, names[i]), address))
			continue;
		if (address < segment_start(program->segments, program->pid, rows[i]) ||
		    address >= segment_end(program->segments, program->pid, rows[i]))
			die("%lx is in %s, and the table segments does not say that", address,
			    rows[i]);
		return names[i];
	}
	return "Mapping";
}

/* Whether a segment ends there: that is the first address after it. */
static bool is_end(const struct program *program, unsigned long address)
{
	for (int i = 0; i < NAMES; i++)
		if (range_of(program, names[i])->high == address)
			return true;
	return false;
}

/* An answer. */
struct answer {
	char who[10], segment[20];
	unsigned long address;
};

/* The next line of the text that is of `who`; false at its end. */
static bool next_answer(char **text, const char *who, struct answer *answer)
{
	const char *line;

	while ((line = next_line(text)))
		if (sscanf(line, "%9s %lx %19s", answer->who, &answer->address,
			   answer->segment) == 3 && !strcmp(answer->who, who))
			return true;
	return false;
}

/* Which mistake explains a wrong answer. */
static const char *key_of(const struct program *program, const struct answer *answer,
			  const char *truth)
{
	const struct range *got = range_of(program, answer->segment);
	const struct range *want = range_of(program, truth);

	if (got && got->high == answer->address)
		return "end-taken-in";
	if (!strcmp(truth, "-"))
		return "not-mapped";
	if (want && want->low == answer->address && !strcmp(answer->segment, "-"))
		return "start-left-out";
	if (want == &program->bss || got == &program->bss)
		return "bss";
	if (want == &program->stack || got == &program->stack)
		return "stack";
	if (got == &program->heap && got->high < answer->address)
		return "rounded";
	if (!want && has(&program->image, answer->address))
		return "rest-of-the-file";
	return "inside";
}

/* The first wrong answer of a kind, if there is one, and how many answers there are. */
struct result {
	unsigned long answers;
	bool is_wrong;
	struct answer answer;
	const char *truth;
};

static void look_result(const char *id, const struct program *program, const struct result *result,
			const char *key)
{
	char subject[120];

	if (!result->answers) {
		look_at(id, "addresses of the file", "none", "some", "*");
	} else if (result->is_wrong) {
		snprintf(subject, sizeof(subject), "%s, address %#lx", program->name,
			 result->answer.address);
		look_at(id, subject, result->answer.segment, result->truth,
			key ?: key_of(program, &result->answer, result->truth));
	} else {
		look(id, "all addresses", "right", "right");
	}
}

/*
 * Looks at all answers of a program, and returns whether they are right. Those of an end, and of
 * what is not mapped, belong to checks of their own, if `id` is NULL. `key` explains whatever is
 * wrong, if it is not NULL.
 */
static bool look_program(const char *id, const struct program *program, const char *key)
{
	enum { INSIDE, ENDS, NOWHERE, KINDS };
	static const char *const ids[KINDS] = { "inside", "ends", "nowhere" };
	struct result result[KINDS] = { 0 };
	char *text = strdup(program->answers), *rest = text, number[24];
	unsigned long pieces = 0, said = 0;
	long made = drawn_number("pieces");
	struct answer answer;
	bool is_right = true;

	while (next_answer(&rest, "program", &answer)) {
		const char *truth = truth_of(program, answer.address);
		struct result *of = &result[!strcmp(truth, "-")		      ? NOWHERE :
					    is_end(program, answer.address) ? ENDS :
									      INSIDE];

		of->answers++;
		said += strcmp(answer.segment, "-") != 0;
		for (long i = 0; i < made; i++)
			pieces += shared->piece[i] == answer.address &&
				  !strcmp(answer.segment, "Mapping");
		if (of->is_wrong || !strcmp(answer.segment, truth))
			continue;
		*of = (struct result){ of->answers, true, answer, truth };
	}
	free(text);
	if (!said)
		key = "nothing-yet";
	for (int i = 0; i < KINDS; i++) {
		look_result(id ?: ids[i], program, &result[i], key);
		is_right &= !result[i].is_wrong;
	}
	if (id)
		return is_right;
	/* Nothing is mapped beside them: each is asked for once by its first byte. */
	snprintf(number, sizeof(number), "%lu", pieces);
	look_at("pieces", "small mappings of the program whose first byte is in Mapping", number,
		"${pieces}", key);
	for (int i = 0; i < NAMES; i++)
		shown("%-5s %#14lx to %#14lx", names[i],
		      segment_start(program->segments, program->pid, rows[i]),
		      segment_end(program->segments, program->pid, rows[i]));
	return is_right;
}

/* What a kernel thread is told about the addresses of this grader. */
static void __attribute__((format(printf, 3, 4)))
look_kernel(const char *what, const char *key, const char *format, ...)
{
	char parameters[120];
	va_list arguments;
	struct result result = { 0 };
	struct program none = { .name = what };
	struct answer answer;
	char *text;

	va_start(arguments, format);
	vsnprintf(parameters, sizeof(parameters), format, arguments);
	va_end(arguments);
	free(read_answer());
	load_module("/tests/kthread_open.ko", parameters);
	text = read_answer();
	while (next_answer(&text, "kernel", &answer)) {
		result.answers++;
		if (!result.is_wrong && strcmp(answer.segment, "-"))
			result = (struct result){ result.answers, true, answer, "-" };
	}
	if (unload_module("kthread_open"))
		die("kthread_open cannot be unloaded");
	look_result("kernel", &none, &result, key);
	shown("%s: of %lu addresses, %s is in a segment", what, result.answers,
	      result.is_wrong ? "at least one" : "none");
}

int main(void)
{
	struct program program;
	bool was_right;
	pid_t dead;

	shared = must(mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	load_exercise("inside", "word");
	program = start_program_of("a program");
	was_right = look_program(NULL, &program, NULL);
	end_program_of(&program);
	look_kernel("a kernel thread without an address space", "kernel", "path=" ANSWER);
	dead = start_child(NULL, NULL);
	look_kernel("a kernel thread that has borrowed one, of a program that has been killed",
		    "borrowed", "path=" ANSWER " borrow=%d dead=1", dead);
	end_child(dead);
	look_kernel("a kernel thread that has borrowed one", "borrowed",
		    "path=" ANSWER " borrow=%d", getpid());
	/* Its heap begins with more. */
	must(sbrk(drawn_number("heap") * PAGE));
	program = start_program_of("another program");
	look_program("other", &program, was_right ? "other" : NULL);
	end_program_of(&program);
	unload_exercise("other");
	return 0;
}
