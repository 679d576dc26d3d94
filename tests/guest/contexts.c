// SPDX-License-Identifier: GPL-2.0
/*
 * What `contexts` shows of each context: its bits against what the kernel's
 * flavour lets one expect, preempt_count against the kernel's headers, `current`
 * against the reader and /proc, processors against /sys, stacks against where
 * the stacks of all tasks lie. An NMI is injected from outside of the guest.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"

static bool rt;

/* What is expected of a context, stock and PREEMPT_RT; NULL is either. */
struct expected {
	const char *context;
	bool per_cpu;
	struct bits {
		const char *in_task, *softirq, *hardirq, *nmi, *irqs, *stack;
		/* What `current` is: the reader, a kernel thread, or whoever. */
		enum { READER, KTHREAD, ANYONE } current;
	} stock, rt;
};

#define TASK(who) { "yes", "no", "no", "no", "yes", "task", who }
/* An interrupt may come while a softirq is served; preempt_count knows. */
#define HARD { "no", NULL, "yes", "no", "no", "irq", ANYONE }
#define SOFT { "no", "yes", "no", "no", "yes", "irq", ANYONE }
#define SOFT_THREAD { "no", "yes", "no", "no", "yes", "task", KTHREAD }

static const struct expected contexts[] = {
	{ "syscall", false, TASK(READER), TASK(READER) },
	{ "page_fault", false, TASK(READER), TASK(READER) },
	{ "kthread", false, TASK(KTHREAD), TASK(KTHREAD) },
	{ "workqueue", true, TASK(KTHREAD), TASK(KTHREAD) },
	{ "softirq_bh", true, SOFT, SOFT_THREAD },
	{ "softirq_timer", true, SOFT, SOFT_THREAD },
	{ "hrtimer", true, HARD, HARD },
	{ "irq_work", true, HARD, TASK(KTHREAD) },
	{ "ipi", true, HARD, HARD },
};

#define CONTEXTS ((int)(sizeof(contexts) / sizeof(*contexts)))

static unsigned long constant(const char *name)
{
	char path[80], *text;
	unsigned long value;

	snprintf(path, sizeof(path), "/sys/module/context_oracle/parameters/%s", name);
	text = slurp(path, NULL);
	value = strtoul(text, NULL, 10);
	free(text);
	return value;
}

/* Says what differs. */
static bool same(const struct context_row *row, const char *column, const char *value,
		 const char *expected)
{
	if (!strcmp(value, expected))
		return true;
	printf("# %s on CPU %s: %s is %s, expected %s\n", row->context, row->cpu, column, value,
	       expected);
	return false;
}

static bool is_kernel_thread(const struct context_row *row)
{
	return same(row, "MM", row->mm, "NULL") && *row->comm == '[' &&
	       row->comm[strlen(row->comm) - 1] == ']';
}

/*
 * A softirq that came to be too much goes on in a thread of its own. There it runs on
 * the thread's stack, or on that of interrupts, if one came before the thread got to it.
 */
static bool in_ksoftirqd(const struct context_row *row)
{
	char name[30];

	snprintf(name, sizeof(name), "[ksoftirqd/%s]", row->cpu);
	return !strcmp(row->comm, name);
}

/*
 * On x86-64 an interrupt that finds the processor in user space stays on the kernel
 * stack of the thread, which is empty, and so does the softirq at its end.
 */
static bool in_user_space(const struct context_row *row)
{
#ifdef __x86_64__
	return !strcmp(row->mm, "set") && !strcmp(row->stack, "task");
#else
	return false;
#endif
}

static bool bits_are(const struct context_row *row, const struct bits *bits)
{
	const char *stack = bits->stack;

	if (bits->current == ANYONE && in_user_space(row))
		stack = "task";
	if (bits->softirq && !strcmp(bits->softirq, "yes") && in_ksoftirqd(row) &&
	    !strcmp(row->stack, "task"))
		stack = "task";
	return same(row, "IN_TASK", row->in_task, bits->in_task) &
	       (!bits->softirq || same(row, "SOFTIRQ", row->softirq, bits->softirq)) &
	       same(row, "HARDIRQ", row->hardirq, bits->hardirq) &
	       same(row, "NMI", row->nmi, bits->nmi) &
	       same(row, "IRQS", row->irqs, bits->irqs) &
	       same(row, "STACK", row->stack, stack);
}

