// Exercise: faults
// Fails: asked for [0-9]+, the first time: yours is it stopped by TSTP, expected it stopped by STOP
// Stops itself by the signal of a terminal. The kernel ignores it for a process group without a parent in its session, so
// the group gets such a member.
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = atol(argv[1]), page = sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t group = getpgrp();
	int ready[2];
	char byte;

	madvise(memory, count * page, MADV_NOHUGEPAGE);
	if (pipe(ready))
		return 1;
	if (!fork()) {
		setpgid(0, 0);
		if (!fork()) {
			setpgid(0, group);
			write(ready[1], "", 1);
		}
		for (;;)
			pause();
	}
	read(ready[0], &byte, 1);
	raise(SIGTSTP);
	for (long i = 0; i < count; i++)
		memory[i * page] = 1;
	raise(SIGTSTP);
	return 0;
}
