// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is task_oracle, which finds tasks by their PIDs and not on the lists of
 * threads, and prints their addresses by the kernel's own %p. NTHR is that of /proc/PID/stat.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "report.h"
#include "guest.h"
#include "threads.h"

#define OPENS 20
#define TASK_COMM_LEN 16
/* The living threads of the process whose first thread has ended. */
#define SURVIVORS 2

/* An address without the prefix and the zeros before it. */
static const char *digits(const char *address)
{
	address += strspn(address, "0");
	address += *address == 'x';
	return address + strspn(address, "0");
}

static struct list read_list(void)
{
	struct list list = empty_list();
	char *text = read_answer(), *line;

	if (!text)
		list.bad = strdup("no text: the file cannot be read");
	while ((line = next_line(&text))) {
		struct thread thread = { 0 };

		if (sscanf(line, "%d %d %19s %29s %63[^\n]", &thread.tgid, &thread.pid, thread.nthr,
			   thread.task, thread.comm) == 5 && thread.pid >= 0 && thread.pid < PIDS)
			add_thread(&list, &thread);
		else if (!list.bad)
			list.bad = strndup(line, 60);
	}
	return list;
}

static void end_leader(void *unused)
{
	for (int i = 0; i < SURVIVORS; i++)
		start_thread(sleep_under_name, drawn("other"));
	syscall(SYS_exit, 0);
}

/* Opens the file while threads come and go. */
static void look_in_the_storm(const struct list *stay, const char *key)
{
	size_t missing = 0, twice = 0;
	pid_t example = 0;

	for (int i = 0; i < OPENS; i++) {
		struct list list;

		wait_for_births();
		list = read_list();
		for (size_t j = 0; j < stay->count; j++) {
			unsigned char times = list.times[stay->thread[j].pid];

			missing += !times;
			twice += times > 1;
			if (times != 1)
				example = stay->thread[j].pid;
		}
		free_list(&list);
	}
	look_at("storm", "threads missing", number_of(missing, example), "none", key);
	look_at("storm", "threads listed twice", number_of(twice, example), "none", key ?: "twice");
	shown("%lu threads were born while your file was opened %d times", births(), OPENS);
}

/* Compares the columns of the threads of a process. */
static void look_at_columns(const struct list *list, const struct list *oracle, pid_t tgid,
			    const char *process)
{
	struct proc_thread leader;
	char nthr[20], less[20], subject[120];
	const struct thread *wrong_nthr = NULL, *wrong_task = NULL, *any = NULL, *truth = NULL;

	if (!proc_thread(tgid, tgid, &leader))
		die("process %d is gone", tgid);
	snprintf(nthr, sizeof(nthr), "%d", leader.threads);
	snprintf(less, sizeof(less), "%d", leader.threads - 1);
	for (size_t i = 0; i < list->count; i++) {
		const struct thread *row = &list->thread[i];
		const struct thread *by_pid = find_thread(oracle, row->pid);

		if (!by_pid || by_pid->tgid != tgid)
			continue;
		any = any ?: row;
		if (strcmp(row->nthr, nthr))
			wrong_nthr = row;
		if (strcmp(digits(row->task), digits(by_pid->task))) {
			wrong_task = row;
			truth = by_pid;
		}
	}
	if (!any)
		return;
	snprintf(subject, sizeof(subject), "NTHR of PID %d, of %s", (wrong_nthr ?: any)->pid,
		 process);
	look("nthr", subject, (wrong_nthr ?: any)->nthr, nthr);
	if (wrong_nthr && !strcmp(wrong_nthr->nthr, less))
		mistake("nthr", "nthr-without-leader");
	if (!truth)
		truth = find_thread(oracle, any->pid);
	snprintf(subject, sizeof(subject), "TASK of PID %d, of %s", truth->pid, process);
	look("task", subject, digits((wrong_task ?: any)->task), digits(truth->task));
	if (wrong_task && !strcmp(digits(wrong_task->task), digits(truth->raw)))
		mistake("task", "raw-address");
	else if (wrong_task && find_thread(oracle, tgid) &&
		 !strcmp(digits(wrong_task->task), digits(find_thread(oracle, tgid)->task)))
		mistake("task", "task-of-the-leader");
	else if (wrong_task)
		mistake("task", "not-an-address");
}

