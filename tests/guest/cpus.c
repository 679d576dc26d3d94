// SPDX-License-Identifier: GPL-2.0
/*
 * `cpus` shows what each CPU runs. Programs and a module that keep a CPU busy in a known place
 * are the expected values, and the samples of perf's cpu-clock a second witness.
 * (tests/host/spins.test compares with sysrq-l, which leaves call traces in the log.)
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "contexts.h"
#include "cpus.h"
#include "frames.h"
#include "guest.h"
#include "isolation.h"
#include "trace.h"

/* No frame of the interrupt that asks may be left. */
static const char * const of_the_interrupt[] = {
	"hrtimer_", "__hrtimer_", "tick_", "sysvec_apic_timer", "asm_sysvec_apic_timer",
	"arch_timer_", "el1_interrupt", "el1h_64_irq", "gic_", "stack_trace_",
};

static bool no_frame_of_the_interrupt(const struct rows *table, int cpu)
{
	for (size_t i = 0; i < ARRAY_SIZE(of_the_interrupt); i++)
		if (cpus_frame(table, cpu, of_the_interrupt[i]))
			return false;
	return true;
}

static struct rows *read_whole(void)
{
	struct rows *table = rows_read("cpus");

	if (!cpus_whole(table))
		die("the table is not whole");
	return table;
}

/* The reader is on the first CPU. An interrupt may just be running there. */
static bool has_reader(const struct rows *table)
{
	char pid[20];

	snprintf(pid, sizeof(pid), "%d", getpid());
	return !strcmp(cpus_value(table, 0, "PID"), pid) &&
	       !strcmp(cpus_value(table, 0, "TGID"), pid) &&
	       !strcmp(cpus_value(table, 0, "COMM"), "cpus.test");
}

/* The reader is within open(), and nothing has interrupted it but the sample. */
static bool is_in_open(const struct rows *table)
{
	return has_reader(table) && !strcmp(cpus_value(table, 0, "CONTEXT"), "task") &&
	       cpus_frame(table, 0, "do_dentry_open+") && cpus_frame(table, 0, "do_sys_openat2+") &&
	       no_frame_of_the_interrupt(table, 0);
}

static void test_reader(void)
{
	struct rows *table = NULL;

	wait_until(({
		if (table)
			rows_free(table);
		table = read_whole();
		strcmp(cpus_value(table, 0, "CONTEXT"), "hardirq") &&
		strcmp(cpus_value(table, 0, "CONTEXT"), "softirq");
	}), "the reader's CPU runs nothing but interrupts");
	if (!is_in_open(table))
		ksft_print_msg("%.3000s\n", table->text);
	ksft_test_result(is_in_open(table), "reader's own CPU: the reader in open()\n");
	rows_free(table);
}

/* The samples of perf's cpu-clock on a CPU: how many there were, and how many were as expected. */
struct clock {
	unsigned long samples, expected;
};

#define CLOCK_PAGES 16
/* Of a debug kernel, a sample takes about a millisecond. */
#define CLOCK_PERIOD_NS 10000000

static struct clock sample_by_clock(int cpu, pid_t pid, unsigned long from, unsigned long to)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE, .size = sizeof(attributes),
		.config = PERF_COUNT_SW_CPU_CLOCK, .sample_period = CLOCK_PERIOD_NS,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID,
	};
	const size_t page = PAGE, size = CLOCK_PAGES * page;
	int file = must(syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, 0));
	struct perf_event_mmap_page *ring =
		mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	struct clock clock = { 0 };
	unsigned long head, at = 0;

	must((intptr_t)ring);
	wait_until(__atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE) > 20 * 24, "no samples");
	must(ioctl(file, PERF_EVENT_IOC_DISABLE, 0));
	head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);
	while (at < head && at < size) {
		struct {
			struct perf_event_header header;
			unsigned long ip;
			unsigned int pid, tid;
		} *sample = (void *)((char *)ring + page + at);

		if (sample->header.type == PERF_RECORD_SAMPLE) {
			bool expected = sample->tid == (unsigned int)pid && sample->ip >= from &&
					sample->ip < to;

			clock.samples++;
			clock.expected += expected;
			if (!expected)
				ksft_print_msg("cpu-clock: thread %u at %#lx\n", sample->tid,
					       sample->ip);
		}
		at += sample->header.size;
	}
	munmap(ring, page + size);
	close(file);
	return clock;
}

