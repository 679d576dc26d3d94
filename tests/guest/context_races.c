// SPDX-License-Identifier: GPL-2.0
/*
 * `contexts` in trouble: many readers while processors come and go, a processor
 * that does not answer, readers that are interrupted or killed while they wait.
 * Nothing may be left behind: the module can be unloaded at once.
 *
 * OPENS, if set, is how often the file is opened in the storm.
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
#include "guest.h"

#define READERS 8

static const char * const per_cpu[] = {
	"workqueue", "softirq_bh", "softirq_timer", "hrtimer", "irq_work", "ipi",
};

#define PER_CPU (sizeof(per_cpu) / sizeof(*per_cpu))

/*
 * Whatever the processors did: each context that a processor has was asked of the
 * same ones, and what did not answer is said.
 */
static bool whole(const struct contexts *table)
{
	size_t rows[PER_CPU] = { 0 }, silent = 0;

	if (table->problem)
		return false;
	for (size_t i = 0; i < table->rows; i++) {
		const struct context_row *row = &table->row[i];

		for (size_t c = 0; c < PER_CPU; c++)
			rows[c] += !strcmp(row->context, per_cpu[c]);
		if (!row->seen && strcmp(row->context, "nmi") &&
		    !(!strcmp(row->context, "ipi") && contexts_said(table, "# ipi: ")))
			silent++;
	}
	for (size_t c = 0; c < PER_CPU; c++)
		if (!rows[c] || rows[c] != rows[0])
			return false;
	/* Each of another processor, and the page fault that of the reader. */
	for (size_t i = 1; i < table->rows; i++) {
		const struct context_row *row = &table->row[i], *last = row - 1;

		if (row->seen && last->seen && !strcmp(row->context, last->context) &&
		    atoi(row->cpu) <= atoi(last->cpu))
			return false;
	}
	if (strcmp(contexts_find(table, "page_fault", -1)->pid,
		   contexts_find(table, "syscall", -1)->pid))
		return false;
	return silent == contexts_said(table, "did not answer") &&
	       contexts_find(table, "syscall", -1)->seen &&
	       contexts_find(table, "module_init", -1)->seen;
}

/* In a child: reads so often and until it is enough, and ends with 1 if something is wrong. */
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

/* In a child: opens until the module is gone, and ends with 1 if it got a part. */
static pid_t start_reader_until_gone(void)
{
	pid_t pid = fork_child();

	if (pid)
		return pid;
	for (;;) {
		struct contexts *table = contexts_try_read();

		/* It was there when this began. */
		if (!table)
			_exit(0);
		if (!whole(table))
			_exit(1);
		contexts_free(table);
		__atomic_fetch_add(answered, 1, __ATOMIC_SEQ_CST);
		/* Two that open without end would leave no gap. */
		usleep(getpid() % 7 * 5000);
	}
}

static int wait_for(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0));
	return status;
}

/* Goes on until the processor has come or gone so often, however fast that is. */
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

/* Unloads the module so often under two readers; how often it went and they got it whole. */
static int unload_under_readers(int times)
{
	int good = 0;

	for (int i = 0; i < times; i++) {
		pid_t readers[2];
		int error, status = 0;

		load_taskscope("");
		*answered = 0;
		for (int r = 0; r < 2; r++)
			readers[r] = start_reader_until_gone();
		wait_until(__atomic_load_n(answered, __ATOMIC_SEQ_CST) > 2, "nobody reads");
		wait_until((error = unload_module("taskscope")) != EAGAIN, "it never goes");
		for (int r = 0; r < 2; r++)
			status |= wait_for(readers[r]);
		good += !error && !status;
	}
	return good;
}

static volatile bool *stop;

/*
 * The kernel's threads that work for all on that processor go before what keeps it
 * busy here: on PREEMPT_RT one tells RCU that the processor is done.
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
 * This process and its children are to be on the other processors: on PREEMPT_RT a
 * sleep ends in a thread of the processor on which it began.
 */