/* The count says what the columns say, by the kernel's headers. */
static bool count_fits(const struct context_row *row)
{
	unsigned long count = strtoul(row->preempt_count, NULL, 16);
	bool hard = count & constant("hardirq_mask"), nmi = count & constant("nmi_mask");
	bool soft = count & constant("softirq_offset");
	bool good;

	good = same(row, "HARDIRQ", row->hardirq, hard ? "yes" : "no") &
	       same(row, "NMI", row->nmi, nmi ? "yes" : "no");
	/* PREEMPT_RT counts softirqs in the task. */
	if (!rt)
		good &= same(row, "SOFTIRQ", row->softirq, soft ? "yes" : "no");
	/* What these run in holds no lock and has disabled nothing. */
	if (!strcmp(row->in_task, "yes"))
		good &= same(row, "PREEMPT_COUNT", row->preempt_count, "00000000");
	return good;
}

/* If it lives, it is what /proc says of it; if not, it was there for an open alone. */
static bool is_that_thread(const struct context_row *row)
{
	struct proc_thread thread;

	if (!proc_thread(atoi(row->tgid), atoi(row->pid), &thread))
		return !strcmp(row->comm, "[taskscope_probe]") && !strcmp(row->pid, row->tgid);
	if (thread.flags & PF_KTHREAD)
		return is_kernel_thread(row);
	thread.comm[thread.comm_length] = 0;
	return same(row, "MM", row->mm, "set") & same(row, "COMM", row->comm, thread.comm);
}

static bool current_is(const struct context_row *row, const struct bits *bits, pid_t tgid,
		       pid_t tid, const char *comm)
{
	char number[20];
	bool good;

	switch (bits->current) {
	case READER:
		snprintf(number, sizeof(number), "%d", tid);
		good = same(row, "PID", row->pid, number);
		snprintf(number, sizeof(number), "%d", tgid);
		return good & same(row, "TGID", row->tgid, number) &
		       same(row, "MM", row->mm, "set") & same(row, "COMM", row->comm, comm);
	case KTHREAD:
		return is_kernel_thread(row);
	case ANYONE:
		break;
	}
	if (atoi(row->pid))
		return is_that_thread(row);
	/* The idle task of that processor. */
	snprintf(number, sizeof(number), "[swapper/%s]", row->cpu);
	return is_kernel_thread(row) & same(row, "COMM", row->comm, number);
}

/* Every context as it is expected, on every processor that is online. */
static bool all_good(const struct contexts *table, pid_t tgid, pid_t tid, const char *comm)
{
	int cpus[CPUS_MAX], online = online_cpus(cpus);
	size_t rows = 0;
	bool good = true;

	for (int c = 0; c < CONTEXTS; c++) {
		const struct expected *expected = &contexts[c];
		const struct bits *bits = rt ? &expected->rt : &expected->stock;
		int wanted = expected->per_cpu ? online : 1;

		if (!strcmp(expected->context, "ipi") && online == 1) {
			const struct context_row *row = contexts_find(table, "ipi", -1);

			/* Nobody can send one. */
			good &= row && !row->seen && contexts_said(table, "# ipi: ");
			rows++;
			continue;
		}
		for (int i = 0; i < wanted; i++) {
			const struct context_row *row =
				contexts_find(table, expected->context,
					      expected->per_cpu ? cpus[i] : -1);

			if (!row || !row->seen) {
				printf("# no %s on CPU %d\n", expected->context, cpus[i]);
				good = false;
				continue;
			}
			rows++;
			good &= bits_are(row, bits) & count_fits(row) &
				current_is(row, bits, tgid, tid, comm);
		}
	}
	for (size_t i = 0; i < table->rows; i++)
		rows += !strcmp(table->row[i].context, "nmi") ||
			!strcmp(table->row[i].context, "module_init");
	if (rows != table->rows) {
		printf("# %zu rows, expected %zu\n", table->rows, rows);
		good = false;
	}
	return good & !contexts_said(table, "did not answer");
}

static bool good_here(void)
{
	char comm[17] = "";
	struct contexts *table = contexts_read();
	bool good;

	must(prctl(PR_GET_NAME, comm));
	good = all_good(table, getpid(), gettid(), comm);
	if (!good)
		for (size_t i = 0; i < table->summaries; i++)
			printf("%s\n", table->summary[i]);
	contexts_free(table);
	return good;
}

static void *read_in_thread(void *good)
{
	must(prctl(PR_SET_NAME, "second thread"));
	*(bool *)good = good_here();
	return NULL;
}

