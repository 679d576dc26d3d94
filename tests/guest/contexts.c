// SPDX-License-Identifier: GPL-2.0
/*
 * The rows of `contexts` against independent sources: the bits against what the kernel's
 * configuration implies, preempt_count against the kernel's headers, `current` against the
 * reader and /proc, CPUs against /sys, stacks against the stacks of all tasks. QEMU
 * injects an NMI from outside of the guest.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
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

/* The expected row of a context on the stock kernel and on PREEMPT_RT; NULL: any value. */
struct expected {
	const char *context;
	bool per_cpu;
	struct bits {
		const char *in_task, *softirq, *hardirq, *nmi, *irqs, *stack;
		/* `current`: the reader, a kernel thread, or any task. */
		enum { READER, KTHREAD, ANYONE } current;
	} stock, rt;
};

#define TASK(who) { "yes", "no", "no", "no", "yes", "task", who }
/* An interrupt may interrupt a softirq; preempt_count shows that. */
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
	{ "irq_thread", true, TASK(KTHREAD), TASK(KTHREAD) },
};

#define CONTEXTS ((int)ARRAY_SIZE(contexts))

static unsigned long constant(const char *name)
{
	return parameter_value("context_oracle", name);
}

/* Compares a value and prints a difference. */
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
 * A softirq that takes too long continues in ksoftirqd. There it runs on the thread's
 * stack, or on the interrupt stack if an interrupt came before the thread was scheduled.
 */
static bool in_ksoftirqd(const struct context_row *row)
{
	char name[30];

	snprintf(name, sizeof(name), "[ksoftirqd/%s]", row->cpu);
	return !strcmp(row->comm, name);
}

/*
 * On x86-64 an interrupt in user space uses the kernel stack of the thread, which is empty,
 * and so does the softirq at the end of the interrupt.
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

/* preempt_count agrees with the columns, by the masks of the kernel's headers. */
static bool count_fits(const struct context_row *row)
{
	unsigned long count = strtoul(row->preempt_count, NULL, 16);
	bool hard = count & constant("hardirq_mask"), nmi = count & constant("nmi_mask");
	bool soft = count & constant("softirq_offset");
	bool good;

	good = same(row, "HARDIRQ", row->hardirq, hard ? "yes" : "no") &
	       same(row, "NMI", row->nmi, nmi ? "yes" : "no");
	/* PREEMPT_RT counts softirqs in the task, not in preempt_count. */
	if (!rt)
		good &= same(row, "SOFTIRQ", row->softirq, soft ? "yes" : "no");
	/* The code of taskscope in process context holds no lock and has preemption enabled. */
	if (!strcmp(row->in_task, "yes"))
		good &= same(row, "PREEMPT_COUNT", row->preempt_count, "00000000");
	return good;
}

/* A live thread is as /proc says. A dead one was created for the open. */
static bool is_that_thread(const struct context_row *row)
{
	struct proc_thread thread;

	if (!proc_thread(atoi(row->tgid), atoi(row->pid), &thread)) {
		bool ours = !strcmp(row->comm, "[taskscope_probe]") ||
			    (!strncmp(row->comm, "[irq/", 5) && strstr(row->comm, "-tasks"));

		if (!ours)
			printf("# %s on CPU %s: no thread %s: %s\n", row->context, row->cpu,
			       row->pid, row->comm);
		return ours && !strcmp(row->pid, row->tgid);
	}
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
	/* The idle task of the row's CPU. */
	snprintf(number, sizeof(number), "[swapper/%s]", row->cpu);
	return is_kernel_thread(row) & same(row, "COMM", row->comm, number);
}

/* Every context is as expected on every online CPU. */
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

			/* No other CPU can send an IPI. */
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
			!strcmp(table->row[i].context, "device_irq") ||
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

/* With every number of CPUs that this guest can have online. */
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

