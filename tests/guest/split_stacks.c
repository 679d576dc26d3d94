// SPDX-License-Identifier: GPL-2.0
/*
 * Stacks in pieces. The kernel splits a mapping where a program locks, protects or advises a
 * part of it. The stack is all of its pieces, up to a page without access. A program recurses
 * and changes pages within its frames: on its first stack, in several layouts of the address
 * space, and on the stacks of threads.
 *
 * The expected values come from the program: its return addresses, its stack pointer, and
 * where it has mapped its stack and its guard pages.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <kselftest.h>

#include "frames.h"
#include "guest.h"
#include "rows.h"
#include "segments.h"
#include "stand.h"

#define ROOM (64 * 1024)
#define FRAMES 5

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

typedef void change_page(char *page);

/* A program that recurses, and what it records on the way. */
struct descent {
	change_page *in_frames_2_and_4, *in_frame_3;
	unsigned long address[FRAMES + 1];	/* the innermost first */
	unsigned long sp, changed;
	int output, there;
};

static __attribute__((noinline, noclone, noipa, optimize("no-omit-frame-pointer",
							 "no-optimize-sibling-calls")))
void go_down(void *place, long frame)
{
	struct descent *descent = place;
	char room[ROOM], *middle = (char *)(((unsigned long)room + ROOM / 2) & -PAGE);
	unsigned long fp = (unsigned long)__builtin_frame_address(0);

	/* Lets the compiler assume that the recursion ends. */
	if (frame > FRAMES)
		return;
	descent->address[FRAMES + 1 - frame] = (unsigned long)
		__builtin_extract_return_addr(__builtin_return_address(0));
	for (size_t at = 0; at < ROOM; at += PAGE)
		*(volatile char *)(room + ROOM - 1 - at) = frame;
	if (frame == 3 && descent->in_frame_3) {
		descent->changed = (unsigned long)middle;
		descent->in_frame_3(middle);
	} else if (frame % 2 == 0 && descent->in_frames_2_and_4) {
		descent->in_frames_2_and_4(middle);
	}
	if (frame < FRAMES) {
		go_down(descent, frame + 1);
		return;
	}
	descent->address[0] = (unsigned long)stand_pc;
	descent->sp = (unsigned long)room < fp ? (unsigned long)room : fp;
	descent->sp = (descent->sp - 512) & ~15ul;
	*(volatile char *)descent->sp = 0;
	if (descent->output)
		must(write(descent->output, descent, sizeof(*descent)));
	/* From here it sleeps with this frame's pointers, as if it had called nothing. */
	stand(descent->sp, fp, &descent->there);
}

static void lock(char *page)
{
	must(mlock(page, PAGE));
}

static void not_into_dumps(char *page)
{
	must(madvise(page, PAGE, MADV_DONTDUMP));
}

static void make_executable(char *page)
{
	must(mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC));
}

static void make_read_only(char *page)
{
	must(mprotect(page, PAGE, PROT_READ));
}

static void take_access(char *page)
{
	must(mprotect(page, PAGE, PROT_NONE));
}

static void install_guard(char *page)
{
	if (madvise(page, PAGE, MADV_GUARD_INSTALL))
		die("MADV_GUARD_INSTALL");
}

static bool row_is(const struct rows *table, pid_t pid, const char *const values[6])
{
	static const char *const column[] = { "SP", "START", "END", "SIZE", "USED", "VALID" };
	size_t row = rows_find(table, pid);
	bool good = row < table->rows;

	for (int i = 0; i < 6 && row < table->rows; i++)
		if (strcmp(rows_value(table, row, column[i]), values[i])) {
			ksft_print_msg("%d: %s is %s and not %s\n", pid, column[i],
				       rows_value(table, row, column[i]), values[i]);
			good = false;
		}
	return good;
}

