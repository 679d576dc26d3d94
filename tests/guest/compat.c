// SPDX-License-Identifier: GPL-2.0
/*
 * 32-bit and x32 programs. The system call must be named by the table of the ABI that made
 * the call. The frames must be those that the program itself has noted: the return
 * addresses of its functions.
 */
#include <fcntl.h>
#include <linux/elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "rows.h"
#include "stand.h"

/* A row of the process, with this FRAME. */
static bool has_frame(const struct rows *table, size_t row, pid_t pid, const char *frame)
{
	if (row < table->rows && table->pid[row] == pid)
		return row_has(table, row, "FRAME", frame);
	ksft_print_msg("%d has no row for %s\n", pid, frame);
	return false;
}

/* The row equals /proc/PID/syscall, with that ABI and that name. */
static bool is_in_call(pid_t pid, const char *abi, const char *call)
{
	static const char * const values[] = {
		"NR", "ARG0", "ARG1", "ARG2", "ARG3", "ARG4", "ARG5", "SP", "PC",
	};
	struct rows *table = rows_read("syscalls");
	char path[64], *text, *word, *rest;
	bool good = thread_has(table, pid, "ABI", abi) && thread_has(table, pid, "CALL", call);

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	text = slurp(path, NULL);
	rest = text;
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		word = strsep(&rest, "\n ");
		good &= word && thread_has(table, pid, values[i], word);
	}
	free(text);
	rows_free(table);
	return good;
}

/* SP as in /proc/PID/syscall, and the mapping that contains it. */
static bool is_on_stack(pid_t pid)
{
	struct rows *table = rows_read("ustacks");
	struct proc_syscall call;
	char start[20], end[20];
	struct mapping mapping;
	bool good;

	if (!proc_syscall(pid, pid, &call))
		die("process %d does not sleep", pid);
	good = proc_mapping(pid, call.sp, &mapping) && !strcmp(mapping.name, "[stack]");
	snprintf(start, sizeof(start), "%08lx", mapping.start);
	snprintf(end, sizeof(end), "%08lx", mapping.end);
	good &= thread_has(table, pid, "VALID", "ok") && thread_has(table, pid, "START", start) &&
		thread_has(table, pid, "END", end);
	rows_free(table);
	return good;
}

/* A row of uframes: the mapping of an address and the offset, as in /proc/PID/maps. */
static bool is_frame(const struct rows *table, size_t row, pid_t pid, unsigned long address,
		     const char *name)
{
	struct mapping mapping;
	char text[20], frame[300];

	if (!proc_mapping(pid, address, &mapping))
		die("nothing is mapped at %lx", address);
	snprintf(text, sizeof(text), "%08lx", address);
	snprintf(frame, sizeof(frame), "%s+0x%lx", mapping.name,
		 address - mapping.start + mapping.offset);
	return has_frame(table, row, pid, frame) && row_has(table, row, "ADDRESS", text) &&
	       !strcmp(mapping.name, name);
}

/* Starts a program; `output` reads what it writes. 0 and errno if it cannot be executed. */
static pid_t start_program(char *program, char *argument, int *output)
{
	char *arguments[3] = { program, argument };
	int out[2], failure[2], error = 0;
	pid_t pid;

	must(pipe(out));
	/* Close-on-exec: it is closed when the program starts. */
	must(pipe2(failure, O_CLOEXEC));
	pid = fork_child();
	if (!pid) {
		must(dup2(out[1], 1));
		execv(program, arguments);
		must(write(failure[1], &errno, sizeof(errno)));
		_exit(1);
	}
	must(close(out[1]));
	must(close(failure[1]));
	must(read(failure[0], &error, sizeof(error)));
	must(close(failure[0]));
	*output = out[0];
	if (!error)
		return pid;
	must(waitpid(pid, NULL, 0));
	errno = error;
	return 0;
}

#ifdef __x86_64__
/* The same number as in programs/compat.c. */
#define RETURNS 5

/*
 * Frames of such a program: the address at which its innermost function sleeps, then four
 * calling functions and the first one, and no more.
 */
