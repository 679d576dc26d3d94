// SPDX-License-Identifier: GPL-2.0
/*
 * Hashing fails closed: if %p prints neither hashes nor the addresses, the module cannot
 * know whether %p hashes, and hides every address of the table. A test module changes what
 * %p prints, from the first call on or from a later one, when rows already have hashes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include <kselftest.h>

#include "crowd.h"
#include "guest.h"
#include "rows.h"

#define HIDDEN "(____ptrval____)"

static const struct {
	const char *what, *mode;
	int from;
} unknown[] = {
	{ "neither hashes nor addresses", "garbage", 0 },
	{ "neither hashes nor addresses, after hashes", "garbage", 3 },
	{ "nothing", "short", 0 },
	{ "more than there is room for", "long", 0 },
	{ "more than there is room for, after hashes", "long", 3 },
	{ "no random numbers yet", "placeholder", 0 },
	{ "half of them hashed", "half", 0 },
	{ "addresses, after hashes", "raw", 3 },
};

static const struct {
	const char *table, *columns[2];
} tables[] = {
	{ "threads", { "TASK", "STACK" } },
	{ "processes", { "TASK", "STACK" } },
	{ "kstacks", { "BASE" } },
};

static bool has_printed_else(void)
{
	return parameter_value("break_hash", "broken");
}

static bool is_hidden(const char *value)
{
	return !strcmp(value, HIDDEN);
}

static bool is_hash(const char *value)
{
	return is_address(value) && !strncmp(value, "00000000", 8);
}

static bool is_raw(const char *value)
{
	/* Kernel addresses start like this on every architecture. */
	return is_address(value) && !strncmp(value, "fff", 3);
}

/* Every address of a table is of that kind, and the table has some. */
static bool all(const char *name, const char * const columns[2], bool (*is_so)(const char *))
{
	struct rows *table = rows_read(name);
	size_t count = 0, wrong = 0;

	for (size_t i = 0; i < table->rows; i++) {
		for (int j = 0; j < 2 && columns[j]; j++) {
			const char *value = rows_value(table, i, columns[j]);

			/* The stack has been released. */
			if (!strcmp(value, "-"))
				continue;
			count++;
			if (!is_so(value) && !wrong++)
				ksft_print_msg("%s: %s is %s\n", name, columns[j], value);
		}
	}
	if (wrong)
		ksft_print_msg("%s: %zu values of %zu are wrong\n", name, wrong, count);
	rows_free(table);
	return count > 30 && !wrong;
}

/* The same for `current`. */
static bool all_of_current(bool (*is_so)(const char *))
{
	static const char * const keys[] = { "\ntask_struct: ", "\nstack_start: " };
	char *text = slurp(TABLES "current", NULL);
	bool good = true;

	for (int i = 0; i < 2; i++) {
		char *value = strstr(text, keys[i]), word[20];

		if (!value || sscanf(value + strlen(keys[i]), "%19s", word) != 1 || !is_so(word)) {
			ksft_print_msg("current: %.300s\n", text);
			good = false;
		}
	}
	free(text);
	return good;
}

static void load(const char *mode, int from)
{
	char parameters[50];

	snprintf(parameters, sizeof(parameters), "mode=%s from=%d", mode, from);
	load_module("/tests/break_hash.ko", parameters);
	load_taskscope("");
}

static void unload(void)
{
	must(unload_module("taskscope") ? -1 : 0);
	must(unload_module("break_hash") ? -1 : 0);
}

/*
 * A table has two addresses for each thread. %p prints eight at a time, and each address once. The
 * limit has room for twice as many: some threads may come and go.
 */
static void test_cost(void)
{
	struct sysinfo machine;
	bool good = true;

	must(sysinfo(&machine));
	load("garbage", machine.procs / 2 + 1);
	for (int i = 0; i < 10; i++)
		good = all("threads", tables[0].columns, is_hash) && good;
	ksft_test_result(good && !has_printed_else(),
			 "a table is read ten times: %%p is called for eight addresses at once\n");
	unload();
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(unknown) + 4);
	/* With so many threads, a table takes several calls. */
	start_crowd(50);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		bool good = true;

		/* The first case is tried on every table, the other cases on one. */
		for (size_t j = 0; j < (i ? 1 : ARRAY_SIZE(tables)); j++) {
			/* A known address is not hashed again. One call is for the log line. */
			load(unknown[i].mode, unknown[i].from ? unknown[i].from + 1 : 0);
			good = all(tables[j].table, tables[j].columns, is_hidden) && good;
			good = has_printed_else() && good;
			unload();
		}
		ksft_test_result(good, "%%p prints %s: all addresses are hidden\n",
				 unknown[i].what);
	}

	load("garbage", 0);
	ksft_test_result(all_of_current(is_hidden),
			 "%%p prints neither hashes nor addresses: current hides its addresses\n");
	unload();

	/* What a kernel booted with no_hash_pointers prints. */
	load("raw", 0);
	ksft_test_result(all("threads", tables[0].columns, is_raw) && all_of_current(is_raw),
			 "%%p prints addresses from the first call on: so do the tables\n");
	unload();

	test_cost();

	load_taskscope("");
	ksft_test_result(all("threads", tables[0].columns, is_hash) && all_of_current(is_hash),
			 "%%p prints hashes: so do the tables\n");
	ksft_finished();
}
