// SPDX-License-Identifier: GPL-2.0
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench.h"
#include "guest.h"
#include "spaces.h"

/* The threads of a process are consecutive. */
static struct user {
	pid_t tgid, tid;
	bool first;		/* of its process */
} *users;
static size_t user_count, process_count;

size_t user_threads(void)
{
	return user_count;
}

size_t user_processes(void)
{
	return process_count;
}

/* A kernel thread has no program. */
static bool has_program(const char *process)
{
	char path[300], program[1];

	snprintf(path, sizeof(path), "/proc/%s/exe", process);
	return readlink(path, program, sizeof(program)) > 0;
}

static void add_user(pid_t tgid, pid_t tid)
{
	static size_t room;
	bool first = !user_count || users[user_count - 1].tgid != tgid;

	if (user_count == room) {
		room = 2 * room + 1024;
		users = realloc(users, room * sizeof(*users));
	}
	users[user_count++] = (struct user){ tgid, tid, first };
	process_count += first;
}

void list_users(void)
{
	struct dirent *process, *task;
	DIR *processes = opendir("/proc"), *tasks;
	char path[300];

	user_count = 0;
	process_count = 0;
	while ((process = readdir(processes))) {
		if (process->d_name[0] < '0' || process->d_name[0] > '9' ||
		    !has_program(process->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/task", process->d_name);
		tasks = opendir(path);
		while (tasks && (task = readdir(tasks)))
			if (task->d_name[0] != '.')
				add_user(atoi(process->d_name), atoi(task->d_name));
		if (tasks)
			closedir(tasks);
	}
	closedir(processes);
}

/* Opens a file of a process. */
static int open_of(const struct user *user, const char *name)
{
	char path[80];

	snprintf(path, sizeof(path), "/proc/%d/%s", user->tgid, name);
	return must(open(path, O_RDONLY | O_CLOEXEC));
}

/* Reads all of a short file and closes it; adds a 0 byte, so that text is a string. */
static size_t read_short(int descriptor, char *text, size_t room)
{
	ssize_t size = must(read(descriptor, text, room - 1));

	text[size] = 0;
	close(descriptor);
	return size;
}

size_t maps_of_processes(const char *unused)
{
	char path[80];
	size_t size = 0;

	for (const struct user *user = users; user < users + user_count; user++) {
		if (!user->first)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/maps", user->tgid);
		size += read_file(path);
	}
	return size;
}

size_t maps_and_syscalls(const char *unused)
{
	char path[80];
	size_t size = 0;

	for (const struct user *user = users; user < users + user_count; user++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", user->tgid, user->tid);
		size += read_file(path);
		snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", user->tgid, user->tid);
		size += read_file(path);
	}
	return size;
}

/* Queries the mapping that contains an address; 0 if there is none. */
static size_t query(int maps, unsigned long address, unsigned long flags,
		    struct procmap_query *answer)
{
	*answer = (struct procmap_query){
		.size = sizeof(*answer),
		.query_flags = flags,
		.query_addr = address,
	};
	if (!ioctl(maps, PROCMAP_QUERY, answer))
		return sizeof(*answer);
	if (errno != ENOENT)
		die("PROCMAP_QUERY");
	return 0;
}

size_t query_all(const char *unused)
{
	struct procmap_query answer;
	size_t size = 0;

	for (const struct user *user = users; user < users + user_count; user++) {
		unsigned long from = 0;
		size_t got;
		int maps;

		if (!user->first)
			continue;
		maps = open_of(user, "maps");
		while ((got = query(maps, from, PROCMAP_QUERY_COVERING_OR_NEXT_VMA, &answer))) {
			from = answer.vma_end;
			size += got;
		}
		close(maps);
	}
	return size;
}

/* A field of /proc/PID/stat with the number that proc(5) gives it, from 3 on. */
static unsigned long field_of(const char *stat, int wanted)
{
	const char *at = strrchr(stat, ')') + 2;

	for (int field = 3; field < wanted; field++)
		at = strchr(at, ' ') + 1;
	return strtoul(at, NULL, 10);
}

/* The numbers of proc(5). */
#define STARTSTACK	28
#define END_DATA	46
#define START_BRK	47

/* The auxiliary vector is pairs of a type and a value. */
static unsigned long vdso_in(const unsigned long *vector)
{
	while (vector[0] != AT_NULL && vector[0] != AT_SYSINFO_EHDR)
		vector += 2;
	return vector[1];
}

size_t query_segments(const char *unused)
{
	struct procmap_query answer;
	unsigned long vector[100] = {};
	char stat[1024];
	size_t size = 0;

	for (const struct user *user = users; user < users + user_count; user++) {
		int maps;

		if (!user->first)
			continue;
		maps = open_of(user, "maps");
		size += read_short(open_of(user, "stat"), stat, sizeof(stat));
		size += read_short(open_of(user, "auxv"), (char *)vector, sizeof(vector));
		size += query(maps, field_of(stat, END_DATA), PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
			      &answer);
		/* The heap's own mapping, if it has one, and the first mapping of `mmap`. */
		size += query(maps, field_of(stat, START_BRK), PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
			      &answer);
		size += query(maps, answer.vma_end, PROCMAP_QUERY_COVERING_OR_NEXT_VMA, &answer);
		size += query(maps, field_of(stat, STARTSTACK), 0, &answer);
		size += query(maps, vdso_in(vector), 0, &answer);
		close(maps);
	}
	return size;
}

/* The last but one value of /proc/PID/syscall, or 0 if there is none. */
static unsigned long stack_pointer_in(const char *syscall)
{
	const char *last = strrchr(syscall, ' ');

	if (!last)
		return 0;
	do
		last--;
	while (last > syscall && *last != ' ');
	return strtoul(last, NULL, 0);
}

size_t query_stacks(const char *unused)
{
	struct procmap_query answer;
	char path[80], text[400];
	size_t size = 0;
	int maps = -1;

	for (const struct user *user = users; user < users + user_count; user++) {
		if (user->first) {
			if (maps >= 0)
				close(maps);
			maps = open_of(user, "maps");
		}
		snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", user->tgid, user->tid);
		size += read_short(must(open(path, O_RDONLY | O_CLOEXEC)), text, sizeof(text));
		size += query(maps, stack_pointer_in(text), 0, &answer);
	}
	close(maps);
	return size;
}
