// SPDX-License-Identifier: GPL-2.0
/*
 * `contexts` under stress: many readers while CPUs go offline and online, a CPU
 * that does not answer, readers that are interrupted or killed while they wait. Nothing may
 * be left behind: the module can be unloaded at once.
 *
 * OPENS, if set, is the number of opens during the hotplug.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "contexts.h"
#include "cpus.h"
#include "guest.h"
#include "races.h"
#include "workers.h"

#define READERS 8

static const char * const per_cpu[] = {
	"workqueue", "softirq_bh", "softirq_timer", "hrtimer", "irq_work", "ipi", "irq_thread",
};

#define PER_CPU ARRAY_SIZE(per_cpu)

/*
 * True however CPUs went offline and online: all contexts that exist on each CPU have rows
 * for the same CPUs, and a missing answer has a summary line.
 */
static bool whole(const struct contexts *table)
{
	size_t rows[PER_CPU] = { 0 };

	if (table->problem)
		return false;
	for (size_t i = 0; i < table->rows; i++)
		for (size_t c = 0; c < PER_CPU; c++)
			rows[c] += !strcmp(table->row[i].context, per_cpu[c]);
	for (size_t c = 0; c < PER_CPU; c++)
		if (!rows[c] || rows[c] != rows[0])
			return false;
	/* Each row is of another CPU. The page fault is the reader's own. */
	for (size_t i = 1; i < table->rows; i++) {
		const struct context_row *row = &table->row[i], *last = row - 1;

		if (row->seen && last->seen && !strcmp(row->context, last->context) &&
		    atoi(row->cpu) <= atoi(last->cpu))
			return false;
	}
	if (strcmp(contexts_find(table, "page_fault", -1)->pid,
		   contexts_find(table, "syscall", -1)->pid))
		return false;
	return contexts_unanswered(table) == contexts_said(table, "did not answer") &&
	       contexts_find(table, "syscall", -1)->seen &&
	       contexts_find(table, "module_init", -1)->seen;
}

/* In a child: reads `times` times or more, until told to stop; exits with 1 on a wrong table. */
static long *answered, *enough;

static pid_t start_reader(long times)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	for (long i = 0; i < times || !__atomic_load_n(enough, __ATOMIC_SEQ_CST); i++) {
		struct contexts *table = contexts_try_read();
		char own[20];

		snprintf(own, sizeof(own), "%d", getpid());
		if (!table || !whole(table) ||
		    strcmp(contexts_find(table, "syscall", -1)->pid, own))
			_exit(1);
		if (!contexts_said(table, "did not answer"))
			__atomic_fetch_add(answered, 1, __ATOMIC_SEQ_CST);
		contexts_free(table);
	}
	_exit(0);
}

/* For unload_under_readers(). */
static enum read_result read_once(void)
{
	struct contexts *table = contexts_try_read();
	enum read_result result;

	if (!table)
		return READ_GONE;
	result = whole(table) ? READ_RIGHT : READ_WRONG;
	contexts_free(table);
	return result;
}

/* Runs readers until the CPU has gone offline or online `least` times, however long it takes. */
static bool storm(long opens, int cpu, long least, long *changes)
{
	pid_t readers[READERS];
	bool good = true;

	*enough = cpu < 0;
	for (int i = 0; i < READERS; i++)
		readers[i] = start_reader(opens / READERS);
	for (int running = READERS; running;) {
		if (cpu >= 0)
			set_online(cpu, ++*changes % 2 == 0);
		if (*changes >= least)
			__atomic_store_n(enough, true, __ATOMIC_SEQ_CST);
		for (int i = 0; i < READERS; i++) {
			int status;

			if (readers[i] && must(waitpid(readers[i], &status, WNOHANG))) {
				readers[i] = 0;
				good &= status == 0;
				running--;
			}
		}
	}
	if (cpu >= 0)
		set_online(cpu, true);
	return good;
}

static volatile bool *stop;

/*
 * Gives a per-CPU kernel thread a higher priority than the hog below: on PREEMPT_RT
 * such a thread tells RCU that the CPU has passed through a quiescent state.
 */
