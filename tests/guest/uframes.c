// SPDX-License-Identifier: GPL-2.0
/*
 * Frames of user stacks: those that a program has recorded itself during a recursion, and
 * broken chains of frame pointers, each with the reason for which it ends.
 */
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "frames.h"
#include "guest.h"
#include "rows.h"
#include "stand.h"
#include "workers.h"

/* The most frames of a thread, as documented. */
#define FRAMES_MAX 128
/* The most different names of mappings in a table. */
#define NAMES_MAX 2048
#define READ_LIMIT 5

static struct rows *table;

/* The thread of this process has these frames, and then the end with the reason. */
static bool has_frames(pid_t pid, const unsigned long *address, size_t count, const char *reason)
{
	return frames_are(table, getpid(), pid, address, count, reason);
}

static char *map(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

/*
 * A stack with frame records at byte offsets `at`: a frame pointer, and beside it a return
 * address into this program.
 */
static unsigned long *stack;

static void new_stack(size_t pages)
{
	char *memory = map((pages + 3) * PAGE);

	/* On either side one unmapped page, which is too small for later mappings. */
	must(mprotect(memory, PAGE, PROT_NONE));
	must(munmap(memory + PAGE, PAGE));
	must(munmap(memory + (pages + 2) * PAGE, PAGE));
	stack = (unsigned long *)(memory + 2 * PAGE);
}

static unsigned long at(size_t bytes)
{
	return (unsigned long)stack + bytes;
}

static void put_record(size_t bytes, unsigned long next, unsigned long to)
{
	stack[bytes / 8] = next;
	stack[bytes / 8 + 1] = to;
}

#define CODE(n) ((unsigned long)stand_pc + (n))

/* A thread sleeps on the stack with this frame pointer; checks its frames and the reason. */
static void check(unsigned long fp, size_t frames, const char *reason, const char *what)
{
	unsigned long address[FRAMES_MAX] = { (unsigned long)stand_pc };
	pid_t pid = start_standing(at(0x100), fp);

	for (size_t i = 1; i < frames; i++)
		address[i] = CODE(i);
	table = rows_read("uframes");
	ksft_test_result(has_frames(pid, address, frames, reason),
			 "%s: ends with %s\n", what, reason);
	rows_free(table);
}

static void test_chains(void)
{
	new_stack(4);
	put_record(0x200, at(0x300), CODE(1));
	put_record(0x300, at(0x400), CODE(2));
	put_record(0x400, 0, CODE(3));
	check(at(0x200), 4, "null", "a correct chain");
	check(0, 1, "null", "a frame pointer of 0");
	check(at(0x204), 1, "unaligned", "an unaligned frame pointer");
	check(at(0xf8), 1, "not-increasing", "a frame pointer below the stack pointer");
	check(at(0) - 16, 1, "unmapped", "a frame pointer below the stack");
	check(at(4 * PAGE), 1, "unmapped", "a frame pointer above the stack");
	check(8, 1, "unmapped", "a frame pointer into the first page");
	check(-PAGE, 1, "not-user", "a frame pointer into the kernel");
	check(1ul << 63, 1, "not-user", "a non-canonical frame pointer");
	check(-8ul, 1, "not-user", "the highest frame pointer");
	check((unsigned long)&stack, 1, "not-on-stack", "a frame pointer into data");

	put_record(0x400, at(0x400), CODE(3));
	check(at(0x200), 4, "not-increasing", "a record that points to itself");
	put_record(0x400, at(0x200), CODE(3));
	check(at(0x200), 4, "not-increasing", "a loop of three");
	put_record(0x400, at(0x408), CODE(3));
	check(at(0x200), 4, "not-increasing", "records that overlap");
	put_record(0x400, at(0x413), CODE(3));
	check(at(0x200), 4, "unaligned", "an unaligned frame pointer in a record");
	put_record(0x400, -PAGE, CODE(3));
	check(at(0x200), 4, "not-user", "a frame pointer into the kernel in a record");
	put_record(0x400, 1ul << 55, CODE(3));
	check(at(0x200), 4, "not-user", "a frame pointer above user space in a record");
	put_record(0x400, at(16 * PAGE) & -16ul, CODE(3));
	check(at(0x200), 4, "unmapped", "a frame pointer to unmapped memory in a record");
	put_record(0x400, 0, 0);
	check(at(0x200), 3, "null", "a return address of null");
	put_record(0x400, at(0x500), -PAGE);
	check(at(0x200), 3, "bad-return", "a return address into the kernel");
	put_record(0x400, at(0x500), 0x1000);
	check(at(0x200), 3, "bad-return", "a return address to unmapped memory");
}

static void test_edges(void)
{
	new_stack(3);
	/* One word of the record is in a page, the other in the next page. */
	put_record(PAGE - 8, at(2 * PAGE - 8), CODE(1));
	put_record(2 * PAGE - 8, 0, CODE(2));
	check(at(PAGE - 8), 3, "null", "records across a page boundary");
	stack[3 * PAGE / 8 - 1] = 0;
	check(at(3 * PAGE - 8), 1, "unmapped", "a record across the end of the stack");

	new_stack(3);
	put_record(PAGE - 16, 0, CODE(1));
	check(at(PAGE - 16), 2, "null", "a record directly below a page that is not present");
	put_record(0x200, at(PAGE + 0x200), CODE(1));
	check(at(0x200), 2, "not-resident", "a page that is not present");
	put_record(PAGE - 8, 0, 0);
	must(madvise((char *)stack + PAGE, PAGE, MADV_DONTNEED));
	check(at(PAGE - 8), 1, "not-resident", "a record of which one page is not present");
	put_record(PAGE + 0x200, 0, CODE(2));
	check(at(0x200), 3, "null", "a record of which both pages are present");
	must(mprotect((char *)stack + PAGE, PAGE, PROT_NONE));
	/* mprotect() splits the mapping. */
	check(at(0x200), 2, "not-resident", "a page without read access");
}

/* A record in the last bytes of user space that can be mapped. */
static void test_end_of_user_space(void)
{
	char *memory = MAP_FAILED;

	/* User space has 48 bits or 47, and on x86 the last page cannot be mapped. */
	for (int bits = 48; bits >= 47 && memory == MAP_FAILED; bits--)
		for (int pages = 1; pages <= 2 && memory == MAP_FAILED; pages++)
			memory = mmap((void *)((1ul << bits) - pages * PAGE), PAGE,
				      PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (memory == MAP_FAILED)
		die("the last page of user space cannot be mapped");
	stack = (unsigned long *)memory;
	put_record(PAGE - 16, 0, CODE(1));
	check(at(PAGE - 16), 2, "null", "a record in the last bytes of user space");
#ifdef __x86_64__
	check(at(PAGE - 8), 1, "not-user", "a record across the end of user space");
#else
	ksft_test_result_skip("a record across the end of user space: nothing is mapped there\n");
#endif
}

/* A summary line has this number of these things. */
static bool counted(const char *what, size_t count)
{
	char line[200];
	bool found;

	snprintf(line, sizeof(line), "# %zu %s\n", count, what);
	found = strstr(table->summary, line);
	if (!found)
		ksft_print_msg("%s is not in %s\n", line, table->summary);
	return found;
}

static size_t frames_in(const struct rows *table)
{
	size_t count = 0;

	for (size_t row = 0; row < table->rows; row++)
		count += !!strcmp(rows_value(table, row, "ADDRESS"), "-");
	return count;
}

static void test_limit(void)
{
	static const char truncated[] = "stacks truncated, to the innermost 128 frames";

	new_stack(4);
	for (size_t i = 1; i < 2 * FRAMES_MAX; i++)
		put_record(0x200 + 16 * i, at(0x210 + 16 * i), CODE(i));
	check(at(0x210), FRAMES_MAX, "limit", "more frames than the limit");
	table = rows_read("uframes");
	ksft_test_result(counted("frames", frames_in(table)) && counted(truncated, 1),
			 "more frames than the limit: the summary counts a truncated stack\n");
	rows_free(table);
	put_record(0x200 + 16 * (FRAMES_MAX - 2), 0, CODE(FRAMES_MAX - 2));
	check(at(0x210), FRAMES_MAX - 1, "null", "as many frames as the limit");
	table = rows_read("uframes");
	ksft_test_result(!strstr(table->summary, "truncated"),
			 "as many frames as the limit: the summary counts no truncated stack\n");
	rows_free(table);
}

/* A chain may go to another stack once, as it does from a signal handler's stack. */
static void test_two_stacks(void)
{
	unsigned long *other;

	new_stack(1);
	other = stack;
	put_record(0x200, (unsigned long)other + 0x300, CODE(2));
	put_record(0x300, 0, CODE(3));
	new_stack(1);
	put_record(0x200, (unsigned long)other + 0x200, CODE(1));
	check(at(0x200), 4, "null", "a chain from one stack to another");
	other[0x308 / 8] = CODE(3);
	other[0x300 / 8] = at(0x200);
	check(at(0x200), 4, "not-on-stack", "a chain from one stack to another and back");
}

static void stand_with_record(void *to)
{
	int there;

	put_record(0x200, 0, (unsigned long)to);
	stand(at(0x100), at(0x200), &there);
}

/* Two processes, shown one after the other, have different records at the same address. */
static void test_two_processes(void)
{
	bool good = true;
	char list[32];
	pid_t pid[2];

	new_stack(1);
	for (int i = 0; i < 2; i++) {
		pid[i] = start_child(stand_with_record, (void *)CODE(i + 1));
		wait_until(is_standing(pid[i], pid[i]), "a child does not sleep");
		wait_for_sleep(pid[i], pid[i], "S");
	}
	snprintf(list, sizeof(list), "%d %d\n", pid[0], pid[1]);
	write_set_pid(list);
	table = rows_read("uframes");
	for (int i = 0; i < 2; i++) {
		unsigned long address[] = { (unsigned long)stand_pc, CODE(i + 1) };

		good = frames_are(table, pid[i], pid[i], address, 2, "null") && good;
	}
	ksft_test_result(good,
			 "two processes with stacks at the same address: each has its frames\n");
	rows_free(table);
	write_set_pid("");
	for (int i = 0; i < 2; i++)
		end_child(pid[i]);
}

/* The return addresses that a program has recorded itself, the innermost first. */
#define LEVELS 20
static unsigned long noted[LEVELS + 2];
static int noted_there;

static __attribute__((noinline, noclone, noipa, optimize("no-omit-frame-pointer",
							 "no-optimize-sibling-calls")))
int go_down(int level)
{
	/* Lets the compiler assume that the recursion ends. */
	if (level >= LEVELS)
		return 0;
	noted[level + 1] = (unsigned long)
		__builtin_extract_return_addr(__builtin_return_address(0));
	if (!level) {
		noted[0] = (unsigned long)stand_pc;
		/* From here it sleeps with this frame's pointers, as if it had called nothing. */
		stand(((unsigned long)__builtin_frame_address(0) - 512) & ~15ul,
		      (unsigned long)__builtin_frame_address(0), &noted_there);
	}
	return go_down(level - 1) + level;
}

static pid_t program_tid;

static __attribute__((noinline, noclone, optimize("no-omit-frame-pointer")))
void *run_program(void *unused)
{
	__atomic_store_n(&program_tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	go_down(LEVELS - 1);
	return NULL;
}

static void test_program(void)
{
	unsigned long frames[LEVELS + 1];
	pthread_t thread;
	size_t row;
	int same = 0;

	if (pthread_create(&thread, NULL, run_program, NULL))
		die("pthread_create");
	wait_until(__atomic_load_n(&noted_there, __ATOMIC_ACQUIRE), "the program does not sleep");
	wait_for_sleep(getpid(), program_tid, "S");
	frames[0] = noted[0];
	for (int i = 0; i < LEVELS; i++)
		frames[i + 1] = noted[i + 1];
	table = rows_read("uframes");
	row = rows_find(table, program_tid);
	for (int i = 0; i <= LEVELS && row + i < table->rows; i++) {
		char frame[300];

		proc_frame(getpid(), frames[i], frame, sizeof(frame));
		same += table->pid[row + i] == program_tid &&
			strtoul(rows_value(table, row + i, "ADDRESS"), NULL, 16) == frames[i] &&
			!strcmp(rows_value(table, row + i, "FRAME"), frame);
	}
	ksft_print_msg("%d frames are as the program recorded them\n", same);
	ksft_test_result(same == LEVELS + 1,
			 "recursion: all %d frames as the program recorded them\n", LEVELS + 1);
	rows_free(table);
}

/* Any file name is one value, and no line of its own. */
static void test_names(void)
{
	static const char path[] = "/tmp/a b\n9 9 0 \\ \033[m";
	char *code, frame[64], deleted[64];
	size_t row;
	pid_t pid;
	int file;

	file = must(open(path, O_RDWR | O_CREAT, 0600));
	must(ftruncate(file, 4 * PAGE));
	code = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 2 * PAGE);
	new_stack(1);
	put_record(0x200, 0, (unsigned long)code + 0x123);
	pid = start_standing(at(0x100), at(0x200));
	table = rows_read("uframes");
	row = rows_find(table, pid) + 1;
	snprintf(frame, sizeof(frame), "/tmp/a b\\0129 9 0 \\134 \\033[m+%#lx",
		 2 * PAGE + 0x123);
	snprintf(deleted, sizeof(deleted), " (deleted)+%#lx", 2 * PAGE + 0x123);
	ksft_test_result(row < table->rows && table->pid[row] == pid &&
			 !strcmp(rows_value(table, row, "FRAME"), frame),
			 "file name with a newline and a backslash: escaped\n");
	if (row < table->rows)
		ksft_print_msg("%s\n", rows_value(table, row, "FRAME"));
	rows_free(table);
	close(file);
	unlink(path);
	table = rows_read("uframes");
	row = rows_find(table, pid) + 1;
	ksft_test_result(row < table->rows &&
			 strstr(rows_value(table, row, "FRAME"), deleted),
			 "deleted file: its name and (deleted)\n");
	rows_free(table);
}

static char *map_file(const char *name)
{
	int file = must(open(name, O_RDWR | O_CREAT, 0600));
	char *memory;

	must(ftruncate(file, PAGE));
	memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
	if (memory == MAP_FAILED)
		die("mmap of %s", name);
	close(file);
	return memory;
}

/* The longest path that the kernel can name, of bytes that all become four. */
static void test_longest_name(void)
{
	static char name[NAME_MAX + 1], frame[4 * PATH_MAX] = "/tmp";
	int here = must(open(".", O_RDONLY | O_DIRECTORY));
	size_t length = strlen(frame), shown = length, row;
	char *code = NULL;
	pid_t pid;

	must(chdir(frame));
	while (!code) {
		size_t rest = PATH_MAX - 1 - length - 1;

		memset(name, '\n', NAME_MAX);
		/* The last name is not empty. */
		name[rest <= NAME_MAX ? rest : rest == NAME_MAX + 1 ? 1 : NAME_MAX] = 0;
		length += 1 + strlen(name);
		frame[shown++] = '/';
		for (size_t i = 0; i < strlen(name); i++)
			shown += sprintf(frame + shown, "\\012");
		if (rest <= NAME_MAX) {
			code = map_file(name);
		} else {
			must(mkdir(name, 0700));
			must(chdir(name));
		}
	}
	must(fchdir(here));
	close(here);
	sprintf(frame + shown, "+0x10");
	new_stack(1);
	put_record(0x200, 0, (unsigned long)code + 0x10);
	pid = start_standing(at(0x100), at(0x200));
	table = rows_read("uframes");
	row = rows_find(table, pid) + 1;
	ksft_test_result(row < table->rows && !strcmp(rows_value(table, row, "FRAME"), frame),
			 "path of %zu newlines and slashes: FRAME has all of it\n", length);
	rows_free(table);
}

/* A return address in that memory has the name that /proc/PID/maps shows for it. */
static void check_name(char *memory, const char *name)
{
	unsigned long address[] = { (unsigned long)stand_pc, (unsigned long)memory + 0x123 };
	char frame[300];
	pid_t pid;

	new_stack(1);
	put_record(0x200, 0, address[1]);
	pid = start_standing(at(0x100), at(0x200));
	proc_frame(getpid(), address[1], frame, sizeof(frame));
	if (strncmp(frame, name, strlen(name)))
		die("maps has %s and not %s", frame, name);
	table = rows_read("uframes");
	ksft_test_result(has_frames(pid, address, 2, "null"),
			 "mapping named %s: FRAME has that name\n", name);
	rows_free(table);
}

/* Shared and anonymous memory with a name: of a file inside the kernel, or set by prctl(). */
static void test_anonymous_names(void)
{
	static const struct {
		const char *shown;
		int flags;
	} named[] = {
		{ "[anon_shmem:a name]", MAP_SHARED }, { "[anon:a name]", MAP_PRIVATE },
	};
	int file = must(memfd_create("a name", MFD_CLOEXEC));
	int id = must(shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600));
	char *memory;

	must(ftruncate(file, PAGE));
	memory = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0));
	close(file);
	check_name(memory, "/memfd:a name (deleted)");
	memory = must(shmat(id, NULL, SHM_RDONLY));
	must(shmctl(id, IPC_RMID, NULL));
	check_name(memory, "/SYSV00000000 (deleted)");
	memory = must(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	check_name(memory, "/dev/zero (deleted)");
	for (int i = 0; i < 2; i++) {
		memory = must(mmap(NULL, PAGE, PROT_READ, named[i].flags | MAP_ANONYMOUS, -1, 0));
		if (!prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, memory, PAGE, "a name"))
			check_name(memory, named[i].shown);
		else
			ksft_test_result_skip("mapping named %s: no CONFIG_ANON_VMA_NAME\n",
					      named[i].shown);
	}
}

