// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"

void die(const char *format, ...)
{
	int error = errno;
	va_list arguments;

	printf("Bail out! ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("%s%s\n", error ? ": " : "", error ? strerror(error) : "");
	exit(1);
}

/* Line buffering: a program that hangs or dies has printed how far it came. */
static __attribute__((constructor)) void print_by_line(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
}

#if __GLIBC_PREREQ(2, 42)
/*
 * glibc marks the guard page of a thread's stack inside the mapping (MADV_GUARD_INSTALL), and
 * the tables say `guarded`, which the test split_stacks is about. The stacks of the other tests
 * have no guard page.
 */
static __attribute__((constructor)) void begin_threads_without_guards(void)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setguardsize(&attributes, 0);
	pthread_setattr_default_np(&attributes);
	pthread_attr_destroy(&attributes);
}
#endif

time_t seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

double monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

long setting(const char *name, long fallback)
{
	const char *value = getenv(name);
	char *end;
	long number;

	if (!value)
		return fallback;
	number = strtol(value, &end, 0);
	errno = 0;
	if (!*value || *end || number <= 0)
		die("%s=%s is no number", name, value);
	return number;
}

long rounds(const char *name, long quick, long thorough)
{
	return setting(name, setting("THOROUGH", 0) ? thorough : quick);
}

long slower(void)
{
	return setting("slower", 1);
}

long patience(void)
{
	return setting("patience", slower());
}

static char *slurp_parameter(const char *module, const char *parameter)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, parameter);
	return slurp(path, NULL);
}

bool parameter_is_set(const char *module, const char *parameter)
{
	char *value = slurp_parameter(module, parameter);
	bool set = *value == 'Y';

	free(value);
	return set;
}

unsigned long parameter_value(const char *module, const char *parameter)
{
	char *text = slurp_parameter(module, parameter);
	unsigned long value = strtoul(text, NULL, 10);

	free(text);
	return value;
}

void set_parameter(const char *module, const char *parameter, long value)
{
	char path[100], number[24];

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, parameter);
	snprintf(number, sizeof(number), "%ld", value);
	write_file(path, number);
}

#define MODULES 8
static char *loaded[MODULES];
static int modules;
static pid_t loader;

int unload_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? errno : 0;
}

#define CHILDREN 256
static pid_t child[CHILDREN];
static int children;

static void end_children(void)
{
	while (children--) {
		kill(child[children], SIGKILL);
		waitpid(child[children], NULL, __WALL);
	}
}

static void clean_up(void)
{
	/* Children inherit this function; only the loader runs it. */
	if (getpid() != loader)
		return;
	/* Children may hold references to modules. */
	end_children();
	while (modules--) {
		int error = unload_module(loaded[modules]);

		/* The test may have unloaded the module itself. */
		if (error && error != ENOENT) {
			printf("# %s could not be unloaded: %s\n", loaded[modules],
			       strerror(error));
			fflush(stdout);
			_exit(1);
		}
	}
}

void load_module(const char *path, const char *parameters)
{
	const char *file_name = strrchr(path, '/') + 1;
	char *name = strndup(file_name, strcspn(file_name, "."));
	int file = must(open(path, O_RDONLY | O_CLOEXEC));

	if (syscall(SYS_finit_module, file, parameters, 0))
		die("%s does not load", path);
	close(file);
	if (!loader) {
		loader = getpid();
		atexit(clean_up);
	}
	for (int i = 0; i < modules; i++)
		if (!strcmp(loaded[i], name)) {
			free(name);
			return;
		}
	if (modules == MODULES)
		die("too many modules");
	loaded[modules++] = name;
}

void load_taskscope(const char *parameters)
{
	load_module("/taskscope.ko", parameters);
}

void skip_suites(void)
{
	static const char filter[] = "/sys/module/kunit/parameters/filter_glob";

	if (!access(filter, W_OK))
		write_file(filter, "none.none");
}

char *slurp_descriptor(int descriptor, size_t *size)
{
	size_t room = 1 << 16, used = 0;
	char *text = malloc(room);
	ssize_t count;

	while ((count = read(descriptor, text + used, room - used - 1)) > 0) {
		used += count;
		if (room - used < room / 4)
			text = realloc(text, room *= 2);
		if (!text)
			die("no memory");
	}
	if (count < 0) {
		free(text);
		return NULL;
	}
	text[used] = 0;
	if (size)
		*size = used;
	return text;
}

