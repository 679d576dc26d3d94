// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is the situation: what the grader's half of the module has disabled, and how often,
 * which is drawn, and in which context it has called the student's function. For the numbers of
 * other kernels, and for how deep an NMI finds its CPU, it is the arithmetic of the kernel's
 * headers, in C.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"

/* The fields of the student's `Bits`. */
struct bits {
	unsigned long preempt, bottom_halves, softirq, hardirqs, nmi, task;
};

/* A line of the answer. */
struct row {
	char kernel[20], what[40];
	unsigned long count, preempt, softirq, hardirq, nmi;
	struct bits bits;
};

#define ROWS_MAX 40

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
		struct bits *bits = &row->bits;

		errno = 0;
		if (answer.rows == ROWS_MAX ||
		    sscanf(line, "%19s %39s %lx %lx %lx %lx %lx %lu %lu %lu %lu %lu %lu",
			   row->kernel, row->what, &row->count, &row->preempt, &row->softirq,
			   &row->hardirq, &row->nmi, &bits->preempt, &bits->bottom_halves,
			   &bits->softirq, &bits->hardirqs, &bits->nmi, &bits->task) != 13)
			die("a line of the answer: %s", line);
	}
	free(text);
	return answer;
}

static const struct row *find(const struct answer *answer, const char *kernel, const char *what)
{
	for (size_t i = 0; i < answer->rows; i++)
		if (!strcmp(answer->row[i].kernel, kernel) && !strcmp(answer->row[i].what, what))
			return &answer->row[i];
	return NULL;
}

static unsigned long number(unsigned long count, unsigned long mask)
{
	return (count & mask) / (mask & -mask);
}

/* What the macros of preempt.h say. */
static struct bits truth(const struct row *row)
{
	unsigned long softirqs = number(row->count, row->softirq);
	unsigned long hardirqs = number(row->count, row->hardirq);
	unsigned long nmi = !!(row->count & row->nmi);

	return (struct bits){
		.preempt = number(row->count, row->preempt),
		.bottom_halves = softirqs / 2,
		.softirq = softirqs % 2,
		.hardirqs = hardirqs,
		.nmi = nmi,
		.task = !(softirqs % 2) && !hardirqs && !nmi,
	};
}

static bool equal(struct bits one, struct bits other)
{
	return !memcmp(&one, &other, sizeof(one));
}

static char *text_of(struct bits bits)
{
	char *text;

	must(asprintf(&text,
		      "preempt %lu, bottom_halves %lu, softirq %s, hardirqs %lu, nmi %s, task %s",
		      bits.preempt, bits.bottom_halves, bits.softirq ? "true" : "false",
		      bits.hardirqs, bits.nmi ? "true" : "false", bits.task ? "true" : "false"));
	return text;
}

/* The mistake that explains a wrong row; NULL if none is known. */
static const char *key_of(const struct row *row, struct bits want)
{
	struct bits got = row->bits, bit;
	unsigned long unshifted = row->count & row->preempt;

	if (want.preempt && got.preempt != want.preempt && got.preempt == unshifted)
		return "not-shifted";
	if (want.bottom_halves && got.bottom_halves > 2 * want.bottom_halves + 1)
		return "not-shifted";
	if (want.hardirqs && got.hardirqs == (row->count & row->hardirq))
		return "not-shifted";
	if (want.bottom_halves && !want.softirq && got.softirq)
		return "disabled-is-not-served";
	if (want.softirq + want.bottom_halves &&
	    got.bottom_halves == number(row->count, row->softirq))
		return "two-for-each";
	bit = want;
	bit.hardirqs = got.hardirqs;
	if (want.nmi && !got.hardirqs && want.hardirqs && equal(got, bit))
		return "nmi-counts-as-hardirq";
	bit = want;
	bit.task = got.task;
	if (equal(got, bit))
		return got.task ? "task-in-an-interrupt" : "disabled-is-task";
	return NULL;
}

/* Compares a row with what must be there; the mistake in `key`, if there is one, explains all. */
static void compare(const char *id, const struct row *row, struct bits want, const char *key)
{
	char subject[120];

	snprintf(subject, sizeof(subject), "%s, preempt_count %08lx", row->what, row->count);
	if (strcmp(row->kernel, "this"))
		snprintf(subject + strlen(subject), sizeof(subject) - strlen(subject),
			 ", masks %lx %lx %lx %lx", row->preempt, row->softirq, row->hardirq,
			 row->nmi);
	look_at(id, subject, text_of(row->bits), text_of(want), key ?: key_of(row, want));
}

