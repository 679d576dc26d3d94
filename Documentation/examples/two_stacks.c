// SPDX-License-Identifier: GPL-2.0
/*
 * The process that Documentation/stacks.md looks at: two threads, both asleep, each on a
 * user stack of its own. Build it with frame pointers and without optimisation.
 *
 * main() sleeps in pause(). After a SIGUSR1 it calls down() four times deep, each call with
 * 64 KiB of locals, moves the end of the heap up by 1 MiB, and sleeps in pause() again. It
 * prints a line each time before it sleeps.
 *
 * The other thread runs on a stack of 256 KiB that main() has mapped, and sleeps for a day.
 */
#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define DEPTH 4
#define ROOM (64 * 1024)
#define HEAP (1024 * 1024)
#define THREAD_STACK (256 * 1024)
#define GUARD 4096
#define DAY (24 * 60 * 60)

static int initialised = 1;
static char zeroed[3 * 4096];

static void wake_up(int signal)
{
}

static void tell(const char *where)
{
	printf("%s\n", where);
	fflush(stdout);
}

static void down(int depth)
{
	char room[ROOM];

	memset(room, depth, sizeof(room));
	if (depth < DEPTH) {
		down(depth + 1);
		return;
	}
	if (sbrk(HEAP) == (void *)-1)
		err(1, "sbrk");
	tell("deep");
	pause();
}

static void *sleeper(void *argument)
{
	struct timespec day = { .tv_sec = DAY };

	nanosleep(&day, NULL);
	return NULL;
}

/*
 * The page below the stack stops an overflow. The page above it keeps the stack apart from
 * other memory: taskscope counts adjacent mappings of the same kind as one stack.
 */
static void start_sleeper(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	char *stack = mmap(NULL, GUARD + THREAD_STACK + GUARD, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (stack == MAP_FAILED || mprotect(stack + GUARD, THREAD_STACK, PROT_READ | PROT_WRITE))
		err(1, "a stack for the thread");
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, stack + GUARD, THREAD_STACK);
	if (pthread_create(&thread, &attributes, sleeper, NULL))
		errx(1, "pthread_create");
}

int main(void)
{
	sigset_t signals;

	/* The thread inherits the mask: the signal is for main() alone. */
	signal(SIGUSR1, wake_up);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	start_sleeper();
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);

	zeroed[0] = initialised;
	tell("shallow");
	pause();
	down(1);
	return 0;
}