/* Most samples agree: at times the CPU runs something else for a moment. */
static bool agrees(struct clock clock)
{
	ksft_print_msg("cpu-clock: %lu samples of %lu\n", clock.expected, clock.samples);
	return clock.expected > clock.samples / 2;
}

/* Where the text of the module spin is. */
static void find_spin(unsigned long *from, unsigned long *to)
{
	char *text = slurp("/proc/modules", NULL), *line = strstr(text, "spin ");
	unsigned long size;

	/* NAME SIZE USES USERS STATE ADDRESS */
	if (!line || sscanf(line, "spin %lu %*s %*s %*s %lx", &size, from) != 2)
		die("/proc/modules has no spin");
	*to = *from + size;
	free(text);
}

/*
 * Reads until the CPU ran the module's function: at times it runs another interrupt or a thread
 * of a higher class.
 */
static struct rows *read_spinning(int cpu, const char *context, const char *function)
{
	struct rows *table = NULL;

	wait_until(({
		if (table)
			rows_free(table);
		table = read_whole();
		!strcmp(cpus_value(table, cpu, "CONTEXT"), context) &&
		cpus_frame(table, cpu, function);
	}), "CPU %d does not run %s", cpu, function);
	return table;
}

/* How many frames the CPU has before the function; -1 if it has not that one. */
static long frames_before(const struct rows *table, int cpu, const char *function)
{
	struct cpu_rows rows = cpus_rows(table, cpu);

	for (size_t i = 0; i < rows.count; i++)
		if (!strncmp(rows_value(table, rows.first + i, "FRAME"), function,
			     strlen(function)))
			return i;
	return -1;
}

static void test_kernel_spinner(int cpu)
{
	pid_t pid = load_spin(cpu, SPIN_LIMIT, "how=enabled");
	unsigned long from, to;
	struct rows *table;
	struct cpu_rows rows;
	long before;
	char number[20];

	snprintf(number, sizeof(number), "%d", pid);
	find_spin(&from, &to);
	start_spin();
	table = read_spinning(cpu, "task", "spin_enabled+");
	rows = cpus_rows(table, cpu);
	before = frames_before(table, cpu, "spin_enabled+");
	/* Its functions at that moment are ktime_get() and below. */
	ksft_test_result(before >= 0 && before <= 3 && rows.count > (size_t)before + 2 &&
			 !strncmp(rows_value(table, rows.first + before + 1, "FRAME"), "run+", 4) &&
			 strstr(rows_value(table, rows.first + before + 1, "FRAME"), " [spin]") &&
			 !strncmp(rows_value(table, rows.first + before + 2, "FRAME"),
				  "kthread+", 8) &&
			 no_frame_of_the_interrupt(table, cpu),
			 "thread of a module spins: its frames, and no others\n");
	ksft_test_result(!strcmp(cpus_value(table, cpu, "PID"), number) &&
			 !strcmp(cpus_value(table, cpu, "COMM"), "[spin]") &&
			 !strcmp(cpus_value(table, cpu, "VALID"), "sampled"),
			 "thread of a module spins: PID and COMM are its own\n");
	rows_free(table);
	ksft_test_result(agrees(sample_by_clock(cpu, pid, from, to)),
			 "thread of a module spins: cpu-clock samples the same thread and place\n");
	stop_spin();
	unload_spin();
}

/* How many frames of the CPU begin with the text. */
static size_t count_frames(const struct rows *table, int cpu, const char *begin)
{
	struct cpu_rows rows = cpus_rows(table, cpu);
	size_t count = 0;

	for (size_t i = 0; i < rows.count; i++)
		count += !strncmp(rows_value(table, rows.first + i, "FRAME"), begin, strlen(begin));
	return count;
}

#define LEVELS "100"