static void prefer(const char *thread, int cpu)
{
	struct sched_param first = { .sched_priority = 99 };
	struct proc_thread *threads;
	size_t count = proc_threads(&threads);
	char name[20];

	snprintf(name, sizeof(name), "%s/%d", thread, cpu);
	for (size_t i = 0; i < count; i++)
		if (!strcmp(threads[i].comm, name))
			must(sched_setscheduler(threads[i].pid, SCHED_FIFO, &first));
	free(threads);
}

/*
 * Moves this process and its children to the other CPUs: on PREEMPT_RT a sleep ends
 * in a thread of the CPU on which it began.
 */
static void leave(int cpu)
{
	cpu_set_t set;

	must(sched_getaffinity(0, sizeof(set), &set));
	CPU_CLR(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
}

/* Keeps the CPU busy, and hardly lets a kernel thread run, until told to stop. */
static void hog(void *cpu)
{
	stay_on(*(int *)cpu);
	be_real_time(98);
	stop[1] = true;
	while (!stop[0])
		;
}

/* The same, but it starts when it is told to. */
static int go[2];

static void late_hog(void *cpu)
{
	char byte;

	stay_on(*(int *)cpu);
	be_real_time(98);
	must(read(go[0], &byte, 1));
	hog(cpu);
}

/* Keeps all threads without a real-time priority from the CPU. */
static void crowd_out(void *cpu)
{
	stay_on(*(int *)cpu);
	be_real_time(1);
	stop[2] = true;
	for (;;)
		;
}

/* The kworker threads of the CPU. */
#define WORKERS 64
static pid_t worker[WORKERS];
static size_t workers;

static void find_workers(int cpu)
{
	struct proc_thread *threads;
	size_t count = proc_threads(&threads);
	char name[20];

	snprintf(name, sizeof(name), "kworker/%d:", cpu);
	workers = 0;
	for (size_t i = 0; i < count && workers < WORKERS; i++)
		if (!strncmp(threads[i].comm, name, strlen(name)))
			worker[workers++] = threads[i].pid;
	free(threads);
}

/* Whether a work item of the module is running there, as the kworker's name shows. */
static bool in_the_middle(void)
{
	bool found = false;

	for (size_t i = 0; i < workers; i++) {
		char path[40], *comm;

		snprintf(path, sizeof(path), "/proc/%d/comm", worker[i]);
		comm = try_slurp(path, NULL);
		found |= comm && strstr(comm, "+taskscope");
		free(comm);
	}
	return found;
}

/* Kills a reader. Whether it exits without another wait in open(). */
static bool dies_at_once(pid_t pid)
{
	char path[40];
	bool waits = false;
	int status;

	snprintf(path, sizeof(path), "/proc/%d/stack", pid);
	must(kill(pid, SIGKILL));
	while (!must(waitpid(pid, &status, WNOHANG))) {
		char *stack = try_slurp(path, NULL);

		waits |= stack && strstr(stack, "[taskscope]") && proc_state(pid, pid) == 'D';
		free(stack);
		usleep(1000);
	}
	return !waits && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/*
 * The CPU is taken away while it works for an open, and given back only after that
 * open has returned: an open that waits for the CPU never returns. With is_killed,
 * the reader is killed instead.
 *
 * The work takes long enough because the open waits for the CPU `before`, which is
 * busy. Returns how often everything was right.
 */
static int not_held_up(int before, int cpu, int times, bool is_killed)
{
	int good = 0;

	must(pipe(go));
	be_real_time(2);
	for (int i = 0; i < times;) {
		pid_t crowd, late, reader;
		bool caught, right;

		stop[0] = false;
		stop[1] = false;
		stop[2] = false;
		crowd = start_child(crowd_out, &before);
		late = start_child(late_hog, &cpu);
		wait_until(stop[2] && proc_state(late, late) == 'S', "no hogs");
		find_workers(cpu);
		*enough = false;
		reader = start_reader(1);
		wait_until(in_the_middle(), "no work item begins on CPU %d", cpu);
		must(write(go[1], "x", 1));
		wait_until(stop[1], "no hog");
		/* If the work has just ended, this try came too late and does not count. */
		caught = in_the_middle();
		*enough = true;
		end_child(crowd);
		right = is_killed ? dies_at_once(reader) : wait_for(reader) == 0;
		good += caught && right && in_the_middle();
		i += caught;
		stop[0] = true;
		end_child(late);
	}
	be_real_time(0);
	return good;
}

/* No scheduler reserves a share of the CPU for threads without real-time priority. */
static void no_share_for_others(int cpu)
{
	char path[80];

	write_file("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	for (int ext = 0; ext < 2; ext++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/sched/%s_server/cpu%d/runtime",
			 ext ? "ext" : "fair", cpu);
		if (!access(path, F_OK))
			write_file(path, "0");
	}
}

/*
 * Opens that a signal interrupts at different moments. Each must cancel what it has
 * started, such as a timer that has not expired. A slow kernel has other moments.
 */
static long interrupted_opens(long opens)
{
	const useconds_t step = 250 * slower();
	long interrupted = 0;

	for (long i = 0; i < opens; i++) {
		int error = interrupted_open("contexts", (1 + i % 16) * step);

		if (error && error != EINTR)
			die("an open under signals");
		interrupted += error == EINTR;
	}
	return interrupted;
}

/* How many work items of the module have begun on a CPU, or on all (-1): by a tracepoint. */
static unsigned long items_begun(int cpu)
{
	char *text = slurp("/sys/kernel/debug/callback_oracle", NULL), *rest;
	unsigned long items = 0;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned long count;
		int on;

		if (sscanf(line, "work %d %*s %*d %lu", &on, &count) == 2 && (cpu < 0 || on == cpu))
			items += count;
	}
	free(text);
	return items;
}

