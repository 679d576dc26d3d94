// SPDX-License-Identifier: GPL-2.0
/* The witness is ps, of procps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"
#include "rows.h"

#define MOST 200 /* threads: the program's cgroup has no more */

/* What ps says of the threads of the program, in ascending order of LWP. */
static struct line {
	pid_t pid, lwp;
	char comm[64];
} line[MOST];
static int lines;

static int by_lwp(const void *a, const void *b)
{
	return ((const struct line *)a)->lwp - ((const struct line *)b)->lwp;
}

static void run_ps(void)
{
	FILE *ps = popen("ps -LA -o pid=,lwp=,comm=", "r");
	struct line one;

	if (!ps)
		die("ps cannot be run");
	lines = 0;
	while (fscanf(ps, "%d %d %63[^\n]", &one.pid, &one.lwp, one.comm) == 3)
		if (lines < MOST && is_of_program(one.pid))
			line[lines++] = one;
	if (pclose(ps))
		die("ps has failed");
	qsort(line, lines, sizeof(*line), by_lwp);
}

static int count_processes(void)
{
	int count = 0;

	for (int i = 0; i < lines; i++)
		count += line[i].pid == line[i].lwp;
	return count;
}

static int count_lines(const char *text)
{
	int count = 0;

	for (; (text = strchr(text, '\n')); text++)
		count++;
	return count;
}

/*
 * All threads are there, have other names than the leader, and the program has said as many
 * lines.
 */
static bool is_there(long count)
{
	struct proc_thread *threads;
	size_t all = program_threads(&threads);
	char *said = program_output();
	long named = 0;

	for (size_t i = 0; i < all; i++)
		named += !strncmp(threads[i].comm, drawn("name"), strlen(drawn("name")));
	free(threads);
	all = all == (size_t)count && named == count - 1 && count_lines(said) >= count;
	free(said);
	return all;
}

static void look_number(const char *id, const char *subject, int got, const char *want)
{
	char number[20];

	snprintf(number, sizeof(number), "%d", got);
	look(id, subject, number, want);
}

static void look_names(long count)
{
	char got[2000] = "", want[400] = "program";

	for (int i = 0; i < lines && strlen(got) < sizeof(got) - 80; i++)
		sprintf(got + strlen(got), "%s%s", i ? " " : "", line[i].comm);
	for (long i = 1; i < count; i++)
		sprintf(want + strlen(want), " ${name}%ld", i);
	look("names", "CMD of each thread", got, want);
	mistake("names", "names");
}

/* Whether all lines that the program has said end with the name of the process. */
static bool says_process_names(char *said)
{
	char *rest, *text = strdup(said), name[64];
	int count = 0, same = 0;

	for (char *at = strtok_r(text, "\n", &rest); at; at = strtok_r(NULL, "\n", &rest)) {
		count++;
		same += sscanf(at, "%*d %*d %63[^\n]", name) == 1 && lines &&
			!strcmp(name, line[0].comm);
	}
	free(text);
	return count > 1 && same == count;
}

static void look_said(char *said)
{
	const char *key = count_processes() > 1 ? "forks" :
			  !*said ? "silent" : says_process_names(said) ? "process-names" : "said";
	char *rest, *at = strtok_r(said, "\n", &rest);

	for (int i = 0; i < lines; i++, at = at ? strtok_r(NULL, "\n", &rest) : NULL) {
		char subject[40], want[120], got[120] = "nothing", name[64];
		int pid, lwp;

		if (at && sscanf(at, "%d %d %63[^\n]", &pid, &lwp, name) == 3)
			snprintf(got, sizeof(got), "%d %d %s", pid, lwp, name);
		else if (at)
			snprintf(got, sizeof(got), "%.100s", at);
		snprintf(subject, sizeof(subject), "line %d", i + 1);
		snprintf(want, sizeof(want), "%d %d %s", line[i].pid, line[i].lwp, line[i].comm);
		look("said", subject, got, want);
		mistake("said", key);
	}
	if (!lines) {
		look("said", "the program's lines", "nothing", "a line each thread");
		mistake("said", end_key());
	}
	look("said", "what follows", at ? at : "no line", "no line");
	mistake("said", "said");
}

static void show_tables(void)
{
	struct rows *threads = rows_read("threads"), *processes = rows_read("processes");

	for (int i = 0; i < lines && i < 3; i++) {
		size_t row = rows_find(threads, line[i].lwp);

		if (row < threads->rows)
			shown("PID %d, LWP %d: task_struct %s, %s", line[i].pid, line[i].lwp,
			      rows_value(threads, row, "TASK"), rows_value(threads, row, "COMM"));
	}
	shown("and so on: %d threads, and %s in the table `processes`", lines,
	      lines && rows_find(processes, line[0].pid) < processes->rows ? "one row" : "no row");
	rows_free(threads);
	rows_free(processes);
}

int main(void)
{
	long count = drawn_number("count");
	char subject[120];
	int processes;

	take_pids(40);
	start_program((const char *[]){ drawn("count"), drawn("name"), NULL });
	program_reaches(is_there(count));
	freeze_program();
	run_ps();
	/* Its zombie is a process for ps, too. */
	if (program_has_ended())
		lines = 0;
	processes = count_processes();
	snprintf(subject, sizeof(subject), "processes%s%s", lines ? "" : " that live: ",
		 lines ? "" : program_end());
	look_number("one", subject, processes, "1");
	mistake("one", processes > 1 ? "forks" : end_key());
	look_number("count", "lines of ps -LA", lines, "${count}");
	mistake("count", lines == count + 1 ? "one-too-many" :
			 processes > 1	    ? "forks" :
			 lines		    ? "count" :
					      end_key());
	look_names(count);
	look_said(program_output());
	show_tables();
	end_program();
	return 0;
}