/* The row's thread is a workqueue worker, by its flags. */
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

	/* The thread was created for the open, and has exited. */
	snprintf(path, sizeof(path), "/proc/%s", row->pid);
	good = !strcmp(row->comm, "[taskscope_probe]") && atoi(row->pid) > getpid();
	wait_until(access(path, F_OK), "the thread of an open does not exit");
	for (int i = 0; i < online; i++)
		good &= is_worker(contexts_find(table, "workqueue", cpus[i]));
	contexts_free(table);
	return good;
}

/* Whether a raw address lies in a task's kernel stack: of any task, or of one. */
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

/* Raw stack pointers lie in the reader's own stack, or in no task's stack. */
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
		/* All interrupts of a CPU use one stack, as large as a task's. */
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

/* In /proc/softirqs: the count of a CPU, given by its place, and the number of the softirq. */
static long softirq_count(const char *name, int place, int *number)
{
	char *text = slurp("/proc/softirqs", NULL), *line = strchr(text, '\n'), *at;
	long count = -1;

	for (*number = 0; line; line = strchr(line, '\n'), ++*number) {
		line++;
		line += strspn(line, " ");
		if (strncmp(line, name, strlen(name)) || line[strlen(name)] != ':')
			continue;
		at = line + strlen(name) + 1;
		for (; place >= 0; place--)
			count = strtol(at, &at, 10);
		break;
	}
	free(text);
	return count;
}

static bool source_is(const struct contexts *table, const char *context, int cpu,
		      const char *format, ...)
{
	const struct context_row *row = contexts_find(table, context, cpu);
	char source[80];
	va_list values;

	va_start(values, format);
	vsnprintf(source, sizeof(source), format, values);
	va_end(values);
	return row && same(row, "SOURCE", row->source, source);
}

/* SOURCE of irq_thread has the number that is in the name of the thread. */
static bool good_irq_thread(const struct context_row *row)
{
	char comm[40], source[40];
	int number = atoi(row->source);

	snprintf(source, sizeof(source), "%d:taskscope", number);
	snprintf(comm, sizeof(comm), "irq/%d-taskscope", number);
	/* The kernel cuts the name of a thread off. */
	comm[15] = 0;
	return same(row, "SOURCE", row->source, source) & !strncmp(row->comm + 1, comm, 15);
}

static bool good_sources(void)
{
	static const char * const names[] = { "TASKLET", "TIMER" };
	static const char * const rows[] = { "softirq_bh", "softirq_timer" };
	int cpus[CPUS_MAX], online = online_cpus(cpus), number;
	long before[2][CPUS_MAX];
	struct contexts *table;
	bool good = true;

	for (int n = 0; n < 2; n++)
		for (int i = 0; i < online; i++)
			before[n][i] = softirq_count(names[n], i, &number);
	table = contexts_read();
	good &= source_is(table, "syscall", -1, "%d:openat", SYS_openat) &
		source_is(table, "module_init", -1, "%d:finit_module", SYS_finit_module) &
		source_is(table, "page_fault", -1, "read") &
		source_is(table, "kthread", -1, "taskscope_open");
	for (int i = 0; i < online; i++) {
		int cpu = cpus[i];

		for (int n = 0; n < 2; n++) {
			bool grown = softirq_count(names[n], i, &number) > before[n][i];

			good &= grown & source_is(table, rows[n], cpu, "%d:%s", number, names[n]);
		}
		good &= source_is(table, "workqueue", cpu, "taskscope") &
			source_is(table, "hrtimer", cpu, "CLOCK_MONOTONIC") &
			source_is(table, "irq_work", cpu, "cpu%d", cpu) &
			good_irq_thread(contexts_find(table, "irq_thread", cpu));
		if (online > 1)
			good &= source_is(table, "ipi", cpu, "cpu%d",
					  cpus[(i + online - 1) % online]);
	}
	/* Nothing is known of what has not happened, and of what has sent an NMI. */
	for (size_t i = 0; i < table->rows; i++)
		if (!table->row[i].seen || !strcmp(table->row[i].context, "nmi"))
			good &= same(&table->row[i], "SOURCE", table->row[i].source, "-");
	contexts_free(table);
	return good;
}