/*
 * The heap and the first stack, whose names depend on addresses that the kernel keeps, and
 * mappings directly above and below the heap.
 */
static void test_standard_names(void)
{
	char *heap = sbrk(PAGE), *memory;
	unsigned long first_stack;
	char *stat = slurp("/proc/self/stat", NULL), *field = strrchr(stat, ')');

	check_name(heap, "[heap]");
	/* brk() may end within a page. */
	memory = (char *)(((unsigned long)sbrk(0) + PAGE - 1) & -PAGE);
	must(brk(memory));
	memory = must(mmap(sbrk(0), PAGE, PROT_READ,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	check_name(memory, "[anon]");
	/* The kernel leaves a hole of random size between bss and the heap. */
	memory = (char *)proc_stat(getpid(), 47) - PAGE;
	if (mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		 0) == memory)
		check_name(memory, "[anon]");
	else
		ksft_test_result_skip("mapping below the heap: bss ends there\n");
	check_name((char *)((unsigned long)&heap & -PAGE), "[stack]");
	/* The 28th value in proc(5), where field is the second. */
	for (int number = 2; number < 28; number++)
		field = strchr(field, ' ') + 1;
	first_stack = strtoul(field, NULL, 10);
	free(stat);
	/* A mapping that ends with the address of the first stack, and one that begins with it. */
	memory = map(3 * PAGE) + PAGE;
	must(mprotect(memory - PAGE, PAGE, PROT_NONE));
	must(mprotect(memory + PAGE, PAGE, PROT_NONE));
	must(prctl(PR_SET_MM, PR_SET_MM_START_STACK, memory + PAGE, 0, 0));
	check_name(memory, "[stack]");
	must(prctl(PR_SET_MM, PR_SET_MM_START_STACK, memory, 0, 0));
	check_name(memory, "[stack]");
	must(prctl(PR_SET_MM, PR_SET_MM_START_STACK, first_stack, 0, 0));
}

/* A chain of the largest length; each frame is in another file than the one before. */
static unsigned long put_files(char *const *file, size_t first, size_t files)
{
	new_stack(1);
	for (size_t i = 0; i < FRAMES_MAX; i++)
		put_record(0x200 + 16 * i, at(0x210 + 16 * i),
			   (unsigned long)file[(first + i) % files] + 16);
	return at(0x200);
}

/*
 * Frames in a program and in a few libraries, by turns. To lock a mapping costs more than the rest
 * of a frame, so it is locked for its first frame only, and for each page of the stack a few times.
 */
static void test_few_locks(void)
{
	enum { FILES = 4, MOST = FILES + FRAMES_MAX * 16 / 512 + 8 };
	char *file[FILES], name[32], list[16];
	unsigned long fp, locks;

	for (int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "/tmp/few%d", i);
		file[i] = map_file(name);
	}
	fp = put_files(file, 0, FILES);
	snprintf(list, sizeof(list), "%d\n", start_standing(at(0x100), fp));
	write_set_pid(list);
	load_module("/tests/lock_mapping.ko", "");
	table = rows_read("uframes");
	locks = parameter_value("lock_mapping", "locks");
	ksft_test_result(table->rows == FRAMES_MAX + 1 && locks && locks <= MOST,
			 "%d frames in %d files by turns: %lu locks of mappings, at most %d\n",
			 FRAMES_MAX, FILES, locks, MOST);
	rows_free(table);
	must(unload_module("lock_mapping") ? -1 : 0);
	write_set_pid("");
}

