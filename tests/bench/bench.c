// SPDX-License-Identifier: GPL-2.0
/*
 * Measures taskscope and its peers on the same threads, and prints a line of JSON for each
 * measurement. If QEMU counts instructions (-icount, one CPU), the counter that is
 * read here counts instructions; otherwise it counts nanoseconds.
 *
 * usage: bench CLOCK CONTENDERS REPEATS CROWD...
 *
 * CLOCK is `time`, `instructions`, or `profile`, which counts instructions and prints in
 * which kernel functions they were spent, in lines that begin with `#`. CONTENDERS is a
 * comma-separated list of names from the table below, and of `meter`, which measures memory
 * and RCU sections; or `all`. Each crowd is created, measured with each contender, and
 * ended. It is THREADS:GROUP[:names][:users][:own][:mappings=N][:frames=N], see
 * struct crowd_shape.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "bench.h"
#include "crowd.h"
#include "guest.h"
#include "profile.h"
#include "spaces.h"

#define DEBUGFS "/sys/kernel/debug/"
#define METER DEBUGFS "meter"
#define BPFFS "/sys/fs/bpf"
#define TASKSCOPE "/taskscope.ko"

/*
 * A slow contender is measured at most FEW_REPEATS times, and with MANY threads or more only
 * once. MANY is smaller for instructions, because repeated runs take the same number of them.
 */
#define FEW_REPEATS 3
#define MANY (instructions ? 5000 : 50000)

/*
 * By time, a contender runs until its runs have taken this many nanoseconds together, even if
 * fewer repeats are asked for. Other work of the host takes longer than a table of 1,000
 * threads takes, and could disturb most of a few runs.
 */
#define ENOUGH 300000000ul

static bool instructions, profiled;