#define IS_HELD 3

/* Unloads the oracle, and has these CPUs run unbound work items again. */
static void end_oracle(char *all)
{
	if (unload_module("callback_oracle"))
		die("the oracle is in use");
	run_unbound_items_as_before(all);
}

/*
 * How many work items begin for an open that a signal ends while its first item is held at its
 * start, on `cpu`. The first item looks whether the open still waits, before it queues one on
 * each CPU. The module is unloaded afterwards, so that no item can begin any more.
 */
static unsigned long items_of_an_interrupted_open(int cpu)
{
	char *all = run_unbound_items_on(cpu);
	unsigned long items;

	load_module("/tests/callback_oracle.ko", "of=taskscope hold=1");
	if (interrupted_open("contexts", 20000) != EINTR)
		die("an open whose work item is held");
	wait_until(parameter_value("callback_oracle", "hold") == IS_HELD, "no item is held");
	set_parameter("callback_oracle", "hold", 0);
	if (unload_module("taskscope"))
		die("the module is in use after an interrupted open");
	items = items_begun(-1);
	end_oracle(all);
	return items;
}

/*
 * How many work items begin on a busy CPU after a signal has ended the open that has queued them
 * there. The module lose_wakeup keeps the kernel thread of the open from running. The open waits
 * 100 ms for that thread and then queues the items all the same. After 200 ms, when the signal
 * comes, it waits for the thread and for the busy CPU. The hog leaves the CPU as soon as the open
 * has returned.
 */
static unsigned long items_after_an_interrupted_open(int cpu, int other, pid_t hog)
{
	char *all = run_unbound_items_on(other);
	unsigned long items;

	load_module("/tests/callback_oracle.ko", "of=taskscope");
	if (interrupted_open("contexts", 200000) != EINTR)
		die("an open beside a busy CPU");
	stop[0] = true;
	end_child(hog);
	if (!items_begun(other))
		die("no work item has begun");
	if (unload_module("taskscope"))
		die("the module is in use after an interrupted open");
	items = items_begun(cpu);
	end_oracle(all);
	return items;
}

/* No thread of the module is left. */
static bool no_thread_left(void)
{
	struct proc_thread *threads;
	size_t count = proc_threads(&threads);
	bool none = true;

	for (size_t i = 0; i < count; i++)
		none &= !strstr(threads[i].comm, "taskscope_probe");
	free(threads);
	return none;
}

