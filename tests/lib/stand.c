// SPDX-License-Identifier: GPL-2.0
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "guest.h"
#include "stand.h"

/* An endless ppoll() of no descriptors, which is repeated after a signal. */
#if defined(__x86_64__)
asm(".pushsection .text\n"
	".globl stand, stand_pc\n"
	"stand:\n"
	"\tmov %rdi, %rsp\n"
	"\tmov %rsi, %rbp\n"
	"\tmovl $1, (%rdx)\n"
	"1:	xor %edi, %edi\n"
	"\txor %esi, %esi\n"
	"\txor %edx, %edx\n"
	"\txor %r10d, %r10d\n"
	"\tmov $271, %eax\n"
	"\tsyscall\n"
	"stand_pc:\n"
	"\tjmp 1b\n"
	".globl call_first\n"
	"call_first:\n"
	"\tpush %rbp\n"
	"\txor %ebp, %ebp\n"
	"\tcall *%rdx\n"
	"\tpop %rbp\n"
	"\tret\n"
	".popsection\n");
#elif defined(__aarch64__)
asm(".pushsection .text\n"
	".globl stand, stand_pc\n"
	"stand:\n"
	"\tmov sp, x0\n"
	"\tmov x29, x1\n"
	"\tmov w3, #1\n"
	"\tstlr w3, [x2]\n"
	"1:	mov x0, #0\n"
	"\tmov x1, #0\n"
	"\tmov x2, #0\n"
	"\tmov x3, #0\n"
	"\tmov x4, #0\n"
	"\tmov x8, #73\n"
	"\tsvc #0\n"
	"stand_pc:\n"
	"\tb 1b\n"
	".globl call_first\n"
	"call_first:\n"
	"\tstp x29, x30, [sp, #-16]!\n"
	"\tmov x29, #0\n"
	"\tblr x2\n"
	"\tldp x29, x30, [sp], #16\n"
	"\tret\n"
	".popsection\n");
#else
#error "stand() is not written for this architecture"
#endif

struct place {
	unsigned long sp, fp;
	atomic_int tid;
	int there;
};

static void *go(void *argument)
{
	struct place *place = argument;

	place->tid = syscall(SYS_gettid);
	stand(place->sp, place->fp, &place->there);
}

bool proc_syscall(pid_t tgid, pid_t tid, struct proc_syscall *call)
{
	char path[64], *text;
	int fields;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", tgid, tid);
	text = try_slurp(path, NULL);
	if (!text)
		die("thread %d of %d is gone", tid, tgid);
	*call = (struct proc_syscall){ 0 };
	fields = sscanf(text, "%ld %lx %lx %lx %lx %lx %lx %lx %lx", &call->number,
			&call->argument[0], &call->argument[1], &call->argument[2],
			&call->argument[3], &call->argument[4], &call->argument[5], &call->sp,
			&call->pc);
	free(text);
	if (fields == 3 && call->number == -1) {
		call->sp = call->argument[0];
		call->pc = call->argument[1];
	}
	return fields == 3 || fields == 9;
}

static bool is_off_cpu(pid_t tgid, pid_t tid)
{
	struct proc_syscall call;

	return proc_syscall(tgid, tid, &call);
}

bool is_standing(pid_t tgid, pid_t tid)
{
	struct proc_syscall call;

	return proc_syscall(tgid, tid, &call) && call.pc == (unsigned long)stand_pc;
}

void wait_for_sleep(pid_t tgid, pid_t tid, const char *states)
{
	wait_for_state(tgid, tid, states);
	wait_until(is_off_cpu(tgid, tid), "thread %d of %d stays on its CPU", tid,
		   tgid);
}

pid_t start_standing(unsigned long sp, unsigned long fp)
{
	struct place *place = calloc(1, sizeof(*place));
	pthread_t thread;

	place->sp = sp;
	place->fp = fp;
	if (pthread_create(&thread, NULL, go, place))
		die("pthread_create");
	wait_until(__atomic_load_n(&place->there, __ATOMIC_ACQUIRE), "a thread does not sleep");
	wait_for_sleep(getpid(), place->tid, "S");
	return place->tid;
}

size_t proc_mappings(pid_t pid, struct mapping **mappings)
{
	char path[64], *text, *line, *end;
	size_t count = 0, room = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	text = try_slurp(path, NULL);
	*mappings = NULL;
	for (line = text; line && *line; line = end + 1) {
		struct mapping *mapping;

		/* sscanf() takes the length of all the text that follows, for each line. */
		end = strchr(line, '\n');
		*end = 0;
		if (count == room)
			*mappings = realloc(*mappings, (room += 64 + room) * sizeof(**mappings));
		mapping = *mappings + count++;
		*mapping->name = 0;
		if (sscanf(line, "%lx-%lx %7s %lx %*x:%*x %*u%*[ ]%199[^\n]", &mapping->start,
			   &mapping->end, mapping->access, &mapping->offset, mapping->name) < 4)
			die("maps says %.100s", line);
	}
	free(text);
	return count;
}

bool proc_mapping(pid_t pid, unsigned long address, struct mapping *mapping)
{
	struct mapping *all;
	size_t count = proc_mappings(pid, &all);
	bool found = false;

	for (size_t i = 0; i < count && !found; i++) {
		found = all[i].start <= address && address < all[i].end;
		if (found)
			*mapping = all[i];
	}
	free(all);
	return found;
}

unsigned long proc_stat(pid_t pid, int field)
{
	char path[64], *text, *at;
	unsigned long value;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = try_slurp(path, NULL);
	if (!text)
		return 0;
	at = strrchr(text, ')') + 2;
	for (; field > 3; field--)
		at = strchr(at, ' ') + 1;
	value = strtoul(at, NULL, 10);
	free(text);
	return value;
}
