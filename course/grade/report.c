// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "report.h"
#include "guest.h"

#define CHALLENGE "/challenge"
#define MODULE "/exercise.ko"

/* NAME=VALUE, a line each. */
static char *challenge;

/* Before anything else runs, and no program of a student can read it afterwards. */
static __attribute__((constructor)) void take_challenge(void)
{
	challenge = slurp(CHALLENGE, NULL);
	must(unlink(CHALLENGE));
}

/* What the processes of the grader share, if there is a module: one loads it, others read. */
static struct shared {
	atomic_ulong beats; /* how often the process has woken up that does nothing but sleep */
	char first_check[40]; /* that of load_exercise() */
} *shared;

#define BEATS_A_SECOND 10

/* Before main(), so that the process ends with the grader, and with no other process. */
static __attribute__((constructor)) void begin_beats(void)
{
	if (access(MODULE, F_OK)) {
		errno = 0;
		return;
	}
	shared = must(mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	if (fork_child())
		return;
	for (;;) {
		usleep(1000000 / BEATS_A_SECOND);
		shared->beats++;
	}
}

double lived(void)
{
	return (double)shared->beats / BEATS_A_SECOND;
}

const char *drawn(const char *name)
{
	size_t length = strlen(name);

	for (char *line = challenge; *line; line += strcspn(line, "\n") + 1) {
		if (strncmp(line, name, length) || line[length] != '=')
			continue;
		line += length + 1;
		return strndup(line, strcspn(line, "\n"));
	}
	errno = 0;
	die("the challenge has no %s", name);
}

long drawn_number(const char *name)
{
	return strtol(drawn(name), NULL, 10);
}

/* A field of a report is one word of one line, whatever a student has put into it. */
static void put_field(const char *text)
{
	putchar('\t');
	for (; *text; text++)
		if (*text == '\\' || (unsigned char)*text < ' ')
			printf("\\x%02x", (unsigned char)*text);
		else
			putchar(*text);
}

void look(const char *id, const char *subject, const char *got, const char *want)
{
	printf("look");
	put_field(id);
	put_field(subject);
	put_field(got);
	put_field(want);
	putchar('\n');
}

void mistake(const char *id, const char *key)
{
	printf("mistake");
	put_field(id);
	put_field(key);
	putchar('\n');
}

void look_at(const char *id, const char *subject, const char *got, const char *want,
	     const char *key)
{
	look(id, subject, got, want);
	if (key)
		mistake(id, key);
}

void look_at_oracle(const char *id, const char *subject, const char *oracle,
		    const char *parameter, const char *key)
{
	char count[30];

	snprintf(count, sizeof(count), "%lu", parameter_value(oracle, parameter));
	look_at(id, subject, count, "0", key);
}

void shown(const char *format, ...)
{
	char text[400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("shown");
	put_field(text);
	putchar('\n');
}

void cell(const char *id, const char *name, const char *truth, const char *why)
{
	printf("cell");
	put_field(id);
	put_field(name);
	put_field(truth);
	put_field(why);
	putchar('\n');
}

/* Ends the grader, if the error is one: what comes later was not reached. */
static void end_on(const char *id, const char *command, int error, const char *key)
{
	if (!error)
		return;
	look(id, command, strerror(error), "no error");
	mistake(id, key);
	exit(0);
}

void load_exercise(const char *id, const char *word)
{
	int file = must(open(MODULE, O_RDONLY | O_CLOEXEC)), error;
	const char *letters = drawn(word);
	char parameters[60];
	unsigned long long number = 0;

	snprintf(shared->first_check, sizeof(shared->first_check), "%s", id);
	memcpy(&number, letters, strlen(letters));
	snprintf(parameters, sizeof(parameters), "word=%#llx", number);
	error = syscall(SYS_finit_module, file, parameters, 0) ? errno : 0;
	close(file);
	end_on(id, "insmod exercise.ko", error, "does-not-load");
}

void unload_exercise(const char *id)
{
	end_on(id, "rmmod exercise", unload_module("exercise"), "does-not-unload");
}

void end_as_slow(void)
{
	look_at(shared->first_check, "the time that the text of the file takes", "many seconds",
		"some milliseconds", "slow");
	exit(0);
}

/* A byte 0, which would end the text, is shown as such. */
char *read_answer(void)
{
	double start = lived();
	size_t size, shown;
	char *raw = try_slurp(ANSWER, &size), *text;
	FILE *all;

	if (lived() > start + MODULE_LIMIT)
		end_as_slow();
	if (!raw || !memchr(raw, 0, size))
		return raw;
	all = open_memstream(&text, &shown);
	for (size_t i = 0; i < size; i++)
		if (raw[i])
			putc(raw[i], all);
		else
			fputs("(a byte 0)", all);
	fclose(all);
	free(raw);
	return text;
}

char *next_line(char **text)
{
	char *line = *text;

	if (!line || !*line)
		return NULL;
	*text += strcspn(line, "\n");
	if (**text)
		*(*text)++ = 0;
	return line;
}

char *value_in(const char *text, const char *key)
{
	size_t length = strlen(key);
	char *none;

	if (!text)
		return strdup("no text: the file cannot be read");
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, length) && !strncmp(line + length, ": ", 2))
			return strndup(line + length + 2, strcspn(line + length + 2, "\n"));
	}
	must(asprintf(&none, "no line that begins with \"%s: \"", key));
	return none;
}

