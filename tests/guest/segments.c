// SPDX-License-Identifier: GPL-2.0
/*
 * The segments of each process, against /proc/PID/stat and /proc/PID/maps, the program
 * headers, and the addresses that the program itself knows.
 */
#include <elf.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "segments.h"
#include "stand.h"

/* Several pages each, even of 16 KiB, so that a segment cannot be right by accident. */
static char data[90000] = "initialised", bss[70000];

static char *first_argument, *first_variable;

/* The segments that /proc/PID/stat has, by the fields of proc(5). */
static bool as_in_stat(const struct rows *table, pid_t pid)
{
	unsigned long brk = segment_end(table, pid, "heap");

	return segment_is(table, pid, "text", proc_stat(pid, 26), proc_stat(pid, 27)) &&
	       segment_is(table, pid, "data", proc_stat(pid, 45), proc_stat(pid, 46)) &&
	       segment_is(table, pid, "heap", proc_stat(pid, 47), brk) &&
	       segment_is(table, pid, "args", proc_stat(pid, 48), proc_stat(pid, 49)) &&
	       segment_is(table, pid, "env", proc_stat(pid, 50), proc_stat(pid, 51));
}

/* The mappings that have a name in /proc/PID/maps, and the span of the others. */
static bool as_in_maps(const struct rows *table, pid_t pid)
{
	struct range image = proc_image(pid), span;
	unsigned long brk = segment_end(table, pid, "heap");
	struct mapping *all;
	size_t count = proc_mappings(pid, &all);
	bool good = true;

	for (size_t i = 0; i < count; i++) {
		if (!strcmp(all[i].name, "[stack]"))
			good = segment_is(table, pid, "stack", all[i].start, all[i].end) && good;
		if (!strcmp(all[i].name, "[vdso]"))
			good = segment_is(table, pid, "vdso", all[i].start, all[i].end) && good;
		if (!strcmp(all[i].name, "[heap]"))
			good = brk > all[i].start && brk <= all[i].end && good;
	}
	span = span_of_mappings(all, count, &image, NULL, 0);
	free(all);
	if (!span.high)
		return segment_is_nothing(table, pid, "mmap") && good;
	return segment_is(table, pid, "mmap", span.low, span.high) && good;
}

static void test_every_process(void)
{
	struct rows *table = rows_read("segments");
	int processes = 0, wrong = 0, order = 0, left = 0;

	for (size_t row = 0; row < table->rows; row++) {
		pid_t pid = table->pid[row];

		order += !!strcmp(rows_value(table, row, "SEGMENT"), segment_names[row % SEGMENTS]);
		order += row % SEGMENTS && table->pid[row - 1] != pid;
		if (row % SEGMENTS)
			continue;
		if (as_in_stat(table, pid) && as_in_maps(table, pid)) {
			processes++;
		} else if (strchr("ZX", proc_state(pid, pid))) {
			/* It has exited since. proc_state() gives 0 then, which strchr() finds. */
			ksft_print_msg("exited: %s\n", rows_value(table, row, "COMM"));
			left++;
		} else {
			ksft_print_msg("wrong: %d %s, state %c\n", pid,
				       rows_value(table, row, "COMM"), proc_state(pid, pid));
			processes++;
			wrong++;
		}
	}
	ksft_test_result(processes > 1 && left < processes && !order && table->rows % SEGMENTS == 0,
			 "every process: every segment, in the documented order\n");
	ksft_test_result(!wrong, "%d processes: every value as in /proc\n", processes);
	ksft_test_result(rows_find(table, 2) == table->rows, "kernel thread: no segments\n");
	rows_free(table);
}

/* The ends of data and bss by the program headers: of p_filesz and of p_memsz. */
static unsigned long start_of(const struct rows *table, const char *segment)
{
	return segment_start(table, getpid(), segment);
}

static unsigned long end_of(const struct rows *table, const char *segment)
{
	return segment_end(table, getpid(), segment);
}