/* Opens the table, and writes FRAME of the first return address and of the last one. */
static void read_two_frames(void *output)
{
	char text[200];

	table = rows_read("uframes");
	snprintf(text, sizeof(text), "%s %s", rows_value(table, 1, "FRAME"),
		 rows_value(table, FRAMES_MAX - 1, "FRAME"));
	must(write(*(int *)output, text, strlen(text) + 1));
}

/*
 * All frames are in one mapping, which another one replaces when some of them have been read. The
 * first lock of a mapping is for the program counter, and then one for the stack and one for the
 * first return address. The fourth is for the stack again. A worker on CPU 0 takes it, and waits
 * with interrupts disabled. This thread runs on CPU 1, whose timers go on.
 */
static void test_replaced_mapping(void)
{
	char *one = map_file("/tmp/one"), list[16], text[200] = "", *cpus;
	int file = must(open("/tmp/other", O_RDWR | O_CREAT, 0600)), output[2];
	unsigned long fp = put_files(&one, 0, 1);
	cpu_set_t all;
	pid_t child;

	must(ftruncate(file, PAGE));
	must(pipe(output));
	snprintf(list, sizeof(list), "%d\n", start_standing(at(0x100), fp));
	write_set_pid(list);
	load_module("/tests/lock_mapping.ko", "at=4");
	must(sched_getaffinity(0, sizeof(all), &all));
	stay_on(1);
	cpus = run_unbound_items_on(0);
	child = start_child(read_two_frames, &output[1]);
	wait_until(parameter_value("lock_mapping", "locks") >= 4, "the open does not get so far");
	must(mmap(one, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, 0));
	set_parameter("lock_mapping", "go", 1);
	must(read(output[0], text, sizeof(text)));
	if (strcmp(text, "/tmp/one+0x10 /tmp/other+0x10"))
		ksft_print_msg("%s\n", text);
	ksft_test_result(!strcmp(text, "/tmp/one+0x10 /tmp/other+0x10"),
			 "mapping replaced within a chain: later frames are in the new one\n");
	end_child(child);
	run_unbound_items_as_before(cpus);
	must(sched_setaffinity(0, sizeof(all), &all));
	must(unload_module("lock_mapping") ? -1 : 0);
	write_set_pid("");
	close(output[0]);
	close(output[1]);
	close(file);
}