static bool stack_is(const struct rows *table, pid_t pid, unsigned long sp, unsigned long start,
		     unsigned long end)
{
	char text[5][32];
	const char *const values[] = { text[0], text[1], text[2], text[3], text[4], "ok" };

	snprintf(text[0], sizeof(*text), "%08lx", sp);
	snprintf(text[1], sizeof(*text), "%08lx", start);
	snprintf(text[2], sizeof(*text), "%08lx", end);
	snprintf(text[3], sizeof(*text), "%lu", end - start);
	snprintf(text[4], sizeof(*text), "%lu", end - sp);
	return row_is(table, pid, values);
}

static bool stack_is_guarded(const struct rows *table, pid_t pid, unsigned long sp)
{
	char text[32];
	const char *const values[] = { text, "-", "-", "-", "-", "guarded" };

	snprintf(text, sizeof(text), "%08lx", sp);
	return row_is(table, pid, values);
}

static bool has_all_frames(pid_t tgid, pid_t pid, const struct descent *descent)
{
	struct rows *table = rows_read("uframes");
	bool good = frames_are(table, tgid, pid, descent->address, FRAMES + 1, "null");

	rows_free(table);
	return good;
}

/* How the first stack is split. */
static const struct split {
	const char *name;
	change_page *in_frames_2_and_4, *in_frame_3;
} splits[] = {
	{ "not split" },
	{ "mlock in frames 2 and 4", lock },
	{ "madvise in frames 2 and 4", not_into_dumps },
	{ "mprotect in frames 2 and 4, to executable", make_executable },
	{ "mlock in frames 2 and 4, and a page without access in frame 3", lock, take_access },
	{ "mlock in frames 2 and 4, and a read-only page in frame 3", lock,
	  make_read_only },
	{ "MADV_GUARD_INSTALL in frames 2 and 4", install_guard },
};

static const struct layout {
	const char *name;
	unsigned long personality;
	bool unlimited_stack;
} layouts[] = {
	{ "normal" },
	{ "setarch -L", ADDR_COMPAT_LAYOUT },
	{ "ulimit -s unlimited", 0, true },
};

enum {
	GUARDED = ARRAY_SIZE(splits) - 1,
	SPLITS = GUARDED,	/* the others */
	LAYOUTS = ARRAY_SIZE(layouts),
};

/* "PROGRAM SPLIT": this program, started again, with a stack that is split so. */
static void be_split(const struct split *split)
{
	static struct descent descent = { .output = STDOUT_FILENO };

	descent.in_frames_2_and_4 = split->in_frames_2_and_4;
	descent.in_frame_3 = split->in_frame_3;
	call_first(&descent, 1, go_down);
}

static pid_t start_split(int split, const struct layout *layout, struct descent *descent)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	char argument[16];
	int channel[2];
	pid_t pid;

	must(pipe(channel));
	snprintf(argument, sizeof(argument), "%d", split);
	pid = fork_child();
	if (!pid) {
		if (layout->unlimited_stack)
			must(setrlimit(RLIMIT_STACK, &unlimited));
		must(personality(layout->personality));
		must(dup2(channel[1], STDOUT_FILENO));
		execl("/proc/self/exe", "split_stack", argument, NULL);
		_exit(1);
	}
	close(channel[1]);
	if (must(read(channel[0], descent, sizeof(*descent))) != sizeof(*descent))
		die("no report from the program");
	close(channel[0]);
	wait_until(is_standing(pid, pid), "the program does not sleep");
	return pid;
}

/* The stack ends where the mapping that is named [stack] ends. */
static unsigned long end_of_first_stack(pid_t pid)
{
	struct mapping *mapping;
	size_t count = proc_mappings(pid, &mapping);
	unsigned long end = 0;

	for (size_t i = 0; i < count; i++)
		if (!strcmp(mapping[i].name, "[stack]"))
			end = mapping[i].end;
	free(mapping);
	if (!end)
		die("%d has no [stack]", pid);
	return end;
}

