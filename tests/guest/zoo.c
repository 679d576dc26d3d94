// SPDX-License-Identifier: GPL-2.0
/*
 * Every column of every row of `threads` and `processes` in a quiet guest, against /proc and,
 * for what /proc does not have, against tests/modules/task_oracle.c. First the test creates a
 * zoo of tasks of every kind, called animals here. The expected values of each animal are also
 * written down here, in case /proc is wrong or silent about one.
 *
 * /proc is read before the open and after it. If both agree, the table must agree too; if
 * not, the table must agree with one of them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"
#include "workers.h"

/* An animal's expected values; NULL or 0 if only /proc decides. */
struct animal {
	const char *what;
	pid_t tgid, pid;
	char state;
	const char *kind, *mm, *note, *comm;
	pid_t ppid;
	unsigned int uid, euid;
	int threads;
};

#define ANIMALS 40
static struct animal zoo[ANIMALS];
static int animals;

/* Shared memory for PIDs that only a child knows. */
static atomic_int *shared;

static void add_animal(struct animal animal)
{
	if (animals == ANIMALS)
		die("the zoo is full");
	/* Waits until the animal exists and is in its state. */
	if (animal.pid)
		wait_for_state(animal.tgid, animal.pid, (char []){ animal.state, 0 });
	zoo[animals++] = animal;
}

#define add(...) add_animal((struct animal) { __VA_ARGS__ })

static void take_name(void *name)
{
	prctl(PR_SET_NAME, name);
}

static void start_thread(void *(*body)(void *argument), void *argument)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, body, argument);
	if (errno)
		die("pthread_create");
}

static void several_threads(void *unused)
{
	start_thread(sleep_under_name, "second");
	start_thread(sleep_under_name, "third");
	start_thread(sleep_under_name, "fifteen letters");
}

static void add_threads(void)
{
	static const struct {
		const char *name, *what;
	} threads[] = {
		{ "second", "second of several threads" },
		{ "third", "third of several threads" },
		{ "fifteen letters", "fourth of several threads, with a name of 15 bytes" },
	};
	pid_t pid = start_child(several_threads, NULL);

	for (int i = 0; i < 3; i++)
		add(threads[i].what, pid, wait_for_thread(pid, threads[i].name), 'S', "user",
		    "set", "-", threads[i].name, .ppid = getpid(), .threads = 4);
	add("leader of several threads", pid, pid, 'S', "user", "set", "-",
	    .ppid = getpid(), .threads = 4);
}

/* Real and effective IDs: small, of more than 16 bits, and the largest. */
static struct ids {
	const char *what;
	unsigned int uid, euid;
} ids[] = {
	{ "different uid and euid", 1001, 1002 },
	{ "uid and euid above 65,535", 65536, 100000 },
	{ "the two largest uids", 4294967293, 4294967294 },
};

static void change_ids(void *pointer)
{
	const struct ids *to = pointer;

	must(setresgid(2001, 2002, 2003));
	must(setresuid(to->uid, to->euid, 1003));
}

static void add_ids(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		pid_t pid = start_child(change_ids, &ids[i]);
		struct proc_thread thread;

		wait_until(proc_thread(pid, pid, &thread) && thread.euid == ids[i].euid,
			   "no change of user");
		add(ids[i].what, pid, pid, 'S', "user", "set", "-", .uid = ids[i].uid,
		    .euid = ids[i].euid, .threads = 1);
	}
}

static void enter_user_namespace(void *unused)
{
	must(unshare(CLONE_NEWUSER));
	shared[3] = getpid();
	wait_until(!shared[3], "the users of the namespace are not mapped");
	must(setresuid(0, 0, 0));
}

static void add_user_namespace(void)
{
	pid_t pid = start_child(enter_user_namespace, NULL);
	struct proc_thread thread;
	char path[40];

	/* Only a process outside can map a user other than its own. */
	wait_until(shared[3], "no user namespace");
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	write_file(path, "0 1234 1\n");
	shared[3] = 0;
	wait_until(proc_thread(pid, pid, &thread) && thread.uid == 1234, "no user 1234");
	add("root of a user namespace, with the user from outside", pid, pid, 'S',
	    "user",
	    "set", "-", .uid = 1234, .euid = 1234);
}