/* QEMU's instruction counter, or nanoseconds. */
static unsigned long now(void)
{
	struct timespec time;

#ifdef __x86_64__
	if (instructions)
		return __builtin_ia32_rdtsc();
#endif
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static bool metered;

/* The meter, if it is loaded, watches this process from here on. */
static void watch_me(void)
{
	if (metered)
		write_file(METER, "1");
}

size_t read_file(const char *path)
{
	static char buffer[1 << 16];
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	ssize_t got;

	if (descriptor < 0)
		return 0;
	while ((got = read(descriptor, buffer, sizeof(buffer))) > 0)
		size += got;
	if (got < 0)
		die("%s cannot be read", path);
	close(descriptor);
	return size;
}

static size_t one_file(const char *path)
{
	size_t size = read_file(path);

	if (!size)
		die("%s is empty or missing", path);
	return size;
}

/* Reads a file of every thread in /proc. */
static size_t proc_files(const char *name)
{
	struct dirent *process, *task;
	DIR *processes = opendir("/proc"), *tasks;
	char path[600];
	size_t size = 0;

	while ((process = readdir(processes))) {
		if (process->d_name[0] < '0' || process->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task", process->d_name);
		tasks = opendir(path);
		while (tasks && (task = readdir(tasks))) {
			if (task->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "/proc/%s/task/%s/%s", process->d_name,
				 task->d_name, name);
			size += read_file(path);
		}
		if (tasks)
			closedir(tasks);
	}
	closedir(processes);
	return size;
}

/* Runs a command, whose words are separated by single spaces; its output goes to memory. */
static size_t command(const char *line)
{
	static int output = -1;
	char words[200], *word[20], *at = words;
	int count = 0, status;
	pid_t pid;

	if (output < 0)
		output = must(memfd_create("output", MFD_CLOEXEC));
	must(ftruncate(output, 0));
	must(lseek(output, 0, SEEK_SET));
	snprintf(words, sizeof(words), "%s", line);
	while ((word[count] = strsep(&at, " ")))
		count++;
	pid = must(fork());
	if (!pid) {
		watch_me();
		dup2(output, STDOUT_FILENO);
		execv(word[0], word);
		_exit(127);
	}
	must(waitpid(pid, &status, 0));
	if (status)
		die("%s: status %#x", line, status);
	return must(lseek(output, 0, SEEK_END));
}

static size_t nothing(const char *unused)
{
	return 0;
}

static void load_anew(void)
{
	unload_module("taskscope");
	load_module(TASKSCOPE, "");
}

static const struct contender {
	const char *name;
	size_t (*run)(const char *argument);
	const char *argument;
	void (*prepare)(void);
	bool slow;
} contenders[] = {
	{ "threads", one_file, TABLES "threads" },
	{ "threads_first", one_file, TABLES "threads", load_anew },
	{ "kstacks", one_file, TABLES "kstacks" },
	{ "kframes", one_file, TABLES "kframes" },
	{ "kframes_first", one_file, TABLES "kframes", load_anew },
	{ "syscalls", one_file, TABLES "syscalls" },
	{ "segments", one_file, TABLES "segments" },
	{ "ustacks", one_file, TABLES "ustacks" },
	{ "uframes", one_file, TABLES "uframes" },
	{ "c_best", one_file, DEBUGFS "table_best" },
	{ "c_plain", one_file, DEBUGFS "table_plain" },
	{ "c_walk", one_file, DEBUGFS "table_walk" },
	{ "bpf_threads", one_file, BPFFS "/threads" },
	{ "bpf_frames", one_file, BPFFS "/frames" },
	{ "bpf_segments", one_file, BPFFS "/segments" },
	{ "bpf_ustacks", one_file, BPFFS "/ustacks" },
	{ "proc_stat", proc_files, "stat", NULL, true },
	{ "proc_stack", proc_files, "stack", NULL, true },
	{ "proc_maps", maps_of_processes, "", NULL, true },
	{ "proc_maps_syscall", maps_and_syscalls, "", NULL, true },
	{ "query_all", query_all, "", NULL, true },
	{ "query_segments", query_segments, "", NULL, true },
	{ "query_stacks", query_stacks, "", NULL, true },
	{ "ps", command, "/usr/bin/ps -eLo pid,lwp,ppid,ruid,euid,s,nlwp,comm", NULL, true },
};

#define CONTENDERS (sizeof(contenders) / sizeof(*contenders))

/* Whether the list has the name, or is `all`. */
static bool wanted(const char *list, const char *name)
{
	char words[500], *at = words, *word;

	snprintf(words, sizeof(words), "%s", list);
	while ((word = strsep(&at, ",")))
		if (!strcmp(word, name) || !strcmp(word, "all"))
			return true;
	return false;
}

/* The number of runnable threads, this one included, and of all threads. */
static void count_threads(int *running, int *all)
{
	char *text = slurp("/proc/loadavg", NULL);

	if (sscanf(text, "%*s %*s %*s %d/%d", running, all) != 2)
		die("loadavg says %s", text);
	free(text);
}

static bool is_quiet(void)
{
	int running, all;

	count_threads(&running, &all);
	return running == 1;
}

/* So many checks in a row, a millisecond apart, must find no other runnable thread. */
#define QUIET 200

/* Otherwise the rest of the boot or of a crowd's start would be measured too. */
static void wait_for_quiet(void)
{
	int looks = 0;

	wait_until((looks = is_quiet() ? looks + 1 : 0) == QUIET, "some thread always runs");
}

static void print_start(const char *what, const char *crowd, const struct contender *contender)
{
	int running, all;

	count_threads(&running, &all);
	printf("{\"what\": \"%s\", \"crowd\": \"%s\", \"threads\": %d", what, crowd, all);
	printf(", \"user_threads\": %zu, \"user_processes\": %zu, \"contender\": \"%s\"",
	       user_threads(), user_processes(), contender->name);
}

static void measure(const char *crowd, const struct contender *contender, int repeats)
{
	/* The first run is not counted: it does what is done only once. */
	bool beforehand = !contender->prepare && repeats > 1;
	unsigned long spent = 0;

	for (int i = beforehand ? 0 : 1; i <= repeats || (!instructions && spent < ENOUGH); i++) {
		unsigned long start, end;
		size_t size;

		unsigned long begun = now();

		if (contender->prepare)
			contender->prepare();
		if (i == 1 && profiled)
			profile_start();
		start = now();
		size = contender->run(contender->argument);
		end = now();
		if (!i)
			continue;
		spent += end - begun;
		print_start(instructions ? "instructions" : "nanoseconds", crowd, contender);
		printf(", \"cost\": %lu, \"bytes\": %zu}\n", end - start, size);
	}
	if (profiled)
		profile_print(contender->name);
}

/* Counts the system calls of a process and of those that it starts. */
static int count_calls(pid_t pid)
{
	struct perf_event_attr attribute = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attribute), .inherit = 1,
	};
	char *id = slurp(DEBUGFS "tracing/events/raw_syscalls/sys_enter/id", NULL);

	attribute.config = strtoul(id, NULL, 10);
	free(id);
	return must(syscall(SYS_perf_event_open, &attribute, pid, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

struct metering {
	unsigned long calls;
	long user_kib;
	char meter[100];
};

/* Runs the contender in a process of its own, which the meter watches. */
static void meter(const struct contender *contender, struct metering *result)
{
	struct rusage usage;
	int go[2], counter, status;
	char byte = 0, *text;
	pid_t pid;

	/* The first run is not metered: it allocates memory that is then kept. */
	if (contender->prepare)
		contender->prepare();
	else
		contender->run(contender->argument);
	must(pipe(go));
	pid = fork_child();
	if (!pid) {
		must(read(go[0], &byte, 1));
		if (contender->run != command)
			watch_me();
		contender->run(contender->argument);
		write_file(METER, "0");
		_exit(0);
	}
	/* System calls before this wait do not count. */
	wait_for_state(pid, pid, "S");
	counter = count_calls(pid);
	must(write(go[1], &byte, 1));
	must(wait4(pid, &status, 0, &usage));
	if (status)
		die("%s: status %#x", contender->name, status);
	must(read(counter, &result->calls, sizeof(result->calls)));
	result->user_kib = usage.ru_maxrss;
	text = slurp(METER, NULL);
	snprintf(result->meter, sizeof(result->meter), "%s", text);
	free(text);
	close(counter);
	close(go[0]);
	close(go[1]);
}

static void print_metering(const char *crowd, const struct contender *contender,
			   const struct metering *none)
{
	unsigned long section, sections, memory, lost;
	struct metering result;

	meter(contender, &result);
	if (sscanf(result.meter, "%lu %lu %lu %lu", &section, &sections, &memory, &lost) != 4)
		die("the meter says %s", result.meter);
	print_start("meter", crowd, contender);
	printf(", \"calls\": %lu, \"kernel_bytes\": %lu, \"not_followed\": %lu",
	       result.calls - none->calls, memory, lost);
	printf(", \"user_kib\": %ld, \"section\": %lu, \"sections\": %lu}\n",
	       result.user_kib, section, sections);
}

/* The number behind a name in the description of a crowd, or 0. */
static long number_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? atol(at + strlen(name)) : 0;
}

static struct crowd_shape shape_of(const char *text)
{
	struct crowd_shape shape = {
		.names = strstr(text, ":names"),
		.users = strstr(text, ":users"),
		.own = strstr(text, ":own"),
		.mappings = number_of(text, ":mappings="),
		.frames = number_of(text, ":frames="),
	};

	if (sscanf(text, "%ld:%ld", &shape.threads, &shape.group) != 2 || shape.group < 1)
		die("not the description of a crowd: %s", text);
	return shape;
}

int main(int argc, char **argv)
{
	static const struct contender none = { "none", nothing };
	struct metering no_calls;
	const char *list;
	int repeats;

	if (argc < 5)
		die("usage: bench CLOCK CONTENDERS REPEATS CROWD...");
	profiled = !strcmp(argv[1], "profile");
	instructions = profiled || !strcmp(argv[1], "instructions");
	list = argv[2];
	repeats = atoi(argv[3]);

	/* The guest may have loaded it already; this program unloads it. */
	load_anew();
	load_module("/bench/table_best.ko", "");
	load_module("/bench/table_plain.ko", "");
	if (!access("/bench/pin", X_OK)) {
		must(mount("bpf", BPFFS, "bpf", 0, NULL));
		command("/bench/pin");
	}

	for (char **crowd = argv + 4; *crowd; crowd++) {
		struct crowd_shape shape = shape_of(*crowd);
		pid_t pid = start_crowd_of(&shape);

		wait_for_quiet();
		list_users();
		for (size_t i = 0; i < CONTENDERS; i++) {
			const struct contender *contender = &contenders[i];
			int times = repeats;

			if (contender->slow && times > FEW_REPEATS)
				times = FEW_REPEATS;
			if (contender->slow && shape.threads >= MANY)
				times = 1;
			if (wanted(list, contender->name))
				measure(*crowd, contender, times);
		}
		if (instructions && !profiled && wanted(list, "meter")) {
			load_module("/bench/meter.ko", "");
			metered = true;
			meter(&none, &no_calls);
			for (size_t i = 0; i < CONTENDERS; i++)
				if (wanted(list, contenders[i].name) &&
				    !(contenders[i].slow && shape.threads >= MANY))
					print_metering(*crowd, &contenders[i], &no_calls);
			metered = false;
			unload_module("meter");
		}
		end_crowd_of(pid);
	}
	return 0;
}
