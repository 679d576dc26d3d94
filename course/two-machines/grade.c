// SPDX-License-Identifier: GPL-2.0
/*
 * Runs on each of the machines, and reports the same in the same order. What a table of
 * taskscope says must be what another source says: /proc, constants of the kernel's headers, or
 * registers and memory of the grader itself.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/futex.h>
#include <linux/types.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "contexts.h"
#include "report.h"
#include "guest.h"
#include "rows.h"
#include "stand.h"

#ifdef __x86_64__
#define MACHINE "amd64"
#else
#define MACHINE "arm64"
#endif

#define FIFO "/tmp/fifo"
#define VICTIM "victim"

/* Newer than some C libraries. */
struct waiter {
	__u64 value, address;
	__u32 flags, reserved;
};

struct how {
	__u64 flags, mode, resolve;
};

/* The truth of a fact on this machine, and what makes it true. */
static void fact(const char *id, const char *truth, const char *why)
{
	char name[40];

	snprintf(name, sizeof(name), "%s.%s", id, MACHINE);
	cell(id, name, truth, why);
	shown("%-16s %-8s %s", name, truth, why);
}

static void fact_number(const char *id, long truth, const char *why)
{
	char number[24];

	snprintf(number, sizeof(number), "%ld", truth);
	fact(id, number, why);
}

/* Sleeps in the system call of that name. */
static void sleep_in(void *name)
{
	struct epoll_event event;
	struct { long type; char text[8]; } message;
	__u32 word = 0;
	struct waiter waiter = { .address = (uintptr_t)&word, .flags = FUTEX_32 };
	struct how how = { .flags = O_RDONLY };
	int pipes[2], poll = must(epoll_create1(0));

	must(pipe(pipes));
	if (!strcmp(name, "read"))
		syscall(SYS_read, pipes[0], &message, 1);
	else if (!strcmp(name, "openat"))
		syscall(SYS_openat, AT_FDCWD, FIFO, O_RDONLY);
	else if (!strcmp(name, "msgrcv"))
		syscall(SYS_msgrcv, msgget(IPC_PRIVATE, 0600), &message, 8, 0, 0);
	else if (!strcmp(name, "futex"))
		syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL);
	else if (!strcmp(name, "epoll_pwait"))
		syscall(SYS_epoll_pwait, poll, &event, 1, -1, NULL, 0);
	else if (!strcmp(name, "openat2"))
		syscall(SYS_openat2, AT_FDCWD, FIFO, &how, sizeof(how));
	else if (!strcmp(name, "epoll_pwait2"))
		syscall(SYS_epoll_pwait2, poll, &event, 1, NULL, NULL, 0);
	else if (!strcmp(name, "futex_waitv"))
		syscall(SYS_futex_waitv, &waiter, 1, 0, NULL, CLOCK_MONOTONIC);
}

/* The system call in which a child sleeps, from /proc; -1 as its number if it is in none. */
static struct proc_syscall call_of(pid_t pid)
{
	struct proc_syscall call;

	if (!proc_syscall(pid, pid, &call))
		call.number = -1;
	return call;
}

static bool is_in_call(pid_t pid, const char *name, struct rows **table)
{
	size_t row;

	if (proc_state(pid, pid) != 'S')
		return false;
	rows_free(*table);
	*table = rows_read("syscalls");
	row = rows_find(*table, pid);
	return !strcmp(rows_value(*table, row, "CALL"), name) &&
	       rows_number(*table, row, "NR") == call_of(pid).number;
}

static void measure_number(void)
{
	struct rows *table = rows_read("syscalls");
	pid_t pid;
	size_t row;

	must(mkfifo(FIFO, 0600));
	pid = start_child(sleep_in, (void *)drawn("call"));
	wait_until(is_in_call(pid, drawn("call"), &table), "no thread sleeps in %s", drawn("call"));
	row = rows_find(table, pid);
	fact_number("number", rows_number(table, row, "NR"), "a thread sleeps in that call");
	look("situation", MACHINE ": the call in which the thread sleeps",
	     rows_value(table, row, "CALL"), "${call}");
	rows_free(table);
	end_child(pid);
}