/* Compares the columns of all threads that stay. */
static void look_at_all(const struct list *list, const struct list *stay, const char *key)
{
	size_t nthr = 0, task = 0, name = 0;
	pid_t example[3] = { 0 };

	for (size_t i = 0; i < stay->count; i++) {
		const struct thread *truth = &stay->thread[i], *row = find_thread(list, truth->pid);
		struct proc_thread thread;
		size_t length;

		if (!row || !proc_thread(truth->tgid, truth->pid, &thread))
			continue;
		if (atoi(row->nthr) != thread.threads && !nthr++)
			example[0] = truth->pid;
		if (strcmp(digits(row->task), digits(truth->task)) && !task++)
			example[1] = truth->pid;
		/* /proc has the whole name of a kernel thread, and what a worker does. */
		length = thread.flags & PF_WQ_WORKER ? strlen("kworker") :
			 thread.flags & PF_KTHREAD   ? TASK_COMM_LEN - 1 :
						       sizeof(row->comm);
		if (strncmp(row->comm, thread.comm, length) && !name++)
			example[2] = truth->pid;
	}
	look_at("nthr", "threads whose NTHR is not that of /proc/PID/stat",
		number_of(nthr, example[0]), "none", key);
	look_at("task", "threads with another TASK than their own", number_of(task, example[1]),
		"none", key ?: "not-an-address");
	look_at("all", "threads whose NAME is not that of /proc/PID/stat",
		number_of(name, example[2]), "none", key ?: "name");
}

int main(void)
{
	size_t missing = 0, twice = 0, unknown = 0, named = 0, survivors = 0, threads = 0;
	struct list list, before, after, stay = empty_list();
	pid_t many, headless, example[3] = { 0 };
	const char *key = NULL;
	char number[20];

	load_exercise("count", "word");
	load_module("/tests/task_oracle.ko", "");
	many = start_threads(drawn("word"), drawn_number("threads"));
	headless = start_child(end_leader, NULL);
	wait_until(threads_named(headless, drawn("other")) == SURVIVORS, "no survivors");
	wait_for_state(headless, headless, "Z");

	before = ask_oracle();
	list = read_list();
	after = ask_oracle();

	for (size_t i = 0; i < before.count; i++) {
		pid_t pid = before.thread[i].pid;

		if (!pid || !after.times[pid])
			continue;
		add_thread(&stay, &before.thread[i]);
		if (!list.times[pid] && !missing++)
			example[0] = pid;
	}
	for (size_t i = 0; i < list.count; i++) {
		const struct thread *row = &list.thread[i];

		named += row->tgid == many && !strcmp(row->comm, drawn("word"));
		survivors += row->tgid == headless && row->pid != headless;
		threads += row->tgid != row->pid;
		if (list.times[row->pid] > 1 && !twice++)
			example[1] = row->pid;
		if (!before.times[row->pid] && !after.times[row->pid] && !unknown++)
			example[2] = row->pid;
	}
	if (list.bad)
		key = "format";
	else if (list.count < 2)
		key = "one-only";
	else if (!threads)
		key = "leaders-alone";
	else if (named && !survivors)
		key = "dead-leader-hides";
	else if (!list.times[KTHREADD])
		key = "no-kernel-threads";

	if (list.bad)
		look_at("count", "a line of the file", list.bad, "TGID PID NTHR TASK NAME", key);
	snprintf(number, sizeof(number), "%zu", named);
	look_at("count", "threads of the process with many threads, by their name", number,
		"${threads}", key);
	snprintf(number, sizeof(number), "%zu", survivors);
	look_at("dead", "living threads of the process whose first thread is a zombie", number, "2",
		key);
	look_at("all", "threads missing", number_of(missing, example[0]), "none", key);
	look_at("once", "threads listed twice", number_of(twice, example[1]), "none",
		key ?: "twice");
	look_at("once", "PIDs of no thread", number_of(unknown, example[2]), "none", key);
	look_at_columns(&list, &after, many, "the process with many threads");
	look_at_columns(&list, &after, headless, "the process whose first thread is a zombie");
	look_at_all(&list, &stay, key);
	shown("%zu threads, each with a task_struct of its own; %zu are no leaders", list.count,
	      threads);
	start_storm();
	look_in_the_storm(&stay, key);
	unload_exercise("storm");
	return 0;
}