/* The NMI counter of a CPU in /proc/interrupts. */
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

/* Whether a module can handle NMIs on this architecture. */
#ifdef __x86_64__
#define HAS_NMI true
#else
#define HAS_NMI false
#endif

/* The kernel's NMI counters say which CPUs must have an nmi row. */
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
	/* A summary line names each other CPU, or one line says why there is none. */
	if (!HAS_NMI)
		good &= without == online && contexts_said(table, "# nmi: ") == 1 &&
			contexts_said(table, "# nmi: a module can have none") == 1;
	else
		good &= (int)contexts_said(table, "# nmi: none on processor ") == without;
	contexts_free(table);
	return good;
}

/* A CPU with an nmi row goes offline: its row is gone, the other rows stay. */
static bool nmi_rows_go(const int *cpus, long *before)
{
	char parameters[30];
	long count = nmis(1);
	bool good;

	snprintf(parameters, sizeof(parameters), "cpu=%d", cpus[1]);
	load_module("/tests/send_nmi.ko", parameters);
	wait_until(nmis(1) != count, "there is no NMI");
	good = nmi_rows_fit(2, cpus, before);
	set_online(cpus[1], false);
	good &= nmi_rows_fit(1, cpus, before);
	set_online(cpus[1], true);
	return good & nmi_rows_fit(2, cpus, before);
}

/* A process that keeps the first CPU busy, so that the NMI interrupts it. */
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
 * `current` in an NMI is the interrupted task. The NMI uses the task's own stack if it
 * interrupted user space, where this task is most of the time, and else the NMI stack.
 */
