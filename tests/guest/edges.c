// SPDX-License-Identifier: GPL-2.0
/*
 * A table is the same text however it is read: in pieces of any size, from any offset,
 * again, by several readers at once, through descriptors that share an offset. Thousands
 * of threads make the text larger than any buffer.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "guest.h"
#include "table.h"

#define THREADS 1500

static int table;
static char *text;
static size_t size;

static void start_threads(void *unused)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 16384);
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, &attributes, pause_for_ever, NULL))
			die("pthread_create");
}

static int open_table(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), TABLES "%s", name);
	return must(open(path, O_RDONLY | O_CLOEXEC));
}

/*
 * Reads from the start to the end in pieces of this size. Each read before the end returns
 * at least one byte and at most that size; the pieces together are the text; each read at
 * the end returns nothing.
 */
static bool same_in_pieces(size_t piece)
{
	char *buffer = malloc(piece + 1);
	size_t at = 0;
	ssize_t count;
	bool same = true;

	must(lseek(table, 0, SEEK_SET));
	while (same) {
		/* The byte behind the buffer must not change. */
		buffer[piece] = 0x7f;
		count = read(table, buffer, piece);
		if (count <= 0)
			break;
		same = (size_t)count <= piece && at + count <= size && buffer[piece] == 0x7f &&
		       !memcmp(buffer, text + at, count);
		at += count;
	}
	same = same && count == 0 && at == size &&
	       read(table, buffer, piece) == 0 && read(table, buffer, 1) == 0;
	if (!same)
		ksft_print_msg("pieces of %zu: at %zu of %zu, the last was %zd\n", piece, at, size,
			       count);
	free(buffer);
	return same;
}

static void test_pieces(void)
{
	static const size_t pieces[] = { 16, 511, 4096, 8192, 12288, 65536, 131072, 1 << 20 };
	size_t row = strchr(text, '\n') + 1 - text;
	int wrong = 0;

	ksft_test_result(same_in_pieces(1), "reads of 1 byte: the same text\n");
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++)
		ksft_test_result(same_in_pieces(pieces[i]),
				 "reads of %zu bytes: the same text\n", pieces[i]);
	for (int i = -8; i <= 8; i++)
		wrong += !same_in_pieces(PAGE + i);
	ksft_test_result(!wrong, "reads of a page, 8 bytes more or less: the same text\n");
	for (int i = -3; i <= 3; i++)
		wrong += !same_in_pieces(row + i) + !same_in_pieces(2 * row + i);
	ksft_test_result(!wrong, "reads of a row or two, some bytes more or less: the same text\n");
	ksft_test_result(same_in_pieces(size) && same_in_pieces(size - 1) &&
			 same_in_pieces(size + 1),
			 "one read of the whole text, or of all but a byte: the same text\n");
}

/* pread() returns the text at its offset, and leaves the file's offset alone. */
static bool same_at(size_t offset, size_t length)
{
	char *buffer = malloc(length);
	size_t want = offset >= size ? 0 : length < size - offset ? length : size - offset, at = 0;
	ssize_t count = 0;

	while (at < want && (count = pread(table, buffer + at, length - at, offset + at)) > 0)
		at += count;
	if (at == want)
		count = pread(table, buffer + at, length - at, offset + at);
	/* A short read is right; an empty one before the end is not. */
	bool same = at == want && (length == want || !count) && !memcmp(buffer, text + offset, at);

	if (!same)
		ksft_print_msg("pread of %zu at %zu: %zu, then %zd\n", length, offset, at, count);
	free(buffer);
	return same;
}

static void test_pread(void)
{
	int wrong = 0;

	must(lseek(table, 1234, SEEK_SET));
	srandom(1);
	for (int i = 0; i < 300; i++)
		wrong += !same_at(random() % (size + 100), 1 + random() % 9000);
	ksft_test_result(!wrong, "pread at random offsets: the text at that offset\n");
	for (size_t page = PAGE; page <= 8 * PAGE; page *= 2)
		for (int i = -8; i <= 8; i++)
			wrong += !same_at(page + i, 1) + !same_at(page + i, PAGE) +
				 !same_at(page - PAGE, PAGE + i);
	ksft_test_result(!wrong, "pread near page boundaries: the text at that offset\n");
	for (int i = -8; i <= 8; i++)
		wrong += !same_at(size + i, 20);
	ksft_test_result(!wrong && same_at(size + 1, 1),
			 "pread near the end: the text, and nothing after it\n");
	ksft_test_result(lseek(table, 0, SEEK_CUR) == 1234,
			 "pread: the file's offset is unchanged\n");
	errno = 0;
	ksft_test_result(pread(table, &wrong, 1, -1) == -1 && errno == EINVAL,
			 "pread at a negative offset: EINVAL\n");
}