static size_t free_memory(void)
{
	char *text = slurp("/proc/meminfo", NULL), *at = strstr(text, "\nMemFree:");
	size_t size = 0;

	if (!at || sscanf(at, "\nMemFree: %zu kB", &size) != 1)
		die("meminfo has no MemFree");
	free(text);
	return size << 10;
}

/*
 * Mappings with long names do not make the table large: the table keeps each name once,
 * however many frames with other names are between two of its frames.
 */
#define LONG_FILES 20
#define LONG_NAME 3500
static void test_long_names(void)
{
	size_t threads = 200, row, same = 0;
	ssize_t before, used;
	size_t named = threads * (FRAMES_MAX - 1) * LONG_NAME;
	int here = must(open(".", O_RDONLY | O_DIRECTORY)), descriptor;
	char directory[251], *file[LONG_FILES], name[64];
	unsigned long fp;
	pid_t pid = 0;

	memset(directory, 'd', sizeof(directory) - 1);
	directory[sizeof(directory) - 1] = 0;
	must(chdir("/tmp"));
	for (size_t length = 0; length < LONG_NAME; length += sizeof(directory)) {
		must(mkdir(directory, 0700));
		must(chdir(directory));
	}
	for (int i = 0; i < LONG_FILES; i++) {
		snprintf(name, sizeof(name), "long%d", i);
		file[i] = map_file(name);
	}
	must(fchdir(here));
	close(here);

	fp = put_files(file, 0, LONG_FILES);
	for (size_t i = 0; i < threads; i++)
		pid = start_standing(at(0x100), fp);
	before = free_memory();
	descriptor = must(open(TABLES "uframes", O_RDONLY));
	used = before - (ssize_t)free_memory();
	ksft_print_msg("%zd bytes for what has %zu of names\n", used, named);
	ksft_test_result(used < (ssize_t)named / 4, "long names: each is kept once\n");
	close(descriptor);

	snprintf(name, sizeof(name), "%d\n", pid);
	write_set_pid(name);
	table = rows_read("uframes");
	row = rows_find(table, pid) + 1;
	for (size_t i = 0; i < FRAMES_MAX - 1 && row + i < table->rows; i++) {
		const char *frame = rows_value(table, row + i, "FRAME");

		snprintf(name, sizeof(name), "/long%zu+0x10", i % LONG_FILES);
		same += strlen(frame) > LONG_NAME && !strcmp(strrchr(frame, '/'), name);
	}
	ksft_test_result(same == FRAMES_MAX - 1, "long names: each frame has its own name\n");
	rows_free(table);
	write_set_pid("");
}