static void leave(int cpu)
{
	cpu_set_t set;

	must(sched_getaffinity(0, sizeof(set), &set));
	CPU_CLR(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
}

/* Nothing but this runs on the processor, hardly a kernel thread either, until it is told. */
static void hog(void *cpu)
{
	stay_on(*(int *)cpu);
	be_real_time(98);
	stop[1] = true;
	while (!stop[0])
		;
}

/* The same, but not before it is told. */
static int go[2];

static void late_hog(void *cpu)
{
	char byte;

	stay_on(*(int *)cpu);
	be_real_time(98);
	must(read(go[0], &byte, 1));
	hog(cpu);
}

/* Nothing that is of no real-time class runs on the processor. */
static void crowd_out(void *cpu)
{
	stay_on(*(int *)cpu);
	be_real_time(1);
	stop[2] = true;
	for (;;)
		;
}

/* The threads that work items of the processor run in. */
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

/* Whether the module's work item there has begun and has not ended, as the name tells. */
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

/* Kills a reader. Whether it is gone without another wait in open(). */
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
 * The processor is taken away in the middle of what it does for an open, and given
 * back only after that has returned: if the open waits for it, this never ends. Or the
 * reader is killed.
 *
 * There is a long middle where the processor before it is waited for, and has no time.
 * Returns how often nothing was amiss.
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
		wait_until(in_the_middle(), "nothing begins on processor %d", cpu);
		must(write(go[1], "x", 1));
		wait_until(stop[1], "no hog");
		/* If it has just ended, this was too late, and is no try. */
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

/* No share for others, by any of the schedulers' safeguards. */
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

static void on_alarm(int signal)
{
}

/* The errno of an open that a signal ends, whose handler does not restart it. */
static int interrupted_open(useconds_t delay)
{
	struct sigaction action = { .sa_handler = on_alarm };
	int file, error;

	must(sigaction(SIGALRM, &action, NULL));
	/* Again and again, for the first may come too early. */
	ualarm(delay, delay);
	file = open(TABLES "contexts", O_RDONLY | O_CLOEXEC);
	error = file < 0 ? errno : 0;
	ualarm(0, 0);
	if (file >= 0)
		close(file);
	return error;
}

/*
 * Opens that a signal ends at this moment and that: what they have started, a timer
 * that is yet to expire, goes with them. A kernel that is slow has other moments.
 */
static long interrupted_opens(long opens)
{
	const useconds_t step = 250 * slower();
	long interrupted = 0;

	for (long i = 0; i < opens; i++) {
		int error = interrupted_open((1 + i % 16) * step);

		if (error && error != EINTR)
			die("an open under signals");
		interrupted += error == EINTR;
	}
	return interrupted;
}

/* Readers killed while they wait for the processor that does not answer. */
static int kill_readers(int times)
{
	int killed = 0;

	for (int i = 0; i < times; i++) {
		pid_t pid = start_reader(1000);
		int status;

		/* Asleep in open(), for it sleeps nowhere else. */
		wait_for_state(pid, pid, "S");
		usleep(i * 1000);
		must(kill(pid, SIGKILL));
		status = wait_for(pid);
		killed += WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
	}
	return killed;
}

/* Nothing of the module runs or waits any more. */
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

int main(void)
{
	int cpus[CPUS_MAX], cpu, online;
	char words[80];
	const long opens = rounds("OPENS", 32, 200), unloads = rounds("UNLOADS", 6, 100);
	const int kills = rounds("KILLS", 2, 10), hogs = rounds("HOGS", 1, 5);
	long changes = 0, interrupted;
	struct contexts *table;
	size_t silent;
	pid_t pid;

	ksft_print_header();
	ksft_set_plan(16);
	answered = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enough = answered + 1;
	ksft_test_result(unload_under_readers(unloads) == unloads,
			 "unloaded under readers, %ld times\n", unloads);
	online = online_cpus(cpus);
	cpu = online > 1 ? cpus[1] : -1;
	stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	load_taskscope("");
	*answered = 0;

	ksft_test_result(storm(opens, cpu, rounds("CHANGES", 4, 12), &changes),
			 "%ld+ opens by %d readers, a processor came and went %ld times\n", opens,
			 READERS, changes / 2);
	ksft_test_result(*answered > opens / 2, "all answered in %ld of them\n", *answered);
	table = contexts_read();
	ksft_test_result(whole(table) && !contexts_said(table, "did not answer"),
			 "all answer when it is quiet\n");
	contexts_free(table);
	interrupted = interrupted_opens(opens);
	ksft_test_result(interrupted > 0, "signals end %ld opens of %ld\n", interrupted, opens);
	wait_until(no_thread_left(), "a thread is left");
	ksft_test_result_pass("no thread is left\n");
	if (online < 2) {
		for (int i = 0; i < 10; i++)
			ksft_test_result_skip("one processor cannot go, nor be kept busy\n");
		ksft_finished();
	}
	leave(cpu);
	no_share_for_others(cpu);
	prefer("rcuc", cpu);
	pid = start_child(hog, &cpu);
	wait_until(stop[1], "no hog");
	table = contexts_read();
	ksft_test_result(whole(table) && contexts_said(table, "did not answer"),
			 "a processor that does not answer is labelled, %zu rows\n",
			 contexts_said(table, "did not answer"));
	/* What is set off on that processor, and what it was to send to the next. */
	snprintf(words, sizeof(words), "on processor %d did not answer", cpu);
	silent = contexts_said(table, words);
	snprintf(words, sizeof(words), "ipi on processor %d was not sent: processor %d did not",
		 cpus[2 % online], cpu);
	ksft_test_result(silent == 5 && contexts_said(table, words) == 1 &&
			 contexts_said(table, "did not answer") == 6,
			 "by name, and what it was to send with it\n");
	ksft_test_result(contexts_find(table, "workqueue", cpus[0]) &&
			 contexts_find(table, "ipi", cpu) &&
			 !contexts_find(table, "workqueue", cpu), "the other has answered\n");
	contexts_free(table);
	ksft_test_result(interrupted_open(20000) == EINTR, "a signal ends the wait\n");
	ksft_test_result(kill_readers(kills) == kills, "so does the death of the reader\n");
	/* One may be on its way out. */
	wait_until(no_thread_left(), "a thread is left");
	ksft_test_result(unload_module("taskscope") == 0,
			 "nothing is left, and the module goes while the processor is still busy\n");
	stop[0] = true;
	end_child(pid);
	load_taskscope("");
	table = contexts_read();
	ksft_test_result(whole(table) && !contexts_said(table, "did not answer"),
			 "and all answer again\n");
	contexts_free(table);
	no_share_for_others(cpus[0]);
	/* All that the opener needs where it is itself. */
	prefer("rcuc", cpus[0]);
	prefer("ksoftirqd", cpus[0]);
	prefer("ktimers", cpus[0]);
	ksft_test_result(not_held_up(cpus[0], cpu, hogs, false) == hogs,
			 "a processor is taken away in the middle, %d times\n", hogs);
	ksft_test_result(not_held_up(cpus[0], cpu, hogs, true) == hogs,
			 "a reader killed then: it does not wait for the processor, %d times\n",
			 hogs);
	table = contexts_read();
	ksft_test_result(whole(table) && !contexts_said(table, "did not answer"),
			 "and again all answer\n");
	contexts_free(table);
	ksft_finished();
}
