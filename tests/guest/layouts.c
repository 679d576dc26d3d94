// SPDX-License-Identifier: GPL-2.0
/*
 * `segments` of programs in every layout of an address space: mappings below the base of the
 * mmap area or above it, libraries below the program, a program in the middle of the area.
 *
 * The expected values come from the program, which reports what it has mapped and where it
 * was loaded (programs/layouts), and from the names in /proc/PID/maps. The segment mmap must
 * span all mappings except these: the program as the kernel has loaded it, [heap], [stack],
 * the kernel's own mappings, and those that the program has placed above the base of the
 * area.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <unistd.h>

#include <kselftest.h>

#include "../programs/layouts/subject.h"
#include "guest.h"
#include "segments.h"
#include "stand.h"

#define PROGRAMS "/tests/layouts/"

/* Where the kernel places mappings: below the base of the area, or above it. */
enum way { DOWN, UP };

#ifdef __x86_64__
#define UNLIMITED DOWN
#define FULL_AREAS 1
#else
#define UNLIMITED UP
#define FULL_AREAS 0
#endif

static const struct layout {
	const char *name;
	enum way way;
	unsigned long personality;
	bool unlimited_stack;
} layouts[] = {
	{ "normal", DOWN },
	{ "no randomization", DOWN, ADDR_NO_RANDOMIZE },
	{ "ulimit -s unlimited", UNLIMITED, 0, true },
	{ "ulimit -s unlimited, no randomization", UNLIMITED, ADDR_NO_RANDOMIZE, true },
	{ "setarch -L", UP, ADDR_COMPAT_LAYOUT },
	{ "setarch -L, no randomization", UP, ADDR_COMPAT_LAYOUT | ADDR_NO_RANDOMIZE },
};

static const struct program {
	const char *name, *file, *argument;
	bool is_mapped_where_linked;	/* its argument is */
} programs[] = {
	{ "static, not a PIE", PROGRAMS "static" },
	{ "static-pie", PROGRAMS "static-pie" },
	{ "PIE with libraries", PROGRAMS "dynamic" },
	{ "not a PIE, with libraries", PROGRAMS "dynamic-fixed" },
	{ "ld.so PIE", PROGRAMS "ld.so", PROGRAMS "dynamic" },
	{ "ld.so PROGRAM, which is no PIE", PROGRAMS "ld.so", PROGRAMS "dynamic-fixed",
	  true },
#ifdef __x86_64__
	{ "i386, not a PIE", PROGRAMS "i386" },
	{ "i386, static-pie", PROGRAMS "i386-pie" },
	{ "i386, PIE with a loader", PROGRAMS "i386-dynamic" },
#endif
};

enum { LAYOUTS = ARRAY_SIZE(layouts) };
enum { PROGRAMS_COUNT = ARRAY_SIZE(programs) };

/* A program that has written its report, and sleeps. */
struct subject {
	pid_t pid;
	struct report report;
	struct mapping *mapping;
	size_t mappings;
	struct range image;	/* of the program that the kernel has loaded */
	struct range area;	/* the span of the mappings that belong to mmap */
};

static void become(const struct program *program, const struct layout *layout,
		   const char *way, int output)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	const char *const arguments[] = { program->file, program->argument ?: way,
					  program->argument ? way : NULL, NULL };

	if (layout->unlimited_stack)
		must(setrlimit(RLIMIT_STACK, &unlimited));
	must(personality(layout->personality));
	must(dup2(output, STDOUT_FILENO));
	execv(program->file, (char **)arguments);
	_exit(1);
}

static bool within(const struct range *range, const struct range *whole)
{
	return range->low >= whole->low && range->high <= whole->high;
}

static struct range in_pages(const struct range *range)
{
	return (struct range){ range->low & -PAGE, (range->high + PAGE - 1) & -PAGE };
}

/*
 * A mapping of the same kind directly behind bss cannot be told from bss, as the interface
 * says. ld.so makes such a mapping for itself at the highest free address.
 */
static void add_neighbours(struct range *image, const struct mapping *mapping, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (mapping[i].start == image->high && !*mapping[i].name &&
		    !strcmp(mapping[i].access, "rw-p"))
			image->high = mapping[i].end;
}

/* The span of the mappings of the file that /proc/PID/exe names. */
static struct range find_image(const struct subject *subject)
{
	char link[64], file[PATH_MAX] = "";
	struct range image = { 0 };

	snprintf(link, sizeof(link), "/proc/%d/exe", subject->pid);
	must(readlink(link, file, sizeof(file) - 1));
	for (size_t i = 0; i < subject->mappings; i++)
		for (int j = 0; j < OBJECTS; j++) {
			const struct range *object = subject->report.object + j;

			if (!strcmp(subject->mapping[i].name, file) &&
			    subject->mapping[i].start >= object->low &&
			    subject->mapping[i].start < object->high)
				image = *object;
		}
	if (!image.high)
		die("%s is at none of the addresses that it has reported", file);
	return in_pages(&image);
}