static bool next_is(size_t offset)
{
	char buffer[100];
	ssize_t count = read(table, buffer, sizeof(buffer));

	return count > 0 && !memcmp(buffer, text + offset, count) &&
	       lseek(table, 0, SEEK_CUR) == (off_t)offset + count;
}

static void test_seek(void)
{
	static const size_t offsets[] = { 0, 1, 4095, 4096, 4097, 100000, 5, 40000 };
	bool good = true;
	off_t at;

	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++)
		good = good && lseek(table, offsets[i],
				     SEEK_SET) == (off_t)offsets[i] && next_is(offsets[i]);
	ksft_test_result(good, "SEEK_SET, forwards and backwards: the next read starts there\n");
	at = must(lseek(table, 5000, SEEK_SET));
	ksft_test_result(lseek(table, 77, SEEK_CUR) == at + 77 && next_is(at + 77),
			 "SEEK_CUR: the next read starts there\n");
	must(lseek(table, 300, SEEK_SET));
	errno = 0;
	good = lseek(table, -1, SEEK_SET) == -1 && errno == EINVAL;
	ksft_test_result(good && next_is(300),
			 "SEEK_SET to a negative offset: EINVAL, the offset is unchanged\n");
	/* SEEK_END fails if the file does not know the length of its text. */
	errno = 0;
	at = lseek(table, 0, SEEK_END);
	ksft_test_result((at == -1 && errno == EINVAL) || at == (off_t)size,
			 "SEEK_END: EINVAL, or the end of the text\n");
	ksft_test_result(same_in_pieces(3000) && same_in_pieces(3000), "rewind: the same text\n");
	at = lseek(table, size + 5000, SEEK_SET);
	ksft_test_result((at == -1 || read(table, &good, 1) == 0),
			 "SEEK_SET past the end: error, or a read of 0 bytes\n");
}

static void test_bad_buffers(void)
{
	char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	/* Set at run time: the compiler would reject a constant. */
	char *nowhere = (char *)strtoul("8", NULL, 10);
	char first[64];
	ssize_t count;

	must(munmap(page + PAGE, PAGE));
	must(lseek(table, 0, SEEK_SET));
	ksft_test_result(read(table, NULL, 0) == 0 && next_is(0),
			 "read of 0 bytes: 0, and the next read returns text\n");
	must(lseek(table, 0, SEEK_SET));
	errno = 0;
	ksft_test_result(read(table, nowhere, 100) == -1 && errno == EFAULT && next_is(0),
			 "unmapped buffer: EFAULT, and no byte is lost\n");
	must(lseek(table, 200, SEEK_SET));
	errno = 0;
	/* The read returns the bytes that fit, or none. The next read continues there. */
	count = read(table, page + PAGE - 10, 1000);
	if (count == -1 && errno == EFAULT)
		count = 0;
	must(read(table, first, sizeof(first)));
	ksft_test_result(count >= 0 && count <= 10 && !memcmp(page + PAGE - 10, text + 200,
							      count) &&
			 !memcmp(first, text + 200 + count, sizeof(first)),
			 "buffer that ends after 10 bytes: no byte is lost\n");
	ksft_test_result(same_in_pieces(4096), "after reads into bad buffers: the same text\n");
}

/*
 * Several readers share an offset, and each byte goes to one of them. Each piece is
 * recorded with the offset that it must have come from.
 */
struct piece {
	ssize_t length;
	char bytes[512];
};

static struct piece *pieces;
static atomic_int *taken;

static void read_pieces(int descriptor)
{
	for (;;) {
		int mine = __atomic_fetch_add(taken, 1, __ATOMIC_SEQ_CST);
		size_t length = 100 + mine % 400;

		pieces[mine].length = read(descriptor, pieces[mine].bytes, length);
		if (pieces[mine].length <= 0)
			return;
	}
}

static void *read_in_thread(void *descriptor)
{
	read_pieces(*(int *)descriptor);
	return NULL;
}

