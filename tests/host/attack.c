// SPDX-License-Identifier: GPL-2.0
/*
 * usage: attack forge | fault NAME... | mount TEXT... | flood TIMES TEXT
 *
 * What a program in the guest may try to get a wrong verdict:
 *   forge   reports in the place of init, through copies of init's descriptors, with the
 *           nonce if it can read that somewhere; prints how many descriptors it has copied
 *   fault   dies of each kind of fault that the kernel logs, once with each NAME as its name
 *   mount   has the kernel log each TEXT, as the name of an option that tmpfs does not have
 *   flood   has the kernel log TEXT, TIMES times
 */
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* find_nonce: reads the word after "nonce=" in that file; a space or NUL ends it */
static bool find_nonce(const char *path, char nonce[64])
{
	static char text[1 << 16];
	int file = open(path, O_RDONLY);
	ssize_t size = file < 0 ? 0 : read(file, text, sizeof(text) - 1);

	if (file >= 0)
		close(file);
	for (ssize_t i = 0; i + 6 < size; i++) {
		if (!memcmp(text + i, "nonce=", 6)) {
			text[size] = '\0';
			return sscanf(text + i + 6, "%63s", nonce) == 1;
		}
	}
	return false;
}

static int forge(void)
{
	char nonce[64] = "0", path[280], words[3][100];
	int init = syscall(SYS_pidfd_open, 1, 0), copied = 0;
	DIR *processes = opendir("/proc");

	if (!find_nonce("/proc/cmdline", nonce)) {
		for (struct dirent *entry; (entry = readdir(processes));) {
			snprintf(path, sizeof(path), "/proc/%s/environ", entry->d_name);
			if (find_nonce(path, nonce))
				break;
		}
	}
	printf("the nonce: %s\n", strcmp(nonce, "0") ? "read" : "not found");
	snprintf(words[0], sizeof(words[0]), "%s count tainted 0\n", nonce);
	snprintf(words[1], sizeof(words[1]), "%s status 0\n", nonce);
	snprintf(words[2], sizeof(words[2]), "%s bye\n", nonce);
	for (int number = 3; number < 16; number++) {
		int copy = syscall(SYS_pidfd_getfd, init, number, 0);

		if (copy < 0)
			continue;
		copied++;
		for (int i = 0; i < 3; i++)
			if (write(copy, words[i], strlen(words[i])) < 0)
				warn("descriptor %d of init", number);
	}
	printf("descriptors of init: %d\n", copied);
	return 7;
}

/* fault: dies of the fault, under that name, so that the kernel logs both */
static void fault(const char *name, int number)
{
	pid_t child = fork();

	if (child < 0)
		err(1, "fork");
	if (!child) {
		prctl(PR_SET_NAME, name);
		switch (number) {
		case 0:
			*(volatile int *)8 = 0;
			break;
#ifdef __x86_64__
		case 1: /* no canonical address: a general protection fault */
			*(volatile int *)(1UL << 63) = 0;
			break;
		case 2:
			asm volatile("ud2");
			break;
#endif
		}
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

/* has_logged: makes the kernel log the text, as an option that tmpfs does not have */
static void has_logged(const char *text)
{
	if (!mount("none", "/tmp", "tmpfs", 0, text) || errno != EINVAL)
		err(1, "mount -o '%s'", text);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "forge"))
		return forge();
	if (argc > 2 && !strcmp(argv[1], "fault")) {
		for (int i = 2; i < argc; i++)
			for (int number = 0; number < 3; number++)
				fault(argv[i], number);
		return 0;
	}
	if (argc > 2 && (!strcmp(argv[1], "mount") || !strcmp(argv[1], "flood"))) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			err(1, "unshare");
		if (argv[1][0] == 'm') {
			for (int i = 2; i < argc; i++)
				has_logged(argv[i]);
		} else if (argc == 4) {
			for (int i = atoi(argv[2]); i > 0; i--)
				has_logged(argv[3]);
		}
		return 0;
	}
	errx(1, "usage: attack forge | fault NAME... | mount TEXT... | flood TIMES TEXT");
}