/* The number of names is limited: one user cannot make the table take all memory. */
static void test_many_names(void)
{
	enum { THREADS = NAMES_MAX / (FRAMES_MAX - 1) + 1, FILES = THREADS * (FRAMES_MAX - 1) };
	static const char unnamed_line[] =
		"frames without the name of their mapping: there are more than 2048 names";
	size_t wrong = 0, unnamed = 0, names = FILES + 1 /* with this program's own */;
	char selection[16 * THREADS], *end = selection, name[64];
	static char *file[FILES];
	pid_t pid[THREADS];

	for (size_t i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "/tmp/many%zu", i);
		file[i] = map_file(name);
	}
	for (size_t i = 0; i < THREADS; i++) {
		unsigned long fp = put_files(file, i * (FRAMES_MAX - 1), FILES);

		pid[i] = start_standing(at(0x100), fp);
		end += sprintf(end, "%d\n", pid[i]);
	}
	write_set_pid(selection);
	table = rows_read("uframes");
	for (size_t i = 0; i < FILES; i++) {
		size_t row = rows_find(table, pid[i / (FRAMES_MAX - 1)]) + 1 +
			     i % (FRAMES_MAX - 1);
		const char *frame = row < table->rows ? rows_value(table, row, "FRAME") : "none";

		snprintf(name, sizeof(name), "/tmp/many%zu+0x10", i);
		if (!strcmp(frame, "[too-many-names]+0x10"))
			unnamed++;
		else if (strcmp(frame, name) && !wrong++)
			ksft_print_msg("%s and not %s\n", frame, name);
	}
	ksft_test_result(!wrong && unnamed == names - NAMES_MAX &&
			 counted(unnamed_line, unnamed),
			 "%zu of %zu names above the limit: [too-many-names], and a summary line\n",
			 unnamed, names);
	rows_free(table);
	snprintf(name, sizeof(name), "%d\n", getpid());
	write_set_pid(name);
	table = rows_read("uframes");
	ksft_test_result(!strstr(table->summary, "more than"),
			 "next open with few names: no name above the limit\n");
	rows_free(table);
	write_set_pid("");
}

