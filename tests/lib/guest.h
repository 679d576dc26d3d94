/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the tests that run in the guest: kernel modules, child processes, waiting
 * for what a test has brought about, and /proc as the independent witness.
 *
 * What goes wrong here is no result of a test: it ends the program with a word.
 */
#ifndef _GUEST_H
#define _GUEST_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include <kselftest.h>

#define TABLES "/sys/kernel/debug/taskscope/"

/* Flags of a task, as proc(5) has them in /proc/PID/stat. */
#define PF_WQ_WORKER	0x00000020
#define PF_EXITING	0x00000004
#define PF_IO_WORKER	0x00000010
#define PF_USER_WORKER	0x00004000
#define PF_KTHREAD	0x00200000

/* "Bail out!" with the reason, and that of errno if there is one. */
void die(const char *format, ...) __noreturn __printf(1, 2);

/* The value, or 0 or NULL where that is an error and dies of it. */
#define must(call) ({						\
	__typeof__(call) _result = (call);			\
	if ((intptr_t)_result == -1)				\
		die("%s:%d: %s", __FILE__, __LINE__, #call);	\
	_result;						\
})

/* A number from the environment, to scale a test with; fallback without. */
long setting(const char *name, long fallback);
/*
 * The same for how often a race is provoked: so that a developer has an answer at
 * once, or so that a bug that needs luck has its chance (`make test THOROUGH=1`).
 */
long rounds(const char *name, long quick, long thorough);

/*
 * Loads a module for as long as this process lives; the modules loaded last are
 * unloaded first, when it exits, and that they can be is tested by the way.
 */
void load_module(const char *path, const char *parameters);
void load_taskscope(const char *parameters);
/* 0 or an errno, as delete_module(2) has it, which does not wait. */
int unload_module(const char *name);

/* All of a file, with a 0 byte appended; size may be NULL. NULL if it is gone. */
char *try_slurp(const char *path, size_t *size);
char *slurp(const char *path, size_t *size);
/* All that a descriptor has left. */
char *slurp_descriptor(int descriptor, size_t *size);
void write_file(const char *path, const char *text);

/* A child that ends with the test, however that ends. 0 in the child. */
pid_t fork_child(void);
/*
 * The same that runs body(argument), and then waits for its end, which comes
 * before the modules are unloaded if not by end_child().
 */
pid_t start_child(void (*body)(void *argument), void *argument);
void end_child(pid_t pid);

/*
 * For a loop that does not end by itself: QEMU goes on with the next processor here,
 * where one thread of the host has to do for all.
 */
static inline void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

/* This thread runs on that processor alone from now on. */
void stay_on(int cpu);
/* It is of SCHED_FIFO with that priority from now on; 0: of SCHED_OTHER. */
void be_real_time(int priority);
/* The same of any thread. */
void make_real_time(pid_t pid, int priority);

/*
 * How many times as long anything takes on this kernel as on the stock one, as
 * qemu/guest says: patience is to be multiplied by it, and numbers to be divided.
 */
long slower(void);
/*
 * Waits until the condition is true: asked again and again, more and more seldom, for
 * WAIT_LIMIT seconds at most, and then dies with the words. For a state to be reached,
 * never for a result.
 */
#define WAIT_LIMIT (30 * slower())
#define wait_until(condition, ...) do {				\
	time_t _end = seconds() + WAIT_LIMIT;			\
	for (useconds_t _nap = 50; !(condition); _nap *= 2) {	\
		errno = 0;					\
		if (seconds() > _end)				\
			die(__VA_ARGS__);			\
		usleep(_nap < 1000 ? _nap : (_nap = 1000));	\
	}							\
} while (0)
time_t seconds(void);

/* A thread as /proc/TGID/task/TID has it. */
struct proc_thread {
	pid_t tgid, pid, ppid;
	unsigned int uid, euid;
	char state;
	unsigned long flags;
	int threads;
	bool has_mm;
	unsigned long switches;
	char comm[64];
	size_t comm_length;
};

/* false if there is no such thread (any more) */
bool proc_thread(pid_t tgid, pid_t tid, struct proc_thread *thread);
/* Every thread of every process, in the order of /proc; returns how many. */
size_t proc_threads(struct proc_thread **threads);
char proc_state(pid_t tgid, pid_t tid);
/* Waits until the thread is in one of the states. */
void wait_for_state(pid_t tgid, pid_t tid, const char *states);
/* Waits for a thread of that name in the process, and says which. */
pid_t wait_for_thread(pid_t tgid, const char *comm);

/*
 * How many objects of a slab cache (task_struct, mm_struct, ...) are in use: of those
 * that nobody uses any more all are given back first that can be.
 */
long slab_objects(const char *cache);
/*
 * The same when it is at most so many, or after ten seconds: the kernel gives the last
 * ones of the dead back after a while only.
 */
long slab_objects_in_the_end(const char *cache, long most);

#endif /* _GUEST_H */
