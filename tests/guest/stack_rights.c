// SPDX-License-Identifier: GPL-2.0
/*
 * Rights for frames and system calls: a reader needs those that /proc and ptrace() ask for.
 * Without CAP_SYS_ADMIN root can open no table; without CAP_SYS_PTRACE it cannot open those
 * with the contents of another thread's kernel stack. The open checks, not the read.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "capabilities.h"
#include "guest.h"

#define NOTHING (-1)

/* The errno of an open without a capability, or 0. */
static int open_without(const char *name, int capability)
{
	char path[100];
	pid_t pid = fork_child();
	int status;

	snprintf(path, sizeof(path), TABLES "%s", name);
	if (!pid) {
		if (capability != NOTHING)
			drop_capability(capability);
		_exit(open(path, O_RDONLY) < 0 ? errno : 0);
	}
	must(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

/* A file that was opened with the capability stays readable without it. */
static bool reads_on(const char *name)
{
	char path[100], byte;
	pid_t pid;
	int status, descriptor;

	snprintf(path, sizeof(path), TABLES "%s", name);
	descriptor = must(open(path, O_RDONLY | O_CLOEXEC));
	pid = fork_child();
	if (!pid) {
		drop_capability(CAP_SYS_ADMIN);
		drop_capability(CAP_SYS_PTRACE);
		_exit(read(descriptor, &byte, 1) != 1);
	}
	must(waitpid(pid, &status, 0));
	close(descriptor);
	return !status;
}

int main(void)
{
	static const struct {
		const char *name;
		int without_ptrace;
	} tables[] = {
		{ "threads", 0 }, { "kstacks", 0 }, { "kframes", EPERM }, { "syscalls", EPERM },
		{ "cpus", EPERM },
	};

	ksft_print_header();
	ksft_set_plan(4 * 5);
	load_taskscope("");
	for (int i = 0; i < 5; i++) {
		const char *name = tables[i].name;

		ksft_test_result(!open_without(name, NOTHING),
				 "%s: open by root: no error\n", name);
		ksft_test_result(open_without(name, CAP_SYS_ADMIN) == EPERM,
				 "%s: open without CAP_SYS_ADMIN: EPERM\n", name);
		ksft_test_result(open_without(name, CAP_SYS_PTRACE) == tables[i].without_ptrace,
				 "%s: open without CAP_SYS_PTRACE: %s\n", name,
				 tables[i].without_ptrace ? "EPERM" : "no error");
		ksft_test_result(reads_on(name),
				 "%s: capability dropped after the open: still readable\n", name);
	}
	ksft_finished();
}