/* A stack of more frames than are shown. */
static void test_deep_stack(int cpu)
{
	struct rows *table;

	load_spin(cpu, SPIN_LIMIT, "levels=" LEVELS);
	start_spin();
	table = read_spinning(cpu, "task", "spin_enabled+");
	ksft_test_result(cpus_rows(table, cpu).count == MOST_FRAMES &&
			 count_frames(table, cpu, "spin_descend+") >= MOST_FRAMES - 4 &&
			 !cpus_frame(table, cpu, "run+") &&
			 cpus_said(table, "# 1 stacks truncated, to the innermost 64 frames") == 1,
			 LEVELS " calls deep: the innermost frames, and the summary says so\n");
	rows_free(table);
	stop_spin();
	unload_spin();
}

static void *read_on(void *cpu)
{
	stay_on(*(int *)cpu);
	return rows_read("cpus");
}

/* Reads `cpus` while the first CPU spins. A grace period passes before names are looked up. */
static struct rows *read_after_grace_period(int cpu)
{
	char tgid[20];
	struct rows *table;
	pthread_t reader;

	snprintf(tgid, sizeof(tgid), "tgid=%d", getpid());
	load_spin(0, SPIN_LIMIT, "levels=" LEVELS);
	load_module("/tests/pass_grace_period.ko", tgid);
	start_spin();
	if (pthread_create(&reader, NULL, read_on, &cpu))
		die("pthread_create");
	/* No grace period passes while the CPU spins, but on PREEMPT_RT. */
	wait_until(parameter_is_set("pass_grace_period", "waits"), "the open asks for none");
	stop_spin();
	pthread_join(reader, (void **)&table);
	must(unload_module("pass_grace_period") ? -1 : 0);
	unload_spin();
	return table;
}

/*
 * The module may have been unloaded, and another one loaded there, if a grace period has passed
 * since the sample. The first CPU spins: its names are the first for which the open has room.
 */
static void test_grace_period(int cpu)
{
	struct rows *table = NULL;
	struct cpu_rows rows;
	size_t addresses = 0, named = 0, of_module = 0;
	char own[20];

	snprintf(own, sizeof(own), "%d", getpid());
	stay_on(cpu);
	/* Another thread, or an interrupt, may have either CPU for a moment. */
	wait_until(({
		if (table)
			rows_free(table);
		table = read_after_grace_period(cpu);
		!strcmp(cpus_value(table, 0, "COMM"), "[spin]") &&
		!strcmp(cpus_value(table, cpu, "TGID"), own) &&
		!strcmp(cpus_value(table, cpu, "CONTEXT"), "task");
	}), "CPU 0 does not run the thread that spins, or CPU %d the reader", cpu);
	rows = cpus_rows(table, 0);
	for (size_t i = 0; i < rows.count; i++) {
		const char *frame = rows_value(table, rows.first + i, "FRAME");

		addresses += is_address(frame);
		of_module += !!strchr(frame, '[');
	}
	rows = cpus_rows(table, cpu);
	for (size_t i = 0; i < rows.count; i++)
		named += !!strstr(rows_value(table, rows.first + i, "FRAME"), "+0x");
	ksft_print_msg("%zu addresses, %zu names:\n%.9000s\n", addresses, named, table->text);
	ksft_test_result(cpus_whole(table) && !of_module && addresses >= MOST_FRAMES - 8,
			 "grace period since the sample: frames of a module have no names\n");
	ksft_test_result(named > 4 && cpus_frame(table, cpu, "do_sys_openat2+"),
			 "grace period since the sample: frames of the kernel have their names\n");
	rows_free(table);
	stay_on(0);
}

static void test_interrupts(int cpu)
{
	struct rows *table;
	long before;
	bool good;

	load_spin(cpu, SPIN_LIMIT, "how=softirq");
	start_spin();
	table = read_spinning(cpu, "softirq", "spin_softirq+");
	before = frames_before(table, cpu, "spin_softirq+");
	good = before >= 0 && before <= 3 && frames_before(table, cpu, "call_timer_fn+") > before;
	if (!good)
		ksft_print_msg("%.3000s\n", table->text);
	ksft_test_result(good, "softirq spins: CONTEXT softirq, its frames\n");
	rows_free(table);
	stop_spin();
	unload_spin();
#ifdef __x86_64__
	/* lockdep reports a handler that enables interrupts. */
	if (!access("/proc/lockdep_stats", F_OK)) {
		ksft_test_result_skip("lockdep allows no handler that enables interrupts\n");
		return;
	}
	load_spin(cpu, SPIN_LIMIT, "how=hardirq");
	start_spin();
	table = read_spinning(cpu, "hardirq", "spin_hardirq+");
	before = frames_before(table, cpu, "spin_hardirq+");
	ksft_test_result(before >= 0 && before <= 3 && cpus_frame(table, cpu, "run+"),
			 "interrupt handler spins: CONTEXT hardirq, its frames and the interrupted ones\n");
	rows_free(table);
	stop_spin();
	unload_spin();
#else
	ksft_test_result_skip("the interrupt controller masks other interrupts in a handler\n");
#endif
}