/* A thread blocks in a page fault that userfaultfd never resolves, on such a stack. */
static void *touch(void *place)
{
	__atomic_store_n(&program_tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	return (void *)(long)*(volatile char *)place;
}

static void test_userfault(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register missing = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fault = must(syscall(SYS_userfaultfd, O_CLOEXEC));
	char *place = map(4 * PAGE);
	unsigned long address[1] = { (unsigned long)stand_pc };
	pthread_t thread;
	time_t began;
	size_t row;
	pid_t pid;

	must(ioctl(fault, UFFDIO_API, &api));
	missing.range.start = (unsigned long)place;
	missing.range.len = 4 * PAGE;
	must(ioctl(fault, UFFDIO_REGISTER, &missing));
	program_tid = 0;
	if (pthread_create(&thread, NULL, touch, place + PAGE))
		die("pthread_create");
	wait_until(__atomic_load_n(&program_tid, __ATOMIC_SEQ_CST), "a thread does not start");
	wait_for_sleep(getpid(), program_tid, "SD");
	pid = start_standing((unsigned long)place + 2 * PAGE, (unsigned long)place + 3 * PAGE);
	began = seconds();
	table = rows_read("uframes");
	row = rows_find(table, program_tid);
	ksft_test_result(seconds() - began < READ_LIMIT && row + 1 < table->rows &&
			 table->pid[row] == program_tid &&
			 strcmp(rows_value(table, row, "ADDRESS"), "-"),
			 "thread blocked in userfaultfd: it has its frame\n");
	ksft_test_result(has_frames(pid, address, 1, "not-resident"),
			 "stack page that userfaultfd must fill: not-resident\n");
	rows_free(table);
	/* The fault is resolved, because the process cannot exit otherwise. */
	close(fault);
	pthread_join(thread, NULL);
}

/* The first page of a file with a record, used as the stack of a sleeping thread. */
static void stand_in_file(void *file)
{
	unsigned long *place = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				    *(int *)file, 0);

	stack = place;
	put_record(0x200, 0, CODE(1));
	stand(at(0x100), at(0x200), (int *)place);
}

