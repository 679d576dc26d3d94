// SPDX-License-Identifier: GPL-2.0
/* The witness is /proc. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"
#include "rows.h"

/* The process of the program that comes closest: a dead leader and most living threads. */
struct group {
	pid_t tgid;
	char state; /* of the leader */
	int living; /* besides the leader */
	struct proc_thread thread[2];
	int children; /* processes that have ended, all of them */
};

static bool is_closer(const struct group *a, const struct group *b)
{
	if ((a->state == 'Z') != (b->state == 'Z'))
		return a->state == 'Z';
	return a->living > b->living;
}

/*
 * All threads of a process follow each other in /proc. A program that has ended is a zombie of
 * this grader, not one that it has made.
 */
static struct group find_group(void)
{
	struct proc_thread *threads;
	bool ended = program_has_ended();
	size_t count = ended ? 0 : program_threads(&threads);
	struct group best = { 0 }, group = { 0 };
	int zombies = 0;

	for (size_t i = 0; i < count; i++) {
		if (!i || threads[i].tgid != threads[i - 1].tgid)
			group = (struct group){ .tgid = threads[i].tgid };
		if (threads[i].pid == threads[i].tgid) {
			group.state = threads[i].state;
		} else if (threads[i].state != 'Z' && threads[i].state != 'X') {
			if (group.living < 2)
				group.thread[group.living] = threads[i];
			group.living++;
		}
		if (i + 1 < count && threads[i + 1].tgid == threads[i].tgid)
			continue;
		zombies += group.state == 'Z' && !group.living;
		if (!best.tgid || is_closer(&group, &best))
			best = group;
	}
	if (!ended)
		free(threads);
	best.children = zombies;
	return best;
}

static bool is_called(const struct proc_thread *thread, const char *name)
{
	return thread->comm_length == strlen(name) && !memcmp(thread->comm, name, strlen(name));
}

/* In which order the threads were made does not matter. */
static void sort(struct group *group)
{
	struct proc_thread other = group->thread[0];

	if (group->living != 2 || is_called(&other, drawn("first")))
		return;
	group->thread[0] = group->thread[1];
	group->thread[1] = other;
}

static bool is_there(struct group *group)
{
	*group = find_group();
	sort(group);
	return group->state == 'Z' && group->living == 2 &&
	       is_called(&group->thread[0], drawn("first")) &&
	       is_called(&group->thread[1], drawn("second"));
}

static void look_dead(const struct group *group)
{
	char got[100], subject[60];

	if (!group->tgid)
		snprintf(got, sizeof(got), "no process: %s", program_end());
	else
		snprintf(got, sizeof(got), "%c", group->state);
	snprintf(subject, sizeof(subject),
		 group->tgid ? "the state of the leader, PID %d" : "the state of the leader",
		 group->tgid);
	look("dead", subject, got, "Z");
	mistake("dead", !group->tgid ? end_key() : group->living ? "leader-asleep" : "no-thread");
}

static void look_alive(const struct group *group)
{
	char got[200] = "none";

	if (group->living == 2)
		snprintf(got, sizeof(got), "%.*s %.*s", (int)group->thread[0].comm_length,
			 group->thread[0].comm, (int)group->thread[1].comm_length,
			 group->thread[1].comm);
	else if (group->living)
		snprintf(got, sizeof(got), "%d of them, the first is %.*s", group->living,
			 (int)group->thread[0].comm_length, group->thread[0].comm);
	look("alive", "the living threads of the process besides its leader", got,
	     "${first} ${second}");
	mistake("alive", !group->tgid	    ? end_key() :
			 !group->living	    ? (group->children ? "plain-zombie" : "no-thread") :
			 group->living == 2 ? "names" :
					      "one-thread");
}

/*
 * What the tables say. The witness is what ends: the leader has given its address space up, the
 * threads run in it.
 */
static void look_mm(const struct group *group)
{
	struct rows *table = rows_read("threads");
	char got[60] = "no such process", mm[3][20] = { "-", "-", "-" };
	pid_t pid[] = { group->tgid, group->thread[0].pid, group->thread[1].pid };

	for (int i = 0; i < 3; i++) {
		size_t row = rows_find(table, pid[i]);

		if (pid[i] && row < table->rows)
			snprintf(mm[i], sizeof(mm[i]), "%s", rows_value(table, row, "MM"));
	}
	if (group->tgid)
		snprintf(got, sizeof(got), "%s %s %s", mm[0], mm[1], mm[2]);
	look("mm", "the column MM of the leader and of the two threads", got, "NULL set set");
	mistake("mm", group->tgid ? "leader-asleep" : end_key());
	if (rows_find(table, pid[0]) < table->rows)
		shown("PID %d: S is %s, KIND is %s, MM is %s, and its process has %s threads",
		      pid[0], rows_value(table, rows_find(table, pid[0]), "S"),
		      rows_value(table, rows_find(table, pid[0]), "KIND"), mm[0],
		      rows_value(table, rows_find(table, pid[0]), "NTHR"));
	rows_free(table);
}

int main(void)
{
	struct group group;

	start_program((const char *[]){ drawn("first"), drawn("second"), NULL });
	program_reaches(is_there(&group));
	look_dead(&group);
	look_alive(&group);
	look_mm(&group);
	end_program();
	return 0;
}
