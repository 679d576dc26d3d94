/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For the tests that run in the guest: kernel modules, child processes, waiting for a state
 * that the test has caused, and /proc as the independent source of expected values.
 *
 * A failure of these functions is not a test result: it ends the program with a message.
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

/* The size of a page: 16 KiB on a kernel of the flavour arm64-16k, and else 4 KiB. */
#define PAGE ((unsigned long)sysconf(_SC_PAGESIZE))

/* Flags of a task in /proc/PID/stat. */
#define PF_WQ_WORKER	0x00000020
#define PF_EXITING	0x00000004
#define PF_IO_WORKER	0x00000010
#define PF_USER_WORKER	0x00004000
#define PF_KTHREAD	0x00200000

/* Prints "Bail out!", the message and the text of errno, if that is not 0, and exits. */
void die(const char *format, ...) __noreturn __printf(1, 2);

/* The value of a call; dies if it is -1. */
#define must(call) ({						\
	__typeof__(call) _result = (call);			\
	if ((intptr_t)_result == -1)				\
		die("%s:%d: %s", __FILE__, __LINE__, #call);	\
	_result;						\
})

/* A number from the environment, or the fallback if it is not set. */
long setting(const char *name, long fallback);
/*
 * The number of rounds of a race: few, so that a developer has the result at once, or with
 * `make test THOROUGH=1` many, so that a rare bug has its chance.
 */
long rounds(const char *name, long quick, long thorough);

/*
 * Loads a module until this process exits. The exit unloads the modules, the last loaded
 * first, and fails if one cannot be unloaded.
 */
void load_module(const char *path, const char *parameters);
void load_taskscope(const char *parameters);
/* Calls delete_module(2), which does not wait. 0 or an errno. */
int unload_module(const char *name);

/* From here on, the module's KUnit suites do not run when it is loaded, on a kernel with KUnit. */
void skip_suites(void);

/* All of a file, with a 0 byte appended; size may be NULL. try_slurp(): NULL on an error. */
char *try_slurp(const char *path, size_t *size);
char *slurp(const char *path, size_t *size);
/* The rest of an open file. */
char *slurp_descriptor(int descriptor, size_t *size);
void write_file(const char *path, const char *text);
/* `echo -n LIST > set_pid`: selects these PIDs, or all threads if the list is empty. */
void write_set_pid(const char *list);
/* Opens a file and closes it; 0, or the errno of the open. */
int open_error(const char *path, int flags);
/* Whether a bool parameter of a module is set. */
bool parameter_is_set(const char *module, const char *parameter);
/* The number that a parameter of a module is. */
unsigned long parameter_value(const char *module, const char *parameter);
void set_parameter(const char *module, const char *parameter, long value);

/* Forks. The child is killed when its parent exits. 0 in the child. */
pid_t fork_child(void);
/*
 * The same; the child calls body(argument), if body is not NULL, and then sleeps until
 * end_child() or the exit of the test, which kills it before it unloads the modules.
 */
pid_t start_child(void (*body)(void *argument), void *argument);
void end_child(pid_t pid);
/* Whether the child has ended; it can still be waited for. */
bool has_ended(pid_t pid);
/* Waits until the child has ended; the status of waitpid(). */
int wait_for(pid_t pid);
/* A child that sleeps, with a PID of the test's choice; the kernel refuses one that is in use. */
pid_t start_with_pid(pid_t pid);
/* fork(), with that PID for the child; -1 if another task has it. */
pid_t fork_with_pid(pid_t pid);
/* The exit status of a child that returns body(); 255 if the child is killed. */
int in_child(int (*body)(void));
/* A child that has exited; it stays a zombie until the caller waits for it. */
pid_t start_zombie(void);
/* The body of a thread that only sleeps. */
void *pause_for_ever(void *unused);
/* The same, of a thread that calls itself by this name. */
void *sleep_under_name(void *name);

/*
 * For the body of a loop that waits for another CPU: where QEMU runs all CPUs in
 * one thread of the host, it switches to the next CPU here.
 */
static inline void relax(void)
{
#ifdef __x86_64__
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

/* Binds this thread to a CPU. */
void stay_on(int cpu);
/* Gives this thread SCHED_FIFO with this priority; 0: SCHED_OTHER. */
void be_real_time(int priority);
/* The same for any thread. */
void make_real_time(pid_t pid, int priority);

/*
 * How many times slower this kernel is than the stock one, as qemu/guest sets it: numbers of
 * rounds are divided by it.
 */
long slower(void);
/* By what time limits are multiplied: the same, or more on a slow host. */
long patience(void);
/*
 * Waits until the condition is true, which is checked at growing intervals, for WAIT_LIMIT
 * seconds at most. Whether it came true: a test result.
 */
#define WAIT_LIMIT (30 * patience())
#define comes_true(condition) ({				\
	time_t _end = seconds() + WAIT_LIMIT;			\
	useconds_t _nap = 50;					\
	bool _true;						\
								\
	while (!(_true = (condition)) && seconds() <= _end) {	\
		usleep(_nap);					\
		_nap = _nap < 500 ? 2 * _nap : 1000;		\
	}							\
	_true;							\
})
/* The same for a state that the test needs, never for a result: dies with the message. */
#define wait_until(condition, ...) do {				\
	if (!comes_true(condition)) {				\
		errno = 0;					\
		die(__VA_ARGS__);				\
	}							\
} while (0)
time_t seconds(void);
/* CLOCK_MONOTONIC in seconds. */
double monotonic(void);

/* A thread in /proc/TGID/task/TID. */
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

/* false if there is no such thread, or not any more */
bool proc_thread(pid_t tgid, pid_t tid, struct proc_thread *thread);
/* All threads of all processes in the order of /proc; returns their number. */
size_t proc_threads(struct proc_thread **threads);
char proc_state(pid_t tgid, pid_t tid);
/* How often the thread has been switched away from; dies if there is no such thread. */
unsigned long proc_switches(pid_t tgid, pid_t tid);
/* Waits until the thread is in one of the states. */
void wait_for_state(pid_t tgid, pid_t tid, const char *states);
/* Waits until the process has a thread of that name; its TID. */
pid_t wait_for_thread(pid_t tgid, const char *comm);
/* The last thread of that name in any process, or of the kernel; 0 if there is none. */
pid_t find_thread_named(const char *comm);
/* The same; dies if there is none. */
pid_t thread_named(const char *comm);

/*
 * The number of objects of a slab cache (task_struct, mm_struct, ...) that are in use. Objects
 * that can be freed are freed first.
 */
long slab_objects(const char *cache);
/*
 * The same, after waiting until it is at most `most`, for at most ten seconds: the kernel frees
 * the last objects of dead tasks with a delay.
 */
long slab_objects_in_the_end(const char *cache, long most);

#endif /* _GUEST_H */
