// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are the signal, which is looked at by ptrace(2) when it is about to end the
 * program: the fault's address is in it; and then /proc/PID/limits, /proc/PID/maps, the pages of
 * the stack in /proc/PID/smaps, and the stack pointer in /proc/PID/syscall.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "report.h"
#include "guest.h"
#include "rows.h"
#include "stand.h"

#define KIB 1024ul
#define MIB (1024 * KIB)
/* HIGH is as much above LOW, which is a multiple of it, in KiB. */
#define STEP 64
/* The program's soft limit at its start. */
#define SOFT (8 * MIB)
/* No program has anything mapped below. */
#define NULL_END (64 * KIB)

/*
 * The most of its stack that a program does not use when it uses each page on its way down. The
 * kernel leaves up to 8 KiB free between the strings of the arguments and what main() gets.
 */
#define UNUSED (16 * KIB)

/* The program when the signal is about to end it. */
struct death {
	bool seen, in_call;
	int code;	/* SEGV_MAPERR and the like */
	unsigned long address, sp, start, end, used, soft, hard;
};

static pid_t program;

/*
 * Lets the traced program go on, whatever it has stopped for, until a SIGSEGV is about to reach
 * it.
 */
static bool is_dying(void)
{
	int status;

	while ((status = program_stop())) {
		if (status == SIGSEGV)
			return true;
		/* An event is no signal. If something has killed the program, this fails. */
		ptrace(PTRACE_CONT, program, 0, status >> 8 ? 0 : status);
	}
	return false;
}

static void read_limits(struct death *death)
{
	char path[40], *text, *line, soft[24], hard[24];

	snprintf(path, sizeof(path), "/proc/%d/limits", program);
	text = slurp(path, NULL);
	line = strstr(text, "Max stack size");
	if (!line || sscanf(line, "Max stack size %23s %23s", soft, hard) != 2)
		die("%s has no line of the stack", path);
	death->soft = strtoul(soft, NULL, 10);
	death->hard = strtoul(hard, NULL, 10);
	/* "unlimited" */
	death->soft = death->soft ?: RLIM_INFINITY;
	death->hard = death->hard ?: RLIM_INFINITY;
	free(text);
}

/* The bytes of the stack in pages that the program, or execve(), has used. */
static unsigned long stack_used(void)
{
	char path[40], *text, *line;
	unsigned long used = 0;

	snprintf(path, sizeof(path), "/proc/%d/smaps", program);
	text = slurp(path, NULL);
	line = strstr(text, "[stack]");
	line = line ? strstr(line, "\nRss:") : NULL;
	if (line)
		used = strtoul(line + strlen("\nRss:"), NULL, 10) * KIB;
	free(text);
	return used;
}

static struct death look_at_death(void)
{
	struct death death = { .seen = true };
	struct proc_syscall call;
	struct mapping *mapping;
	siginfo_t signal;
	size_t count = proc_mappings(program, &mapping);

	must(ptrace(PTRACE_GETSIGINFO, program, 0, &signal));
	death.code = signal.si_code;
	death.address = (unsigned long)signal.si_addr;
	if (!proc_syscall(program, program, &call))
		die("the program runs, and is to be traced");
	death.in_call = call.number >= 0;
	death.sp = call.sp;
	death.used = stack_used();
	read_limits(&death);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(mapping[i].name, "[stack]")) {
			death.start = mapping[i].start;
			death.end = mapping[i].end;
		}
	free(mapping);
	return death;
}

static void show_tables(const struct death *death)
{
	struct rows *ustacks = rows_read("ustacks");
	size_t row = rows_find(ustacks, program);

	shown("the last fault was at %#lx, %lu KiB below the stack's high end, %#lx",
	      death->address, (death->end - death->address) / KIB, death->end);
	shown("the stack had %lu bytes, the limit is %lu", death->end - death->start, death->soft);
	if (row < ustacks->rows)
		shown("PID %d in `ustacks`: SP is %s, RLIM_CUR is %s, RLIM_MAX is %s", program,
		      rows_value(ustacks, row, "SP"), rows_value(ustacks, row, "RLIM_CUR"),
		      rows_value(ustacks, row, "RLIM_MAX"));
	rows_free(ustacks);
}

/* Whether the program has gone down without leaving out a part of its stack. */
static bool is_used(const struct death *death)
{
	return death->end - death->start <= death->used + UNUSED;
}

