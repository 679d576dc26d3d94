// SPDX-License-Identifier: GPL-2.0
/*
 * usage: subject down|up|full
 *
 * A program that maps memory, writes a struct report to its standard output and sleeps. The
 * argument is the direction in which the kernel is expected to place mappings: below the base of
 * the mmap area, or above it. With "full" (down) it maps until there is no room below the base,
 * so that the kernel places a mapping above the base.
 *
 * Built in several ways: static, static-pie, with libraries, and for i386, where it has no C
 * library.
 */
#include <stdint.h>

#include "subject.h"

/* No C library for i386: the build root has none. */
#if __SIZEOF_LONG__ == 4
#define SYS_write	4
#define SYS_pause	29
#define SYS_brk		45
#define SYS_mprotect	125
#define SYS_mmap2	192

#define PROT_NONE	0
#define PROT_READ	1
#define PROT_WRITE	2
#define PROT_EXEC	4
#define MAP_SHARED	1
#define MAP_PRIVATE	2
#define MAP_ANONYMOUS	0x20
#define MAP_NORESERVE	0x4000
#define MAP_FIXED_NOREPLACE 0x100000

static long call6(long number, long a, long b, long c, long d, long e, long f)
{
	const long arguments[] = { number, f };
	long result;

	asm volatile("push %%ebp\n\t"
		     "mov 4(%%eax), %%ebp\n\t"
		     "mov (%%eax), %%eax\n\t"
		     "int $0x80\n\t"
		     "pop %%ebp"
		     : "=a"(result)
		     : "a"(arguments), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
		     : "memory");
	return result;
}

static uintptr_t map(uintptr_t at, unsigned long size, int access, int flags)
{
	return call6(SYS_mmap2, at, size, access, flags, -1, 0);
}

static void make_writable(uintptr_t at, unsigned long size)
{
	call6(SYS_mprotect, at, size, PROT_READ | PROT_WRITE, 0, 0, 0);
}

static unsigned long long grow_heap(void)
{
	return call6(SYS_brk, call6(SYS_brk, 0, 0, 0, 0, 0, 0) + 100000, 0, 0, 0, 0, 0);
}

/* Symbols of the linker. */
extern const char __executable_start[], _end[] __attribute__((visibility("hidden")));

static void tell_objects(struct report *report)
{
	report->object[0].low = (uintptr_t)__executable_start;
	report->object[0].high = (uintptr_t)_end;
}

static void tell(const struct report *report)
{
	call6(SYS_write, 1, (long)report, sizeof(*report), 0, 0, 0);
}

static void sleep_for_ever(void)
{
	for (;;)
		call6(SYS_pause, 0, 0, 0, 0, 0, 0);
}
#else
#include <link.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

static uintptr_t map(uintptr_t at, unsigned long size, int access, int flags)
{
	return (uintptr_t)mmap((void *)at, size, access, flags, -1, 0);
}

static void make_writable(uintptr_t at, unsigned long size)
{
	if (mprotect((void *)at, size, PROT_READ | PROT_WRITE))
		exit(1);
}

static unsigned long long grow_heap(void)
{
	if (sbrk(100000) == (void *)-1)
		exit(1);
	return (uintptr_t)sbrk(0);
}

static int tell_object(struct dl_phdr_info *object, size_t size, void *next)
{
	struct range range = { .low = -1ull };

	for (int i = 0; i < object->dlpi_phnum; i++) {
		uintptr_t start = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;

		if (object->dlpi_phdr[i].p_type != PT_LOAD)
			continue;
		if (start < range.low)
			range.low = start;
		if (start + object->dlpi_phdr[i].p_memsz > range.high)
			range.high = start + object->dlpi_phdr[i].p_memsz;
	}
	if (range.low != getauxval(AT_SYSINFO_EHDR))
		*(*(struct range **)next)++ = range;
	return 0;
}

static void tell_objects(struct report *report)
{
	struct range *next = report->object;

	dl_iterate_phdr(tell_object, &next);
}

static void tell(const struct report *report)
{
	if (write(STDOUT_FILENO, report, sizeof(*report)) != sizeof(*report))
		exit(1);
}

static void sleep_for_ever(void)
{
	for (;;)
		pause();
}
#endif

/* The largest page of any kernel, so that all of this is in whole pages. */
#define PAGE 16384ul
#define MIB (1024 * 1024ul)

/*
 * Neighbouring mappings differ, so that the kernel does not merge them. A private writable mapping
 * is placed inside one without access: directly behind bss, it could not be told from bss.
 */
static const struct {
	unsigned long pages;
	int access, flags;
} kinds[MAPPINGS] = {
	{ 3, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS },
	{ 5, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS },
	{ 7, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS },
	{ 16, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS },
};

/* More than a page of bss. */
static char bss[3 * PAGE];

static uintptr_t above_the_stack_limit(void)
{
	char here;

	/* Inside the gap that the kernel always leaves for the stack, above any base. */
	return ((uintptr_t)&here & -PAGE) - 4 * MIB;
}

/* Above nothing but a program, and below the base. */
static uintptr_t below_the_area(void)
{
	return sizeof(long) == 4 ? 0x20000000 : 0x800000000;
}

/* Maps until a mapping is above all others: then the kernel had no room below. */
static struct range fill(uintptr_t first)
{
	static const unsigned long step = 16 * MIB;
	uintptr_t next;

	do {
		next = map(0, step, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	} while (next < first);
	return (struct range){ next, next + step };
}

static void run(char way)
{
	static struct report report;

	*(volatile char *)bss = 1;
	report.brk = grow_heap();
	tell_objects(&report);
	for (int i = 0; i < MAPPINGS; i++) {
		uintptr_t at = map(0, kinds[i].pages * PAGE, kinds[i].access, kinds[i].flags);

		report.mapping[i].low = at;
		report.mapping[i].high = at + kinds[i].pages * PAGE;
		if (kinds[i].access == PROT_NONE)
			make_writable(at + PAGE, PAGE);
	}
	if (way == 'f') {
		report.beyond = fill(report.mapping[0].low);
	} else {
		uintptr_t at = way == 'd' ? above_the_stack_limit() : below_the_area();

		at = map(at, 2 * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);
		report.beyond.low = at;
		report.beyond.high = at + 2 * PAGE;
	}
	tell(&report);
	sleep_for_ever();
}

#if __SIZEOF_LONG__ == 4
/* The stack has the number of arguments, and then the arguments. */
static __attribute__((used)) void start(const long *stack)
{
	run(*(const char *)stack[2]);
}

asm(".pushsection .text\n"
	".globl _start\n"
	"_start:\n"
	"\tmov %esp, %eax\n"
	"\tand $-16, %esp\n"
	"\tsub $12, %esp\n"
	"\tpush %eax\n"
	"\tcall start\n"
	".popsection\n");
#else
int main(int argc, char **argv)
{
	run(*argv[1]);
}
#endif
