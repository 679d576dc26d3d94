// SPDX-License-Identifier: GPL-2.0
/*
 * A program for frames.test, whose functions all have frame pointers. Each of its two threads
 * sleeps in a system call at the end of a chain of calls. It makes that call itself, because the
 * C library has no frame pointers.
 */
#include <err.h>
#include <pthread.h>
#include <string.h>

#define DEPTH 12

/* ppoll() without descriptors: without a signal it never returns. */
static void sleep_here(void)
{
#if defined(__x86_64__)
	register long set asm("r10") = 0;
	long result = 271;

	asm volatile("syscall" : "+a"(result) : "D"(0), "S"(0), "d"(0), "r"(set)
		     : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long number asm("x8") = 73;
	register long x0 asm("x0") = 0, x1 asm("x1") = 0, x2 asm("x2") = 0, x3 asm("x3") = 0;

	asm volatile("svc #0" : "+r"(x0) : "r"(x1), "r"(x2), "r"(x3), "r"(number) : "memory");
#else
#error "how a system call is made on this machine is not known"
#endif
}

static void odd(int depth);

static void even(int depth)
{
	char room[64 * (DEPTH + 1)];

	/* Each frame is of another size. */
	memset(room, depth, sizeof(room));
	if (depth)
		odd(depth - 1);
	else
		sleep_here();
}

static void odd(int depth)
{
	char room[64 * depth];

	memset(room, depth, sizeof(room));
	even(depth - 1);
}

static void *start(void *unused)
{
	even(DEPTH - 2);
	return unused;
}

int main(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, start, NULL))
		errx(1, "pthread_create");
	even(DEPTH);
	return 0;
}