static void enter_pid_namespace(void *unused)
{
	must(unshare(CLONE_NEWPID));
	shared[0] = start_child(take_name, "init inside");
}

static void add_pid_namespace(void)
{
	pid_t parent = start_child(enter_pid_namespace, NULL);

	wait_until(shared[0], "no PID namespace");
	/* The parent is outside, so this is the PID outside. */
	add("init of a PID namespace, with its PID from outside", shared[0],
	    shared[0],
	    'S', "user", "set", "-", "init inside", .ppid = parent);
}

static void stop(void *unused)
{
	raise(SIGSTOP);
}

static void add_stopped(void)
{
	pid_t pid = start_child(stop, NULL);

	add("stopped", pid, pid, 'T', "user", "set", "-");
}

static void trace(void *pid)
{
	must(ptrace(PTRACE_ATTACH, *(pid_t *)pid, 0, 0));
	must(waitpid(*(pid_t *)pid, NULL, __WALL));
}

static void add_traced(void)
{
	pid_t pid = start_child(take_name, "traced");
	pid_t tracer = start_child(trace, &pid);

	add("traced, and the child of another than the tracer", pid, pid, 't',
	    "user",
	    "set", "-", .ppid = getpid());
	add("tracer", tracer, tracer, 'S', "user", "set", "-");
}

static void do_vfork(void *unused)
{
	prctl(PR_SET_NAME, "vfork parent");
	if (vfork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* This memory is the parent's, which does not use it meanwhile. */
		shared[1] = getpid();
		for (;;)
			pause();
	}
}

static void add_vfork(void)
{
	pid_t pid = start_child(do_vfork, NULL);

	add("vfork parent, which sleeps without a signal", pid, pid, 'D', "user",
	    "set",
	    "-", "vfork parent");
	/* The parent already sleeps when the child reports its PID. */
	wait_until(shared[1], "no child of vfork()");
	add("vfork child, with its parent's mm", shared[1], shared[1], 'S',
	    "user", "set",
	    "-", .ppid = pid);
}

static void end(void *unused)
{
	_exit(0);
}

static void add_zombie(void)
{
	pid_t pid = start_child(end, NULL);

	add("zombie", pid, pid, 'Z', "user", "NULL", "exiting",
	    .ppid = getpid());
}

static void end_leader(void *unused)
{
	start_thread(sleep_under_name, "survivor");
	syscall(SYS_exit, 0);
}

static void add_zombie_leader(void)
{
	pid_t pid = start_child(end_leader, NULL);

	add("zombie leader with a live thread", pid, pid, 'Z', "user", "NULL",
	    "exiting",
	    .threads = 2);
	add("thread of a zombie leader", pid, wait_for_thread(pid, "survivor"),
	    'S',
	    "user", "set", "-", "survivor", .threads = 2);
}

static void *die_slowly(void *unused)
{
	prctl(PR_SET_NAME, "dies slowly");
	/* The thread has its own descriptors, so its exit closes the device. */
	must(unshare(CLONE_FILES));
	must(open("/dev/slow_release", O_RDONLY));
	syscall(SYS_exit, 0);
	return NULL;
}

static void start_dying_thread(void *unused)
{
	start_thread(die_slowly, NULL);
}

static pid_t keeper;

/* Runs however the test ends, because no signal ends such a thread. */
static void let_dying_thread_go(void)
{
	if (getpid() == keeper)
		write_file("/dev/slow_release", "x");
}

static void add_dying_thread(void)
{
	pid_t pid, tid;

	load_module("/tests/slow_release.ko", "");
	keeper = getpid();
	atexit(let_dying_thread_go);
	pid = start_child(start_dying_thread, NULL);
	tid = wait_for_thread(pid, "dies slowly");
	add("thread past exit_mm in a process that lives", pid, tid, 'I', "user",
	    "NULL",
	    "exiting", "dies slowly", .threads = 2);
	add("process with a dying thread", pid, pid, 'S', "user", "set",
	    "-",
	    .threads = 2);
}