void run_as(pid_t pid, void (*body)(void *argument), void *argument)
{
	pid_t made = must(fork_with_pid(pid));
	int status;

	if (!made) {
		body(argument);
		fflush(stdout);
		_exit(0);
	}
	must(waitpid(made, &status, 0));
	errno = 0;
	if (status)
		die("process %d has ended with status %#x", pid, status);
}

void take_pids(int most)
{
	pid_t latest = start_child(NULL, NULL);

	end_child(latest);
	for (int i = 2; i <= most; i++) {
		unsigned char chance;

		must(getrandom(&chance, 1, 0));
		if ((i == 2 || chance % 2) && !fork_with_pid(latest + i)) {
			must(prctl(PR_SET_PDEATHSIG, SIGKILL));
			pause_for_ever(NULL);
		}
	}
}

#define CGROUPS "/sys/fs/cgroup"
#define CGROUP CGROUPS "/student"
#define OUTPUT "/tmp/output"
#define USER 1000
#define OUTPUT_MAX (64 * 1024)

static pid_t program;

/* A kernel may lack a controller. */
static void limit(const char *name, const char *value)
{
	char path[80];

	snprintf(path, sizeof(path), CGROUP "/%s", name);
	if (!access(path, F_OK))
		write_file(path, value);
}

static void make_cgroup(void)
{
	if (access(CGROUPS "/cgroup.procs", F_OK))
		must(mount("cgroup2", CGROUPS, "cgroup2", 0, NULL));
	if (!access(CGROUP, F_OK))
		return;
	write_file(CGROUPS "/cgroup.subtree_control", "+pids +memory");
	must(mkdir(CGROUP, 0755));
	limit("pids.max", "200");
	limit("memory.max", "128M");
	limit("memory.swap.max", "0");
	must(chmod("/tmp", 01777));
}

pid_t start_program(const char *const *arguments)
{
	const char *words[20] = { "/program" };
	struct rlimit output = { OUTPUT_MAX, OUTPUT_MAX };
	int file;

	make_cgroup();
	for (int i = 0; arguments && arguments[i]; i++)
		words[i + 1] = arguments[i];
	file = must(open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600));
	program = must(fork());
	if (program) {
		close(file);
		return program;
	}
	write_file(CGROUP "/cgroup.procs", "0");
	must(setsid());
	/* However many threads the program makes: the grader has its share of the CPUs. */
	must(setpriority(PRIO_PROCESS, 0, 19));
	must(dup2(must(open("/dev/null", O_RDONLY)), STDIN_FILENO));
	must(dup2(file, STDOUT_FILENO));
	must(dup2(file, STDERR_FILENO));
	/* Nothing of the grader is open in the program. */
	must(close_range(3, ~0u, 0));
	must(clearenv());
	must(setenv("PATH", "/usr/bin:/bin", 1));
	must(chdir("/tmp"));
	must(setrlimit(RLIMIT_FSIZE, &output));
	must(setgroups(0, NULL));
	must(setresgid(USER, USER, USER));
	must(setresuid(USER, USER, USER));
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	execv(words[0], (char **)words);
	_exit(127);
}

char *program_output(void)
{
	return slurp(OUTPUT, NULL);
}

bool is_of_program(pid_t pid)
{
	char path[60], *text;
	bool is;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	text = try_slurp(path, NULL);
	is = text && strstr(text, "0::/student\n");
	free(text);
	return is;
}

static bool has_event(const char *event)
{
	char *events = slurp(CGROUP "/cgroup.events", NULL);
	bool has = strstr(events, event);

	free(events);
	return has;
}

static bool is_populated(void)
{
	return has_event("populated 1");
}

void freeze_program(void)
{
	double end = monotonic() + 5 * patience();

	write_file(CGROUP "/cgroup.freeze", "1");
	/* The parent of a vfork() cannot be frozen, and does nothing either. */
	while (!has_event("frozen 1") && monotonic() < end)
		usleep(1000);
}

size_t program_threads(struct proc_thread **threads)
{
	size_t all = proc_threads(threads), count = 0;

	for (size_t i = 0; i < all; i++)
		if (is_of_program((*threads)[i].tgid))
			(*threads)[count++] = (*threads)[i];
	return count;
}