/* Dies if the layout is not the intended one: the test would test nothing. */
static void check_layout(const struct subject *subject, enum way way)
{
	const struct range *mapping = subject->report.mapping;
	const struct range *beyond = &subject->report.beyond;
	bool went_down = mapping[1].low < mapping[0].low;
	bool is_above = beyond->low > mapping[0].low, down = way == DOWN;

	if (went_down != down)
		die("mappings are placed the other way: %lx, then %lx",
		    (unsigned long)mapping[0].low, (unsigned long)mapping[1].low);
	if (!beyond->low || is_above != down)
		die("%lx is not beyond the area", (unsigned long)beyond->low);
	/* On arm64 some mappings fit into the holes between a program's segments. */
	for (int i = 0; i < MAPPINGS; i++)
		if (!within(mapping + i, &subject->area) && !within(mapping + i, &subject->image))
			die("%lx is not in the area", (unsigned long)mapping[i].low);
}

static struct subject start(const struct program *program, const struct layout *layout,
			    const char *way)
{
	struct subject subject = { 0 };
	struct range beyond[2] = { 0 };
	int channel[2];

	must(pipe(channel));
	subject.pid = fork_child();
	if (!subject.pid)
		become(program, layout, way, channel[1]);
	close(channel[1]);
	if (must(read(channel[0], &subject.report, sizeof(subject.report))) !=
	    sizeof(subject.report)) {
		errno = 0;
		die("%s, %s: no report", program->name, layout->name);
	}
	close(channel[0]);
	wait_for_sleep(subject.pid, subject.pid, "S");
	subject.mappings = proc_mappings(subject.pid, &subject.mapping);
	subject.image = find_image(&subject);
	add_neighbours(&subject.image, subject.mapping, subject.mappings);
	beyond[0] = subject.report.beyond;
	/* ld.so maps such a program below the base of an area that grows up. */
	if (program->is_mapped_where_linked && layout->way == UP)
		beyond[1] = in_pages(&subject.report.object[0]);
	subject.area = span_of_mappings(subject.mapping, subject.mappings, &subject.image, beyond,
					2);
	check_layout(&subject, layout->way);
	return subject;
}

static void end(struct subject *subject)
{
	end_child(subject->pid);
	free(subject->mapping);
}

static const struct mapping *named(const struct subject *subject, const char *name)
{
	for (size_t i = 0; i < subject->mappings; i++)
		if (!strcmp(subject->mapping[i].name, name))
			return subject->mapping + i;
	die("%d has no %s", subject->pid, name);
}

static bool is_right(const struct subject *subject)
{
	const struct mapping *stack = named(subject, "[stack]"), *vdso = named(subject, "[vdso]");
	struct rows *table = rows_read("segments");
	bool good = segment_is(table, subject->pid, "mmap", subject->area.low,
			       subject->area.high);

	good = segment_is(table, subject->pid, "stack", stack->start, stack->end) && good;
	good = segment_is(table, subject->pid, "vdso", vdso->start, vdso->end) && good;
	/* With "ld.so PROGRAM", brk() returns the break that the kernel has for ld.so. */
	good = segment_end(table, subject->pid, "heap") == subject->report.brk && good;
	good = segment_end(table, subject->pid, "bss") == subject->image.high && good;
	if (!good) {
		ksft_print_msg("heap ends at %lx, not %lx; bss at %lx, not %lx\n",
			       segment_end(table, subject->pid, "heap"),
			       (unsigned long)subject->report.brk,
			       segment_end(table, subject->pid, "bss"),
			       (unsigned long)subject->image.high);
		for (size_t i = 0; i < subject->mappings; i++)
			ksft_print_msg("%lx-%lx %s\n", subject->mapping[i].start,
				       subject->mapping[i].end, subject->mapping[i].name);
	}
	rows_free(table);
	return good;
}

/* The area below the base is full, so the kernel maps above the base. */
static void test_full_area(void)
{
#ifdef __x86_64__
	static const struct layout unlimited = { "unlimited", DOWN, 0, true };
	static const struct program i386 = { "i386", PROGRAMS "i386" };
	struct subject subject = start(&i386, &unlimited, "full");

	ksft_test_result(is_right(&subject),
			 "i386, mmap area full: a mapping above the base is not in mmap\n");
	end(&subject);
#endif
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(LAYOUTS * PROGRAMS_COUNT + FULL_AREAS);
	load_taskscope("");
	for (int i = 0; i < LAYOUTS; i++)
		for (int j = 0; j < PROGRAMS_COUNT; j++) {
			struct subject subject = start(programs + j, layouts + i,
						       layouts[i].way == UP ? "up" : "down");

			ksft_test_result(is_right(&subject),
					 "%s, %s: every segment is right\n", layouts[i].name,
					 programs[j].name);
			end(&subject);
		}
	test_full_area();
	ksft_finished();
}