static void add_io_uring(void)
{
	struct worker worker = start_ring_poller();

	add("io_uring thread that polls submissions", worker.process, worker.thread, 'S',
	    "worker", "set", "-", strdup(worker.name), .threads = 2);
	worker = start_ring_worker();
	add("io_uring worker", worker.process, worker.thread, 'S', "worker", "set", "-",
	    strdup(worker.name), .threads = 2);
	add("process with an io_uring worker", worker.process, worker.process, 'S', "user",
	    "set", "-", .threads = 2);
}

static void add_user_worker(void)
{
	struct worker worker = start_user_worker();

	add("user worker as vhost makes them", worker.process, worker.thread, 'S', "worker",
	    "set", "-", "user_worker", .threads = 2);
}

static void add_helper(void)
{
	pid_t helper = start_helper(NULL);

	add("usermode helper before its exec", helper, helper, 'I', "user", "NULL", "pre-exec",
	    .ppid = 2, .threads = 1);
}

#define CORE_PATTERN "/proc/sys/kernel/core_pattern"
#define CORE_HELPER "/tmp/core_helper"

/* The core helper, which the kernel starts: it does not read the core, and reports its PID. */
static int hold_core(void)
{
	char pid[20];

	snprintf(pid, sizeof(pid), "%d", getpid());
	close(must(open("/tmp/core_helper.new", O_WRONLY | O_CREAT | O_TRUNC, 0600)));
	write_file("/tmp/core_helper.new", pid);
	must(rename("/tmp/core_helper.new", CORE_HELPER));
	for (;;)
		pause();
}

static char *core_pattern;

static void let_core_go(void)
{
	char *helper;

	if (getpid() != keeper)
		return;
	write_file(CORE_PATTERN, core_pattern);
	helper = try_slurp(CORE_HELPER, NULL);
	if (helper)
		kill(atoi(helper), SIGKILL);
}

static void dump_core(void *unused)
{
	start_thread(sleep_under_name, "beside a core");
	wait_for_thread(getpid(), "beside a core");
	abort();
}

static void add_core_dump(void)
{
	pid_t pid;

	core_pattern = slurp(CORE_PATTERN, NULL);
	unlink(CORE_HELPER);
	atexit(let_core_go);
	write_file(CORE_PATTERN, "|/tests/zoo.test hold-core");
	pid = start_child(dump_core, NULL);
	wait_until(!access(CORE_HELPER, F_OK), "no core helper runs");
	add("thread that waits until the core of its process is dumped", pid,
	    wait_for_thread(pid, "beside a core"), 'I', "user", "set", "-", "beside a core",
	    .threads = 2);
	add("thread that dumps the core of its process", pid, pid, 'S', "user", "set", "-",
	    .threads = 2);
}

static pid_t borrower;

static void add_borrower(void)
{
	borrower = start_borrower();
	add("kernel thread inside kthread_use_mm()", borrower, borrower, 'I',
	    "kernel",
	    "set", "borrowed-mm", "[borrow_mm]", .ppid = 2, .threads = 1);
}

static void make_orphan(void *unused)
{
	pid_t pid;

	/* The child reports its PID itself, before its parent exits. */
	pid = must(fork());
	if (!pid) {
		prctl(PR_SET_NAME, "orphan");
		/* In case the test ends without ending it. */
		alarm(600);
		shared[2] = getpid();
		for (;;)
			pause();
	}
	wait_until(shared[2], "no orphan");
	_exit(0);
}

static void end_orphan(void)
{
	if (getpid() == keeper)
		kill(shared[2], SIGKILL);
}

static void add_orphan(void)
{
	pid_t parent = start_child(make_orphan, NULL);

	atexit(end_orphan);
	wait_for_state(parent, parent, "Z");
	add("orphan, a child of init", shared[2], shared[2], 'S', "user", "set",
	    "-",
	    "orphan", .ppid = 1);
}