/* Without collecting it: program_end() can still be told, and the PID is not used again. */
static bool peek_program(siginfo_t *end)
{
	end->si_pid = 0;
	must(waitid(P_PID, program, end, WEXITED | WNOHANG | WNOWAIT));
	return end->si_pid;
}

bool program_has_ended(void)
{
	siginfo_t end;

	return peek_program(&end) && !is_populated();
}

int program_stop(void)
{
	siginfo_t stop = { 0 };

	/* ECHILD: it has ended, and only that could still be waited for. */
	if (waitid(P_PID, program, &stop, WSTOPPED | WNOHANG) || stop.si_pid != program)
		return 0;
	return stop.si_status;
}

bool look_at_stop(const char *id, const char *subject)
{
	int signal = 0;
	bool stopped = program_reaches((signal = program_stop()));
	char got[60];

	if (stopped)
		snprintf(got, sizeof(got), "it stopped by %s", sigabbrev_np(signal) ?: "?");
	else
		snprintf(got, sizeof(got), "%s",
			 program_has_ended() ? program_end() : "it goes on");
	look_at(id, subject, got, "it stopped by STOP",
		stopped || !program_has_ended() ? "no-stop" : end_key());
	return stopped && signal == SIGSTOP;
}

const char *program_end(void)
{
	static char text[80];
	siginfo_t end;

	if (!peek_program(&end))
		snprintf(text, sizeof(text), "it has not ended");
	else if (end.si_code == CLD_EXITED)
		snprintf(text, sizeof(text), "it exited with status %d", end.si_status);
	else
		snprintf(text, sizeof(text), "signal %d (%s) ended it", end.si_status,
			 strsignal(end.si_status));
	return text;
}

const char *end_key(void)
{
	siginfo_t end;

	return peek_program(&end) && end.si_code != CLD_EXITED ? "program-crashed" : "ended";
}

/*
 * A program that waits for something that it has caused itself sleeps much less than this,
 * which is in seconds; and is seen to sleep as many times. A host that stands still meanwhile
 * does not count.
 */
#define SLEEPS_MAX 2
#define SEEN_MAX 10
/* An exercise takes a few milliseconds; this is in seconds. */
#define RUNS_MAX 2

static struct {
	double changed, end, runs;
	unsigned long sum, seen;
	useconds_t nap;
} progress;

/* The seconds that the program has run. */
static double program_runs(void)
{
	char *text = slurp(CGROUP "/cpu.stat", NULL), *usage = strstr(text, "usage_usec ");
	double runs = usage ? atof(usage + strlen("usage_usec ")) / 1e6 : 0;

	free(text);
	return runs;
}

void begin_progress(void)
{
	progress.changed = monotonic();
	progress.end = progress.changed + WAIT_LIMIT;
	progress.runs = program_runs();
	progress.sum = 0;
	progress.seen = 0;
	progress.nap = 50;
}

bool program_makes_progress(void)
{
	struct proc_thread *threads;
	size_t count = program_threads(&threads);
	unsigned long sum = count;
	bool runs = false;
	double now;

	for (size_t i = 0; i < count; i++) {
		sum = sum * 31 + threads[i].pid + threads[i].switches;
		/* In state t, its tracer is at work. */
		runs |= !!strchr("RDt", threads[i].state);
	}
	free(threads);
	usleep(progress.nap);
	if (progress.nap < 20000)
		progress.nap *= 2;
	now = monotonic();
	progress.seen++;
	if (runs || sum != progress.sum) {
		progress.changed = now;
		progress.seen = 0;
	}
	progress.sum = sum;
	return !program_has_ended() && now < progress.end &&
	       (now < progress.changed + SLEEPS_MAX || progress.seen < SEEN_MAX) &&
	       program_runs() < progress.runs + RUNS_MAX * patience();
}

void end_program(void)
{
	write_file(CGROUP "/cgroup.kill", "1");
	/* A zombie of the program is a child of this process. */
	must(waitpid(program, NULL, 0));
	wait_until(!is_populated(), "the program does not end");
	write_file(CGROUP "/cgroup.freeze", "0");
}

char *new_log(void)
{
	static int file = -1;
	size_t size;
	char *text;
	FILE *all;

	if (file < 0) {
		file = must(open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
		must(lseek(file, 0, SEEK_END));
	}
	all = open_memstream(&text, &size);
	for (;;) {
		char record[4096], *begin;
		ssize_t length = read(file, record, sizeof(record) - 1);

		if (length < 0 && errno == EPIPE)
			continue; /* overwritten records */
		if (length < 0)
			break;
		record[length] = 0;
		/* PRIORITY,SEQUENCE,TIME,FLAGS;TEXT, and lines that begin with a space. */
		begin = strchr(record, ';');
		if (begin)
			fprintf(all, "%.*s\n", (int)strcspn(begin + 1, "\n"), begin + 1);
	}
	fclose(all);
	return text;
}