/* Which mistake explains what was seen. */
static const char *key_of(const struct death *death)
{
	unsigned long low = drawn_number("low") * KIB, high = low + STEP * KIB;
	unsigned long depth = death->end - death->address;

	if (!death->seen)
		return !program_has_ended()			 ? "alive" :
		       strcmp(end_key(), "program-crashed")	 ? "ended" :
		       !strncmp(program_end(), "signal 11 ", 10) ? "another-thread" :
								   "program-crashed";
	if (death->code <= 0 || death->in_call)
		return "sent";
	if (death->address < NULL_END)
		return "null-pointer";
	if (!death->end || death->address >= death->end || depth > 2 * death->hard)
		return "elsewhere";
	if (death->end - death->start > death->soft)
		return "too-late";
	if (death->hard != drawn_number("hard") * MIB)
		return "hard-limit";
	if (death->soft == SOFT)
		return "no-limit";
	if (death->soft < low || death->soft >= high)
		return "limit-size";
	if (death->end - death->sp >= low && death->end - death->sp < high &&
	    (death->end - death->start < low || !is_used(death)))
		return "jumped";
	return "pointer";
}

/* A size, as the host compares it with LOW: in KiB, rounded down to a multiple of STEP. */
static void look_size(const char *id, const char *what, unsigned long size, const char *key)
{
	char subject[120], number[24];

	snprintf(subject, sizeof(subject), "%s %lu KiB: rounded down to a multiple of %d", what,
		 size / KIB, STEP);
	snprintf(number, sizeof(number), "%lu", size / KIB / STEP * STEP);
	look_at(id, subject, number, "${low}", key);
}

static void look_limits(const struct death *death, const char *key)
{
	char number[40];

	look_size("between", "the address of the last fault is below the stack's high end by",
		  death->end - death->address, key);
	look_size("between", "the stack pointer is below the stack's high end by",
		  death->end - death->sp, key);
	look_size("between", "when the program dies, its stack has", death->end - death->start,
		  key);
	look_at("between", "it has used each page of its stack", is_used(death) ? "yes" : "no",
		"yes", key);
	look_size("limit", "the soft limit in /proc/PID/limits is", death->soft, key);
	look_at("limit", "the stack was within the limit",
		death->end - death->start <= death->soft ? "yes" : "no", "yes", key);
	look_at("limit", "with the page of the last fault, it would not be within the limit",
		death->end - (death->address & -sysconf(_SC_PAGESIZE)) > death->soft ? "yes" : "no",
		"yes", key);
	snprintf(number, sizeof(number), "%lu", death->hard / MIB);
	look_at("hard", "the hard limit in /proc/PID/limits, in MiB", number, "${hard}",
		"hard-limit");
}

int main(void)
{
	struct rlimit limit = { SOFT, drawn_number("hard") * MIB };
	struct death death = { 0 };
	const char *key, *reason = "no fault of the first thread";
	char high[24];
	bool stopped, attached;
	int error;

	must(setrlimit(RLIMIT_STACK, &limit));
	snprintf(high, sizeof(high), "%ld", drawn_number("low") + STEP);
	program = start_program((const char *[]){ drawn("low"), high, NULL });
	stopped = look_at_stop("dies", "before it goes down");
	/* Only one can trace a program. */
	attached = stopped && !ptrace(PTRACE_SEIZE, program, 0, 0);
	error = errno;
	if (attached) {
		must(kill(program, SIGCONT));
		if (program_reaches(is_dying())) {
			death = look_at_death();
			show_tables(&death);
			must(ptrace(PTRACE_DETACH, program, 0, SIGSEGV));
			program_reaches(program_has_ended());
		}
	}
	key = attached ? key_of(&death) : "traced";
	if (death.seen)
		reason = death.in_call || death.code <= 0 ? "a signal that was sent" :
			 death.code == SEGV_MAPERR	    ? "nothing is mapped there" :
							      "no access is allowed there";
	if (stopped && !attached) {
		look_at("dies", "the grader attaches itself", strerror(error), "no error", key);
	} else if (stopped) {
		look_at("dies", "the program", program_end(),
			"signal 11 (Segmentation fault) ended it", key);
		look_at("dies", "the reason of the signal", reason, "nothing is mapped there", key);
	}
	if (death.seen)
		look_limits(&death, key);
	end_program();
	return 0;
}