/* Computes in user space, on the second CPU. */
static void compute(void *unused)
{
	stay_on(1);
	must(prctl(PR_SET_NAME, VICTIM));
	for (;;)
		;
}

static const struct context_row *row_of(const struct contexts *table, const char *context)
{
	const struct context_row *row = contexts_find(table, context, 1);

	/* Some contexts have one row, for any CPU. */
	return row ? row : contexts_find(table, context, -1);
}

static const char *interrupted(void)
{
	return strcmp(drawn("state"), "busy") ? "[swapper/1]" : VICTIM;
}

/*
 * Whether the timer has interrupted what was drawn, and nothing else. On x86-64 a program that
 * computes may have been in the kernel, because of another interrupt: then the stack is another
 * one than if it was in user space.
 */
static bool is_situation(struct contexts **table)
{
	const struct context_row *row, *other;

	*table = contexts_read();
	row = row_of(*table, drawn("interrupt"));
	other = row_of(*table, drawn("context"));
	if (row && row->seen && other && other->seen && !strcmp(row->comm, interrupted())) {
		if (strcmp(row->comm, VICTIM) || strcmp(MACHINE, "amd64") ||
		    !strcmp(row->stack, "task"))
			return true;
	}
	contexts_free(*table);
	return false;
}

static void measure_contexts(void)
{
	unsigned long any = parameter_value("context_oracle", "softirq_offset") |
			    parameter_value("context_oracle", "hardirq_mask") |
			    parameter_value("context_oracle", "nmi_mask");
	const struct context_row *row;
	struct contexts *table;
	pid_t victim = 0;
	char why[100];
	bool in_task;

	stay_on(0);
	if (!strcmp(drawn("state"), "busy"))
		victim = start_child(compute, NULL);
	wait_until(is_situation(&table), "CPU 1 does not become %s", drawn("state"));
	if (victim)
		end_child(victim);
	row = row_of(table, drawn("interrupt"));
	snprintf(why, sizeof(why), "%s has interrupted %s", row->context, row->comm);
	fact("interrupt", row->stack, why);
	look("situation", MACHINE ": the timer", row->context, "${interrupt}");
	look("situation", MACHINE ": the CPU of the timer",
	     strcmp(row->comm, VICTIM) ? "idle" : "busy", "${state}");
	row = row_of(table, drawn("context"));
	in_task = !(strtoul(row->preempt_count, NULL, 16) & any);
	if (strcmp(row->in_task, in_task ? "yes" : "no"))
		die("%s: in_task is %s, preempt_count is %s", row->context, row->in_task,
		    row->preempt_count);
	snprintf(why, sizeof(why), "%s has preempt_count %s", row->context, row->preempt_count);
	fact("in_task", row->in_task, why);
	look("situation", MACHINE ": the context", row->context, "${context}");
	contexts_free(table);
}

#define FRAME __attribute__((noinline, noclone))

/* Has a frame, and so the caller's address, in a frame record. */
FRAME static void no_leaf(void)
{
	__asm__ volatile("" : : : "memory");
}

/* What a function finds of its own frame. */
struct frame {
	uintptr_t address, local, record, returns_to;
};

FRAME static void look_at_frame(struct frame *frame)
{
	volatile char local[64];
	uintptr_t *record = __builtin_frame_address(0);

	local[0] = 0;
	no_leaf();
	frame->address = (uintptr_t)record;
	frame->local = (uintptr_t)&local[0];
	frame->returns_to = (uintptr_t)__builtin_return_address(0);
	for (int i = 0; i < 8 && !frame->record; i++)
		if (record[i] == frame->returns_to)
			frame->record = (uintptr_t)&record[i];
}