static bool good_in_thread(void)
{
	pthread_t thread;
	bool good;

	pthread_create(&thread, NULL, read_in_thread, &good);
	pthread_join(thread, NULL);
	return good;
}

/* With every number of processors that this guest can have. */
static bool good_with_fewer_cpus(int *tried)
{
	int cpus[CPUS_MAX], online = online_cpus(cpus);
	bool good = true;

	for (int i = online - 1; i > 0; i--) {
		set_online(cpus[i], false);
		good &= good_here();
		++*tried;
	}
	for (int i = 1; i < online; i++) {
		set_online(cpus[i], true);
		good &= good_here();
		++*tried;
	}
	return good;
}

/* The worker of a row is one by its flags. */
static bool is_worker(const struct context_row *row)
{
	struct proc_thread thread;
	pid_t pid = atoi(row->pid);

	return proc_thread(pid, pid, &thread) && thread.flags & PF_KTHREAD &&
	       thread.flags & PF_WQ_WORKER;
}

static bool good_threads(void)
{
	struct contexts *table = contexts_read();
	const struct context_row *row = contexts_find(table, "kthread", -1);
	char path[40];
	int cpus[CPUS_MAX], online = online_cpus(cpus);
	bool good;

	/* One made for it, which is gone. */
	snprintf(path, sizeof(path), "/proc/%s", row->pid);
	good = !strcmp(row->comm, "[taskscope_probe]") && atoi(row->pid) > getpid();
	wait_until(access(path, F_OK), "it stays");
	for (int i = 0; i < online; i++)
		good &= is_worker(contexts_find(table, "workqueue", cpus[i]));
	contexts_free(table);
	return good;
}

/* Where the kernel stacks of all tasks lie, in raw addresses. */
static bool in_a_task_stack(unsigned long sp, pid_t pid)
{
	unsigned long size = constant("thread_size"), stack;
	char *text = slurp("/sys/kernel/debug/task_oracle", NULL), *rest;
	bool found = false;
	int tid;

	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (sscanf(line, "%*d %d %*s %*s %*s %lx", &tid, &stack) == 2 &&
		    (pid < 0 || tid == pid))
			found |= sp - stack < size;
	free(text);
	return found;
}

static unsigned long distance(unsigned long a, unsigned long b)
{
	return a > b ? a - b : b - a;
}

/* Raw stack pointers: on the reader's own stack, or on none of a task. */
static bool good_stacks(void)
{
	struct contexts *table = contexts_read();
	unsigned long near = constant("thread_size"), irq[CPUS_MAX] = { 0 };
	int cpus[CPUS_MAX], online = online_cpus(cpus);
	bool good = true;

	good &= in_a_task_stack(strtoul(contexts_find(table, "syscall", -1)->sp, NULL, 16),
				gettid());
	good &= in_a_task_stack(strtoul(contexts_find(table, "page_fault", -1)->sp, NULL, 16),
				gettid());
	if (!good)
		printf("# the reader is not on its own stack\n");
	for (size_t i = 0; i < table->rows; i++) {
		const struct context_row *row = &table->row[i];
		unsigned long sp;

		if (!row->seen || strcmp(row->stack, "irq"))
			continue;
		sp = strtoul(row->sp, NULL, 16);
		if (in_a_task_stack(sp, -1)) {
			printf("# %s on CPU %s: on a task's stack\n", row->context, row->cpu);
			good = false;
		}
		/* All interrupts of a processor on one stack, as large as a task's. */
		if (!irq[atoi(row->cpu)])
			irq[atoi(row->cpu)] = sp;
		if (distance(irq[atoi(row->cpu)], sp) >= near) {
			printf("# %s on CPU %s: far from its other interrupts\n", row->context,
			       row->cpu);
			good = false;
		}
	}
	for (int i = 0; i < online; i++) {
		good &= irq[cpus[i]] != 0;
		for (int j = 0; j < i; j++)
			good &= distance(irq[cpus[i]], irq[cpus[j]]) >= near;
	}
	contexts_free(table);
	return good;
}

/* How many NMIs a processor has had, as /proc/interrupts counts them. */
static long nmis(int place)
{
	char *text = slurp("/proc/interrupts", NULL), *at = strstr(text, "NMI:");
	long count = 0;

	for (at = at ? at + 4 : NULL; at && place >= 0; place--)
		count = strtol(at, &at, 10);
	free(text);
	return count;
}

