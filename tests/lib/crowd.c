// SPDX-License-Identifier: GPL-2.0
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "crowd.h"
#include "guest.h"

#define STACK 1024

#define THREAD	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define PROCESS	(CLONE_FS | CLONE_FILES | SIGCHLD)

static struct shared {
	atomic_int started;
	int tid[];
} *shared;

static int sleep_for_ever(void *unused)
{
	/* It returns only when a signal comes. */
	while (syscall(SYS_ppoll, NULL, 0, NULL, NULL) < 0)
		;
	return 0;
}

/* Sleeps with `frames` more frames on its stack. */
static __attribute__((noinline)) int sleep_below(long frames)
{
	int result = frames ? sleep_below(frames - 1) : sleep_for_ever(NULL);

	/* Without code after it the call would become a jump, which adds no frame. */
	asm volatile("");
	return result;
}

static char *stacks_for(long count)
{
	return mmap(NULL, count * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
}

/* Cheap threads, made by clone(): the C library keeps nothing for them. */
static void start_threads(void *argument)
{
	long count = *(long *)argument;
	char *stacks = stacks_for(count);

	for (long i = 0; i < count; i++) {
		shared->tid[i] = must(clone(sleep_for_ever, stacks + (i + 1) * STACK, THREAD,
					    NULL));
		shared->started = i + 1;
	}
}

/* Raises the limits for `count` threads, before any has started. */
static void prepare(long count)
{
	write_file("/proc/sys/kernel/pid_max", "4194304");
	write_file("/proc/sys/kernel/threads-max", "1000000");
	shared = mmap(NULL, sizeof(*shared) + count * sizeof(pid_t), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void wait_for_all(long count)
{
	int started = 0;

	/* Waits on while more threads start, however long all of them take. */
	while (started < count) {
		wait_until(shared->started > started, "%d threads, and no more", started);
		started = shared->started;
	}
}

struct crowd start_crowd(long count)
{
	struct crowd crowd = { .count = count };

	prepare(count);
	crowd.pid = start_child(start_threads, &count);
	crowd.tid = shared->tid;
	wait_for_all(count);
	return crowd;
}

static long count_mappings(void)
{
	char *maps = slurp("/proc/self/maps", NULL);
	long count = 0;

	for (char *at = maps; (at = strchr(at, '\n')); at++)
		count++;
	free(maps);
	return count;
}

/*
 * Maps a file and anonymous memory in turn, so that the kernel does not merge neighbours,
 * until the process has `wanted` mappings.
 */
static void add_mappings(long wanted)
{
	size_t page = sysconf(_SC_PAGESIZE);
	int file = must(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));

	for (long i = count_mappings(); i < wanted; i++) {
		if ((wanted - i) % 2)
			must(mmap(NULL, page, PROT_READ, MAP_PRIVATE, file, 0));
		else
			must(mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0));
	}
	close(file);
	if (wanted && count_mappings() != wanted)
		die("%ld mappings, not %ld", count_mappings(), wanted);
}

/* Read by all processes of the crowd, which share their memory or are copies. */
static const struct crowd_shape *shape;
static char *stacks;

/* Sets the name of a thread, in all possible lengths, and its user. */
static void dress(long number)
{
	char name[16] = "abcdefghijklmno";
	long length = 1 + number % 15;

	if (shape->names) {
		for (long i = 0, rest = number; i < length && rest; i++, rest /= 10)
			name[i] = '0' + rest % 10;
		if (number % 8 == 0)
			name[length / 2] = number % 16 ? '\n' : '\\';
		name[length] = 0;
		prctl(PR_SET_NAME, name);
	}
	if (shape->users)
		syscall(SYS_setresuid, 1000 + number, 100000 + number, 0);
}

static int stay(void *argument)
{
	dress((long)argument);
	shared->started++;
	return sleep_below(shape->frames);
}

static int lead(void *argument)
{
	long first = (long)argument;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (long i = first + 1; i < first + shape->group && i < shape->threads; i++)
		must(clone(stay, stacks + (i + 1) * STACK, THREAD, (void *)i));
	dress(first);
	/* setresuid() has cleared it. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	shared->started++;
	return sleep_below(shape->frames);
}

static void start_processes(void *unused)
{
	int flags = PROCESS | (shape->own ? 0 : CLONE_VM);

	stacks = stacks_for(shape->threads);
	add_mappings(shape->mappings);
	signal(SIGCHLD, SIG_IGN);
	for (long i = 0; i < shape->threads; i += shape->group)
		must(clone(lead, stacks + (i + 1) * STACK, flags, (void *)i));
}

pid_t start_crowd_of(const struct crowd_shape *wanted)
{
	pid_t pid;

	shape = wanted;
	prepare(1);
	/* Orphans become children of this process, which reaps them. */
	must(prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = start_child(start_processes, NULL);
	wait_for_all(shape->threads);
	return pid;
}

void end_crowd_of(pid_t pid)
{
	end_child(pid);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	munmap(shared, sizeof(*shared) + sizeof(pid_t));
}