static void test_program(void)
{
	const Elf64_Phdr *header = (const void *)getauxval(AT_PHDR);
	unsigned long base = 0, filled = 0, whole = 0;
	struct rows *table = rows_read("segments");
	unsigned long start, end, code = (unsigned long)test_program;

	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		if (header[i].p_type == PT_PHDR)
			base = (unsigned long)header - header[i].p_vaddr;
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++) {
		if (header[i].p_type != PT_LOAD)
			continue;
		filled = base + header[i].p_vaddr + header[i].p_filesz;
		whole = base + header[i].p_vaddr + header[i].p_memsz;
	}
	start = start_of(table, "bss");
	end = end_of(table, "bss");
	ksft_print_msg("bss: %lx-%lx, and %lx-%lx in the file\n", start, end, filled, whole);
	ksft_test_result(whole - filled > sizeof(bss) && start == filled &&
			 end == ((whole + PAGE - 1) & -PAGE),
			 "bss: from p_filesz to p_memsz of the program header\n");
	ksft_test_result((unsigned long)bss >= start && (unsigned long)bss + sizeof(bss) <= end,
			 "bss: contains the uninitialised array\n");
	ksft_test_result((unsigned long)data >= start_of(table, "data") &&
			 (unsigned long)data + sizeof(data) <= end_of(table, "data"),
			 "data: contains the initialised array\n");
	ksft_test_result(code >= start_of(table, "text") && code < end_of(table, "text"),
			 "text: contains the function\n");
	ksft_test_result((unsigned long)first_argument == start_of(table, "args") &&
			 (unsigned long)first_variable == start_of(table, "env"),
			 "args, env: begin at the first argument and variable\n");
	ksft_test_result(getauxval(AT_SYSINFO_EHDR) == start_of(table, "vdso"),
			 "vdso: at AT_SYSINFO_EHDR\n");
	rows_free(table);
}

/* The heap grows up by the number of bytes that brk() adds. */
static void test_heap(void)
{
	unsigned long grown[] = { 0, 100, 1 << 20 }, start = 0;

	for (int i = 0; i < 3; i++) {
		struct rows *table;
		unsigned long end;

		must(sbrk(grown[i]));
		end = (unsigned long)sbrk(0);
		table = rows_read("segments");
		start = start ?: start_of(table, "heap");
		ksft_test_result(segment_is(table, getpid(), "heap", start, end),
				 "brk() of %lu more bytes: the heap ends there\n", grown[i]);
		rows_free(table);
	}
}

/* In a static program mmap ends where its first mapping ends, and grows down. */
static void test_mmap(void)
{
	static const size_t size = 1 << 24;
	struct rows *table = rows_read("segments");
	unsigned long end = end_of(table, "mmap");
	char *map[2];

	rows_free(table);
	for (int i = 0; i < 2; i++) {
		map[i] = must(mmap(NULL, size, PROT_READ << i, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
		end = end ?: (unsigned long)map[i] + size;
		table = rows_read("segments");
		ksft_test_result(segment_is(table, getpid(), "mmap", (unsigned long)map[i], end),
				 "mapping %d: mmap begins there\n", i + 1);
		rows_free(table);
	}
	must(munmap(map[0], size));
	must(munmap(map[1], size));
}

static char *new_stack(void)
{
	return must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			 0));
}

static void test_set_pid(void)
{
	char *stack = new_stack();
	pid_t thread = start_standing((unsigned long)stack + PAGE, 0);
	char text[32];
	struct rows *table;

	snprintf(text, sizeof(text), "2 %d\n", getpid());
	write_set_pid(text);
	table = rows_read("segments");
	ksft_test_result(table->rows == SEGMENTS && table->pid[0] == getpid(),
			 "set_pid with two PIDs: the segments of those processes only\n");
	rows_free(table);
	write_set_pid("");
	write_set_pid("4000000\n");
	table = rows_read("segments");
	ksft_test_result(!table->rows, "set_pid with an unused PID: no rows\n");
	rows_free(table);
	write_set_pid("");
	snprintf(text, sizeof(text), "%d\n", thread);
	write_set_pid(text);
	table = rows_read("ustacks");
	ksft_test_result(table->rows == 1 && table->pid[0] == thread,
			 "set_pid with the TID of a second thread: ustacks has its row\n");
	rows_free(table);
	table = rows_read("segments");
	ksft_test_result(!table->rows,
			 "set_pid with the TID of a second thread: segments has no row\n");
	rows_free(table);
	write_set_pid("");
}

static void leave(void *unused)
{
	char *stack = new_stack();

	prctl(PR_SET_NAME, "leaderless");
	start_standing((unsigned long)stack + PAGE, 0);
	pthread_exit(NULL);
}

/* A process, with its segments, lives until its last thread ends. */
static void test_leaderless(void)
{
	pid_t pid = start_child(leave, NULL), zombie = start_zombie();
	struct rows *table;
	size_t row;

	wait_for_state(pid, pid, "Z");
	table = rows_read("segments");
	row = segment_row(table, pid, "text");
	ksft_test_result(segment_start(table, pid, "text") == proc_stat(getpid(), 26) &&
			 !strcmp(rows_value(table, row, "COMM"), "leaderless"),
			 "first thread dead: the process has its segments\n");
	ksft_test_result(rows_find(table, zombie) == table->rows, "zombie: no segments\n");
	rows_free(table);
	must(waitpid(zombie, NULL, 0));
	end_child(pid);
}

