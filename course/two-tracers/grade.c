// SPDX-License-Identifier: GPL-2.0
/*
 * The witnesses are strace, ltrace, and /proc/PID/syscall. A program can find out that it is
 * traced, and by whom: so /proc/PID/io counts the writes of each run.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "report.h"
#include "guest.h"
#include "rows.h"
#include "stand.h"

/* Only root may write here. */
#define TRACE "/trace"

/* The system calls, and the number of the argument that is given. */
static const struct call {
	const char *name;
	long number;
	int argument;
} calls[] = {
	{ "read", SYS_read, 2 },
#ifdef SYS_poll
	{ "poll", SYS_poll, 2 },
#endif
	{ "futex", SYS_futex, 2 },
	{ "msgrcv", SYS_msgrcv, 3 },
};

static pid_t program;

/* The bytes and lines that were out when it stopped itself. */
static long bytes_before, lines_before;

/* How many times the program has called write, or a call like it. */
static long count_writes(void)
{
	char path[40], *text;
	long count;

	snprintf(path, sizeof(path), "/proc/%d/io", program);
	text = try_slurp(path, NULL);
	/* Without the file, it has ended. */
	count = text ? strtol(value_in(text, "syscw"), NULL, 10) : -1;
	free(text);
	return count;
}

/* Whether it sleeps in the call, with the value that was drawn. */
static bool is_asleep(const struct call *call)
{
	struct proc_syscall now;

	return proc_syscall(program, program, &now) && now.number == call->number &&
	       now.argument[call->argument] == (unsigned long)drawn_number("value") &&
	       proc_state(program, program) == 'S';
}

/* Waits for that. Reports what the program does instead, and returns whether it sleeps. */
static bool look_asleep(const struct call *call)
{
	struct proc_syscall now;
	const char *key;
	char subject[80], got[120];
	char state;
	bool reached = program_reaches(is_asleep(call));

	state = program_has_ended() ? 0 : proc_state(program, program);
	if (reached) {
		snprintf(got, sizeof(got), "%ld", drawn_number("value"));
		key = "argument";
	} else if (!state) {
		snprintf(got, sizeof(got), "%s", program_end());
		key = end_key();
	} else if (state == 'R') {
		snprintf(got, sizeof(got), "it runs");
		key = "busy";
	} else if (proc_syscall(program, program, &now) && now.number == call->number) {
		snprintf(got, sizeof(got), "%ld", (long)now.argument[call->argument]);
		key = "argument";
	} else {
		snprintf(got, sizeof(got), "in state %c, in another system call", state);
		key = "another-call";
	}
	snprintf(subject, sizeof(subject), "asleep in %s, argument %d", call->name,
		 call->argument + 1);
	look("asleep", subject, got, "${value}");
	mistake("asleep", key);
	return reached;
}

static long count_bytes(void)
{
	char *text = program_output();
	long bytes = strlen(text);

	free(text);
	return bytes;
}

static long count_lines(void)
{
	char *text = program_output();
	long lines = 0;

	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	free(text);
	return lines;
}

/* Starts the program, and waits until it stops itself. */
static bool start(const struct call *call)
{
	const char *const arguments[] = { drawn("lines"), drawn("writes"), call->name,
					  drawn("value"), NULL };
	bool stopped;

	program = start_program(arguments);
	stopped = look_at_stop("asleep", "at first");
	bytes_before = count_bytes();
	lines_before = count_lines();
	return stopped;
}

static void look_writes(const char *subject, long writes)
{
	char number[24];

	snprintf(number, sizeof(number), "%ld", writes);
	look("strace", subject, number, "${writes}");
	mistake("strace", writes == drawn_number("lines") ? "unbuffered" :
			  writes < drawn_number("writes") ? "buffered" :
							    "writes");
}

static void look_lines(void)
{
	long lines = count_lines() - lines_before;
	char number[24];

	snprintf(number, sizeof(number), "%ld", lines);
	look("lines", "lines in the output since it stopped", number, "${lines}");
	mistake("lines", lines < drawn_number("lines") ? "buffered" : "lines");
}