/* In a child: one open, which waits. Its exit status is 0 if that CPU has answered. */
static pid_t start_second_open(int cpu)
{
	pid_t pid = fork_child();
	struct contexts *table;

	if (pid) {
		/* It sleeps in open(), and nowhere else. */
		wait_for_state(pid, pid, "S");
		return pid;
	}
	table = contexts_read();
	_exit(!contexts_find(table, "workqueue", cpu) || !contexts_find(table, "irq_thread", cpu));
}

/* The CPU time of all kernel workers, in ticks of sysconf(_SC_CLK_TCK). */
static unsigned long workers_time(void)
{
	struct proc_thread *threads;
	size_t count = proc_threads(&threads);
	unsigned long user, system, sum = 0;
	char path[60], *text;

	for (size_t i = 0; i < count; i++) {
		if (!(threads[i].flags & PF_WQ_WORKER))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/stat", threads[i].pid);
		text = try_slurp(path, NULL);
		/* After the name and its bracket: the state, then ten numbers. */
		if (text && sscanf(strrchr(text, ')'),
				   ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
				   &user, &system) == 2)
			sum += user + system;
		free(text);
	}
	free(threads);
	return sum;
}

/* What is seen beside a CPU whose interrupts are disabled. (A child that dies exits with 1.) */
enum { SILENT = 2, IDLE = 4 };

#define LOOK_SECONDS 2

static int see_silence(void)
{
	struct contexts *table = contexts_read();
	unsigned long before, taken;
	int seen = whole(table) && contexts_said(table, "did not answer") ? SILENT : 0;

	contexts_free(table);
	before = workers_time();
	sleep(LOOK_SECONDS);
	taken = workers_time() - before;
	ksft_print_msg("the workers took %lu ticks in %d s\n", taken, LOOK_SECONDS);
	return seen | (taken < LOOK_SECONDS * (unsigned long)sysconf(_SC_CLK_TCK) / 4 ? IDLE : 0);
}