/* The pieces can be put in an order in which they are the text. */
static bool pieces_are_the_text(int readers)
{
	size_t sum = 0, at = 0;
	int ends = 0;

	for (int i = 0; i < *taken; i++) {
		if (pieces[i].length < 0)
			return false;
		sum += pieces[i].length;
		ends += !pieces[i].length;
	}
	/* A piece contains, or starts in, a row that occurs once: one order fits. */
	while (at < size) {
		int best = -1;

		for (int i = 0; i < *taken; i++)
			if (pieces[i].length > 0 && at + pieces[i].length <= size &&
			    !memcmp(text + at, pieces[i].bytes, pieces[i].length) &&
			    (best < 0 || pieces[i].length > pieces[best].length))
				best = i;
		if (best < 0)
			break;
		at += pieces[best].length;
		pieces[best].length = 0;
	}
	if (sum != size || at != size || ends != readers)
		ksft_print_msg("%zu bytes of %zu, in order until %zu; %d ends\n", sum, size, at,
			       ends);
	return sum == size && at == size && ends == readers;
}

static void test_sharing(void)
{
	int duplicate = must(dup(table)), status;
	pthread_t threads[2];
	char one[100], other[100];
	pid_t child;

	pieces = mmap(NULL, 20000 * sizeof(*pieces), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	taken = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	must(lseek(table, 0, SEEK_SET));
	must(read(table, one, 100));
	must(read(duplicate, other, 100));
	ksft_test_result(!memcmp(one, text, 100) && !memcmp(other, text + 100, 100),
			 "dup: a read continues at the shared offset\n");

	must(lseek(table, 0, SEEK_SET));
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, read_in_thread, i ? &duplicate : &table))
			die("pthread_create");
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	ksft_test_result(pieces_are_the_text(2), "two threads, one offset: each byte once\n");

	*taken = 0;
	must(lseek(table, 0, SEEK_SET));
	child = fork_child();
	read_pieces(table);
	if (!child)
		_exit(0);
	must(waitpid(child, &status, 0));
	ksft_test_result(!status && pieces_are_the_text(2),
			 "two processes, one offset: each byte once\n");
	close(duplicate);
}

static void test_vectors(void)
{
	char one[7], other[5000];
	struct iovec vectors[] = { { one, 7 }, { other, 5000 } };
	ssize_t count;

	must(lseek(table, 0, SEEK_SET));
	count = readv(table, vectors, 2);
	ksft_test_result(count >= 7 && !memcmp(one, text, 7) && !memcmp(other, text + 7, count - 7),
			 "readv: the same text\n");
}

/* A later open shows a new thread, and an earlier open does not. */
static void test_independence(void)
{
	pid_t pid = fork_child();
	struct task_table *later, *before;

	if (!pid)
		pause_for_ever(NULL);
	later = table_read("threads");
	before = table_parse(memcpy(malloc(size + 1), text, size + 1), size);
	must(lseek(table, 0, SEEK_SET));
	ksft_test_result(table_find(later, pid) && !table_find(before, pid),
			 "second open: it has a new thread, the first has not\n");
	ksft_test_result(same_in_pieces(10000), "second open: the first text is unchanged\n");
	end_child(pid);
	table_free(later);
	table_free(before);
}

/* `current` has no rows, but is read in the same way. */
static void test_current(void)
{
	table = open_table("current");
	text = slurp_descriptor(table, &size);
	ksft_test_result(size > 200 && same_in_pieces(1) && same_in_pieces(16) &&
			 same_in_pieces(4096) &&
			 same_at(10, 10) && same_at(size - 1, 5),
			 "current: the same text in pieces, again, from any offset\n");
	close(table);
}

int main(void)
{
	struct task_table *parsed;
	char *copy;

	ksft_print_header();
	ksft_set_plan(35);
	load_taskscope("");
	test_current();
	/* This test is one process, so the threads exist when it opens the table. */
	pid_t sleepers = start_child(start_threads, NULL);
	struct proc_thread thread;

	wait_until(proc_thread(sleepers, sleepers, &thread) && thread.threads == THREADS + 1,
		   "no threads");

	table = open_table("threads");
	text = slurp_descriptor(table, &size);
	copy = memcpy(malloc(size + 1), text, size + 1);
	parsed = table_parse(copy, size);
	ksft_print_msg("%zu bytes, %zu rows%s\n", size, parsed->rows, parsed->problem);
	ksft_test_result(!*parsed->problem && parsed->rows > THREADS && size > 131072,
			 "1500 threads: the table is well formed and has their rows\n");
	table_free(parsed);
	test_pieces();
	test_pread();
	test_seek();
	test_bad_buffers();
	test_vectors();
	test_sharing();
	test_independence();
	close(table);
	ksft_finished();
}
