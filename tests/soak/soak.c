// SPDX-License-Identifier: GPL-2.0
/*
 * Eight readers read all files for MINUTES, each in pieces of another size, while tasks are
 * created, die and change in every possible way, CPUs go offline and online, memory is
 * short, and the module is unloaded and loaded.
 *
 * Every text must be complete and have the threads that live all the while, once. At the end
 * there must be as many tasks and kernel objects as before. The kernel log shows any other
 * error.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"
#include "rows.h"
#include "whole.h"

#define READERS 8
#define STORMS 12
#define CGROUP "/tmp/cgroup"

/* Shared memory of the test, its readers and its storms. */
static struct {
	atomic_ulong storm[STORMS];
	atomic_ulong texts, bytes, absent, no_memory, wrong;
	/* The module is about to be unloaded: readers pause between two opens. */
	atomic_bool quiet;
} *shared;

static char **files;
static int file_count;
static pid_t test;

/* --- the readers */

static const size_t piece[READERS] = { 1, 7, 61, 512, 4095, 4096, 16384, 1 << 20 };

static void complain(const char *name, const char *problem)
{
	if (shared->wrong++ < 20)
		ksft_print_msg("%s: %s\n", name, problem);
}

/* Reads all of a file, `bytes` bytes at a time; NULL after an error. */
static char *read_in_pieces(int descriptor, size_t bytes, size_t *size)
{
	size_t room = 1 << 20, used = 0;
	char *text = malloc(room);
	ssize_t count;

	do {
		if (room - used < bytes + 1)
			text = realloc(text, room = 2 * room + bytes);
		if (!text)
			die("no memory");
		count = read(descriptor, text + used, bytes);
		used += count > 0 ? count : 0;
	} while (count > 0);
	text[used] = 0;
	*size = used;
	if (!count)
		return text;
	free(text);
	return NULL;
}

/* Reads a piece at a random offset again, and compares it with the text. */
static bool again(int descriptor, const char *text, size_t size)
{
	char bytes[300];
	size_t at = rand() % (size + 1);
	ssize_t count = pread(descriptor, bytes, sizeof(bytes), at);

	return count > 0 ? !memcmp(bytes, text + at, count) : !count && at == size;
}

/* The text has the threads that live as long as the test does. */
static bool has_those_who_stay(const char *name, const char *text, size_t size)
{
	struct rows *table;
	bool has;

	if (!strcmp(name, "current") || !strcmp(name, "set_pid") || !strcmp(name, "contexts") ||
	    !strcmp(name, "cpus"))
		return true;
	table = rows_parse(memcpy(malloc(size + 1), text, size + 1), size);
	has = rows_find(table, 1) < table->rows && rows_find(table, test) < table->rows;
	rows_free(table);
	return has;
}

static void check(const char *name, int descriptor, const char *text, size_t size)
{
	const char *problem = whole(name, text, size);

	if (!problem && !has_those_who_stay(name, text, size))
		problem = "a thread that lives all the while is missing";
	if (!problem && !again(descriptor, text, size))
		problem = "pread() gives another text";
	if (problem)
		complain(name, problem);
	shared->texts++;
	shared->bytes += size;
}

static void read_files(void *bytes)
{
	srand(getpid());
	for (;;) {
		const char *name = files[rand() % file_count];
		char path[100], *text;
		int descriptor;
		size_t size;

		snprintf(path, sizeof(path), TABLES "%s", name);
		descriptor = open(path, O_RDONLY | O_CLOEXEC);
		if (descriptor < 0) {
			if (errno == ENOENT || errno == ENXIO)
				shared->absent++;
			else if (errno == ENOMEM)
				shared->no_memory++;
			else
				complain(name, strerror(errno));
			usleep(10000);
			continue;
		}
		text = read_in_pieces(descriptor, *(size_t *)bytes, &size);
		if (text)
			check(name, descriptor, text, size);
		else if (errno == ENOMEM)
			shared->no_memory++;
		else
			complain(name, strerror(errno));
		free(text);
		close(descriptor);
		if (shared->quiet)
			usleep(rand() % 400000 * slower());
	}
}

/* --- the storms: each counts its rounds, and sleeps between them */

static void breathe(void)
{
	usleep(rand() % 4000);
}

static void *end_at_once(void *unused)
{
	return NULL;
}

static void sleep_for_ever(void *unused)
{
}

static void forks(void *counter)
{
	for (;;) {
		pid_t child[8];

		for (int i = 0; i < 8; i++) {
			child[i] = must(fork());
			if (!child[i])
				_exit(0);
		}
		for (int i = 0; i < 8; i++)
			must(waitpid(child[i], NULL, 0));
		*(atomic_ulong *)counter += 8;
	}
}

