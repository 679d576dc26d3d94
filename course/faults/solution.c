// faults: exactly as many page faults as asked for.

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc != 2)
		return 2;

	long count = atol(argv[1]), page = sysconf(_SC_PAGESIZE);

	//> begin
	char *memory = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return 1;
	// A page for each fault, and not a huge page.
	madvise(memory, count * page, MADV_NOHUGEPAGE);
	//> end
	raise(SIGSTOP);
	//| // The grader has read the count, and lets the program go on. Here it is to have `count` page faults; a page has `page` bytes.
	//| (void)count;
	//| (void)page;
	//> begin
	for (long i = 0; i < count; i++)
		memory[i * page] = 1;
	//> end
	raise(SIGSTOP);
	return 0;
}