static void test_first_stack(int number, const struct layout *layout)
{
	const struct split *split = splits + number;
	struct descent descent;
	pid_t pid = start_split(number, layout, &descent);
	unsigned long end = end_of_first_stack(pid);
	struct mapping lowest;
	struct rows *table;
	bool good;

	if (!proc_mapping(pid, descent.sp, &lowest))
		die("no mapping has the stack pointer");
	table = rows_read("ustacks");
	good = stack_is(table, pid, descent.sp, lowest.start, descent.changed ?: end);
	ksft_test_result(good, "ustacks, %s: %s: the row is right\n", layout->name, split->name);
	rows_free(table);
	ksft_test_result(has_all_frames(pid, pid, &descent),
			 "uframes, %s: %s: every frame is right\n", layout->name,
			 split->name);
	table = rows_read("segments");
	good = segment_is(table, pid, "stack",
			  descent.changed ? descent.changed + PAGE : lowest.start, end);
	good = segment_is_nothing(table, pid, "mmap") && good;
	ksft_test_result(good,
			 "segments, %s: %s: stack and mmap are right\n", layout->name, split->name);
	if (!segment_is_nothing(table, pid, "mmap"))
		ksft_print_msg("mmap: %lx-%lx of a program that maps nothing\n",
			       segment_start(table, pid, "mmap"),
			       segment_end(table, pid, "mmap"));
	rows_free(table);
	end_child(pid);
}

/* No thread has its stack in the mapping of the first stack: its end is known. */
static void test_guarded_first_stack(void)
{
	struct descent descent;
	pid_t pid = start_split(GUARDED, layouts, &descent);
	unsigned long end = end_of_first_stack(pid);
	char sp[32], high[32], used[32];
	const char *const values[] = { sp, "-", high, "-", used, "guarded" };
	struct rows *table = rows_read("ustacks");

	snprintf(sp, sizeof(sp), "%08lx", descent.sp);
	snprintf(high, sizeof(high), "%08lx", end);
	snprintf(used, sizeof(used), "%lu", end - descent.sp);
	ksft_test_result(row_is(table, pid, values),
			 "ustacks, first stack with guards: END and USED are known\n");
	rows_free(table);
	ksft_test_result(has_all_frames(pid, pid, &descent),
			 "uframes, first stack with guards: every frame is right\n");
	end_child(pid);
}

static pid_t thread_tid;

static void *descend(void *descent)
{
	__atomic_store_n(&thread_tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	call_first(descent, 1, go_down);
	return NULL;
}

/* Starts a thread that recurses on a stack of `size` bytes; returns when it sleeps. */
static pid_t start_descent(struct descent *descent, char *stack, size_t size)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	if (pthread_attr_setstack(&attributes, stack, size) ||
	    pthread_create(&thread, &attributes, descend, descent))
		die("pthread_create");
	wait_until(__atomic_load_n(&descent->there, __ATOMIC_ACQUIRE), "a thread does not sleep");
	wait_for_sleep(getpid(), thread_tid, "S");
	return thread_tid;
}

#define STACK (FRAMES * ROOM + 128 * 1024)

static char *map(char *at, size_t size, int access, int flags)
{
	return must(mmap(at, size, access, flags | (at ? MAP_FIXED : 0), -1, 0));
}

/* Memory for a stack, between two pages without access. */
static char *new_stack(void)
{
	char *memory = map(NULL, STACK + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);

	must(mprotect(memory + PAGE, STACK, PROT_READ | PROT_WRITE));
	return memory + PAGE;
}

/*
 * A thread that recurses on the stack, and one that sleeps at its highest byte: the whole
 * stack is shown for both.
 */