/* A program that spins in one instruction, with a name that has to be escaped. */
static int *spins;

static void spin_in_user_space(void *cpu)
{
	stay_on(*(int *)cpu);
	must(prctl(PR_SET_NAME, " a b\n\\"));
	*spins = 1;
	for (;;)
		;
}

/* Reads until the CPU ran the program in user space. */
static struct rows *read_in_user_space(int cpu, pid_t pid)
{
	struct rows *table = NULL;
	char number[20];

	snprintf(number, sizeof(number), "%d", pid);
	wait_until(({
		if (table)
			rows_free(table);
		table = read_whole();
		!strcmp(cpus_value(table, cpu, "PID"), number) &&
		!strcmp(cpus_value(table, cpu, "CONTEXT"), "user");
	}), "CPU %d does not run the program", cpu);
	return table;
}

/* Another thread is changing all mappings of the program. */
static void test_locked_mapping(int cpu, pid_t pid)
{
	char parameters[40];
	struct rows *table;
	unsigned long address;

	snprintf(parameters, sizeof(parameters), "pid=%d mappings=1", pid);
	load_module("/tests/hold_mmap.ko", parameters);
	table = read_in_user_space(cpu, pid);
	address = strtoul(cpus_value(table, cpu, "ADDRESS"), NULL, 16);
	ksft_test_result(!strcmp(cpus_value(table, cpu, "VALID"), "locked") &&
			 !strcmp(cpus_value(table, cpu, "FRAME"), "-") &&
			 address >= (unsigned long)spin_in_user_space &&
			 address < (unsigned long)spin_in_user_space + 200,
			 "program spins, its mappings are locked: ADDRESS, VALID locked, no name\n");
	rows_free(table);
	must(unload_module("hold_mmap") ? -1 : 0);
}

#define PROGRAMS 40
#define FEW 8

/* Each sample of a program takes a reference to its address space. */
static void test_references(int cpu)
{
	long before = slab_objects("mm_struct"), after;

	for (int i = 0; i < PROGRAMS; i++) {
		pid_t pid = start_child(spin_in_user_space, &cpu);

		rows_free(read_in_user_space(cpu, pid));
		end_child(pid);
	}
	after = slab_objects_in_the_end("mm_struct", before + FEW);
	ksft_print_msg("%ld address spaces before, %ld after\n", before, after);
	ksft_test_result(after <= before + FEW,
			 "%d programs, each sampled: their address spaces are freed\n", PROGRAMS);
}

static void test_user_spinner(int cpu)
{
	pid_t pid = start_child(spin_in_user_space, &cpu);
	struct rows *table;
	char frame[300];
	unsigned long address;

	wait_until(*spins, "no spinner");
	table = read_in_user_space(cpu, pid);
	address = strtoul(cpus_value(table, cpu, "ADDRESS"), NULL, 16);
	proc_frame(pid, address, frame, sizeof(frame));
	ksft_print_msg("%s %s\n", cpus_value(table, cpu, "ADDRESS"),
		       cpus_value(table, cpu, "FRAME"));
	ksft_test_result(!strcmp(cpus_value(table, cpu, "FRAME"), frame) && strchr(frame, '/') &&
			 cpus_rows(table, cpu).count == 1,
			 "program spins: one frame, with the mapping of /proc/PID/maps\n");
	ksft_test_result(address >= (unsigned long)spin_in_user_space &&
			 address < (unsigned long)spin_in_user_space + 200,
			 "program spins: ADDRESS is in the function that spins\n");
	ksft_test_result(!strcmp(cpus_value(table, cpu, "COMM"), "\\040a\\040b\\012\\134"),
			 "name with spaces: every space is escaped\n");
	ksft_test_result(agrees(sample_by_clock(cpu, pid, address - 100, address + 100)),
			 "program spins: cpu-clock samples the same place\n");
	rows_free(table);
	write_set_pid("1");
	table = read_whole();
	ksft_test_result(cpus_rows(table, cpu).count && cpus_rows(table, 0).count,
			 "set_pid: all CPUs are shown\n");
	rows_free(table);
	write_set_pid("");
	test_locked_mapping(cpu, pid);
	end_child(pid);
}

