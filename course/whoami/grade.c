// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is /proc/thread-self/status of a second thread, which has a name and a
 * user of its own.
 */
#include <linux/securebits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "report.h"
#include "guest.h"

/* Who loads the module: the answers of a module that looks only once. */
#define LOADER "loader"
static pid_t *loader;

/* A reader, and what it is told. */
struct reader {
	const char *name;
	uid_t uid, euid;
	char *answer, *status;
};

static void *read_as(void *argument)
{
	struct reader *reader = argument;

	must(prctl(PR_SET_NAME, reader->name));
	/*
	 * The thread keeps its capabilities, which it needs for the file. The C library would
	 * change all threads.
	 */
	must(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
	must(syscall(SYS_setresuid, reader->uid, reader->euid, reader->euid));
	reader->status = slurp("/proc/thread-self/status", NULL);
	reader->answer = read_answer();
	return NULL;
}

/* A word of a line of /proc/PID/status, from 0 on. */
static char *status_word(const char *status, const char *key, int number)
{
	const char *at = strstr(status, key);

	if (!at)
		die("/proc/thread-self/status has no %s", key);
	at += strlen(key);
	for (at += strspn(at, "\t "); number; number--) {
		at += strcspn(at, "\t ");
		at += strspn(at, "\t ");
	}
	return strndup(at, strcspn(at, " \t\n"));
}

/* Looks at a line of the answer. `swapped` is what the value would be after the mistake `key`. */
static void check(const struct reader *reader, const char *id, const char *line, const char *want,
		  const char *truth, const char *swapped, const char *key)
{
	char *got = value_in(reader->answer, line), subject[80], of_loader[20];

	snprintf(subject, sizeof(subject), "line \"%s\", read by thread %s", line, reader->name);
	look(id, subject, got, want);
	snprintf(of_loader, sizeof(of_loader), "%d", *loader);
	if (!strcmp(got, LOADER) || (!strcmp(got, of_loader) && strcmp(got, truth)))
		mistake(id, "looked-up-at-load");
	else if (strstr(got, "(a byte 0)"))
		mistake(id, "byte-0");
	else if (!strncmp(got, "no ", 3))
		mistake(id, "no-line");
	else if (!strcmp(truth, "true") && strcmp(got, "false"))
		mistake(id, "not-bool");
	else if (swapped && strcmp(truth, swapped) && !strcmp(got, swapped))
		mistake(id, key);
}

/* In a process of its own, whose PID is drawn. */
static void read_from_threads(void *unused)
{
	struct reader first = { .name = drawn("word"), .uid = drawn_number("uid"),
				.euid = drawn_number("euid") };
	struct reader second = { .name = drawn("other"), .uid = first.euid, .euid = first.uid };
	struct reader *readers[] = { &first, &second };
	char *pid, *tgid, *uid, *euid;
	pthread_t thread;

	for (int i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, read_as, readers[i]) ||
		    pthread_join(thread, NULL))
			die("no thread");
	pid = status_word(first.status, "\nPid:", 0);
	tgid = status_word(first.status, "\nTgid:", 0);
	uid = status_word(first.status, "\nUid:", 0);
	euid = status_word(first.status, "\nUid:", 1);
	check(&first, "name", "comm", "${word}", first.name, NULL, NULL);
	check(&first, "ids", "pid", pid, pid, tgid, "tgid-for-pid");
	check(&first, "ids", "tgid", "${tgid}", tgid, pid, "pid-for-tgid");
	check(&first, "users", "uid", "${uid}", uid, euid, "euid-for-uid");
	check(&first, "users", "euid", "${euid}", euid, uid, "uid-for-euid");
	check(&first, "context", "in_task", "true", "true", NULL, NULL);

	shown("/proc had thread %s of process %s, with user %s acting as %s; and so had you", pid,
	      tgid, uid, euid);
	pid = status_word(second.status, "\nPid:", 0);
	check(&second, "again", "comm", "${other}", second.name, first.name, "looked-up-once");
	check(&second, "again", "pid", pid, pid, tgid, "tgid-for-pid");
	check(&second, "again", "uid", "${euid}", euid, uid, "looked-up-once");
}

static void load(void *unused)
{
	must(prctl(PR_SET_NAME, LOADER));
	*loader = getpid();
	load_exercise("name", "word");
}

int main(void)
{
	loader = mmap(NULL, sizeof(*loader), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	run_as(drawn_number("loader"), load, NULL);
	run_as(drawn_number("tgid"), read_from_threads, NULL);
	unload_exercise("again");
	return 0;
}
