// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

#include "cpus.h"
#include "guest.h"

struct cpu_rows cpus_rows(const struct rows *table, int cpu)
{
	struct cpu_rows rows = { table->rows, 0 };

	for (size_t row = 0; row < table->rows; row++)
		if (rows_number(table, row, "CPU") == cpu && !rows.count++)
			rows.first = row;
	return rows;
}

const char *cpus_value(const struct rows *table, int cpu, const char *column)
{
	struct cpu_rows rows = cpus_rows(table, cpu);

	return rows.count ? rows_value(table, rows.first, column) : "none";
}

bool cpus_frame(const struct rows *table, int cpu, const char *begin)
{
	struct cpu_rows rows = cpus_rows(table, cpu);

	for (size_t i = 0; i < rows.count; i++)
		if (!strncmp(rows_value(table, rows.first + i, "FRAME"), begin, strlen(begin)))
			return true;
	return false;
}

size_t cpus_said(const struct rows *table, const char *words)
{
	size_t said = 0;

	for (const char *line = table->summary; line; line = strchr(line + 1, '\n')) {
		size_t length = strcspn(line + 1, "\n");
		char *copy = strndup(line, length + 1);

		said += !!strstr(copy, words);
		free(copy);
	}
	return said;
}

static bool same_but_for_frames(const struct rows *table, size_t row)
{
	static const char * const columns[] = { "TGID", "PID", "CONTEXT", "VALID", "COMM" };

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (strcmp(rows_value(table, row, columns[i]),
			   rows_value(table, row - 1, columns[i])))
			return false;
	return true;
}

/* How many stacks are truncated, by the summary. */
static long said_truncated(const struct rows *table)
{
	const char *words = strstr(table->summary, " stacks truncated");
	long count = 0;

	if (words)
		while (words > table->summary && words[-1] != '\n')
			words--;
	return words && sscanf(words, "# %ld stacks", &count) != 1 ? -1 : count;
}

bool cpus_whole(const struct rows *table)
{
	long last = -1, depth = 0, cpus = 0, sampled = 0, full = 0, counted[3] = { -1, -1, -1 };
	bool good = true;

	for (size_t row = 0; row < table->rows; row++) {
		long cpu = rows_number(table, row, "CPU");
		bool is_sampled = !strcmp(rows_value(table, row, "VALID"), "sampled") ||
				  !strcmp(rows_value(table, row, "VALID"), "locked");

		good &= cpu > last ||
			(cpu == last && is_sampled && same_but_for_frames(table, row));
		if (cpu != last) {
			cpus++;
			sampled += is_sampled;
			depth = 0;
		}
		last = cpu;
		good &= rows_number(table, row, "DEPTH") == (is_sampled ? depth++ : -1);
		good &= depth <= MOST_FRAMES;
		full += depth == MOST_FRAMES;
		if (!is_sampled)
			good &= !strcmp(rows_value(table, row, "CONTEXT"), "-") &&
				!strcmp(rows_value(table, row, "FRAME"), "-");
	}
	sscanf(table->summary, "# %ld CPUs online, %ld sampled within %ld ns", &counted[0],
	       &counted[1], &counted[2]);
	good &= counted[0] == cpus && counted[1] == sampled && (counted[2] >= 0) == (sampled > 1);
	good &= said_truncated(table) ? said_truncated(table) > 0 && said_truncated(table) <= full :
		!cpus_said(table, "truncated");
	if (!good)
		ksft_print_msg("%.3000s\n", table->text);
	return good;
}

pid_t load_spin(int cpu, int limit, const char *how)
{
	char parameters[60];

	snprintf(parameters, sizeof(parameters), "cpu=%d limit=%d %s", cpu, limit, how);
	load_module("/tests/spin.ko", parameters);
	return thread_named("spin");
}

void start_spin(void)
{
	set_parameter("spin", "go", 1);
	wait_until(parameter_is_set("spin", "spins"), "the module spin has not started");
}

void stop_spin(void)
{
	set_parameter("spin", "stop", 1);
	wait_until(parameter_is_set("spin", "ended"), "the module spin has not stopped");
}

void unload_spin(void)
{
	must(unload_module("spin") ? -1 : 0);
}

static int (*beside)(void);

static int run_beside(void)
{
	int result;

	start_spin();
	result = beside();
	stop_spin();
	return result;
}

int beside_disabled_interrupts(int cpu, int (*body)(void))
{
	int result;

	stay_on(0);
	load_spin(cpu, SPIN_LIMIT, "how=disabled");
	beside = body;
	result = in_child(run_beside);
	unload_spin();
	return result;
}
