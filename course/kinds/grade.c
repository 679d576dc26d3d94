// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is who has made the thread, which the grader knows, because it has
 * caused that; and for all other threads, the flags in /proc/PID/stat.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "report.h"
#include "guest.h"
#include "table.h"
#include "workers.h"

#define KTHREADD 2

/* The student's kind of each PID; NULL if the thread was not there. */
#define PIDS 4194304
static const char *kinds[PIDS];

static void read_kinds(void)
{
	char *text = read_answer(), *line;

	if (!text)
		die("the answer cannot be read");
	while ((line = next_line(&text))) {
		char *end;
		long pid = strtol(line, &end, 10);

		if (pid > 0 && pid < PIDS && *end == ' ')
			kinds[pid] = end + 1;
	}
}

static const char *kind_of(pid_t pid)
{
	return kinds[pid] ?: "none";
}

static bool is(pid_t pid, const char *kind)
{
	return !strcmp(kind_of(pid), kind);
}

/* The names of workers, and of a kernel thread. */
static const char *const false_names[] = { "iou-wrk-1", "user_worker", "kworker/0:1", "vhost-1" };
#define FALSE_NAMES (sizeof(false_names) / sizeof(*false_names))

/* A program of several threads, which calls itself what ps would call a kernel thread. */
static void take_brackets(void *unused)
{
	char name[16];
	pthread_t thread;

	snprintf(name, sizeof(name), "[%s]", drawn("word"));
	must(prctl(PR_SET_NAME, name));
	for (long i = 1; i < drawn_number("count"); i++)
		if (pthread_create(&thread, NULL, sleep_under_name,
				   (void *)false_names[i % FALSE_NAMES]))
			die("no thread");
}

static long liars(pid_t liar)
{
	struct proc_thread *thread;
	size_t count = proc_threads(&thread), liars = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < FALSE_NAMES; j++)
			liars += thread[i].tgid == liar && !strcmp(thread[i].comm, false_names[j]);
	free(thread);
	return liars;
}

static pid_t start_liar(void)
{
	pid_t pid = start_child(take_brackets, NULL);

	wait_until(liars(pid) == drawn_number("count") - 1, "no program with brackets");
	return pid;
}

static void see(const char *id, const char *what, pid_t pid, const char *want, const char *key)
{
	char subject[120];

	snprintf(subject, sizeof(subject), "PID %d (%s)", pid, what);
	look(id, subject, kind_of(pid), want);
	if (key)
		mistake(id, key);
}

static const char *kind_by_flags(unsigned long flags)
{
	return flags & PF_KTHREAD ? "Kernel" : flags & PF_USER_WORKER ? "Worker" : "User";
}

static bool in_list(const struct proc_thread *list, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].pid == pid)
			return true;
	return false;
}

/* How often `mm == NULL` would have been wrong, in the words of taskscope. */
static void show_mm(void)
{
	struct task_table *table = table_read("threads");
	char which[300] = "";
	size_t used = 0;
	int wrong = 0;

	for (size_t i = 0; i < table->rows; i++) {
		const struct task_row *row = &table->row[i];

		if (!row->pid || !strcmp(row->mm, "NULL") == !strcmp(row->kind, "kernel"))
			continue;
		wrong++;
		if (used < sizeof(which) - 60)
			used += snprintf(which + used, sizeof(which) - used, "%sPID %d, %s",
					 used ? "; " : "", row->pid, row->note);
	}
	shown("`mm == NULL` was wrong for %d of %zu threads just now: %s", wrong, table->rows,
	      which);
}

int main(void)
{
	struct proc_thread *before, *after;
	size_t befores, afters, wrong = 0;
	pid_t zombie, borrower = 0, helper, liar;
	struct worker worker, other;
	const char *key;
	char count[40], bad[120] = "none";
	int threads = 0;

	load_exercise("borrower", "word");
	zombie = start_zombie();
	borrower = start_borrower();
	helper = start_helper(NULL);
	liar = start_liar();
	worker = start_ring_worker();
	other = start_user_worker();

	befores = proc_threads(&before);
	read_kinds();
	afters = proc_threads(&after);

	/* The mistake that explains all that is wrong. */
	if (is(liar, "Kernel"))
		key = "brackets";
	else if (is(zombie, "Kernel") && is(borrower, "User"))
		key = "mm-is-null";
	else if (is(borrower, "Kernel") && (is(helper, "Kernel") || !is(KTHREADD, "Kernel")))
		key = "parent-is-kthreadd";
	else if (!is(KTHREADD, "Kernel"))
		key = "never-kernel";
	else if (!is(borrower, "Kernel") || !is(zombie, "User"))
		key = "what-changes";
	else if (is(worker.thread, "Kernel"))
		key = "worker-is-kernel";
	else if (is(worker.thread, "User"))
		key = "worker-is-user";
	else if (!is(other.thread, "Worker"))
		key = "io-workers-alone";
	else
		key = NULL;

	see("borrower", "a kernel thread inside kthread_use_mm()", borrower, "Kernel", key);
	see("zombie", "a zombie", zombie, "User", key);
	see("parent", "a program that the kernel starts, before its execve()", helper, "User", key);
	see("parent", "kthreadd itself", KTHREADD, "Kernel", key);
	see("worker", "an io_uring worker", worker.thread, "Worker", key);
	see("worker", "a worker as vhost has them, for virtual machines", other.thread, "Worker",
	    key);
	see("worker", "the program that the io_uring worker works for", worker.process, "User",
	    key);
	for (size_t i = 0; i < befores; i++)
		threads += before[i].tgid == liar && is(before[i].pid, "User");
	snprintf(count, sizeof(count), "%d", threads);
	look_at("name", "how many threads of the program with names of kernel threads are User",
		count, "${count}", key ?: "brackets");

	for (size_t i = 0; i < befores; i++) {
		const char *want = kind_by_flags(before[i].flags);

		if (is(before[i].pid, want) || !in_list(after, afters, before[i].pid))
			continue;
		if (!wrong++)
			snprintf(bad, sizeof(bad), "%s for PID %d (%.15s), which is %s",
				 kind_of(before[i].pid), before[i].pid, before[i].comm, want);
	}
	look("all", "the first thread whose kind differs from the flags in /proc/PID/stat", bad,
	     "none");
	if (key)
		mistake("all", key);
	show_mm();
	unload_exercise("all");
	return 0;
}