static long all_nmis(int online)
{
	long sum = 0;

	for (int i = 0; i < online; i++)
		sum += nmis(i);
	return sum;
}

/* Which processors have a row for an NMI is told by the kernel's own counts. */
static bool nmi_rows_fit(int online, const int *cpus, const long *before)
{
	struct bits bits = { "no", NULL, "yes", "yes", "no", "nmi", ANYONE };
	struct contexts *table = contexts_read();
	int rows = 0, without = 0;
	bool good = true;

	for (size_t i = 0; i < table->rows; i++)
		rows += !strcmp(table->row[i].context, "nmi");
	good &= rows == online;
	for (int i = 0; i < online; i++) {
		const struct context_row *row = contexts_find(table, "nmi", cpus[i]);
		bool came = nmis(i) != before[i];

		good &= came == !!row;
		without += !came;
		if (row)
			good &= bits_are(row, &bits) & count_fits(row) &
				current_is(row, &bits, 0, 0, NULL);
	}
	/* Each of the others is named, or there is a word for all. */
	if (contexts_said(table, "# nmi: a module can have none"))
		good &= without == online && contexts_said(table, "# nmi: ") == 1;
	else
		good &= (int)contexts_said(table, "# nmi: none on processor ") == without;
	contexts_free(table);
	return good;
}

/* A processor that has had one goes, and its row with it; the others keep theirs. */
static bool nmi_rows_go(const int *cpus, long *before)
{
	char parameters[30];
	long count = nmis(1);
	bool good;

	snprintf(parameters, sizeof(parameters), "cpu=%d", cpus[1]);
	load_module("/tests/send_nmi.ko", parameters);
	wait_until(nmis(1) != count, "no NMI comes");
	good = nmi_rows_fit(2, cpus, before);
	set_online(cpus[1], false);
	good &= nmi_rows_fit(1, cpus, before);
	set_online(cpus[1], true);
	return good & nmi_rows_fit(2, cpus, before);
}

/* A process that keeps the first processor, so that it is what an NMI interrupts. */
static void be_interrupted(void *ready)
{
	stay_on(0);
	be_real_time(98);
	must(prctl(PR_SET_NAME, "interrupted"));
	*(volatile bool *)ready = true;
	for (;;)
		;
}

/*
 * `current` in an NMI is whoever was there. The stack is its own if it was in user
 * space, where this one is but for a tick now and then, and else no task's.
 */
static bool nmi_interrupts(int port)
{
	bool *ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	long before = nmis(0);
	struct contexts *table;
	const struct context_row *row;
	unsigned long sp;
	char number[20];
	cpu_set_t all, set;
	bool good;
	pid_t pid;

	must(sched_getaffinity(0, sizeof(all), &all));
	set = all;
	CPU_CLR(0, &set);
	must(sched_setaffinity(0, sizeof(set), &set));
	pid = start_child(be_interrupted, ready);
	wait_until(*(volatile bool *)ready, "no process on the first processor");
	must(write(port, "\n", 1));
	wait_until(nmis(0) != before, "no NMI comes");
	table = contexts_read();
	row = contexts_find(table, "nmi", 0);
	snprintf(number, sizeof(number), "%d", pid);
	good = same(row, "PID", row->pid, number) & same(row, "TGID", row->tgid, number) &
	       same(row, "MM", row->mm, "set") & same(row, "COMM", row->comm, "interrupted");
	sp = strtoul(row->sp, NULL, 16);
	good &= same(row, "STACK", row->stack, in_a_task_stack(sp, pid) ? "task" : "nmi");
	contexts_free(table);
	end_child(pid);
	must(sched_setaffinity(0, sizeof(all), &all));
	return good;
}

/* A stack pointer of an interrupt of the processor, or 0. */
static unsigned long irq_stack(const struct contexts *table, int cpu)
{
	for (size_t i = 0; i < table->rows; i++)
		if (!strcmp(table->row[i].stack, "irq") && atoi(table->row[i].cpu) == cpu)
			return strtoul(table->row[i].sp, NULL, 16);
	return 0;
}

/* An NMI that interrupts the kernel has a stack of its own. */
static bool nmi_stacks(const int *cpus, int online)
{
	struct contexts *table = contexts_read();
	bool good = true;

	for (int i = 0; i < online; i++) {
		const struct context_row *row = contexts_find(table, "nmi", cpus[i]);
		unsigned long sp, irq;

		if (!row || strcmp(row->stack, "nmi"))
			continue;
		sp = strtoul(row->sp, NULL, 16);
		irq = irq_stack(table, cpus[i]);
		good &= irq && !in_a_task_stack(sp, -1) &&
			distance(sp, irq) >= constant("thread_size") / 4;
	}
	contexts_free(table);
	return good;
}

