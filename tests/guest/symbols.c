// SPDX-License-Identifier: GPL-2.0
/*
 * The name of a frame in a module is that of the module which is there when the stack is read.
 * While `kframes` is opened, between two critical sections, a module with a sleeping thread is
 * unloaded, and another one with the same code is loaded at the same addresses. Each thread must
 * have the name of its own module, which the name of the thread says.
 *
 * TURNS_OF_MODULES, if set, is how often this is tried. The kernel chooses the addresses.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "rows.h"

/* How many tasks a critical section of kframes handles. */
#define SECTION 64

/* So many threads that there are breaks behind the thread of the first module. */
#define CROWD (3 * SECTION)

static unsigned long text_of(const char *module)
{
	char path[100], *text;
	unsigned long address;

	snprintf(path, sizeof(path), "/sys/module/%s/sections/.text", module);
	text = slurp(path, NULL);
	address = strtoul(text, NULL, 16);
	free(text);
	return address;
}

/* The thread of the module, asleep. */
static pid_t sleeper_of(const char *module)
{
	pid_t pid = thread_named(module);

	wait_for_state(pid, pid, "I");
	return pid;
}

/* How many threads the walk visits up to this one. */
static size_t place_of(pid_t pid)
{
	struct rows *table = rows_read("threads");
	size_t place = rows_find(table, pid) + 1;

	rows_free(table);
	return place;
}

static void *read_frames(void *table)
{
	*(struct rows **)table = rows_read("kframes");
	return NULL;
}

/* Whether the innermost frame in a module is that of the thread's function. */
static bool is_named(const struct rows *table, pid_t pid, const char *module)
{
	char begin[40], end[40];

	snprintf(begin, sizeof(begin), "%s_sleeps+", module);
	snprintf(end, sizeof(end), " [%s]", module);
	for (size_t row = rows_find(table, pid);
	     row < table->rows && table->pid[row] == pid; row++) {
		const char *frame = rows_value(table, row, "FRAME");

		if (strchr(frame, '['))
			return !strncmp(frame, begin, strlen(begin)) &&
			       !strcmp(frame + strlen(frame) - strlen(end), end);
	}
	return false;
}

/* What came of a turn: the second module may get other addresses than the first. */
enum turn { ELSEWHERE, RIGHT, WRONG };

static enum turn take_turn(void)
{
	unsigned long first, second;
	struct rows *table;
	char text[32];
	pthread_t reader;
	pid_t one, two;
	bool good;

	load_module("/tests/twin_one.ko", "");
	one = sleeper_of("twin_one");
	first = text_of("twin_one");
	snprintf(text, sizeof(text), "at=%zu", place_of(one) / SECTION + 1);
	start_crowd(CROWD);
	load_module("/tests/hold_walk.ko", text);
	if (pthread_create(&reader, NULL, read_frames, &table))
		die("pthread_create");
	wait_until(parameter_is_set("hold_walk", "stopped"), "the walk does not stop");
	must(unload_module("twin_one") ? -1 : 0);
	load_module("/tests/twin_two.ko", "");
	two = sleeper_of("twin_two");
	second = text_of("twin_two");
	set_parameter("hold_walk", "let_go", 1);
	pthread_join(reader, NULL);
	good = is_named(table, one, "twin_one") && is_named(table, two, "twin_two");
	if (!good)
		ksft_print_msg("PIDs %d and %d:\n%s\n", one, two, table->text);
	ksft_print_msg(".text at %#lx and %#lx\n", first, second);
	rows_free(table);
	must(unload_module("hold_walk") ? -1 : 0);
	must(unload_module("twin_two") ? -1 : 0);
	return !good ? WRONG : first == second ? RIGHT : ELSEWHERE;
}

int main(void)
{
	const long most = rounds("TURNS_OF_MODULES", 5, 50);
	long turns[3] = {};

	ksft_print_header();
	ksft_set_plan(1);
	load_taskscope("");
	for (long i = 0; i < most && (i < 2 || !turns[RIGHT]) && !turns[WRONG]; i++)
		turns[take_turn()]++;
	if (!turns[RIGHT] && !turns[WRONG])
		ksft_test_result_skip("the kernel loads the second module elsewhere\n");
	else
		ksft_test_result(!turns[WRONG],
				 "module in the place of another during an open: each frame has its own\n");
	ksft_finished();
}
