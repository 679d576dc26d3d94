// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is gdb. It finds frames by the unwind tables of the program, and uframes by frame
 * pointers. The functions at the addresses of uframes are those of the program's symbols, by
 * gdb too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "report.h"
#include "guest.h"
#include "rows.h"
#include "stand.h"

/* What pause() of the C library is. */
#ifdef SYS_pause
#define SLEEPS_IN SYS_pause
#else
#define SLEEPS_IN SYS_ppoll
#endif

/* Only root may write here. */
#define COMMANDS "/gdb.commands"

static const char *const functions[] = { "red", "green", "blue" };

/* The calls of the three functions, the outermost first. */
struct chain {
	char text[400];
	int calls;
	/* What gdb has concluded: there is no frame of its own. */
	int inlined, tail_calls;
};

static pid_t program;

/* The function of each frame in uframes. */
static char names[128][40];
static size_t named;
/* Whether the program has one of the three functions at all. */
static bool has_functions;

static bool is_of_the_three(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
		if (!strcmp(functions[i], name))
			return true;
	return false;
}

/* Adds a frame that is further out than those before. Functions of other names do not count. */
static void add_frame(struct chain *chain, const char *name)
{
	size_t length = strlen(name) + 1;

	if (!is_of_the_three(name) || strlen(chain->text) + length >= sizeof(chain->text))
		return;
	memmove(chain->text + length, chain->text, strlen(chain->text) + 1);
	memcpy(chain->text, name, length);
	if (chain->calls++)
		chain->text[length - 1] = ' ';
	else
		chain->text[length] = 0;
}

/* Whether the first thread of the program sleeps in pause(). */
static bool is_asleep(void)
{
	struct proc_syscall call;

	return proc_syscall(program, program, &call) && call.number == SLEEPS_IN &&
	       proc_state(program, program) == 'S';
}

/*
 * What gdb is asked: which of the three functions there are; all frames; and the symbol at each
 * address that uframes has.
 */
static void write_commands(const struct rows *table)
{
	FILE *file = fopen(COMMANDS, "w");

	if (!file)
		die(COMMANDS);
	fprintf(file, "info functions -q -n ^red$\\|^green$\\|^blue$\n"
		      "frame apply all -q info frame\n");
	for (size_t row = rows_find(table, program);
	     row < table->rows && table->pid[row] == program; row++) {
		unsigned long address = strtoul(rows_value(table, row, "ADDRESS"), NULL, 16);

		/* A return address is behind the call, which may be the last of a function. */
		if (address)
			fprintf(file, "printf \"symbol: \"\ninfo symbol %#lx\n",
				address - !!rows_number(table, row, "DEPTH"));
	}
	fclose(file);
}

/*
 * Runs gdb, which takes no command from the program's file; without Python, which takes two
 * seconds to start. Of what it prints, these lines count:
 *
 *	18:	static void red(char **);
 *	 rip = 0x4017a5 in red (backtrace.c:18); saved rip = 0x4017f8
 *	 inlined into frame 5
 *	 tail call frame, caller of frame at 0x7fff3c1848e0
 *	symbol: red + 21 in section .text
 */
static void run_gdb(struct chain *gdb, struct chain *uframes)
{
	char command[200], line[1000], name[100] = "";
	bool has_frames = false;
	FILE *said;

	snprintf(command, sizeof(command),
		 "PYTHONHOME=/none gdb -nx -q --batch -iex 'set auto-load off' -p %d -x %s 2>&1",
		 program, COMMANDS);
	said = popen(command, "r");
	if (!said)
		die("gdb cannot be run");
	while (fgets(line, sizeof(line), said)) {
		if (sscanf(line, " %*[rp]%*[ipc] = %*x in %99[^ .(]", name) == 1) {
			add_frame(gdb, name);
			has_frames = true;
		} else if (!strncmp(line, " inlined into frame", 19)) {
			gdb->inlined += is_of_the_three(name);
		} else if (!strncmp(line, " tail call frame", 16)) {
			gdb->tail_calls += is_of_the_three(name);
		} else if (sscanf(line, "%*d:\t%1s", name) == 1) {
			has_functions = true;
		} else if (sscanf(line, "symbol: %99[^ .(]", name) == 1) {
			/* Without what the compiler adds to the name of a copy. */
			add_frame(uframes, name);
			if (named < ARRAY_SIZE(names))
				snprintf(names[named++], sizeof(*names), "%.39s",
					 strstr(line, " in section ") ? name : "?");
		}
	}
	pclose(said);
	errno = 0;
	if (!has_frames)
		die("gdb has found no frame at all");
}

