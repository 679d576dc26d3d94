// SPDX-License-Identifier: GPL-2.0
/*
 * A second thread of a process reads `current` and sees itself: its own PID and name, and
 * the TGID of the process. current.test reads it in a process with one thread.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <kselftest.h>

#include "guest.h"

static pid_t tid;

static void *read_current(void *text)
{
	tid = syscall(SYS_gettid);
	prctl(PR_SET_NAME, "second");
	*(char **)text = slurp(TABLES "current", NULL);
	return NULL;
}

static bool has(const char *text, const char *format, int number)
{
	char line[64];

	snprintf(line, sizeof(line), format, number);
	return strstr(text, line);
}

int main(void)
{
	pthread_t thread;
	char *text;

	ksft_print_header();
	ksft_set_plan(4);
	load_taskscope("");
	if (pthread_create(&thread, NULL, read_current, &text))
		die("pthread_create");
	pthread_join(thread, NULL);
	ksft_test_result(tid != getpid() && has(text, "\npid: %d\n", tid),
			 "second thread reads current: pid is the thread's\n");
	ksft_test_result(has(text, "\ntgid: %d\n", getpid()),
			 "second thread reads current: tgid is the process's\n");
	ksft_test_result(has(text, "\nppid: %d\n", getppid()),
			 "second thread reads current: ppid is the process's\n");
	ksft_test_result(strstr(text, "comm: second\n"),
			 "second thread reads current: comm is the thread's\n");
	free(text);
	ksft_finished();
}