/* The open drops its reference to a page that it has read: then the file can be sealed. */
static void test_page_let_go(void)
{
	unsigned long address[] = { (unsigned long)stand_pc, CODE(1) };
	int file = must(memfd_create("stack", MFD_ALLOW_SEALING)), there = 0;
	pid_t pid;

	must(ftruncate(file, PAGE));
	pid = start_child(stand_in_file, &file);
	wait_until(pread(file, &there, sizeof(there), 0) == sizeof(there) && there,
		   "the child does not sleep");
	wait_for_sleep(pid, pid, "S");
	table = rows_read("uframes");
	ksft_test_result(has_frames(pid, address, 2, "null"),
			 "stack in a file: the frames are right\n");
	rows_free(table);
	end_child(pid);
	ksft_test_result(!fcntl(file, F_ADD_SEALS, F_SEAL_WRITE),
			 "stack in a file: after the open the file can be sealed\n");
	close(file);
}

/* A load from a device can have side effects, so a device's memory is not read. */
static void test_device(void)
{
	unsigned long address[] = { (unsigned long)stand_pc };
	glob_t files;
	unsigned long *device = MAP_FAILED;
	pid_t pid;

	/* The first memory resource of a PCI device that can be mapped; others are I/O ports. */
	if (!glob("/sys/bus/pci/devices/*/resource[0-9]", 0, NULL, &files))
		for (size_t i = 0; i < files.gl_pathc && device == MAP_FAILED; i++) {
			int file = open(files.gl_pathv[i], O_RDWR);

			if (file < 0)
				continue;
			device = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, file, 0);
			close(file);
		}
	if (device == MAP_FAILED)
		die("no PCI device has memory that can be mapped");
	globfree(&files);
	pid = start_standing((unsigned long)device, (unsigned long)device + 0x10);
	table = rows_read("uframes");
	ksft_test_result(has_frames(pid, address, 1, "not-resident"),
			 "frame pointer into a device: not-resident, the device is not read\n");
	rows_free(table);
}

/* The open drops its reference to the path of a file that a frame is in. */
static void test_path_let_go(void)
{
	static const char place[] = "/tmp/mounted";
	pid_t pid;
	char *code;
	size_t row;

	must(mkdir(place, 0700));
	must(mount("none", place, "tmpfs", 0, NULL));
	code = map_file("/tmp/mounted/code");
	new_stack(1);
	put_record(0x200, 0, (unsigned long)code + 0x10);
	pid = start_standing(at(0x100), at(0x200));
	table = rows_read("uframes");
	row = rows_find(table, pid) + 1;
	ksft_test_result(row < table->rows &&
			 !strcmp(rows_value(table, row, "FRAME"), "/tmp/mounted/code+0x10"),
			 "frame in a mounted file system: FRAME has the file's name\n");
	rows_free(table);
	must(munmap(code, PAGE));
	ksft_test_result(!umount(place),
			 "frame in a mounted file system: after the open it can be unmounted\n");
	rmdir(place);
}

/* A thread with this frame pointer; whether the summary says that its chain ends in a library. */
static bool chain_ends_in_library(unsigned long fp)
{
	static const char line[] =
		"\n# 1 chains end in a library: callers are missing if it has no frame pointers\n";
	char list[16];
	bool found;

	snprintf(list, sizeof(list), "%d\n", start_standing(at(0x100), fp));
	write_set_pid(list);
	table = rows_read("uframes");
	found = strstr(table->summary, line);
	if (!found && strstr(table->summary, "in a library"))
		die("the summary counts another number of chains");
	rows_free(table);
	write_set_pid("");
	return found;
}

/* The same for a thread with one record, which returns to that address. */
static bool ends_in_library(unsigned long to)
{
	new_stack(1);
	put_record(0x200, 0, to);
	return chain_ends_in_library(at(0x200));
}

static void test_libraries(void)
{
	char *library = map_file("/tmp/library.so");

	ksft_test_result(ends_in_library((unsigned long)library + 0x10),
			 "chain that ends in a library: the summary counts it\n");
	ksft_test_result(!ends_in_library(CODE(1)),
			 "chain that ends in the program: the summary does not count it\n");
	ksft_test_result(!ends_in_library((unsigned long)map(PAGE)),
			 "chain that ends in anonymous memory: the summary does not count it\n");
	new_stack(1);
	ksft_test_result(!chain_ends_in_library(0),
			 "chain of one frame in the program: the summary does not count it\n");
}

/* As many records as fit beside the innermost frame, all with the same return address. */
#define RECORDS (FRAMES_MAX - 1)

static void change_all(int signal)
{
	static unsigned long turn;

	turn++;
	for (int i = 0; i < RECORDS; i++)
		put_record(0x200 + 16 * i, i + 1 < RECORDS ? at(0x200 + 16 * (i + 1)) : 0,
			   CODE(1 + turn % 2));
}

/* Sleeps, and changes its records in a signal handler on another stack. */
static void stand_and_change(void *there)
{
	stack_t other = { .ss_sp = map(16 * PAGE), .ss_size = 16 * PAGE };
	struct sigaction action = { .sa_handler = change_all, .sa_flags = SA_ONSTACK };

	new_stack(2);
	change_all(0);
	must(sigaltstack(&other, NULL));
	must(sigaction(SIGUSR1, &action, NULL));
	stand(at(0x100), at(0x200), there);
}