static void check_thread(char *stack, struct descent descent, const char *name)
{
	struct descent *noted = malloc(sizeof(*noted));
	unsigned long low = (unsigned long)stack, high = low + STACK;
	pid_t deep, shallow;
	struct rows *table;
	bool good;

	*noted = descent;
	deep = start_descent(noted, stack, STACK);
	shallow = start_standing(high - 16, 0);
	table = rows_read("ustacks");
	good = stack_is(table, deep, noted->sp, low, high);
	good = stack_is(table, shallow, high - 16, low, high) && good;
	ksft_test_result(good, "ustacks, a thread: %s: the row is right\n", name);
	rows_free(table);
	ksft_test_result(has_all_frames(getpid(), deep, noted),
			 "uframes, a thread: %s: every frame is right\n", name);
}

static void test_neighbours(void)
{
	int file = must(memfd_create("neighbour", MFD_CLOEXEC));
	char *memory = new_stack() - PAGE;

	/* Below the stack a file with the same access, above it shared memory. */
	must(ftruncate(file, PAGE));
	must(mmap(memory, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, file, 0));
	map(memory + PAGE + STACK, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS);
	check_thread(memory + PAGE, (struct descent){ lock },
		     "between a private file and shared memory");
	close(file);
}

/* A page apart from other memory on both sides. */
static void test_gaps(void)
{
	char *memory = map(NULL, STACK + 4 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS);

	must(munmap(memory + PAGE, PAGE));
	must(munmap(memory + 2 * PAGE + STACK, PAGE));
	check_thread(memory + 2 * PAGE, (struct descent){ lock }, "between unmapped pages");
}

/* Directly above the heap. It is a mapping of its own because it is locked. */
static void test_heap(void)
{
	char *end = must(sbrk(0));

	must(sbrk(-(unsigned long)end & (PAGE - 1)));
	end = must(sbrk(0));
	map(end + STACK, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	map(end, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED);
	check_thread(end, (struct descent){ not_into_dumps }, "above the heap");
}

/*
 * A guard that only the page tables have. The start of such a stack is not known, nor is its
 * end, because neighbouring stacks become one mapping. The guard is in the lowest page, which
 * is a piece of its own if `apart` is set.
 */
static void test_guard(struct descent descent, bool apart, const char *name)
{
	struct descent *noted = malloc(sizeof(*noted));
	char *stack = new_stack();
	struct rows *table;
	pid_t pid;

	*noted = descent;
	if (apart)
		not_into_dumps(stack);
	install_guard(stack);
	pid = start_descent(noted, stack, STACK);
	table = rows_read("ustacks");
	ksft_test_result(stack_is_guarded(table, pid, noted->sp),
			 "ustacks, a thread: %s: the row is right\n", name);
	rows_free(table);
	ksft_test_result(has_all_frames(getpid(), pid, noted),
			 "uframes, a thread: %s: every frame is right\n", name);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		be_split(splits + atoi(argv[1]));
	ksft_print_header();
	ksft_set_plan(3 * SPLITS + 2 * 3 * (LAYOUTS - 1) + 2 * 11);
	load_taskscope("");
	for (int i = 0; i < SPLITS; i++)
		test_first_stack(i, layouts);
	for (int i = 1; i < LAYOUTS; i++)
		for (int j = 0; j < 2; j++)
			test_first_stack(j, layouts + i);
	test_guarded_first_stack();
	check_thread(new_stack(), (struct descent){ NULL }, "not split");
	check_thread(new_stack(), (struct descent){ lock }, "mlock in frames 2 and 4");
	check_thread(new_stack(), (struct descent){ not_into_dumps }, "madvise in frames 2 and 4");
	check_thread(new_stack(), (struct descent){ make_executable, lock },
		     "mprotect in frames 2 and 4, mlock in 3");
	test_neighbours();
	test_gaps();
	test_guard((struct descent){ NULL }, false, "MADV_GUARD_INSTALL");
	test_guard((struct descent){ lock }, false, "MADV_GUARD_INSTALL, mlock in frames 2 and 4");
	test_guard((struct descent){ NULL }, true, "MADV_GUARD_INSTALL in a piece apart");
	test_heap();
	ksft_finished();
}
