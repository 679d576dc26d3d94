// SPDX-License-Identifier: GPL-2.0
/*
 * usage: attack forge | search FILE... | memory | fault NAME... | mount TEXT... | flood TIMES TEXT
 *
 * What a program in the guest may try to get a wrong verdict:
 *   forge   reports in the place of init, through copies of init's descriptors, without the
 *           nonce; prints how many descriptors it has copied
 *   search  prints what may be a nonce in each FILE: 32 or more hexadecimal digits in a row
 *   memory  the same in the memory of each process
 *   fault   dies of each kind of fault that the kernel logs, once with each NAME as its name
 *   mount   has the kernel log each TEXT, as the name of an option that tmpfs does not have
 *   flood   has the kernel log TEXT, TIMES times
 */
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* search: in a part of the file; what cannot be read is left out */
static void search(const char *path, unsigned long from, unsigned long to)
{
	static char text[1 << 16], digits[1 << 8];
	int file = open(path, O_RDONLY);
	size_t count = 0;
	ssize_t size;

	while ((size = pread(file, text, MIN(sizeof(text), to - from), from)) > 0) {
		for (ssize_t i = 0; i < size; i++) {
			if (isxdigit((unsigned char)text[i])) {
				if (count < sizeof(digits))
					digits[count++] = text[i];
				continue;
			}
			if (count >= 32)
				printf("%.*s\n", (int)count, digits);
			count = 0;
		}
		from += size;
	}
	if (count >= 32)
		printf("%.*s\n", (int)count, digits);
	if (file >= 0)
		close(file);
}

static void search_memory(void)
{
	DIR *processes = opendir("/proc");
	char path[300], line[500];
	unsigned long from, to;

	for (struct dirent *entry; (entry = readdir(processes));) {
		FILE *maps;

		snprintf(path, sizeof(path), "/proc/%s/maps", entry->d_name);
		maps = isdigit(*entry->d_name) ? fopen(path, "r") : NULL;
		if (!maps)
			continue;
		snprintf(path, sizeof(path), "/proc/%s/mem", entry->d_name);
		while (fgets(line, sizeof(line), maps))
			if (sscanf(line, "%lx-%lx", &from, &to) == 2)
				search(path, from, to);
		fclose(maps);
	}
}

static int forge(void)
{
	static const char * const words[] = { "0 count tainted 0\n", "0 status 0\n", "0 bye\n" };
	int init = syscall(SYS_pidfd_open, 1, 0), copied = 0;

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
	if (argc > 2 && !strcmp(argv[1], "search")) {
		for (int i = 2; i < argc; i++)
			search(argv[i], 0, LONG_MAX);
		return 0;
	}
	if (argc == 2 && !strcmp(argv[1], "memory")) {
		search_memory();
		return 0;
	}
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
	errx(1, "usage: see the first lines of attack.c");
}