/* Hashed, unless the module is told otherwise: no address of a kernel stack. */
static bool good_hashes(void)
{
	struct contexts *table = contexts_read();
	bool good = true;

	for (size_t i = 0; i < table->rows; i++)
		if (table->row[i].seen)
			good &= strlen(table->row[i].sp) == 16 &&
				!strncmp(table->row[i].sp, "00000000", 8);
	contexts_free(table);
	return good;
}

/* Who loaded it is shown to whoever reads. */
static bool good_module_init(pid_t loader)
{
	struct contexts *table = contexts_read();
	const struct context_row *row = contexts_find(table, "module_init", -1);
	char number[20], comm[17] = "";
	bool good;

	must(prctl(PR_GET_NAME, comm));
	snprintf(number, sizeof(number), "%d", loader);
	good = row && row->seen &&
	       bits_are(row, &(const struct bits)TASK(READER)) & count_fits(row) &
	       same(row, "PID", row->pid, number) & same(row, "COMM", row->comm, comm);
	contexts_free(table);
	return good;
}

static bool good_module_init_for_another(void)
{
	pid_t loader = getpid(), pid = fork_child();
	int status;

	if (!pid) {
		bool good = good_module_init(loader);

		fflush(stdout);
		_exit(!good);
	}
	must(waitpid(pid, &status, 0));
	return !status;
}

/*
 * The faults of one failing read from user memory: arm64's copy_from_user() tries the
 * first byte once more "before being absolutely sure".
 */
#ifdef __aarch64__
#define FAULTS_OF_A_READ 2
#else
#define FAULTS_OF_A_READ 1
#endif

/* How many page faults of this thread the kernel counts during one open. */
static long faults_of_an_open(void)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(event),
		.config = PERF_COUNT_SW_PAGE_FAULTS, .disabled = 1,
	};
	int counter = must(syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
	__u64 count;
	int file;

	/* The path and the code of this are there afterwards. */
	close(must(open(TABLES "contexts", O_RDONLY | O_CLOEXEC)));
	must(ioctl(counter, PERF_EVENT_IOC_ENABLE, 0));
	file = open(TABLES "contexts", O_RDONLY | O_CLOEXEC);
	must(ioctl(counter, PERF_EVENT_IOC_DISABLE, 0));
	must(file);
	must(read(counter, &count, sizeof(count)));
	close(file);
	close(counter);
	return count;
}

/* The kernel goes on to say that an NMI was for nobody. */
static bool log_says(const char *words)
{
	int size = must(klogctl(10, NULL, 0));
	char *text = calloc(1, size + 1);
	bool found;

	must(klogctl(3, text, size));
	found = strstr(text, words);
	free(text);
	return found;
}

/* A process that can have no more mappings is told so, and gets the rest. */
static bool good_without_mapping(void)
{
	struct rlimit all, none = { 0 };
	struct contexts *table;
	const struct context_row *row;
	char *text = malloc(1 << 20);
	ssize_t size;
	bool good;
	int file;

	must(getrlimit(RLIMIT_AS, &all));
	none.rlim_max = all.rlim_max;
	must(setrlimit(RLIMIT_AS, &none));
	file = open(TABLES "contexts", O_RDONLY | O_CLOEXEC);
	size = file < 0 ? -1 : read(file, text, (1 << 20) - 1);
	must(setrlimit(RLIMIT_AS, &all));
	if (size < 0)
		return false;
	/* Long tables come in pieces. */
	for (ssize_t more; (more = read(file, text + size, (1 << 20) - 1 - size)) > 0;)
		size += more;
	close(file);
	text[size] = 0;
	table = contexts_parse(text);
	row = contexts_find(table, "page_fault", -1);
	good = !table->problem && row && !row->seen &&
	       contexts_said(table, "# page_fault could not be provoked") == 1 &&
	       contexts_find(table, "workqueue", 0);
	contexts_free(table);
	return good;
}

/* Address space, as /proc has it: nothing may stay mapped. */
static size_t mappings(void)
{
	size_t count = 0;
	char *text = slurp("/proc/self/maps", NULL);

	for (char *at = text; (at = strchr(at, '\n')); at++)
		count++;
	count = strstr(text, "[taskscope]") ? 0 : count;
	free(text);
	return count;
}