static void measure_frame(void)
{
	struct frame frame = { 0 };
	uintptr_t outer = (uintptr_t)__builtin_frame_address(0);
	char why[100];

	look_at_frame(&frame);
	snprintf(why, sizeof(why), "frames at %#lx, and of the called function at %#lx",
		 (long)outer, (long)frame.address);
	fact("grows", frame.address < outer ? "down" : "up", why);
	snprintf(why, sizeof(why), "frame pointer %#lx, array at %#lx", (long)frame.address,
		 (long)frame.local);
	fact("locals", frame.local < frame.address ? "below" : "above", why);
	if (!frame.record)
		die("the return address is not in the frame");
	snprintf(why, sizeof(why), "at %#lx is the return address %#lx", (long)frame.record,
		 (long)frame.returns_to);
	fact_number("record", frame.record - frame.address, why);
}

/* Calls no function, and sleeps for ever. */
FRAME static void leaf(volatile uintptr_t *returns_to)
{
#ifdef __x86_64__
	*returns_to = (uintptr_t)__builtin_return_address(0);
	__asm__ volatile("xor %%r10d, %%r10d\n\tsyscall"
			 : : "a"(SYS_ppoll), "D"(0), "S"(0), "d"(0)
			 : "rcx", "r10", "r11", "memory");
#else
	register long call __asm__("x8") = SYS_ppoll;
	register long one __asm__("x0") = 0, two __asm__("x1") = 0, three __asm__("x2") = 0,
		      four __asm__("x3") = 0;

	/* GCC would save the register for __builtin_return_address(). */
	__asm__ volatile("mov %0, x30" : "=r"(*returns_to));
	__asm__ volatile("svc #0"
			 : "+r"(one) : "r"(call), "r"(two), "r"(three), "r"(four) : "memory");
#endif
}

static void call_leaf(void *returns_to)
{
	leaf(returns_to);
	no_leaf();
}

static void measure_leaf(void)
{
	volatile uintptr_t *returns_to = must(mmap(NULL, sizeof(*returns_to),
						   PROT_READ | PROT_WRITE,
						   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	pid_t pid = start_child(call_leaf, (void *)returns_to);
	uintptr_t word[4], sp;
	char path[40], why[100];
	bool found = false;
	int file;

	wait_until(proc_state(pid, pid) == 'S' && call_of(pid).number == SYS_ppoll,
		   "no thread sleeps in the function");
	sp = call_of(pid).sp;
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	file = must(open(path, O_RDONLY | O_CLOEXEC));
	must(pread(file, word, sizeof(word), sp));
	close(file);
	for (size_t i = 0; i < ARRAY_SIZE(word); i++)
		found |= word[i] == *returns_to;
	snprintf(why, sizeof(why), "at the stack pointer is %#lx, and the function returns to %#lx",
		 (long)word[0], (long)*returns_to);
	fact("leaf", found ? "stack" : "register", why);
	end_child(pid);
}

static void measure_sizes(void)
{
	struct rows *kstacks = rows_read("kstacks"), *ustacks = rows_read("ustacks");
	long size = rows_number(kstacks, rows_find(kstacks, getpid()), "SIZE");
	unsigned long end, address;
	struct mapping mapping;
	char why[100];
	int bits = 0;

	if ((unsigned long)size != parameter_value("context_oracle", "thread_size"))
		die("the size of a kernel stack is not THREAD_SIZE");
	fact_number("size", size, "THREAD_SIZE");
	end = strtoul(rows_value(ustacks, rows_find(ustacks, getpid()), "END"), NULL, 16);
	if (!proc_mapping(getpid(), (uintptr_t)&mapping, &mapping) || mapping.end != end)
		die("the stack does not begin where /proc says it does");
	for (address = end - 1; address; address /= 2)
		bits++;
	snprintf(why, sizeof(why), "the stack begins at %#lx", end);
	fact_number("bits", bits, why);
	rows_free(kstacks);
	rows_free(ustacks);
}

int main(void)
{
	int cpus[CPUS_MAX];

	if (online_cpus(cpus) != 2)
		die("the exercise needs two CPUs");
	load_module("/tests/context_oracle.ko", "");
	measure_number();
	measure_contexts();
	measure_frame();
	measure_leaf();
	measure_sizes();
	return 0;
}
