// SPDX-License-Identifier: GPL-2.0
/*
 * The zoo is made here, and its threads are known from that. Witness of the truth
 * is /proc: each thread in /proc/PID/task has a kernel stack, and has a user stack, too, unless
 * its flags say that it never runs in user space.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"
#include "rows.h"
#include "workers.h"

#define MOST 40

/* Some processes. */
struct kind {
	const char *name;
	pid_t tgid[MOST];
	size_t processes;
};

static void start_threads(long count)
{
	for (long i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, pause_for_ever, NULL))
			die("pthread_create");
	}
}

static void make_crowd(void *count)
{
	start_threads(*(long *)count - 1);
}

static void make_undead(void *count)
{
	start_threads(*(long *)count);
	pthread_exit(NULL);
}

static void make_children(void *count)
{
	for (long i = 0; i < *(long *)count; i++)
		start_child(NULL, NULL);
}

static void add(struct kind *kind, pid_t tgid)
{
	if (kind->processes == MOST)
		die("too many processes");
	kind->tgid[kind->processes++] = tgid;
}

static bool is_of(const struct kind *kind, pid_t tgid)
{
	for (size_t i = 0; i < kind->processes; i++)
		if (kind->tgid[i] == tgid)
			return true;
	return false;
}

/* All threads of the kind, as /proc has them. */
struct count {
	long threads, in_user_space, alive;
};

static struct count count_threads(const struct kind *kind)
{
	struct proc_thread *threads;
	size_t all = proc_threads(&threads);
	struct count count = { 0 };

	for (size_t i = 0; i < all; i++) {
		if (!is_of(kind, threads[i].tgid))
			continue;
		count.threads++;
		count.alive += threads[i].state != 'Z';
		count.in_user_space +=
			!(threads[i].flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER));
	}
	free(threads);
	return count;
}

static bool has_threads(struct kind *kind, long threads, long alive)
{
	struct count count = count_threads(kind);

	return count.threads == threads && count.alive == alive;
}

/* Adds processes of that parent, up to `most` of them, in the order of /proc. */
static void add_children(struct kind *kind, pid_t parent, long most)
{
	struct proc_thread *threads;
	size_t all = proc_threads(&threads);

	for (size_t i = 0; i < all; i++)
		if (threads[i].pid == threads[i].tgid && threads[i].ppid == parent && most-- > 0)
			add(kind, threads[i].tgid);
	free(threads);
}

static bool has_children(pid_t parent, long count)
{
	struct kind kind = { 0 };

	add_children(&kind, parent, MOST);
	return (long)kind.processes == count;
}

static long rows_of(const struct kind *kind, const struct rows *table)
{
	long count = 0;

	for (size_t row = 0; row < table->rows; row++)
		count += is_of(kind, rows_number(table, row, "TGID"));
	return count;
}

static void look_number(const char *id, const char *subject, long got, const char *want)
{
	char number[20];

	snprintf(number, sizeof(number), "%ld", got);
	look(id, subject, number, want);
}

/* The two cells of a kind. What the tables have must be what /proc says. */
static void cells(const char *id, const struct kind *kind, const char *why_kernel,
		  const char *why_user, const char *key_kernel, const char *key_user)
{
	struct rows *kstacks = rows_read("kstacks"), *ustacks = rows_read("ustacks");
	long rows[] = { rows_of(kind, kstacks), rows_of(kind, ustacks) };
	struct count count = count_threads(kind);
	const char *const why[] = { why_kernel, why_user };
	const char *const key[] = { key_kernel, key_user };

	if (rows[0] != count.threads || rows[1] != count.in_user_space)
		die("%s: %ld rows in kstacks and %ld in ustacks, /proc has %ld and %ld", kind->name,
		    rows[0], rows[1], count.threads, count.in_user_space);
	for (int i = 0; i < 2; i++) {
		char name[40], truth[20];

		snprintf(name, sizeof(name), "%s_%s", kind->name, i ? "ustacks" : "kstacks");
		snprintf(truth, sizeof(truth), "%ld", rows[i]);
		cell(id, name, truth, why[i]);
		mistake(id, key[i]);
	}
	shown("%s: %ld rows in kstacks, %ld in ustacks", kind->name, rows[0], rows[1]);
	rows_free(kstacks);
	rows_free(ustacks);
}

int main(void)
{
	long threads = drawn_number("threads"), processes = drawn_number("processes"),
	     dead = drawn_number("dead");
	long zombies_drawn = drawn_number("zombies"), kernel_drawn = drawn_number("kernel");
	struct kind crowd = { "crowd" }, family = { "family" }, undead = { "undead" },
		    zombies = { "zombies" };
	struct kind kernel = { "kernel" }, worker = { "worker" };

	add(&crowd, start_child(make_crowd, &threads));
	wait_until(has_threads(&crowd, threads, threads), "the crowd does not start");
	add(&family, start_child(make_children, &processes));
	wait_until(has_children(family.tgid[0], processes), "the family does not start");
	add_children(&family, family.tgid[0], processes);
	add(&undead, start_child(make_undead, &dead));
	wait_until(has_threads(&undead, dead + 1, dead), "the leader does not end");
	for (long i = 0; i < zombies_drawn; i++)
		add(&zombies, start_zombie());
	add(&kernel, 2);
	add_children(&kernel, 2, kernel_drawn);
	add(&worker, start_user_worker().process);

	look_number("zoo", "threads of crowd", count_threads(&crowd).threads, "${threads}");
	look_number("zoo", "children in family", family.processes - 1, "${processes}");
	look_number("zoo", "living threads in undead", count_threads(&undead).alive, "${dead}");
	look_number("zoo", "zombies", zombies.processes, "${zombies}");
	look_number("zoo", "children of kthreadd", kernel.processes - 1, "${kernel}");

	cells("plain", &crowd, "each thread enters the kernel on a stack of its own",
	      "each thread calls functions on a stack of its own", "processes-counted",
	      "processes-counted");
	cells("plain", &family, "the children and the process itself, one thread each",
	      "the children and the process itself, one thread each", "parent-forgotten",
	      "parent-forgotten");
	cells("dead", &undead,
	      "the dead leader's task_struct stays, and its row, which says released",
	      "a thread that ran in user space has a row; the dead leader's says no-mm",
	      "dead-forgotten", "dead-forgotten");
	cells("dead", &zombies, "a row a zombie, which says released",
	      "a row a zombie, which says no-mm", "dead-forgotten", "dead-forgotten");
	cells("kernel", &kernel, "each of these threads has a kernel stack",
	      "no kernel thread has a stack in user space", "kernel-without", "all-have-two");
	cells("kernel", &worker, "the thread and its worker",
	      "a worker shares an address space, and runs no instruction in it", "worker-forgotten",
	      "worker-in-user-space");
	return 0;
}