/* The thread that an open makes is let go of. */
static bool no_thread_held(void)
{
	const long opens = 40, few = 4;
	long before = slab_objects("task_struct"), after;

	for (int i = 0; i < opens; i++)
		contexts_free(contexts_read());
	after = slab_objects_in_the_end("task_struct", before + few);
	ksft_print_msg("task_structs: %ld before %ld opens, %ld after\n", before, opens, after);
	return after <= before + few;
}

int main(void)
{
	int cpus[CPUS_MAX], online, tried = 0;
	long before[CPUS_MAX] = { 0 };
	struct utsname name;
	size_t mapped;
	int port;

	ksft_print_header();
	ksft_set_plan(20);
	must(uname(&name));
	rt = strstr(name.version, "PREEMPT_RT");
	online = online_cpus(cpus);
	load_module("/tests/context_oracle.ko", "");
	load_module("/tests/task_oracle.ko", "");
	load_taskscope("");
	ksft_test_result(good_hashes(), "stack pointers are hashed\n");
	load_module("/tests/kthread_open.ko", "path=" TABLES "contexts");
	ksft_test_result_pass("opened by a kernel thread\n");
	must(unload_module("kthread_open") ? -1 : 0);
	/* The kernel closes what a thread of its own has opened when it gets round to it. */
	wait_until(!unload_module("taskscope"), "the file stays open");
	load_taskscope("raw_pointers=1");
	for (int i = 0; i < online; i++)
		before[i] = nmis(i);

	ksft_test_result(good_here(), "every context on %d processors, %s\n", online,
			 rt ? "PREEMPT_RT" : "stock");
	ksft_test_result(good_in_thread(), "for a second thread of a process\n");
	ksft_test_result(good_threads(), "a kernel thread made for it, and workers\n");
	ksft_test_result(good_stacks(), "a stack for the interrupts of each processor\n");
	ksft_test_result(good_module_init_for_another(), "the loading of the module\n");

	ksft_test_result(faults_of_an_open() == FAULTS_OF_A_READ, "a page fault\n");
	mapped = mappings();
	free(contexts_read());
	ksft_test_result(mapped && mappings() == mapped, "nothing stays mapped\n");
	ksft_test_result(good_without_mapping(), "a process that can map nothing more\n");
	must(mlockall(MCL_CURRENT | MCL_FUTURE));
	ksft_test_result(good_here(), "a process that locks all it maps\n");
	must(munlockall());

	ksft_test_result(nmi_rows_fit(online, cpus, before), "no NMI has come\n");
	port = open("/dev/nmi", O_WRONLY | O_CLOEXEC);
	if (strcmp(name.machine, "x86_64")) {
		ksft_test_result_skip("an NMI: no handlers of modules on %s\n", name.machine);
		ksft_test_result_skip("a second NMI: no handlers of modules on %s\n", name.machine);
		ksft_test_result_skip("whom an NMI interrupts: no handlers of modules on %s\n",
				      name.machine);
		ksft_test_result_skip("whose row goes: no handlers of modules on %s\n",
				      name.machine);
		ksft_test_result_skip("NMIs claimed: no handlers of modules on %s\n", name.machine);
	} else {
		long count = all_nmis(online);

		for (int i = 0; i < 2; i++) {
			must(write(port, "\n", 1));
			wait_until(all_nmis(online) != count, "no NMI comes");
			count = all_nmis(online);
			ksft_test_result(nmi_rows_fit(online, cpus, before) &
					 nmi_stacks(cpus, online), "%s NMI\n",
					 i ? "a second" : "an");
		}
		if (online == 2)
			ksft_test_result(nmi_rows_go(cpus, before), "a row for who is online\n");
		else
			ksft_test_result_skip("NMIs of a processor that goes: of two, one stays\n");
		if (online > 1)
			ksft_test_result(nmi_interrupts(port), "it interrupts a process\n");
		else
			ksft_test_result_skip("whom an NMI interrupts: one processor, kept busy\n");
		ksft_test_result(log_says("NMI received for unknown reason"), "and claims none\n");
	}

	ksft_test_result(no_thread_held(), "no thread is held on to\n");
	ksft_test_result(good_with_fewer_cpus(&tried), "with fewer processors, %d times\n", tried);
	ksft_test_result(!contexts_said(contexts_read(), "did not answer"), "all answer at last\n");
	ksft_finished();
}