static void threads(void *counter)
{
	for (;;) {
		pthread_t thread[8];

		for (int i = 0; i < 8; i++)
			if (pthread_create(&thread[i], NULL, end_at_once, NULL))
				die("pthread_create");
		for (int i = 0; i < 8; i++)
			pthread_join(thread[i], NULL);
		*(atomic_ulong *)counter += 8;
	}
}

static void *execute(void *unused)
{
	char * const arguments[] = { "soak", "ends at once", NULL };

	execv("/proc/self/exe", arguments);
	_exit(1);
}

/* Executed in turn by the leader and by another thread, which becomes the leader. */
static void executes(void *counter)
{
	for (bool by_leader = false;; by_leader = !by_leader) {
		pid_t child = must(fork());
		pthread_t thread;
		int status;

		if (!child) {
			if (by_leader)
				execute(NULL);
			pthread_create(&thread, NULL, execute, NULL);
			for (;;)
				pause();
		}
		must(waitpid(child, &status, 0));
		if (status)
			die("exec: status %#x", status);
		++*(atomic_ulong *)counter;
	}
}

/* The leader ends before its last thread does. */
static void leaders_exit(void *counter)
{
	for (;;) {
		pid_t child = must(fork());
		pthread_t thread;

		if (!child) {
			pthread_create(&thread, NULL, end_at_once, NULL);
			pthread_exit(NULL);
		}
		must(waitpid(child, NULL, 0));
		++*(atomic_ulong *)counter;
	}
}

static void change_users(void *counter)
{
	for (;; ++*(atomic_ulong *)counter) {
		must(seteuid(1000));
		must(seteuid(0));
		must(setresuid(1, 0, 2));
		must(setresuid(0, 0, 0));
		usleep(rand() % 100);
	}
}

static void change_names(void *counter)
{
	static const char * const names[] = {
		"", " ", "#", "\n", "a\nb", "\\", "\033[2J", ") R 1 1", "123456789012345",
	};

	for (unsigned long i = 0;; i++, ++*(atomic_ulong *)counter) {
		must(prctl(PR_SET_NAME, names[i % ARRAY_SIZE(names)]));
		usleep(rand() % 100);
	}
}

static void trace(void *counter)
{
	pid_t child = start_child(sleep_for_ever, NULL);

	for (;; ++*(atomic_ulong *)counter) {
		must(ptrace(PTRACE_ATTACH, child, NULL, NULL));
		must(waitpid(child, NULL, __WALL));
		must(ptrace(PTRACE_DETACH, child, NULL, NULL));
		breathe();
	}
}

static void stop(void *counter)
{
	pid_t child = start_child(sleep_for_ever, NULL);

	for (;; ++*(atomic_ulong *)counter) {
		must(kill(child, SIGSTOP));
		must(waitpid(child, NULL, WUNTRACED));
		must(kill(child, SIGCONT));
		must(waitpid(child, NULL, WCONTINUED));
		breathe();
	}
}

static bool is_frozen(const char *events)
{
	char *text = slurp(CGROUP "/soak/cgroup.events", NULL);
	bool is = strstr(text, events);

	free(text);
	return is;
}

/* A process that forks all the time, in a cgroup that is frozen and thawed. */
static void freeze_and_thaw(void *counter)
{
	static atomic_ulong unused;
	char pid[20];

	snprintf(pid, sizeof(pid), "%d", start_child(forks, &unused));
	write_file(CGROUP "/soak/cgroup.procs", pid);
	for (;; ++*(atomic_ulong *)counter) {
		write_file(CGROUP "/soak/cgroup.freeze", "1");
		wait_until(is_frozen("frozen 1"), "the cgroup does not freeze");
		write_file(CGROUP "/soak/cgroup.freeze", "0");
		wait_until(is_frozen("frozen 0"), "the cgroup does not thaw");
		breathe();
	}
}

/* The last CPU goes offline and online. */
static void plug(void *counter)
{
	int cpus[CPUS_MAX], last = cpus[online_cpus(cpus) - 1];

	if (last == cpus[0])
		return;
	for (;; ++*(atomic_ulong *)counter) {
		set_online(last, false);
		usleep(rand() % 200000);
		set_online(last, true);
		/* Long enough for other work: hotplug stops all CPUs. */
		usleep(rand() % 2000000);
	}
}

static long available_kib(void)
{
	char *text = slurp("/proc/meminfo", NULL);
	long kib = atol(strstr(text, "MemAvailable:") + strlen("MemAvailable:"));

	free(text);
	return kib;
}