static void fill_zoo(void)
{
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	add_threads();
	add_ids();
	add_user_namespace();
	add_pid_namespace();
	add_stopped();
	add_traced();
	add_vfork();
	add_zombie();
	add_zombie_leader();
	add_dying_thread();
	add_io_uring();
	add_user_worker();
	add_helper();
	add_core_dump();
	add_borrower();
	add_orphan();
	zoo[animals++] = (struct animal) { "kthreadd, a kernel thread", 2, 2, 'S', "kernel", "NULL",
		"-",
		"[kthreadd]", .threads = 1 };
	zoo[animals++] = (struct animal) { "init, a user process", 1, 1, 'S', "user", "set", "-",
		"init",
		.threads = 1 };
	/* The reader runs while it opens the table. */
	zoo[animals++] = (struct animal) { "reader", getpid(), getpid(), 'R', "user", "set",
		"-",
		"zoo.test", .threads = 1 };
}

/* The values of a row, as found or as expected; empty if any value will do. */
enum { TGID, PPID, UID, EUID, S, KIND, MM, NTHR, NOTE, COMM, COLUMNS };
static const char * const columns[COLUMNS] = {
	"TGID", "PPID", "UID", "EUID", "S", "KIND", "MM", "NTHR", "NOTE", "COMM",
};

struct view {
	char column[COLUMNS][80];
};

static void set(struct view *view, int column, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(view->column[column], sizeof(view->column[column]), format, arguments);
	va_end(arguments);
}

static void view_row(const struct task_row *row, struct view *view)
{
	set(view, TGID, "%d", row->tgid);
	set(view, PPID, "%d", row->ppid);
	set(view, UID, "%u", row->uid);
	set(view, EUID, "%u", row->euid);
	set(view, S, "%c", row->state);
	set(view, KIND, "%s", row->kind);
	set(view, MM, "%s", row->mm);
	set(view, NTHR, "%d", row->threads);
	set(view, NOTE, "%s", row->note);
	set(view, COMM, "%s", row->comm);
}

static void view_animal(const struct animal *animal, struct view *view)
{
	memset(view, 0, sizeof(*view));
	set(view, TGID, "%d", animal->tgid);
	set(view, S, "%c", animal->state);
	set(view, KIND, "%s", animal->kind);
	set(view, MM, "%s", animal->mm);
	set(view, NOTE, "%s", animal->note);
	if (animal->comm)
		set(view, COMM, "%s", animal->comm);
	if (animal->ppid)
		set(view, PPID, "%d", animal->ppid);
	if (animal->threads)
		set(view, NTHR, "%d", animal->threads);
	if (animal->uid) {
		set(view, UID, "%u", animal->uid);
		set(view, EUID, "%u", animal->euid);
	}
}

/* What task_oracle reports about a task. */
struct oracle {
	pid_t pid;
	char task[20], raw_task[20], stack[20], raw_stack[20];
	unsigned char comm[16];
	size_t comm_length;
};

static struct oracle *oracle;
static size_t oracles;

static void ask_oracle_too(void)
{
	char *text = slurp("/sys/kernel/debug/task_oracle", NULL), *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct oracle *it;
		int at = 0;

		oracle = realloc(oracle, (oracles + 1) * sizeof(*oracle));
		it = &oracle[oracles++];
		if (sscanf(line, "%*d %d %19s %19s %19s %19s %*x %n", &it->pid, it->task,
			   it->raw_task,
			   it->stack, it->raw_stack, &at) != 5 || !at)
			die("task_oracle has a line that cannot be parsed: '%s'", line);
		it->comm_length = 0;
		for (char *digits = line + at; *digits; digits += 2)
			if (sscanf(digits, "%2hhx", &it->comm[it->comm_length++]) != 1)
				die("task_oracle has a line that cannot be parsed: '%s'", digits);
	}
	free(text);
}

static void ask_oracle(void)
{
	oracles = 0;
	ask_oracle_too();
}

static const struct oracle *oracle_of(pid_t pid)
{
	for (size_t i = 0; i < oracles; i++)
		if (oracle[i].pid == pid)
			return &oracle[i];
	return NULL;
}