int main(void)
{
	int cpus[CPUS_MAX], cpu, online;
	char words[80];
	const long opens = rounds("OPENS", 32, 200), unloads = rounds("UNLOADS", 3, 100);
	const int kills = rounds("KILLS", 2, 10), hogs = rounds("HOGS", 1, 5);
	long changes = 0, interrupted;
	struct contexts *table;
	unsigned long items;
	bool second_answers;
	pid_t pid, second;
	size_t silent;
	int seen;

	ksft_print_header();
	ksft_set_plan(23);
	answered = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enough = answered + 1;
	ksft_test_result(unload_under_readers(read_once, unloads) == unloads,
			 "active readers: the module unloads, %ld times\n", unloads);
	online = online_cpus(cpus);
	cpu = online > 1 ? cpus[1] : -1;
	stop = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	load_taskscope("");
	*answered = 0;

	ksft_test_result(storm(opens, cpu, rounds("CHANGES", 4, 12), &changes),
			 "hotplug beside opens by %d readers: every table is right\n", READERS);
	ksft_print_msg("%ld opens or more, %ld times offline and online, all CPUs answer in %ld\n",
		       opens, changes / 2, *answered);
	ksft_test_result(*answered > opens / 2,
			 "hotplug beside %ld opens or more: every CPU answers in half of them\n",
			 opens);
	table = contexts_read();
	ksft_test_result(whole(table) && !contexts_said(table, "did not answer"),
			 "after the hotplug: every CPU answers\n");
	contexts_free(table);
	interrupted = interrupted_opens(opens);
	ksft_print_msg("signals end %ld opens of %ld\n", interrupted, opens);
	ksft_test_result(interrupted > 0, "interrupted opens: at least one fails with EINTR\n");
	ksft_test_result(comes_true(no_thread_left()), "interrupted opens: no thread is left\n");
	if (online < 2) {
		for (int i = 0; i < 17; i++)
			ksft_test_result_skip("needs two CPUs: one is taken away\n");
		ksft_finished();
	}
	leave(cpu);
	no_share_for_others(cpu);
	prefer("rcuc", cpu);
	pid = start_child(hog, &cpu);
	wait_until(stop[1], "no hog");
	second = start_second_open(cpus[0]);
	table = contexts_read();
	second_answers = wait_for(second) == 0;
	ksft_print_msg("%zu lines say 'did not answer'\n", contexts_said(table, "did not answer"));
	ksft_test_result(whole(table) && contexts_said(table, "did not answer"),
			 "busy CPU: the summary says that it did not answer\n");
	/* The contexts of that CPU, and the IPI that it should send to the next one. */
	snprintf(words, sizeof(words), "on processor %d did not answer within 1000 ms", cpu);
	silent = contexts_said(table, words);
	snprintf(words, sizeof(words), "ipi on processor %d was not sent: processor %d did not",
		 cpus[2 % online], cpu);
	ksft_test_result(silent == 6 && contexts_said(table, words) == 1 &&
			 contexts_said(table, "did not answer") == 7,
			 "busy CPU: each context is named, and the IPI it did not send\n");
	ksft_test_result(contexts_find(table, "workqueue", cpus[0]) &&
			 contexts_find(table, "ipi", cpu) &&
			 !contexts_find(table,
			 "workqueue", cpu), "busy CPU: the other CPU answers\n");
	ksft_test_result(contexts_find(table, "irq_thread", cpus[0]) && second_answers,
			 "busy CPU, two opens wait: the other CPU answers both\n");
	contexts_free(table);
	ksft_test_result(interrupted_open("contexts", 20000) == EINTR,
			 "busy CPU: a signal ends the wait with EINTR\n");
	ksft_test_result(kill_opens("contexts", kills) == kills,
			 "busy CPU: SIGKILL ends the wait\n");
	/* A thread may be about to exit. */
	wait_until(no_thread_left(), "a thread is left");
	ksft_test_result(unload_module("taskscope") == 0,
			 "busy CPU: the module unloads at once\n");
	load_module("/tests/lose_wakeup.ko", "of=taskscope_probe");
	load_taskscope("");
	items = items_after_an_interrupted_open(cpu, cpus[0], pid);
	ksft_print_msg("%lu work items begin on the busy CPU\n", items);
	ksft_test_result(!items,
			 "busy CPU, the open is interrupted: no work item begins there later\n");
	wait_until(no_thread_left(), "a thread is left");
	ksft_test_result(parameter_value("lose_wakeup", "lost"),
			 "thread that has not run yet, the open is interrupted: it ends\n");
	must(unload_module("lose_wakeup") ? -1 : 0);
	load_taskscope("");
	table = contexts_read();
	ksft_test_result(whole(table) && !contexts_said(table, "did not answer"),
			 "CPU idle again: every CPU answers\n");
	contexts_free(table);
	no_share_for_others(cpus[0]);
	/* The kernel threads that the opener needs on its own CPU. */
	prefer("rcuc", cpus[0]);
	prefer("ksoftirqd", cpus[0]);
	prefer("ktimers", cpus[0]);
	ksft_test_result(not_held_up(cpus[0], cpu, hogs, false) == hogs,
			 "CPU taken away during an open: the open returns, %d times\n", hogs);
	ksft_test_result(not_held_up(cpus[0], cpu, hogs, true) == hogs,
			 "CPU taken away during an open: a killed reader exits, %d times\n",
			 hogs);
	table = contexts_read();
	ksft_test_result(whole(table) && !contexts_said(table, "did not answer"),
			 "CPU given back: every CPU answers\n");
	contexts_free(table);
	items = items_of_an_interrupted_open(cpu);
	ksft_print_msg("%lu work items begin\n", items);
	ksft_test_result(items == 1,
			 "open interrupted before its work: only its first work item begins\n");
	load_taskscope("");
	seen = beside_disabled_interrupts(cpu, see_silence);
	ksft_test_result(seen & SILENT,
			 "interrupts disabled: the summary says that the CPU did not answer\n");
	ksft_test_result(seen & IDLE,
			 "interrupts disabled: no worker spins until the CPU answers\n");
	table = contexts_read();
	ksft_test_result(whole(table) && !contexts_said(table, "did not answer"),
			 "interrupts enabled again: every CPU answers\n");
	contexts_free(table);
	ksft_finished();
}