/*
 * On arm64 a function that is interrupted before it has made its frame hides its caller, which
 * may be do_idle(). Then there is the caller of that one.
 */
static bool has_idle_frames(const struct rows *table, int cpu)
{
#ifdef __aarch64__
	if (cpus_frame(table, cpu, "cpu_startup_entry+"))
		return true;
#endif
	return cpus_frame(table, cpu, "do_idle+");
}

static void test_idle(int cpu)
{
	struct rows *table = NULL;
	char name[30];
	bool good;

	wait_until(({
		if (table)
			rows_free(table);
		table = read_whole();
		/* The idle task stops and starts the tick by functions of these names. */
		!strcmp(cpus_value(table, cpu, "CONTEXT"), "idle") &&
		!cpus_frame(table, cpu, "tick_nohz_idle_") &&
		!cpus_frame(table, cpu, "tick_nohz_get_sleep_length");
	}), "CPU %d is never idle", cpu);
	snprintf(name, sizeof(name), "[swapper/%d]", cpu);
	good = !strcmp(cpus_value(table, cpu, "PID"), "0") &&
	       !strcmp(cpus_value(table, cpu, "COMM"), name) && has_idle_frames(table, cpu) &&
	       no_frame_of_the_interrupt(table, cpu);
	if (!good)
		ksft_print_msg("%.3000s\n", table->text);
	ksft_test_result(good, "idle CPU: CONTEXT idle, the frames of the idle task\n");
	rows_free(table);
}

/* What is seen beside a CPU whose interrupts are disabled. */
static int last_cpu;

static bool is_spin(const struct rows *table)
{
	char path[60], *comm;
	bool is;

	snprintf(path, sizeof(path), "/proc/%s/comm", cpus_value(table, last_cpu, "PID"));
	comm = try_slurp(path, NULL);
	is = comm && !strcmp(comm, "spin\n") &&
	     !strcmp(cpus_value(table, last_cpu, "COMM"), "[spin]");
	free(comm);
	return is;
}

enum { SILENT = 1, OTHERS = 2, UNLOAD_WAITS = 4, SPIN = 8 };

static int see_silence(void)
{
	struct rows *table;
	char words[80];
	double began = monotonic();
	int seen = 0;

	table = rows_read("cpus");
	ksft_print_msg("the open took %.1f s\n", monotonic() - began);
	snprintf(words, sizeof(words), "# CPU %d did not answer within 1000 ms", last_cpu);
	if (cpus_whole(table) && !strcmp(cpus_value(table, last_cpu, "VALID"), "silent") &&
	    cpus_rows(table, last_cpu).count == 1 && cpus_said(table, words) == 1)
		seen |= SILENT;
	if (has_reader(table))
		seen |= OTHERS;
	if (is_spin(table))
		seen |= SPIN;
	return seen;
}

static int unload_in_silence(void)
{
	pid_t remover = fork_child();
	int status;

	if (!remover) {
		rows_free(rows_read("cpus"));
		_exit(unload_module("taskscope"));
	}
	wait_for_state(remover, remover, "D");
	stop_spin();
	must(waitpid(remover, &status, 0));
	return status ? 0 : UNLOAD_WAITS;
}

/*
 * What the module drops in its workqueue: the calls and timers of an open whose CPUs have not all
 * answered.
 */
static long dropped_later(void)
{
	return traced(ALL_CPUS, "workqueue=taskscope_cpus");
}

static void watch_workqueue(void)
{
	trace_begin("workqueue/workqueue_queue_work", "workqueue == \"taskscope_cpus\"");
}