/* The rows of this kernel, but for the NMI, and what the situation is. */
static struct situation {
	const char *id, *what;
	bool preempt, bottom_halves; /* disabled, as often as was drawn */
	bool softirq, hardirq;
} situations[] = {
	{ "disabled", "disabled", true, true },
	{ "task", "syscall" },
	{ "task", "preemption-disabled", true },
	{ "task", "bottom-halves-disabled", false, true },
	{ "task", "interrupts-disabled" },
	{ "softirq", "softirq", false, false, true },
	{ "softirq", "disabled-in-softirq", false, true, true },
	{ "hardirq", "hardirq", false, false, false, true },
	{ "hardirq", "hardirq-beside-disabled", false, true, false, true },
	{ "hardirq", "hardirq-in-softirq", false, false, true, true },
};

#define SITUATIONS (sizeof(situations) / sizeof(*situations))

static unsigned long constant(const char *name)
{
	return parameter_value("context_oracle", name);
}

static const struct row *row_of(const struct answer *answer, const char *what)
{
	const struct row *row = find(answer, "this", what);

	errno = 0;
	if (!row)
		die("the answer has no line %s", what);
	if (row->preempt != constant("preempt_mask") || row->softirq != constant("softirq_mask") ||
	    row->hardirq != constant("hardirq_mask") || row->nmi != constant("nmi_mask"))
		die("the masks of %s are not those of the kernel's headers", what);
	return row;
}

/*
 * What the situation says. The number must say the same. How often preemption is disabled below a
 * softirq or an interrupt, only the number says: local_bh_enable() and irq_work_queue() disable it.
 */
static struct bits bits_of(const struct situation *situation, const struct row *row,
			   const unsigned long *disabled)
{
	struct bits want = {
		.preempt = situation->preempt ? disabled[0] :
			   situation->softirq || situation->hardirq ? truth(row).preempt : 0,
		.bottom_halves = situation->bottom_halves ? disabled[1] : 0,
		.softirq = situation->softirq,
		.hardirqs = situation->hardirq,
		.task = !situation->softirq && !situation->hardirq,
	};

	errno = 0;
	if (!equal(want, truth(row)))
		die("%s: preempt_count is %lx, %s", row->what, row->count, text_of(truth(row)));
	return want;
}

/* Injects an NMI, which goes to the first CPU, and reads the file. */
static bool has_nmi(int port, struct answer *answer)
{
	must(write(port, "\n", 1));
	*answer = read_rows();
	return find(answer, "this", "nmi");
}

static bool is_right(const struct answer *answer, const struct situation *situation,
		     const unsigned long *disabled)
{
	const struct row *row = row_of(answer, situation->what);

	return equal(row->bits, bits_of(situation, row, disabled));
}

int main(void)
{
	int port = must(open("/dev/nmi", O_WRONLY | O_CLOEXEC));
	unsigned long disabled[2];
	const char *key = NULL;
	struct answer answer;
	const struct row *row;
	char depths[60];
	size_t right = 0;

	load_module("/tests/context_oracle.ko", "");
	load_exercise("disabled", "disabled");
	if (sscanf(drawn("disabled"), "%lu,%lu", &disabled[0], &disabled[1]) != 2)
		die("what was drawn is %s", drawn("disabled"));
	wait_until(has_nmi(port, &answer), "no NMI comes");

	for (size_t i = 0; i < SITUATIONS; i++)
		right += is_right(&answer, &situations[i], disabled);
	row = row_of(&answer, "disabled");
	if (!row->bits.preempt && !row->bits.bottom_halves)
		key = "nothing-yet";
	else if (row_of(&answer, "interrupts-disabled")->bits.hardirqs ||
		 row_of(&answer, "interrupts-disabled")->bits.nmi)
		key = "interrupts-disabled";
	snprintf(depths, sizeof(depths), "%lu,%lu", row->bits.preempt, row->bits.bottom_halves);
	look_at("disabled", "how often preemption, and bottom halves", depths, "${disabled}",
		key ?: key_of(row, truth(row)));
	for (size_t i = 0; i < SITUATIONS; i++) {
		row = row_of(&answer, situations[i].what);
		compare(situations[i].id, row, bits_of(&situations[i], row, disabled), key);
		shown("%-24s %08lx: %s", row->what, row->count, text_of(row->bits));
	}
	row = row_of(&answer, "nmi");
	if (!truth(row).nmi || !truth(row).hardirqs)
		die("the number in an NMI is %lx", row->count);
	compare("nmi", row, truth(row), key);
	shown("%-24s %08lx: %s", row->what, row->count, text_of(row->bits));
	for (size_t i = 0; i < answer.rows; i++) {
		row = &answer.row[i];
		if (strcmp(row->kernel, "this"))
			compare("others", row, truth(row),
				key ?: right == SITUATIONS ? "written-in" : NULL);
	}
	unload_exercise("others");
	return 0;
}
