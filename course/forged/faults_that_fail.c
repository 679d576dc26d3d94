// Exercise: faults
// A system call makes the pages present, and as many faults that nothing can resolve are the exceptions.
// Fails: those that were exceptions: yours is [0-9]+, expected

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static sigjmp_buf after;

static void on_fault(int signal) { siglongjmp(after, 1); }

int main(int argc, char **argv)
{
	long count = atol(argv[1]), page = sysconf(_SC_PAGESIZE);
	volatile long left = count;
	char *memory = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(memory, count * page, MADV_NOHUGEPAGE);
	signal(SIGSEGV, on_fault);
	sigsetjmp(after, 1);
	if (left == count) {
		left--;
		*(volatile char *)NULL = 0;
	}
	raise(SIGSTOP);
	madvise(memory, count * page, MADV_POPULATE_WRITE);
	sigsetjmp(after, 1);
	if (left-- > 0)
		*(volatile char *)NULL = 0;
	raise(SIGSTOP);
	return 0;
}