/* Whether a chain of calls has this one. */
static bool has_call(const char *chain, const char *name, size_t length)
{
	for (; *chain; chain += strcspn(chain, " "), chain += !!*chain)
		if (strcspn(chain, " ") == length && !strncmp(chain, name, length))
			return true;
	return false;
}

/* Whether it is the chain without all the calls of one function, or of two. */
static bool lacks_a_function(const char *chain, const char *whole)
{
	const char *rest = chain;

	for (; *whole; whole += strcspn(whole, " "), whole += !!*whole) {
		size_t length = strcspn(whole, " ");

		if (!has_call(chain, whole, length))
			continue;
		if (strcspn(rest, " ") != length || strncmp(rest, whole, length))
			return false;
		rest += length;
		rest += !!*rest;
	}
	return !*rest;
}

/* Whether it is the chain without its last call. */
static bool lacks_the_last(const char *chain, const char *whole)
{
	const char *last = strrchr(whole, ' ');

	return last && strlen(chain) == (size_t)(last - whole) &&
	       !strncmp(chain, whole, last - whole);
}

static bool is_one_function(const struct chain *chain)
{
	size_t length = strcspn(chain->text, " ");

	for (const char *at = chain->text; *at; at += length + !!at[length])
		if (strncmp(at, chain->text, length) || (at[length] && at[length] != ' '))
			return false;
	return chain->calls > 1;
}

static const char *key_of_gdb(const struct chain *chain, const char *whole, int calls)
{
	if (chain->inlined)
		return "inlined";
	if (!chain->calls && !has_functions)
		return "no-call";
	if (chain->calls == calls && is_one_function(chain))
		return "folded";
	return lacks_a_function(chain->text, whole) ? "tail-call" : "another-chain";
}

static const char *key_of_uframes(const struct chain *uframes, const struct chain *gdb,
				  const char *whole, int calls)
{
	if (gdb->inlined || strcmp(gdb->text, whole))
		return key_of_gdb(gdb, whole, calls);
	if (gdb->tail_calls)
		return "tail-call";
	return lacks_the_last(uframes->text, whole) ? "rest" : "no-frame-pointer";
}

static void show_frames(const struct rows *table)
{
	size_t first = rows_find(table, program);

	for (size_t i = 0; i < named; i++)
		shown("uframes: depth %2zu, %s, in %s()", i,
		      rows_value(table, first + i, "ADDRESS"), names[i]);
	shown("uframes: %s", rows_value(table, first + named, "FRAME"));
}

int main(void)
{
	const char *arguments[10] = { NULL };
	struct chain gdb = { "" }, uframes = { "" };
	char want[400] = "", whole[400] = "";
	int calls = drawn_number("length");
	struct rows *table;

	for (int i = 0; i < calls; i++) {
		char name[10];

		snprintf(name, sizeof(name), "f%d", i + 1);
		arguments[i] = drawn(name);
		sprintf(want + strlen(want), "%s${%s}", i ? " " : "", name);
		sprintf(whole + strlen(whole), "%s%s", i ? " " : "", arguments[i]);
	}
	program = start_program(arguments);
	if (!program_reaches(is_asleep())) {
		bool ended = program_has_ended();

		look("gdb", "the program", ended ? program_end() : "it is not in pause()",
		     "it sleeps in pause()");
		mistake("gdb", ended ? end_key() : "awake");
		end_program();
		return 0;
	}
	table = rows_read("uframes");
	write_commands(table);
	run_gdb(&gdb, &uframes);
	look("gdb", "the calls that gdb finds", gdb.text, want);
	mistake("gdb", key_of_gdb(&gdb, whole, calls));
	look("uframes", "the functions at the addresses in uframes", uframes.text, want);
	mistake("uframes", key_of_uframes(&uframes, &gdb, whole, calls));
	shown("gdb: %s", gdb.text);
	show_frames(table);
	end_program();
	return 0;
}