char *try_slurp(const char *path, size_t *size)
{
	int descriptor = open(path, O_RDONLY | O_CLOEXEC);
	char *text;

	if (descriptor < 0)
		return NULL;
	text = slurp_descriptor(descriptor, size);
	close(descriptor);
	return text;
}

char *slurp(const char *path, size_t *size)
{
	char *text = try_slurp(path, size);

	if (!text)
		die("%s cannot be read", path);
	return text;
}

void write_file(const char *path, const char *text)
{
	int descriptor = must(open(path, O_WRONLY | O_CLOEXEC));

	if (write(descriptor, text, strlen(text)) != (ssize_t)strlen(text))
		die("%s: cannot write '%s'", path, text);
	close(descriptor);
}

void write_set_pid(const char *list)
{
	int descriptor = must(open(TABLES "set_pid", O_WRONLY | O_TRUNC | O_CLOEXEC));

	if (*list && write(descriptor, list, strlen(list)) != (ssize_t)strlen(list))
		die("set_pid: cannot write '%.100s'", list);
	must(close(descriptor));
}

int open_error(const char *path, int flags)
{
	int descriptor = open(path, flags | O_CLOEXEC);

	if (descriptor < 0)
		return errno;
	close(descriptor);
	return 0;
}

pid_t fork_child(void)
{
	pid_t parent = getpid(), pid;

	/* Otherwise the child would print the buffered text again. */
	fflush(stdout);
	pid = must(fork());
	if (!pid) {
		must(prctl(PR_SET_PDEATHSIG, SIGKILL));
		/* getppid() is 0 if the parent is in another PID namespace. */
		if (getppid() != parent && getppid())
			_exit(1);
	}
	return pid;
}

pid_t start_child(void (*body)(void *argument), void *argument)
{
	pid_t pid = fork_child();

	if (pid) {
		if (children == CHILDREN)
			die("too many children");
		child[children++] = pid;
		return pid;
	}
	children = 0;
	if (body)
		body(argument);
	/* Again: a change of user clears it. */
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	for (;;)
		pause();
}

pid_t fork_with_pid(pid_t pid)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid, .set_tid_size = 1,
	};

	fflush(stdout);
	return syscall(SYS_clone3, &arguments, sizeof(arguments));
}

pid_t start_with_pid(pid_t pid)
{
	pid_t made = must(fork_with_pid(pid));

	if (made) {
		if (children == CHILDREN)
			die("too many children");
		child[children++] = made;
		return made;
	}
	must(prctl(PR_SET_PDEATHSIG, SIGKILL));
	for (;;)
		pause();
}

void end_child(pid_t pid)
{
	for (int i = 0; i < children; i++)
		if (child[i] == pid)
			child[i] = child[--children];
	kill(pid, SIGKILL);
	must(waitpid(pid, NULL, __WALL));
}

bool has_ended(pid_t pid)
{
	siginfo_t end = { 0 };

	must(waitid(P_PID, pid, &end, WEXITED | WNOHANG | WNOWAIT));
	return end.si_pid;
}

int wait_for(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0));
	return status;
}

int in_child(int (*body)(void))
{
	pid_t pid = fork_child();
	int status;

	if (!pid)
		_exit(body());
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

pid_t start_zombie(void)
{
	pid_t pid = fork_child();

	if (!pid)
		_exit(0);
	wait_for_state(pid, pid, "Z");
	return pid;
}

void *pause_for_ever(void *unused)
{
	for (;;)
		pause();
	return NULL;
}

void *sleep_under_name(void *name)
{
	must(prctl(PR_SET_NAME, name));
	return pause_for_ever(NULL);
}

void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
}

void make_real_time(pid_t pid, int priority)
{
	struct sched_param parameters = { .sched_priority = priority };

	must(sched_setscheduler(pid, priority ? SCHED_FIFO : SCHED_OTHER, &parameters));
}

void be_real_time(int priority)
{
	make_real_time(0, priority);
}