static void send_signals(void *pid)
{
	/*
	 * Bursts, because the thread is to run while its stack is read. Then a pause, some of
	 * which are long enough for an open on any kernel.
	 */
	for (unsigned int turn = 1;; turn++) {
		kill(*(pid_t *)pid, SIGUSR1);
		usleep(turn % 256 ? 100 : 1000 << turn / 256 % 8);
	}
}

/* What the frames of the thread that changes its records say in one open of uframes. */
enum records { RECORDS_WHOLE, RECORDS_MIXED, RECORDS_OF_HANDLER, RECORDS_FEWER };

static enum records read_records(void)
{
	int frames[2] = { 0 };
	enum records records = RECORDS_FEWER;
	unsigned long pc;

	table = rows_read("uframes");
	pc = strtoul(rows_value(table, 0, "ADDRESS"), NULL, 16);
	for (size_t row = 1; row < table->rows; row++) {
		unsigned long address = strtoul(rows_value(table, row, "ADDRESS"), NULL, 16);

		frames[0] += address == CODE(1);
		frames[1] += address == CODE(2);
	}
	/*
	 * A handler that was preempted has changed some of the records. On arm64 the kernel makes
	 * a frame for the handler, and the chain leads on to them.
	 */
	if (pc && (pc < (unsigned long)stand || pc > (unsigned long)stand_pc)) {
		records = RECORDS_OF_HANDLER;
	} else if (frames[0] && frames[1]) {
		ksft_print_msg("%d frames of one turn, %d of another, the first is %s\n",
			       frames[0], frames[1], rows_value(table, 0, "FRAME"));
		records = RECORDS_MIXED;
	} else if (frames[0] == RECORDS || frames[1] == RECORDS) {
		records = RECORDS_WHOLE;
	}
	rows_free(table);
	return records;
}

/* The frames of a thread were true at one moment, or the thread is shown as running. */
static void test_one_moment(void)
{
	int *there = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = start_child(stand_and_change, there), sender;
	int found[RECORDS_FEWER + 1] = { 0 }, times = rounds("ROUNDS", 100, 1000) / slower();
	char text[16];

	wait_until(__atomic_load_n(there, __ATOMIC_SEQ_CST), "the child does not sleep");
	snprintf(text, sizeof(text), "%d", pid);
	write_set_pid(text);
	/* Before the signals: on a slow kernel, every open may meet the thread while it runs. */
	wait_until(read_records() == RECORDS_WHOLE, "the frames of the sleeping child are missing");
	sender = start_child(send_signals, &pid);
	for (int i = 0; i < times; i++)
		found[read_records()]++;
	ksft_print_msg("%d rounds: %d whole, %d mixed, %d in the handler\n", times,
		       found[RECORDS_WHOLE], found[RECORDS_MIXED], found[RECORDS_OF_HANDLER]);
	ksft_test_result(!found[RECORDS_MIXED],
			 "changing stack: no row mixes two moments\n");
	end_child(sender);
	end_child(pid);
	write_set_pid("");
}

static void spin(void *turns)
{
	for (;;)
		__atomic_fetch_add((unsigned long *)turns, 1, __ATOMIC_RELAXED);
}

static void test_no_chain(void)
{
	unsigned long *turns = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t zombie = start_zombie(), spinner;
	size_t row;
	bool seen = false;

	spinner = start_child(spin, turns);
	table = rows_read("uframes");
	row = rows_find(table, zombie);
	ksft_test_result(has_frames(zombie, NULL, 0, "no-mm"), "zombie: end: no-mm\n");
	ksft_test_result(rows_find(table, 2) == table->rows, "kernel thread: no row\n");
	rows_free(table);
	/* It runs most of the time. If it has a frame, the frame is in the loop. */
	for (time_t end = seconds() + WAIT_LIMIT; !seen && seconds() <= end; rows_free(table)) {
		table = rows_read("uframes");
		row = rows_find(table, spinner);
		seen = row < table->rows &&
		       !strcmp(rows_value(table, row, "FRAME"), "end: on-cpu") &&
		       (row + 1 == table->rows || table->pid[row + 1] != spinner);
	}
	ksft_test_result(seen, "running thread: end: on-cpu\n");
	end_child(spinner);
	must(waitpid(zombie, NULL, 0));
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(73);
	load_taskscope("");
	test_chains();
	test_edges();
	test_end_of_user_space();
	test_limit();
	test_two_stacks();
	test_two_processes();
	test_program();
	test_names();
	test_longest_name();
	test_anonymous_names();
	test_standard_names();
	test_userfault();
	test_page_let_go();
	test_device();
	test_path_let_go();
	test_libraries();
	test_one_moment();
	test_no_chain();
	test_few_locks();
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		test_replaced_mapping();
	else
		ksft_test_result_skip("mapping replaced within a chain: needs two CPUs\n");
	test_long_names();
	test_many_names();
	ksft_finished();
}
