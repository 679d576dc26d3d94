// SPDX-License-Identifier: GPL-2.0
/*
 * The cost of a table when one process has very many mappings: hardly more than with 20
 * mappings, however many processes share the address space, and whether the mappings are
 * unrelated or the pieces of one stack. All rows must be right.
 *
 * The figures are printed: the least time of several opens, divided by the same with few
 * mappings. COST says that time is reliable, as in a guest whose clock counts instructions
 * (stack_cost.c): then the goal for `segments`, a ratio of 1.2, is a test result. Without
 * it the limit is far below the ratio of a walk over all mappings, which is in the hundreds.
 *
 * MAPPINGS and SHARERS, if set, are the numbers of mappings and of processes that share them.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "segments.h"
#include "stand.h"

#define FEW 20
#define SHARERS_MAX 1000
#define TIMES 50
/* Seconds of opens, after which a table is not opened again: that is too slow anyway. */
#define LONG 2
/* The largest ratio of the cost to that of few mappings; RATIO_GOAL is used with COST. */
#define RATIO_MAX 50.0
#define RATIO_GOAL 1.2

static const char *const tables[] = { "segments", "ustacks", "uframes" };
enum { TABLES_COUNT = ARRAY_SIZE(tables) };

/* What the mappings are. */
enum kind {
	APART,			/* separated from each other, none of them a stack */
	PIECES,			/* of one stack, on which the children sleep */
};

/* Shared memory in which the first process reports what it has made. */
static struct told {
	unsigned long low, high;
	unsigned long stacks, stacks_end; /* the children's, unless on the mappings */
	pid_t pid[SHARERS_MAX];
	unsigned long sp[SHARERS_MAX];
	int there[SHARERS_MAX];
	int ready;
} *told;

/* What the first process should become. */
static struct wish {
	enum kind kind;
	long mappings;
	int sharers;
} wish;