bool proc_thread(pid_t tgid, pid_t tid, struct proc_thread *thread)
{
	char path[64], *stat = NULL, *status = NULL, *comm = NULL, *at;
	bool found = false;
	unsigned long more = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tgid, tid);
	stat = try_slurp(path, NULL);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", tgid, tid);
	status = try_slurp(path, NULL);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", tgid, tid);
	comm = try_slurp(path, &thread->comm_length);
	if (!stat || !status || !comm)
		goto out;

	thread->tgid = tgid;
	thread->pid = tid;
	/* The name is in parentheses and may contain any byte, parentheses included. */
	at = strrchr(stat, ')');
	if (!at || sscanf(at,
			  ") %c %d %*d %*d %*d %*d %lu %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
			  &thread->state, &thread->ppid, &thread->flags, &thread->threads) != 4)
		goto out;
	/* status shows a newline in a name as \n. */
	at = strstr(status, "\nUid:");
	if (!at || sscanf(at, "\nUid: %u %u", &thread->uid, &thread->euid) != 2)
		goto out;
	thread->has_mm = strstr(at, "\nVmSize:");
	thread->switches = 0;
	at = strstr(at, "\nvoluntary_ctxt_switches:");
	if (!at || sscanf(at, "\nvoluntary_ctxt_switches: %lu nonvoluntary_ctxt_switches: %lu",
			  &thread->switches, &more) != 2)
		goto out;
	thread->switches += more;
	/* The last newline of comm is not part of the name. */
	if (!thread->comm_length || thread->comm_length > sizeof(thread->comm))
		goto out;
	memcpy(thread->comm, comm, --thread->comm_length);
	thread->comm[thread->comm_length] = 0;
	found = true;
out:
	free(stat);
	free(status);
	free(comm);
	return found;
}

size_t proc_threads(struct proc_thread **threads)
{
	size_t count = 0, room = 256;
	struct dirent *process, *task;
	DIR *processes = opendir("/proc"), *tasks;

	*threads = malloc(room * sizeof(**threads));
	while ((process = readdir(processes))) {
		char path[300];

		if (process->d_name[0] < '0' || process->d_name[0] > '9')
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task", process->d_name);
		tasks = opendir(path);
		while (tasks && (task = readdir(tasks))) {
			if (task->d_name[0] == '.')
				continue;
			if (count == room)
				*threads = realloc(*threads, (room *= 2) * sizeof(**threads));
			if (proc_thread(atoi(process->d_name), atoi(task->d_name),
					*threads + count))
				count++;
		}
		if (tasks)
			closedir(tasks);
	}
	closedir(processes);
	return count;
}

unsigned long proc_switches(pid_t tgid, pid_t tid)
{
	struct proc_thread thread;

	if (!proc_thread(tgid, tid, &thread))
		die("thread %d of %d is gone", tid, tgid);
	return thread.switches;
}

char proc_state(pid_t tgid, pid_t tid)
{
	char path[64], *stat, *at, state = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", tgid, tid);
	stat = try_slurp(path, NULL);
	at = stat ? strrchr(stat, ')') : NULL;
	if (at)
		state = at[2];
	free(stat);
	return state;
}

void wait_for_state(pid_t tgid, pid_t tid, const char *states)
{
	char state = 0;

	wait_until((state = proc_state(tgid, tid)) && strchr(states, state),
		   "thread %d of %d is %c, and not one of %s", tid, tgid, state ?: '-', states);
}

static pid_t find_thread(pid_t tgid, const char *comm)
{
	char path[300], *name;
	struct dirent *task;
	pid_t found = 0;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	tasks = opendir(path);
	while (tasks && !found && (task = readdir(tasks))) {
		if (task->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", tgid, task->d_name);
		name = try_slurp(path, NULL);
		if (name && !strncmp(name, comm, strlen(comm)))
			found = atoi(task->d_name);
		free(name);
	}
	if (tasks)
		closedir(tasks);
	return found;
}

pid_t wait_for_thread(pid_t tgid, const char *comm)
{
	pid_t found;

	wait_until((found = find_thread(tgid, comm)), "process %d has no thread %s", tgid, comm);
	return found;
}

pid_t find_thread_named(const char *comm)
{
	struct proc_thread *threads;
	size_t count = proc_threads(&threads);
	pid_t pid = 0;

	for (size_t i = 0; i < count; i++)
		if (!strcmp(threads[i].comm, comm))
			pid = threads[i].pid;
	free(threads);
	return pid;
}

pid_t thread_named(const char *comm)
{
	pid_t pid = find_thread_named(comm);

	if (!pid)
		die("no thread %s", comm);
	return pid;
}

long slab_objects(const char *cache)
{
	char path[100], *text;
	long count;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", cache);
	write_file(path, "1");
	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", cache);
	text = slurp(path, NULL);
	count = strtol(text, NULL, 10);
	free(text);
	return count;
}

long slab_objects_in_the_end(const char *cache, long most)
{
	long count;

	for (int i = 0; (count = slab_objects(cache)) > most && i < 100; i++)
		usleep(100000);
	return count;
}