/* The expected row of a thread, from /proc. */
static void view_proc(const struct proc_thread *thread, struct view *view)
{
	bool kernel = thread->flags & PF_KTHREAD;
	bool worker = thread->flags & (PF_USER_WORKER | PF_IO_WORKER);
	const struct oracle *known = oracle_of(thread->pid);
	const char *comm = thread->comm;
	size_t length = thread->comm_length;
	char escaped[70];

	set(view, TGID, "%d", thread->tgid);
	set(view, PPID, "%d", thread->ppid);
	set(view, UID, "%u", thread->uid);
	set(view, EUID, "%u", thread->euid);
	set(view, S, "%c", thread->state);
	set(view, KIND, "%s", kernel ? "kernel" : worker ? "worker" : "user");
	/* /proc shows no mm of a kernel thread; only the borrower has one. */
	set(view, MM, thread->has_mm || thread->pid == borrower ? "set" : "NULL");
	set(view, NTHR, "%d", thread->threads);
	set(view, NOTE, kernel ? thread->pid == borrower ? "borrowed-mm" : "-" :
			thread->has_mm ? "-" : thread->flags & PF_EXITING ? "exiting" : "pre-exec");
	/* /proc appends a worker's work item, or the rest of a long name, to a kernel thread's. */
	if (kernel && known) {
		comm = (const char *)known->comm;
		length = known->comm_length;
	}
	escape_comm(comm, length, kernel, escaped);
	set(view, COMM, "%s", escaped);
}

static const struct proc_thread *find(const struct proc_thread *threads, size_t count, pid_t pid)
{
	for (size_t i = 0; i < count; i++)
		if (threads[i].pid == pid)
			return &threads[i];
	return NULL;
}

/*
 * A thread that was in one state before and after, without a context switch, was in that
 * state all the time. Any other thread may have been in any state. Whether a thread runs is
 * checked elsewhere.
 */
static bool rested(const struct proc_thread *before, const struct proc_thread *after)
{
	return before->state == after->state && before->switches == after->switches &&
	       before->state != 'R';
}

/* Returns the number of wrong values, and prints them. */
static int differences(const struct task_table *table, bool leaders_only,
		       const struct proc_thread *before, size_t count_before,
		       const struct proc_thread *after, size_t count_after)
{
	int wrong = 0, compared = 0, states = 0;

	for (size_t i = 0; i < table->rows; i++) {
		const struct task_row *row = &table->row[i];
		const struct proc_thread *first = find(before, count_before, row->pid);
		const struct proc_thread *last = find(after, count_after, row->pid);
		struct view is, one, other;

		if (!row->pid)
			continue;
		if (!first && !last) {
			ksft_print_msg("PID %d was never in /proc\n", row->pid);
			wrong++;
			continue;
		}
		view_row(row, &is);
		view_proc(first ?: last, &one);
		view_proc(last ?: first, &other);
		for (int column = 0; column < COLUMNS; column++) {
			if (column == S && !(first && last && rested(first, last)))
				continue;
			states += column == S;
			compared++;
			if (!strcmp(is.column[column], one.column[column]) ||
			    !strcmp(is.column[column], other.column[column]))
				continue;
			ksft_print_msg("PID %d: %s is '%s', and '%s' in /proc\n", row->pid,
				       columns[column],
				       is.column[column], one.column[column]);
			wrong++;
		}
	}
	for (size_t i = 0; i < count_before; i++) {
		if (leaders_only && before[i].tgid != before[i].pid)
			continue;
		if (find(after, count_after, before[i].pid) && !table_find(table, before[i].pid)) {
			ksft_print_msg("PID %d is in /proc, and not in the table\n", before[i].pid);
			wrong++;
		}
	}
	ksft_print_msg("%zu rows, %d values, %d of them states\n", table->rows, compared, states);
	/* At least the animals were in one state all the time. */
	if (states < (leaders_only ? 15 : animals - 1)) {
		ksft_print_msg("too few states were compared\n");
		wrong++;
	}
	return wrong;
}