/* The row of the program in the table `syscalls`. */
static void show_call(const struct call *call)
{
	struct rows *table = rows_read("syscalls");
	size_t row = rows_find(table, program);
	char column[10];

	snprintf(column, sizeof(column), "ARG%d", call->argument);
	if (row < table->rows)
		shown("syscalls: PID %d, NR %s, CALL %s, %s %s", program,
		      rows_value(table, row, "NR"), rows_value(table, row, "CALL"), column,
		      rows_value(table, row, column));
	rows_free(table);
}

/* A run without a tracer. Returns whether the program sleeps in the call. */
static bool run_alone(const struct call *call)
{
	long before;
	bool asleep = false;

	if (start(call)) {
		before = count_writes();
		must(kill(program, SIGCONT));
		asleep = look_asleep(call);
		if (asleep) {
			look_writes("writes in /proc/PID/io, without a tracer",
				    count_writes() - before);
			look_lines();
			show_call(call);
		}
	}
	end_program();
	return asleep;
}

static pid_t tracer_of(pid_t pid)
{
	static const char key[] = "\nTracerPid:";
	char path[40], *text, *at;
	pid_t tracer;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	text = try_slurp(path, NULL);
	at = text ? strstr(text, key) : NULL;
	tracer = at ? strtol(at + strlen(key), NULL, 10) : 0;
	free(text);
	return tracer;
}

static pid_t start_tracer(const char *name)
{
	char pid[20];
	pid_t tracer = fork_child();

	if (tracer)
		return tracer;
	snprintf(pid, sizeof(pid), "%d", program);
	must(dup2(must(open("/dev/null", O_RDWR)), STDOUT_FILENO));
	must(dup2(STDOUT_FILENO, STDERR_FILENO));
	execlp(name, name, "-f", "-o", TRACE, "-p", pid, NULL);
	_exit(127);
}

/*
 * Whether the tracer is there. strace leaves the program stopped, until SIGCONT; ltrace has it
 * go on when all breakpoints are set.
 */
static bool is_traced(pid_t tracer, bool goes_on)
{
	char state = tracer_of(program) == tracer ? proc_state(program, program) : 0;

	return state && (goes_on ? state != 't' && state != 'T' : state == 't');
}

/* Runs the program under the tracer; what that one prints, or NULL. */
static char *run_under(const char *name, const char *drawn_call, bool goes_on)
{
	const struct call *call = calls;
	char *trace = NULL;
	pid_t tracer;
	long before;

	while (call < calls + ARRAY_SIZE(calls) && strcmp(call->name, drawn(drawn_call)))
		call++;
	if (call == calls + ARRAY_SIZE(calls))
		die("this machine has no system call %s", drawn(drawn_call));
	if (!start(call)) {
		end_program();
		return NULL;
	}
	before = count_writes();
	tracer = start_tracer(name);
	wait_until(has_ended(tracer) || program_has_ended() || is_traced(tracer, goes_on),
		   "%s does not begin", name);
	if (has_ended(tracer) && !program_has_ended()) {
		look(name, "the tracer", "it cannot attach", "it attaches");
		mistake(name, "traced");
		end_program();
		return NULL;
	}
	if (!goes_on)
		must(kill(program, SIGCONT));
	if (look_asleep(call)) {
		char subject[60];

		snprintf(subject, sizeof(subject), "writes in /proc/PID/io, under %s", name);
		look_writes(subject, count_writes() - before);
		look_lines();
		if (tracer_of(program) != tracer)
			die("%s has ended before the program", name);
	}
	/* Then the tracer ends. */
	end_program();
	errno = 0;
	if (WIFSIGNALED(wait_for(tracer)))
		die("%s has crashed", name);
	trace = slurp(TRACE, NULL);
	must(unlink(TRACE));
	return trace;
}