/* Takes memory until little is left, so that the kernel reclaims, and gives half of it back. */
static void take_memory(void *counter)
{
	const size_t step = 16 << 20;
	const long enough = available_kib(), little = enough / 10;
	size_t taken = 0, most = enough * 1024;
	char *memory = mmap(NULL, most, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("no room for %zu bytes", most);
	/* Huge pages are cleared faster, and free memory becomes fragmented. */
	madvise(memory, most, MADV_HUGEPAGE);
	for (;; ++*(atomic_ulong *)counter) {
		for (; taken + step <= most && available_kib() > little; taken += step)
			memset(memory + taken, 1, step);
		write_file("/proc/sys/vm/drop_caches", "3");
		usleep(rand() % 300000);
		taken = taken / step / 2 * step;
		must(madvise(memory + taken, most - taken, MADV_DONTNEED));
		usleep(rand() % 300000);
	}
}

/* Selects some of the threads that live all the while, or all threads. */
static void choose(void *counter)
{
	char list[50];

	snprintf(list, sizeof(list), "1 %d 2 4000000", test);
	for (;; ++*(atomic_ulong *)counter) {
		int descriptor = open(TABLES "set_pid", O_WRONLY | O_TRUNC | O_CLOEXEC);
		const char *text = rand() % 2 ? list : " ";

		if (descriptor >= 0) {
			if (write(descriptor, text, strlen(text)) < 0 && errno != ENOMEM)
				complain("set_pid", strerror(errno));
			close(descriptor);
		} else if (errno != ENOENT && errno != ENXIO && errno != ENOMEM) {
			complain("set_pid", strerror(errno));
		}
		usleep(rand() % 50000);
	}
}

static const struct {
	const char *what;
	void (*body)(void *counter);
} storm[STORMS] = {
	/* The first storm, since its first round takes long. */
	{ "times memory was short", take_memory },
	{ "processes forked", forks },
	{ "threads created", threads },
	{ "programs executed", executes },
	{ "leaders gone before their threads", leaders_exit },
	{ "times four changes of user", change_users },
	{ "changes of name", change_names },
	{ "attachments of a tracer", trace },
	{ "stops", stop },
	{ "freezes of a cgroup", freeze_and_thaw },
	{ "CPUs unplugged", plug },
	{ "lists written to set_pid", choose },
};

/* A single CPU stays. */
static bool cannot_rage(int number)
{
	return storm[number].body == plug && sysconf(_SC_NPROCESSORS_CONF) < 2;
}

/* --- what is left at the end */

/* The slab caches that are compared. `of_thread`: each thread has one object of its own. */
static const struct {
	const char *name;
	bool of_thread;
} cache[] = {
	{ "task_struct", true }, { "mm_struct", false }, { "seq_file", false },
};

#define CACHES ((int)ARRAY_SIZE(cache))

struct left {
	long threads, object[CACHES];
};

static struct left what_is_left(void)
{
	struct left left;
	struct proc_thread *threads;

	left.threads = proc_threads(&threads);
	free(threads);
	for (int i = 0; i < CACHES; i++)
		left.object[i] = slab_objects(cache[i].name) -
				 (cache[i].of_thread ? left.threads : 0);
	return left;
}

/* Kernels with sanity checks of slabs count objects exactly, other kernels count whole slabs. */
static bool counts_exactly(void)
{
	char *text = slurp("/sys/kernel/slab/task_struct/sanity_checks", NULL);
	bool exactly = *text == '1';

	free(text);
	return exactly;
}

/* A bug that leaks an object in each snapshot leaks thousands. */
static bool same_objects(const struct left *before, const struct left *after)
{
	const int some = counts_exactly() ? 0 : 50;

	for (int i = 0; i < CACHES; i++)
		if (after->object[i] > before->object[i] + some)
			return false;
	return true;
}

/* Kernel workers are created and exit. */
static bool same_threads(const struct left *before, const struct left *after)
{
	return after->threads <= before->threads + 30;
}

/*
 * khugepaged has the lowest priority. It may be preempted for very long inside an RCU
 * read-side critical section and so delay all grace periods: it scans once, and never again.
 */
#define KHUGEPAGED "/sys/kernel/mm/transparent_hugepage/khugepaged/"

static void calm_khugepaged(void)
{
	if (access(KHUGEPAGED, F_OK))
		return;
	write_file(KHUGEPAGED "scan_sleep_millisecs", "4294967295");
	write_file(KHUGEPAGED "alloc_sleep_millisecs", "4294967295");
}

/* Reads each file once, so that everything that is allocated only once exists. */
static void warm_up(void)
{
	load_taskscope("");
	files = file_names();
	for (file_count = 0; files[file_count]; file_count++) {
		char path[100];

		snprintf(path, sizeof(path), TABLES "%s", files[file_count]);
		free(slurp(path, NULL));
	}
	/* 4: the kernel logs no line for each later write to drop_caches. */
	write_file("/proc/sys/vm/drop_caches", "4");
	must(mkdir(CGROUP, 0700));
	must(mount("cgroup2", CGROUP, "cgroup2", 0, NULL));
	must(mkdir(CGROUP "/soak", 0700));
	must(unload_module("taskscope") ? -1 : 0);
}

int main(int argc, char **argv)
{
	const time_t duration = setting("MINUTES", 5) * 60;
	unsigned long unloads = 0, refused = 0, first_rounds[STORMS];
	bool raged = true;
	pid_t child[READERS + STORMS];
	struct left before, after = { 0 };
	struct utsname kernel;
	time_t end;
	int children = 0;

	/* Executed by a storm. */
	if (argc > 1)
		return 0;
	ksft_print_header();
	ksft_set_plan(5);
	/* The test loads the module itself. */
	unload_module("taskscope");
	skip_suites();
	test = getpid();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	/* PIDs are not reused during a snapshot. */
	write_file("/proc/sys/kernel/pid_max", "4194304");
	warm_up();
	calm_khugepaged();
	before = what_is_left();

	load_taskscope("");
	for (int i = 0; i < STORMS; i++) {
		child[children++] = start_child(storm[i].body, &shared->storm[i]);
		wait_until(shared->storm[i] || cannot_rage(i), "no round of: %s", storm[i].what);
	}
	for (int i = 0; i < READERS; i++)
		child[children++] = start_child(read_files, (void *)&piece[i]);
	for (int i = 0; i < STORMS; i++)
		first_rounds[i] = shared->storm[i];
	end = seconds() + duration;
	while (seconds() < end) {
		unsigned long texts = shared->texts;
		int error;

		wait_until(shared->texts > texts + 50 * READERS, "no reader has read");
		shared->quiet = true;
		wait_until((error = unload_module("taskscope")) != EAGAIN || !++refused,
			   "the module does not unload");
		if (error)
			die("the module does not unload");
		unloads++;
		load_taskscope("");
		shared->quiet = false;
	}
	for (int i = 0; i < children; i++) {
		if (waitpid(child[i], NULL, WNOHANG))
			die("%s ended", i < STORMS ? storm[i].what : "a reader");
		end_child(child[i]);
	}
	must(unload_module("taskscope") ? -1 : 0);
	/* Thaws processes that were frozen when their parent was killed, so that they exit. */
	write_file(CGROUP "/soak/cgroup.freeze", "0");
	wait_until(!rmdir(CGROUP "/soak"), "the cgroup is not empty");
	must(umount(CGROUP));
	for (int i = 0; i < WAIT_LIMIT; i++) {
		after = what_is_left();
		if (same_threads(&before, &after) && same_objects(&before, &after))
			break;
		sleep(1);
	}

	uname(&kernel);
	/* tests/soak/sum adds these figures, and those of the storms. */
	ksft_print_msg("%ld seconds on %s\n", duration, kernel.release);
	ksft_print_msg("%lu texts read and checked\n", shared->texts);
	ksft_print_msg("%lu MiB of text\n", shared->bytes >> 20);
	ksft_print_msg("%lu texts that were wrong\n", shared->wrong);
	ksft_print_msg("%lu opens that failed for lack of memory\n", shared->no_memory);
	ksft_print_msg("%lu opens that found no module\n", shared->absent);
	ksft_print_msg("%lu unloads and loads\n", unloads);
	ksft_print_msg("%lu unloads refused, because files were open\n", refused);
	for (int i = 0; i < STORMS; i++) {
		ksft_print_msg("%lu %s\n", shared->storm[i], storm[i].what);
		raged &= shared->storm[i] > first_rounds[i] || cannot_rage(i);
	}
	ksft_print_msg("threads: %ld before, %ld after\n", before.threads, after.threads);
	for (int i = 0; i < CACHES; i++)
		ksft_print_msg("%s%s: %ld before, %ld after\n", cache[i].name,
			       cache[i].of_thread ? " without live threads'" : "",
			       before.object[i], after.object[i]);
	ksft_test_result(shared->texts && !shared->wrong, "every text: complete and well formed\n");
	ksft_test_result(raged, "every storm: rounds during the reads\n");
	ksft_test_result(unloads && refused,
			 "unload: refused while files are open, done while none is\n");
	ksft_test_result(same_threads(&before, &after), "at the end: as many threads as before\n");
	ksft_test_result(same_objects(&before, &after),
			 "at the end: as many kernel objects as before\n");
	ksft_finished();
}