/* Messages between the processes of a test. */
struct talk {
	int begun, go, done;
};

static bool said(const int *what)
{
	return __atomic_load_n(what, __ATOMIC_ACQUIRE);
}

static void say(int *what)
{
	__atomic_store_n(what, 1, __ATOMIC_RELEASE);
}

static void leave_when_told(void *talk)
{
	char *stack = new_stack();
	struct talk *leaver = talk;

	start_standing((unsigned long)stack + PAGE, 0);
	say(&leaver->begun);
	while (!said(&leaver->go))
		usleep(100);
	pthread_exit(NULL);
}

/* Whether this is the first of the rows of a live process, which has all segments. */
static bool has_segments(const struct rows *table, size_t row, pid_t pid)
{
	for (size_t i = 0; i < SEGMENTS; i++)
		if (row + i >= table->rows || table->pid[row + i] != pid ||
		    strcmp(rows_value(table, row + i, "SEGMENT"), segment_names[i]) ||
		    strcmp(rows_value(table, row + i, "VALID"), "ok"))
			return false;
	return segment_is(table, pid, "text", proc_stat(getpid(), 26), proc_stat(getpid(), 27));
}

/*
 * The first thread dies while the table is made: after the walk over the tasks, before the
 * process is visited. In between the reader sleeps, because it waits for a lock of a
 * process that it visits earlier.
 */
static void test_leaving(void)
{
	struct talk *talk = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				 -1, 0);
	pid_t before = start_child(NULL, NULL), reader = getpid(), watcher, pid;
	char parameters[32];
	struct rows *table;
	bool met = false;

	snprintf(parameters, sizeof(parameters), "pid=%d mappings=1", before);
	load_module("/tests/hold_mmap.ko", parameters);
	for (time_t end = seconds() + WAIT_LIMIT; !met;) {
		memset(talk, 0, sizeof(*talk));
		pid = start_child(leave_when_told, talk);
		wait_until(said(&talk->begun), "a process is not ready");
		watcher = fork_child();
		if (!watcher) {
			wait_for_state(reader, reader, "D");
			say(&talk->go);
			wait_for_state(pid, pid, "Z");
			say(&talk->done);
			_exit(0);
		}
		table = rows_read("segments");
		/* If the thread died too late, this try does not count. */
		met = said(&talk->done);
		if (met)
			ksft_test_result(has_segments(table, rows_find(table, pid), pid),
					 "first thread dies during the open: all segments\n");
		else if (seconds() > end)
			die("a thread does not die in time");
		rows_free(table);
		kill(watcher, SIGKILL);
		must(waitpid(watcher, NULL, 0));
		end_child(pid);
	}
	must(unload_module("hold_mmap") ? -1 : 0);
	end_child(before);
}

/* Of a zombie, a kernel thread and this process, one has a user space. */
static void test_summaries(void)
{
	static const struct {
		const char *name, *noun;
	} tables[] = { { "segments", "processes" }, { "ustacks", "threads" },
		       { "uframes", "threads" } };
	pid_t zombie = start_zombie();
	char text[64];

	snprintf(text, sizeof(text), "2 %d %d\n", zombie, getpid());
	write_set_pid(text);
	for (int i = 0; i < 3; i++) {
		struct rows *table = rows_read(tables[i].name);
		int length = snprintf(text, sizeof(text), "# 1 %s with user space, 2 without, ",
				      tables[i].noun);
		bool counted = !strncmp(table->summary, text, length);
		/* No thread changes a mapping of this process, which has few. */
		bool whole = !strstr(table->summary, "cut short") &&
			     !strstr(table->summary, "pieces");

		ksft_test_result(counted,
				 "%s: the summary counts a zombie as without user space\n",
				 tables[i].name);
		ksft_test_result(whole, "%s: the summary says of nothing that it is missing\n",
				 tables[i].name);
		if (!counted || !whole)
			ksft_print_msg("%s", table->summary);
		rows_free(table);
	}
	write_set_pid("");
	must(waitpid(zombie, NULL, 0));
}

int main(int argc, char **argv, char **environment)
{
	first_argument = argv[0];
	first_variable = environment[0];
	/* Used, so that the linker keeps them. */
	*(volatile char *)data = *(volatile char *)bss;
	ksft_print_header();
	ksft_set_plan(27);
	load_taskscope("");
	test_every_process();
	test_program();
	test_heap();
	test_mmap();
	test_set_pid();
	test_leaderless();
	test_leaving();
	test_summaries();
	ksft_finished();
}