static void test_animals(const struct task_table *threads, const struct task_table *processes)
{
	for (int i = 0; i < animals; i++) {
		const struct animal *animal = &zoo[i];
		const struct task_table *tables[] = { threads, processes };
		int wrong = 0;

		for (int t = 0; t < (animal->tgid == animal->pid ? 2 : 1); t++) {
			const struct task_row *row = table_find(tables[t], animal->pid);
			struct view is, should_be;

			if (!row) {
				ksft_print_msg("%s is not in the table\n", animal->what);
				wrong++;
				continue;
			}
			view_row(row, &is);
			view_animal(animal, &should_be);
			for (int column = 0; column < COLUMNS; column++) {
				if (!*should_be.column[column] ||
				    !strcmp(is.column[column], should_be.column[column]))
					continue;
				ksft_print_msg("PID %d: %s is '%s', not '%s'\n", row->pid,
					       columns[column],
					       is.column[column], should_be.column[column]);
				wrong++;
			}
		}
		ksft_test_result(!wrong, "%s: the row is as expected\n", animal->what);
	}
}

static void test_swapper(const struct task_table *threads)
{
	const struct task_row *row = &threads->row[0];

	ksft_test_result(threads->rows && !row->pid && !row->tgid && !row->ppid && !row->uid &&
			 !row->euid &&
			 !strcmp(row->kind, "idle") && !strcmp(row->mm,
							       "NULL") && row->threads == 1 &&
			 !strcmp(row->note, "-") && !strcmp(row->comm, "[swapper/0]"),
			 "threads: swapper/0 first\n");
}

/* No group is there twice, and a group has NTHR rows. */
static void test_groups(const struct task_table *threads)
{
	int wrong = 0;

	for (size_t i = 0, j; i < threads->rows; i = j) {
		pid_t tgid = threads->row[i].tgid;

		for (j = i; j < threads->rows && threads->row[j].tgid == tgid; j++)
			continue;
		for (size_t k = j; k < threads->rows; k++)
			wrong += threads->row[k].tgid == tgid;
		if (threads->row[i].threads != (int)(j - i)) {
			ksft_print_msg("group %d has %zu rows, and NTHR %d\n", tgid, j - i,
				       threads->row[i].threads);
			wrong++;
		}
	}
	ksft_test_result(!wrong, "threads: each group has NTHR rows, together\n");
}

/* The next leader from *at on that was in /proc before and after; NULL after the last. */
static const struct task_row *next_leader(const struct task_table *table, size_t *at,
					  const struct proc_thread *before, size_t count_before,
					  const struct proc_thread *after, size_t count_after)
{
	while (*at < table->rows) {
		const struct task_row *row = &table->row[(*at)++];

		if (row->pid == row->tgid && find(before, count_before, row->pid) &&
		    find(after, count_after, row->pid))
			return row;
	}
	return NULL;
}

/*
 * The leaders in `threads` are the rows of `processes`, in the same order, apart from kernel
 * threads that have come or gone between the two opens.
 */
static void test_order(const struct task_table *threads, const struct task_table *processes,
		       const struct proc_thread *before, size_t count_before,
		       const struct proc_thread *after, size_t count_after)
{
	const struct task_row *leader, *process;
	size_t thread_at = 0, process_at = 0, leaders = 0;
	int wrong = 0;

	do {
		leader = next_leader(threads, &thread_at, before, count_before, after,
				     count_after);
		process = next_leader(processes, &process_at, before, count_before, after,
				      count_after);
		wrong += !leader != !process || (leader && leader->pid != process->pid);
		leaders += !!leader;
	} while (leader && process);
	for (size_t i = 0; i < processes->rows; i++)
		wrong += processes->row[i].pid != processes->row[i].tgid;
	ksft_test_result(!wrong && leaders > 15,
			 "processes: the leaders of threads, in the same order\n");
}

/*
 * The lowest kernel address of all configurations: x86-64 has 57 bits of virtual addresses
 * at most, arm64 has 52.
 */
#define KERNEL_HALF 0xff00000000000000ull

/*
 * The addresses in a table, hashed or raw, are those that the kernel printed before the open
 * or prints now: a kernel thread may have come or gone meanwhile, and a stack may have been
 * released.
 */