/*
 * Counts the lines "PID NAME(...". ltrace may say from which file the call comes: "PID
 * exe->NAME(...".
 */
static long count_calls(const char *trace, const char *name)
{
	size_t length = strlen(name);
	long count = 0;

	for (const char *line = trace; *line; line += strcspn(line, "\n"), line += !!*line) {
		const char *at = line + strspn(line, "0123456789 ");

		if (!strncmp(at, "exe->", 5))
			at += 5;
		count += !strncmp(at, name, length) && at[length] == '(';
	}
	return count;
}

/*
 * Goes on to the next result of a call: "PID NAME(...) = RESULT", or, of one in two parts, "PID
 * <... NAME resumed> ) = RESULT". The trace is cut into lines. false at its end.
 */
static bool next_result(char **trace, const char *name, long *result)
{
	char *line, resumed[40];

	snprintf(resumed, sizeof(resumed), "<... %s resumed>", name);
	while ((line = next_line(trace))) {
		char *equals = strrchr(line, '=');

		/* The first part of a call has no result; an = in it is the student's. */
		if (!equals || strstr(line, "<unfinished ...>") ||
		    (!count_calls(line, name) && !strstr(line, resumed)))
			continue;
		*result = strtol(equals + 1, NULL, 10);
		return true;
	}
	return false;
}

#define PART "a part of the output"

/* Which call of write has put out no part of the output, or PART. */
static const char *first_empty_write(char *trace)
{
	static char text[80];
	long bytes, all = count_bytes() - bytes_before, written = 0, call = 0;

	while (next_result(&trace, "write", &bytes)) {
		call++;
		written += bytes;
		if (bytes > 0)
			continue;
		snprintf(text, sizeof(text), "call %ld: %ld bytes", call, bytes);
		return text;
	}
	if (written == all)
		return PART;
	snprintf(text, sizeof(text), "%ld bytes in all, and the output has %ld", written, all);
	return text;
}

#define LINE "one line"

/* Which call of printf has printed something else than its line, or LINE. */
static const char *first_other_line(char *trace)
{
	static char text[80];
	char *output = program_output(), *line = output + bytes_before;
	const char *other = LINE;
	long bytes, call = 0;

	while (next_result(&trace, "printf", &bytes)) {
		long length = strcspn(line, "\n");

		length += line[length] == '\n';
		call++;
		if (bytes != length) {
			snprintf(text, sizeof(text), "call %ld: %ld bytes, and line %ld has %ld",
				 call, bytes, call, length);
			other = text;
			break;
		}
		line += length;
	}
	free(output);
	return other;
}

static void look_strace(void)
{
	char *trace = run_under("strace", "strace", false);

	if (!trace)
		return;
	look_writes("lines write(...) of strace", count_calls(trace, "write"));
	shown("strace: %ld calls of write", count_calls(trace, "write"));
	look_at("strace", "what each of these calls has written, by its result",
		first_empty_write(trace), PART, "empty-write");
	free(trace);
}

static void look_ltrace(void)
{
	char *trace = run_under("ltrace", "ltrace", true), number[24];
	long others;

	if (!trace)
		return;
	/* What GCC makes of printf("...\n") and the like. */
	others = count_calls(trace, "puts") + count_calls(trace, "putchar");
	snprintf(number, sizeof(number), "%ld", count_calls(trace, "printf"));
	look("ltrace", "lines printf(...) of ltrace", number, "${lines}");
	mistake("ltrace", others ? "inlined" : "calls");
	shown("ltrace: %ld calls of printf, %ld of puts and putchar, %ld of fflush",
	      count_calls(trace, "printf"), others, count_calls(trace, "fflush"));
	look_at("ltrace", "what each of these calls has printed, by its result",
		first_other_line(trace), LINE, "printed-otherwise");
	free(trace);
}

int main(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (!run_alone(&calls[i]))
			return 0;
	look_strace();
	look_ltrace();
	return 0;
}