static void test_interrupts_disabled(int cpu)
{
	struct rows *table;
	long later;
	int seen;

	last_cpu = cpu;
	watch_workqueue();
	seen = beside_disabled_interrupts(cpu, see_silence);
	later = dropped_later();
	trace_end();
	ksft_test_result(seen & SILENT,
			 "interrupts disabled: the CPU is silent, and the summary says so\n");
	ksft_test_result(seen & SPIN,
			 "interrupts disabled: the row names the thread that has disabled them\n");
	ksft_test_result(seen & OTHERS, "interrupts disabled: the other CPU is sampled\n");
	ksft_test_result(later == 1, "interrupts disabled: the open does not wait for the call\n");
	table = read_whole();
	ksft_test_result(!cpus_said(table, "did not answer"),
			 "interrupts enabled again: the CPU answers\n");
	rows_free(table);
	ksft_test_result(beside_disabled_interrupts(cpu, unload_in_silence) == UNLOAD_WAITS,
			 "interrupts disabled: the unload waits for the CPU\n");
	load_taskscope("");
}

/* Shared memory is freed with its last mapping. */
#define SHARED_KIB (16 * 1024)

static long shared_kib(void)
{
	char *text = slurp("/proc/meminfo", NULL), *line = strstr(text, "Shmem:");
	long kib;

	if (!line || sscanf(line, "Shmem: %ld kB", &kib) != 1)
		die("/proc/meminfo has no Shmem");
	free(text);
	return kib;
}

static void spin_with_memory(void *cpu)
{
	size_t size = SHARED_KIB * 1024;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must((intptr_t)memory);
	memset(memory, 1, size);
	spin_in_user_space(cpu);
}

enum { FREED = 2 };

/* The CPUs are sampled in their order. */
static int program_cpu;

static int see_memory(void)
{
	long before = shared_kib(), during, after;
	pid_t pid = start_child(spin_with_memory, &program_cpu);

	rows_free(read_in_user_space(program_cpu, pid));
	during = shared_kib();
	end_child(pid);
	after = shared_kib();
	ksft_print_msg("shared memory: %ld KiB before, %ld with the program, %ld after\n",
		       before, during, after);
	if (during < before + SHARED_KIB / 2)
		die("the program has no memory");
	return after < before + SHARED_KIB / 2 ? FREED : 0;
}

static void test_memory(const int *cpus, int online)
{
	if (online < 3) {
		ksft_test_result_skip("needs three CPUs: the reader's, a stuck one, a program's\n");
		return;
	}
	program_cpu = cpus[2];
	ksft_test_result(beside_disabled_interrupts(cpus[1], see_memory) == FREED,
			 "interrupts disabled: a sampled program that ends gives its memory back\n");
}

/* A child, because an open that waits for the call would never end. */
static void read_without(void *cpu)
{
	struct rows *table = read_whole();

	*spins = !cpus_rows(table, *(int *)cpu).count && cpus_rows(table, 0).count ? 1 : 2;
	rows_free(table);
}

/* The CPU goes offline after the open has looked which are online. */
static void test_gone(int cpu)
{
	char parameters[30];
	pid_t pid;

	snprintf(parameters, sizeof(parameters), "cpu=%d", cpu);
	load_module("/tests/refuse_call.ko", parameters);
	*spins = 0;
	pid = start_child(read_without, &cpu);
	wait_until(*(volatile int *)spins, "the open does not end");
	ksft_test_result(*spins == 1,
			 "CPU goes offline during the open: no row, and the open ends\n");
	end_child(pid);
	must(unload_module("refuse_call") ? -1 : 0);
}

#define OPENS 3

/* An open whose CPUs all answer ends with the last answer. */
static bool ends_with_the_answers(void)
{
	long unanswered = 0, later;

	watch_workqueue();
	for (int i = 0; i < OPENS; i++) {
		struct rows *table = read_whole();

		unanswered += !!cpus_said(table, "did not answer");
		rows_free(table);
	}
	later = dropped_later();
	trace_end();
	ksft_print_msg("%d opens, %ld of them without all answers, %ld work items\n", OPENS,
		       unanswered, later);
	return later == unanswered;
}