static int wrong_addresses(const struct task_table *table, bool raw)
{
	int wrong = 0, released = 0, known = 0;

	ask_oracle_too();
	for (size_t i = 0; i < table->rows; i++) {
		const struct task_row *row = &table->row[i];
		const struct oracle *said = NULL, *agrees = NULL;

		released += !strcmp(row->stack, "-");
		for (size_t j = 0; j < oracles; j++) {
			if (oracle[j].pid != row->pid)
				continue;
			said = &oracle[j];
			if (!strcmp(row->task, raw ? said->raw_task : said->task) &&
			    !strcmp(row->stack, raw ? said->raw_stack : said->stack))
				agrees = said;
		}
		known += !!said;
		if (said && !agrees) {
			ksft_print_msg("PID %d: TASK %s, STACK %s, and not %s, %s\n", row->pid,
				       row->task, row->stack, raw ? said->raw_task : said->task,
				       raw ? said->raw_stack : said->stack);
			wrong++;
		}
		if (raw && (strtoull(row->task, NULL, 16) < KERNEL_HALF ||
			    (strcmp(row->stack, "-") &&
			     strtoull(row->stack, NULL, 16) < KERNEL_HALF)))
			wrong++;
		for (size_t j = 0; j < i; j++) {
			if (!strcmp(row->task, table->row[j].task) ||
			    (!strcmp(row->stack, table->row[j].stack) && strcmp(row->stack, "-"))) {
				ksft_print_msg("PIDs %d and %d share an address\n", row->pid,
					       table->row[j].pid);
				wrong++;
			}
		}
	}
	ksft_print_msg("%d stacks are released\n", released);
	/* The zombies have no stack. At least the animals' addresses are compared. */
	return wrong + !released + (known < animals);
}

/* How many threads in both tables have the same addresses in both, or other ones. */
static int common_addresses(const struct task_table *one, const struct task_table *other,
			    bool equal)
{
	int common = 0;

	for (size_t i = 0; i < one->rows; i++) {
		const struct task_row *row = table_find(other, one->row[i].pid);

		if (!row)
			continue;
		if (!strcmp(row->task, one->row[i].task) == equal)
			common++;
		else
			return 0;
	}
	return common;
}

int main(int argc, char **argv)
{
	struct proc_thread *before, *after;
	size_t count_before, count_after;
	struct task_table *threads, *processes, *again, *raw;

	if (argc > 1)
		return hold_core();
	ksft_print_header();
	load_module("/tests/task_oracle.ko", "");
	load_taskscope("");
	fill_zoo();
	ksft_set_plan(animals + 10);

	ask_oracle();
	count_before = proc_threads(&before);
	threads = table_read("threads");
	processes = table_read("processes");
	count_after = proc_threads(&after);
	again = table_read("threads");

	test_animals(threads, processes);
	ksft_test_result(!differences(threads, false, before, count_before, after, count_after),
			 "threads: every value as in /proc\n");
	ksft_test_result(!differences(processes, true, before, count_before, after, count_after),
			 "processes: every value as in /proc\n");
	ksft_test_result(!table_twice(threads) && !table_twice(processes),
			 "threads and processes: no PID twice\n");
	test_swapper(threads);
	test_groups(threads);
	test_order(threads, processes, before, count_before, after, count_after);
	ksft_test_result(!wrong_addresses(threads, false),
			 "raw_pointers=0: addresses are hashed as %%p hashes them\n");
	ksft_test_result(common_addresses(threads, again, true) >= animals,
			 "second open: the same hashes\n");

	if (unload_module("taskscope"))
		die("taskscope cannot be unloaded");
	load_taskscope("raw_pointers=1");
	ask_oracle();
	raw = table_read("threads");
	ksft_test_result(!wrong_addresses(raw, true),
			 "raw_pointers=1: the addresses of the tasks\n");
	ksft_test_result(common_addresses(raw, threads, false) >= animals,
			 "raw_pointers=1: each address differs from its hash\n");

	ksft_finished();
}