static bool nmi_interrupts(int port)
{
	bool *ready = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
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
	wait_until(*(volatile bool *)ready, "no process on the first CPU");
	must(write(port, "\n", 1));
	wait_until(nmis(0) != before, "there is no NMI");
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

/* A stack pointer in an interrupt of the CPU, or 0. */
static unsigned long irq_stack(const struct contexts *table, int cpu)
{
	for (size_t i = 0; i < table->rows; i++)
		if (!strcmp(table->row[i].stack, "irq") && atoi(table->row[i].cpu) == cpu)
			return strtoul(table->row[i].sp, NULL, 16);
	return 0;
}

/* An NMI that interrupts the kernel runs on a stack of its own. */
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

/* Stack pointers are hashed by default: they are no kernel stack addresses. */
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

/* The module_init row shows the process that loaded the module, to any reader. */
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
 * The page faults of one failing read from user memory: arm64's copy_from_user() tries the
 * first byte once more "before being absolutely sure".
 */
#ifdef __aarch64__
#define FAULTS_OF_A_READ 2
#else
#define FAULTS_OF_A_READ 1
#endif

/* The number of page faults that the kernel counts for this thread during one open. */
static long faults_of_an_open(void)
{
	struct perf_event_attr event = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(event),
		.config = PERF_COUNT_SW_PAGE_FAULTS, .disabled = 1,
	};
	int counter = must(syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
	__u64 count;
	int file;

	/* A first open loads the pages of the path and the code. */
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

/* The kernel logs that no handler has claimed the NMI. */
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

/* A process at its mapping limit gets a summary line instead of the row, and all others. */
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
	/* A long table takes several reads. */
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

/* The number of mappings in /proc/self/maps; 0 if one of taskscope's is left. */
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

/* No reference to the thread of an open is left. */
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
	ksft_set_plan(21);
	must(uname(&name));
	rt = is_preempt_rt();
	online = online_cpus(cpus);
	load_module("/tests/context_oracle.ko", "");
	load_module("/tests/task_oracle.ko", "");
	load_taskscope("");
	ksft_test_result(good_hashes(), "raw_pointers=0: stack pointers are hashed\n");
	load_module("/tests/kthread_open.ko", "path=" TABLES "contexts");
	ksft_test_result_pass("open by a kernel thread: no error\n");
	must(unload_module("kthread_open") ? -1 : 0);
	/* The kernel closes a kernel thread's file later, in a work item. */
	wait_until(!unload_module("taskscope"), "the module stays in use");
	load_taskscope("raw_pointers=1");
	for (int i = 0; i < online; i++)
		before[i] = nmis(i);

	ksft_test_result(good_here(),
			 "every context on %d CPUs, %s: the row is as expected\n", online,
			 rt ? "PREEMPT_RT" : "stock");
	ksft_test_result(good_in_thread(), "reader is a second thread: every row is as expected\n");
	ksft_test_result(good_threads(),
			 "kthread row: a new kernel thread; workqueue rows: workers\n");
	ksft_test_result(good_stacks(),
			 "interrupts of a CPU: one stack, which is no task's\n");
	ksft_test_result(good_sources(),
			 "SOURCE: calls, softirqs, CPUs, interrupts as the kernel names them\n");
	ksft_test_result(good_module_init_for_another(),
			 "module_init row: the process that loaded the module\n");

	ksft_test_result(faults_of_an_open() == FAULTS_OF_A_READ,
			 "page_fault row: the kernel counts one page fault\n");
	mapped = mappings();
	free(contexts_read());
	ksft_test_result(mapped && mappings() == mapped, "after the open: nothing stays mapped\n");
	ksft_test_result(good_without_mapping(),
			 "mapping limit reached: the summary says so, the other rows are there\n");
	must(mlockall(MCL_CURRENT | MCL_FUTURE));
	ksft_test_result(good_here(), "mlockall(): every row is as expected\n");
	must(munlockall());

	ksft_test_result(nmi_rows_fit(online, cpus, before),
			 "no injected NMI: nmi rows as /proc/interrupts counts\n");
	port = open("/dev/nmi", O_WRONLY | O_CLOEXEC);
	if (strcmp(name.machine, "x86_64")) {
		ksft_test_result_skip("first NMI: modules have no NMI handlers on %s\n",
				      name.machine);
		ksft_test_result_skip("second NMI: modules have no NMI handlers on %s\n",
				      name.machine);
		ksft_test_result_skip("interrupted task: modules have no NMI handlers on %s\n",
				      name.machine);
		ksft_test_result_skip("CPU offline: modules have no NMI handlers on %s\n",
				      name.machine);
		ksft_test_result_skip("claimed NMIs: modules have no NMI handlers on %s\n",
				      name.machine);
	} else {
		long count = all_nmis(online);

		for (int i = 0; i < 2; i++) {
			must(write(port, "\n", 1));
			wait_until(all_nmis(online) != count, "there is no NMI");
			count = all_nmis(online);
			ksft_test_result(nmi_rows_fit(online, cpus, before) &
					 nmi_stacks(cpus, online),
					 "%s NMI: nmi rows as /proc/interrupts counts\n",
					 i ? "second" : "first");
		}
		if (online == 2)
			ksft_test_result(nmi_rows_go(cpus, before),
					 "CPU offline: it has no nmi row\n");
		else
			ksft_test_result_skip("CPU offline: needs two CPUs\n");
		if (online > 1)
			ksft_test_result(nmi_interrupts(port),
					 "NMI interrupts a process: the row shows that process\n");
		else
			ksft_test_result_skip("NMI interrupts a process: needs two CPUs\n");
		ksft_test_result(log_says("NMI received for unknown reason"),
				 "NMIs: the module claims none\n");
	}

	ksft_test_result(no_thread_held(), "after the opens: no reference to a thread is left\n");
	ksft_test_result(good_with_fewer_cpus(&tried),
			 "fewer CPUs online, %d times: every row is as expected\n", tried);
	ksft_test_result(!contexts_said(contexts_read(), "did not answer"),
			 "all CPUs online again: every CPU answers\n");
	ksft_finished();
}
