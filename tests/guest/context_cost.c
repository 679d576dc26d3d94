// SPDX-License-Identifier: GPL-2.0
/*
 * How long an open of `contexts` takes where nothing else happens, and where a program
 * runs on every processor and does nothing else. The figures are printed. Whether they
 * are as promised (50 ms at most, for nine of ten opens) is a result where time can be
 * relied on, and COST says so.
 *
 * OPENS, if set, is how many.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"

#define PROMISED 50.0

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

/* What an open takes, sorted, in milliseconds. */
static void measure(const char *where, double *took, long opens)
{
	for (long i = 0; i < opens; i++) {
		double start = now();
		int file = must(open(TABLES "contexts", O_RDONLY | O_CLOEXEC));

		took[i] = now() - start;
		close(file);
	}
	qsort(took, opens, sizeof(*took), compare);
	ksft_print_msg("%s, milliseconds: min %.1f, median %.1f, of nine in ten %.1f, max %.1f\n",
		       where, took[0], took[opens / 2], took[opens * 9 / 10], took[opens - 1]);
}

/* On every processor. */
static void run(void *cpu)
{
	stay_on(*(int *)cpu);
	for (;;)
		relax();
}

int main(void)
{
	long opens = setting("OPENS", 100);
	double *quiet = calloc(opens, sizeof(*quiet)), *busy = calloc(opens, sizeof(*busy));
	int cpus[CPUS_MAX], online = online_cpus(cpus);
	pid_t pids[CPUS_MAX];
	struct contexts *table;

	ksft_print_header();
	ksft_set_plan(getenv("COST") ? 4 : 2);
	load_taskscope("");
	measure("idle", quiet, opens);
	table = contexts_read();
	ksft_test_result(!contexts_said(table, "did not answer"), "all answer\n");
	contexts_free(table);
	for (int i = 0; i < online; i++)
		pids[i] = start_child(run, &cpus[i]);
	measure("beside programs that run", busy, opens);
	table = contexts_read();
	ksft_test_result(!contexts_said(table, "did not answer"), "all answer beside them\n");
	contexts_free(table);
	for (int i = 0; i < online; i++)
		end_child(pids[i]);
	if (getenv("COST")) {
		ksft_test_result(quiet[opens * 9 / 10] <= PROMISED, "an open takes 50 ms\n");
		ksft_test_result(busy[opens * 9 / 10] <= PROMISED, "and beside them\n");
	}
	ksft_finished();
}
