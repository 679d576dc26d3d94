// SPDX-License-Identifier: GPL-2.0
/*
 * A program for another ABI of the machine (-m32 or -mx32), without a library. Four functions
 * call each other, from begin() on, and record their return addresses. The innermost one writes
 * these addresses to descriptor 1, the innermost first, eight bytes each, and makes the system
 * call pause() for ever.
 *
 * With an argument, an i386 program makes its calls as the C library does: through the vdso.
 */
#define DEPTH 4

#ifdef __x86_64__ /* true for x32 too */
#define X32_BIT 0x40000000
#define PAUSE (X32_BIT | 34)
#define WRITE (X32_BIT | 1)
#else
#define PAUSE 29
#define WRITE 4
#endif

static unsigned long long returns_to[DEPTH + 1];

/* __kernel_vsyscall(), or 0. */
static unsigned long vsyscall;

/* Inlined, so that it has no frame of its own. */
static inline __attribute__((always_inline)) long call(long number, long one, const void *two,
						       long three)
{
	long result = number;

#ifdef __x86_64__
	asm volatile("syscall" : "+a" (result) : "D" (one), "S" (two), "d" (three)
		     : "rcx", "r11", "memory");
#else
	if (vsyscall)
		asm volatile("call *%4" : "+a" (result) : "b" (one), "c" (two), "d" (three),
			     "m" (vsyscall) : "memory");
	else
		asm volatile("int $0x80" : "+a" (result) : "b" (one), "c" (two), "d" (three)
			     : "memory");
#endif
	return result;
}

#define NOTE(depth) (returns_to[DEPTH - (depth)] = (unsigned long)__builtin_return_address(0))

static __attribute__((noinline)) void fourth(void)
{
	NOTE(4);
	call(WRITE, 1, returns_to, sizeof(returns_to));
	for (;;)
		call(PAUSE, 0, (void *)0, 0);
}

/* Each function has code after its call, so that the call does not become a jump. */
#define FUNCTION(name, depth, next)			\
static __attribute__((noinline)) void name(void)	\
{							\
	NOTE(depth);					\
	next();						\
	asm volatile("");				\
}

FUNCTION(third, 3, fourth)
FUNCTION(second, 2, third)
FUNCTION(first, 1, second)

/* A type in the auxiliary vector. */
#define AT_SYSINFO 32

/* The stack after execve(): the number of arguments, the arguments, environment, vector. */
static __attribute__((noinline, used)) void begin(unsigned long *stack)
{
	unsigned long *at = stack + 1;

	NOTE(0);
	if (*stack > 1) {
		/* The arguments and the environment each end with a zero. */
		for (int ends = 0; ends < 2; at++)
			ends += !*at;
		while (*at != AT_SYSINFO)
			at += 2;
		vsyscall = at[1];
	}
	first();
	asm volatile("");
}

#ifdef __x86_64__
asm(".globl _start\n"
	"_start:\n"
	"\txor %ebp, %ebp\n"
	"\tmov %rsp, %rdi\n"
	"\tcall begin\n");
#else
asm(".globl _start\n"
	"_start:\n"
	"\txor %ebp, %ebp\n"
	"\tmov %esp, %eax\n"
	"\tand $-16, %esp\n"
	"\tsub $12, %esp\n"
	"\tpush %eax\n"
	"\tcall begin\n");
#endif