static void test_program(char *program, char *argument, const char *abi, const char *place,
			 const char *what)
{
	unsigned long long returns_to[RETURNS];
	int output;
	pid_t pid = start_program(program, argument, &output);
	struct rows *table;
	size_t row;
	unsigned long pc;
	bool good;

	/* The debug kernels run 64-bit programs only. */
	if (!pid && errno == ENOEXEC) {
		for (int i = 0; i < 3; i++)
			ksft_test_result_skip("%s: this kernel runs no such program\n", what);
		return;
	}
	if (!pid)
		die("%s cannot be executed", program);
	if (must(read(output, returns_to, sizeof(returns_to))) != sizeof(returns_to))
		die("%s has not written its addresses", program);
	close(output);
	wait_for_sleep(pid, pid, "S");
	ksft_test_result(is_in_call(pid, abi, "pause"),
			 "%s: CALL is from the table of its own ABI\n", what);
	ksft_test_result(is_on_stack(pid), "%s: SP, START and END as in /proc\n", what);

	table = rows_read("uframes");
	row = rows_find(table, pid);
	pc = strtoul(rows_value(table, row, "ADDRESS"), NULL, 16);
	good = is_frame(table, row++, pid, pc, place);
	for (int i = 0; i < RETURNS; i++)
		good &= is_frame(table, row++, pid, returns_to[i], program);
	good &= has_frame(table, row, pid, "end: null");
	rows_free(table);
	ksft_test_result(good,
			 "%s: the frames are those of its functions, four calls deep\n", what);
	end_child(pid);
}

static void test_programs(void)
{
	ksft_set_plan(9);
	test_program("/tests/compat-i386", NULL, "i386", "/tests/compat-i386", "i386 by int $0x80");
	test_program("/tests/compat-i386", "vdso", "i386", "[vdso]", "i386 by the vdso");
	test_program("/tests/compat-x32", NULL, "x32", "/tests/compat-x32", "x32");
}
#elif defined(__aarch64__)
/* The build root has no assembler for this program. */
static const unsigned int pausing[] = {
	0xe3a0701d,	/* mov r7, #29, which is pause() */
	0xef000000,	/* svc #0 */
	0xeafffffc,	/* b to the first one */
};

/* The kernel requires an ABI version; Debian's 32-bit ARM programs have this one. */
#define EF_ARM_EABI_VER5 0x05000000

/* The load address, the offset in the file, and the end of the second instruction. */
#define BASE 0x10000
#define CODE (sizeof(struct elf32_hdr) + sizeof(struct elf32_phdr))
#define PC (BASE + CODE + 8)

static void write_program(const char *path)
{
	size_t size = CODE + sizeof(pausing);
	struct elf32_hdr header = {
		.e_ident = ELFMAG "\1\1\1",	/* 32 bits, little-endian, version 1 */
		.e_type = ET_EXEC, .e_machine = EM_ARM, .e_version = EV_CURRENT,
		.e_entry = BASE + CODE, .e_phoff = sizeof(header), .e_flags = EF_ARM_EABI_VER5,
		.e_ehsize = sizeof(header), .e_phentsize = sizeof(struct elf32_phdr), .e_phnum = 1,
	};
	struct elf32_phdr segment = {
		.p_type = PT_LOAD, .p_vaddr = BASE, .p_filesz = size, .p_memsz = size,
		.p_flags = PF_R | PF_X, .p_align = BASE,
	};
	int file = must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0700));

	must(write(file, &header, sizeof(header)));
	must(write(file, &segment, sizeof(segment)));
	must(write(file, pausing, sizeof(pausing)));
	must(close(file));
}

static void test_programs(void)
{
	char program[] = "/tmp/compat-arm";
	struct rows *table;
	size_t row;
	pid_t pid;
	int output;

	write_program(program);
	pid = start_program(program, NULL, &output);
	if (!pid && errno == ENOEXEC) {
		ksft_set_plan(1);
		ksft_test_result_skip("arm: this machine runs no 32-bit programs\n");
		return;
	}
	if (!pid)
		die("%s cannot be executed", program);
	ksft_set_plan(3);
	wait_for_sleep(pid, pid, "S");
	ksft_test_result(is_in_call(pid, "arm", "pause"),
			 "arm: CALL is from the table of its own ABI\n");
	ksft_test_result(is_on_stack(pid), "arm: SP, START and END as in /proc\n");
	table = rows_read("uframes");
	row = rows_find(table, pid);
	ksft_test_result(is_frame(table, row, pid, PC, program) &&
			 has_frame(table, row + 1, pid, "end: unknown-machine"),
			 "arm: its PC, then end: unknown-machine\n");
	rows_free(table);
	end_child(pid);
}
#endif

int main(void)
{
	ksft_print_header();
	load_taskscope("");
	test_programs();
	ksft_finished();
}