static char *map(size_t size)
{
	return must(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* So many mappings: every other page is of another kind, and both ends have no access. */
static void make_mappings(void)
{
	char *memory = map((wish.mappings + 2) * PAGE);

	must(mprotect(memory, PAGE, PROT_NONE));
	must(mprotect(memory + (wish.mappings + 1) * PAGE, PAGE, PROT_NONE));
	memory += PAGE;
	told->low = (unsigned long)memory;
	told->high = told->low + wish.mappings * PAGE;
	for (long i = 0; i < wish.mappings; i += 2) {
		if (wish.kind == APART)
			must(mprotect(memory + i * PAGE, PAGE, PROT_NONE));
		else
			must(madvise(memory + i * PAGE, PAGE, MADV_DONTDUMP));
	}
}

/* A process in this address space, which sleeps with the given stack pointer. */
static int share(void *number)
{
	long i = (long)number;

	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	stand(told->sp[i], 0, told->there + i);
}

static void be_shared(void *unused)
{
	size_t size = (2 * wish.sharers + 3) * PAGE;
	unsigned long distance = wish.mappings * PAGE / (wish.sharers + 1) & ~15ul;
	char *stacks = map(size);

	/* A page without access on either side. */
	must(mprotect(stacks, PAGE, PROT_NONE));
	must(mprotect(stacks + size - PAGE, PAGE, PROT_NONE));
	stacks += PAGE;
	told->stacks = (unsigned long)stacks;
	told->stacks_end = told->stacks + size - 2 * PAGE;
	/* The kernel reaps its children. */
	signal(SIGCHLD, SIG_IGN);
	make_mappings();
	for (long i = 0; i < wish.sharers; i++) {
		/* On the mappings, if these are a stack, or on a stack of its own. */
		if (wish.kind == PIECES)
			told->sp[i] = told->low + (i + 1) * distance;
		else
			told->sp[i] = told->stacks + (2 * i + 1) * PAGE;
		told->pid[i] = must(clone(share, stacks + (2 * i + 2) * PAGE, CLONE_VM | SIGCHLD,
					  (void *)i));
		wait_until(__atomic_load_n(told->there + i, __ATOMIC_ACQUIRE),
			   "a child does not sleep");
	}
	__atomic_store_n(&told->ready, 1, __ATOMIC_RELEASE);
}

static pid_t start(enum kind kind, long mappings, int sharers)
{
	pid_t pid;

	wish = (struct wish){ kind, mappings, sharers };
	memset(told, 0, sizeof(*told));
	pid = start_child(be_shared, NULL);
	wait_until(__atomic_load_n(&told->ready, __ATOMIC_ACQUIRE), "a process is not ready");
	wait_for_sleep(pid, pid, "S");
	for (int i = 0; i < sharers; i++)
		wait_for_sleep(told->pid[i], told->pid[i], "S");
	return pid;
}

/*
 * One after the other: the kernel takes very long when hundreds of processes leave an
 * address space at once.
 */
static void end_all(pid_t pid)
{
	for (int i = 0; i < wish.sharers; i++) {
		kill(told->pid[i], SIGKILL);
		wait_until(kill(told->pid[i], 0) && errno == ESRCH, "%d does not die",
			   told->pid[i]);
	}
	end_child(pid);
}

/* The least time of several in which a table is opened, in milliseconds. */
static double cost(const char *table)
{
	double least = 0, all = 0, start;
	char path[100];

	snprintf(path, sizeof(path), TABLES "%s", table);
	for (int i = 0; i < TIMES && all < LONG; i++) {
		start = monotonic();
		close(must(open(path, O_RDONLY | O_CLOEXEC)));
		start = monotonic() - start;
		all += start;
		least = !i || start < least ? start : least;
	}
	return 1e3 * least;
}

/* Selects this process and those that share its address space. */
static void select_processes(pid_t pid)
{
	static char list[16 * (SHARERS_MAX + 1)];
	char *at = list + sprintf(list, "%d\n", pid);

	for (int i = 0; i < wish.sharers; i++)
		at += sprintf(at, "%d\n", told->pid[i]);
	write_set_pid(list);
}

/* The expected rows of each process, from /proc/PID/maps. */
struct expected {
	struct range mmap, stack, vdso;
};

static struct expected expect(pid_t pid)
{
	struct range image = proc_image(getpid());
	struct expected expected = { 0 };
	struct mapping *mapping;
	size_t count = proc_mappings(pid, &mapping);

	expected.mmap = span_of_mappings(mapping, count, &image, NULL, 0);
	for (size_t i = 0; i < count; i++) {
		struct range range = { mapping[i].start, mapping[i].end };

		if (!strcmp(mapping[i].name, "[stack]"))
			expected.stack = range;
		if (!strcmp(mapping[i].name, "[vdso]"))
			expected.vdso = range;
	}
	free(mapping);
	return expected;
}

static bool has_range(const struct rows *table, pid_t pid, const char *segment,
		      const struct range *range)
{
	return segment_is(table, pid, segment, range->low, range->high);
}

/* The process was forked: text, data and bss are where this program has them. */
static bool has_segments(const struct rows *table, pid_t pid, const struct expected *expected)
{
	pid_t self = getpid();

	return segment_is(table, pid, "text", proc_stat(self, 26), proc_stat(self, 27)) &&
	       segment_is(table, pid, "data", proc_stat(self, 45), proc_stat(self, 46)) &&
	       segment_end(table, pid, "bss") == proc_image(self).high &&
	       has_range(table, pid, "mmap", &expected->mmap) &&
	       has_range(table, pid, "stack", &expected->stack) &&
	       has_range(table, pid, "vdso", &expected->vdso);
}

static bool segments_are_right(const struct rows *table, pid_t pid)
{
	struct expected expected = expect(pid);
	bool good = has_segments(table, pid, &expected);

	for (int i = 0; i < wish.sharers && good; i++)
		good = has_segments(table, told->pid[i], &expected);
	return good && table->rows == SEGMENTS * (wish.sharers + 1ul);
}

/* A stack of very many pieces is right, or VALID is `pieces` and the summary counts it. */
static bool stacks_are_right(const struct rows *table)
{
	long cut = 0;
	char line[64];

	for (int i = 0; i < wish.sharers; i++) {
		size_t row = rows_find(table, told->pid[i]);
		char expected[64], found[64] = "no row";
		bool pieces;

		snprintf(expected, sizeof(expected), "%08lx %08lx %08lx ok", told->sp[i],
			 told->low, told->high);
		pieces = row < table->rows && !strcmp(rows_value(table, row, "VALID"), "pieces");
		if (wish.kind == PIECES && pieces) {
			snprintf(expected, sizeof(expected), "%08lx - - pieces", told->sp[i]);
			cut++;
		} else if (wish.kind != PIECES) {
			snprintf(expected, sizeof(expected), "%08lx %08lx %08lx ok", told->sp[i],
				 told->stacks, told->stacks_end);
		}
		if (row < table->rows)
			snprintf(found, sizeof(found), "%s %s %s %s", rows_value(table, row, "SP"),
				 rows_value(table, row, "START"), rows_value(table, row, "END"),
				 rows_value(table, row, "VALID"));
		if (strcmp(found, expected)) {
			ksft_print_msg("%d: %s and not %s\n", told->pid[i], found, expected);
			return false;
		}
	}
	snprintf(line, sizeof(line), "\n# %ld threads with a stack", cut);
	if (cut && !strstr(table->summary, line)) {
		ksft_print_msg("no summary line says that %ld stacks are in pieces: %s",
			       cut, table->summary);
		return false;
	}
	return true;
}

/* Each sleeps with a frame pointer of 0, so it has one frame. */
static bool frames_are_right(const struct rows *table)
{
	bool good = true;

	for (int i = 0; i < wish.sharers && good; i++) {
		size_t row = rows_find(table, told->pid[i]);

		good = row + 1 < table->rows && table->pid[row + 1] == told->pid[i] &&
		       strtoul(rows_value(table, row, "ADDRESS"), NULL, 16) ==
			       (unsigned long)stand_pc;
	}
	return good;
}

static bool is_right(int number, pid_t pid)
{
	struct rows *table = rows_read(tables[number]);
	bool good = number == 0 ? segments_are_right(table, pid) :
		    number == 1 ? stacks_are_right(table) : frames_are_right(table);

	rows_free(table);
	return good;
}

static void test(enum kind kind, long mappings, int sharers, const char *name)
{
	double few[TABLES_COUNT], many[TABLES_COUNT];
	bool right[TABLES_COUNT];
	pid_t pid = start(kind, FEW, sharers);

	select_processes(pid);
	for (int i = 0; i < TABLES_COUNT; i++) {
		right[i] = is_right(i, pid);
		few[i] = cost(tables[i]);
	}
	end_all(pid);
	pid = start(kind, mappings, sharers);
	select_processes(pid);
	for (int i = 0; i < TABLES_COUNT; i++) {
		double most = getenv("COST") && !i ? RATIO_GOAL : RATIO_MAX;

		many[i] = cost(tables[i]);
		ksft_print_msg("%s: %.3f ms with %d mappings, %.3f ms with %ld: %.2f times\n",
			       tables[i], few[i], FEW, many[i], mappings, many[i] / few[i]);
		ksft_test_result(is_right(i, pid) && right[i],
				 "%s of %d processes with %ld %s: every row is right\n",
				 tables[i], sharers + 1, mappings, name);
		ksft_test_result(many[i] <= most * few[i],
				 "%s of %d processes: %ld %s cost at most %.1f times what %d do\n",
				 tables[i], sharers + 1, mappings, name, most, FEW);
	}
	end_all(pid);
}

int main(void)
{
	long mappings = rounds("MAPPINGS", 10000, 60000), sharers = rounds("SHARERS", 100, 500);

	ksft_print_header();
	ksft_set_plan(3 * 2 * TABLES_COUNT);
	load_taskscope("");
	told = must(mmap(NULL, sizeof(*told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0));
	if (sharers > SHARERS_MAX)
		die("SHARERS=%ld is more than %d", sharers, SHARERS_MAX);
	test(APART, mappings, 0, "mappings");
	test(APART, mappings, sharers, "shared mappings");
	test(PIECES, mappings, sharers, "pieces of a shared stack");
	ksft_finished();
}