static void test_answers(int cpu)
{
	bool good;

	ksft_test_result(ends_with_the_answers(), "all CPUs answer: the open waits no longer\n");
	if (is_isolated(isolation_of(cpu))) {
		ksft_test_result_skip("the last CPU is isolated already\n");
		return;
	}
	make_partition(cpu);
	isolate(true, cpu);
	good = ends_with_the_answers();
	isolate(false, cpu);
	remove_partition();
	ksft_test_result(good, "isolated CPU: the open does not wait for it\n");
}

/* Of a timer in the trace: on which CPU and when it was armed, and for when. */
struct armed {
	int cpu;
	double at, expires;
};

static bool find_timer(const char *line, struct armed *armed)
{
	const char *cpu = strstr(line, " ["), *expires = strstr(line, " expires=");
	const char *event = strstr(line, ": hrtimer_start: ");

	if (*line == '#' || !strstr(line, "[taskscope]") || !cpu || !expires || !event)
		return false;
	armed->cpu = atoi(cpu + 2);
	while (event[-1] != ' ')
		event--;
	armed->at = strtod(event, NULL);
	armed->expires = strtod(expires + strlen(" expires="), NULL) / 1e9;
	return true;
}

/* All CPUs have the same moment; *ahead: and some CPU has armed its timer before it. */
static bool is_one_moment(int online, bool *ahead)
{
	char *text, *rest;
	struct armed armed, first = { .expires = 0 };
	bool good = true;
	int count = 0;

	*ahead = false;
	trace_begin("timer/hrtimer_start", NULL);
	rows_free(read_whole());
	text = trace_text(ALL_CPUS);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (!find_timer(line, &armed))
			continue;
		if (!count++)
			first = armed;
		good &= armed.expires == first.expires;
		*ahead |= armed.at < armed.expires;
	}
	free(text);
	trace_end();
	if (!good || count != online)
		ksft_print_msg("%d timers on %d CPUs\n", count, online);
	return good && count == online;
}

static void test_moment(int online)
{
	int opens = 10, ahead = 0;
	bool good = true;

	for (int i = 0; i < opens; i++) {
		bool is_ahead;

		good &= is_one_moment(online, &is_ahead);
		ahead += is_ahead;
	}
	ksft_print_msg("%d of %d moments were ahead\n", ahead, opens);
	ksft_test_result(good, "timers of an open: one on each CPU, all for the same moment\n");
	ksft_test_result(ahead, "timers of an open: at least one is armed before it expires\n");
}

static void test_offline(int cpu)
{
	struct rows *table;

	set_online(cpu, false);
	table = read_whole();
	ksft_test_result(!cpus_rows(table, cpu).count, "offline CPU: no row\n");
	rows_free(table);
	set_online(cpu, true);
	table = read_whole();
	ksft_test_result(cpus_rows(table, cpu).count, "CPU online again: it has rows\n");
	rows_free(table);
}

int main(void)
{
	int cpus[CPUS_MAX], online = online_cpus(cpus), cpu = cpus[online - 1];
	struct rows *table;
	bool all = true, good;
	double took;
	long within = -1;

	ksft_print_header();
	if (online < 2)
		ksft_exit_skip("a CPU other than the reader's is to be kept busy\n");
	ksft_set_plan(33);
	load_taskscope("");
	spins = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	stay_on(0);
	took = monotonic();
	table = read_whole();
	took = monotonic() - took;
	for (int i = 0; i < online; i++)
		all &= cpus_rows(table, cpus[i]).count > 0;
	ksft_test_result(all, "%d CPUs online: each has rows\n", online);
	good = sscanf(table->summary, "# %*d CPUs online, %*d sampled within %ld ns", &within) == 1;
	ksft_test_result(good && within > 0 && within < took * 1e9,
			 "time between the samples: less than the open has taken\n");
	rows_free(table);
	test_idle(cpu);
	test_reader();
	test_kernel_spinner(cpu);
	test_deep_stack(cpu);
	test_grace_period(cpu);
	test_interrupts(cpu);
	test_user_spinner(cpu);
	test_references(cpu);
	test_answers(cpu);
	test_moment(online);
	test_offline(cpu);
	test_gone(cpu);
	test_interrupts_disabled(cpu);
	test_memory(cpus, online);
	ksft_finished();
}
