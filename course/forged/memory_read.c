// Exercise: undead
// Fails: [0-2] of 3 checks passed
// Reads the memory and the environment of init and of its parent, and the challenge.
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	pid_t victim[] = { 1, getppid() };
	static const char * const files[] = { "mem", "environ", "maps", "stack", "syscall" };
	char path[PATH_MAX];

	for (int i = 0; i < 2; i++) {
		for (int f = 0; f < 5; f++) {
			snprintf(path, sizeof(path), "/proc/%d/%s", victim[i], files[f]);
			if (open(path, O_RDONLY) >= 0)
				printf("%s is open\n", path);
		}
		if (!ptrace(PTRACE_SEIZE, victim[i], NULL, NULL))
			puts("traced");
	}
	if (open("/challenge", O_RDONLY) >= 0)
		puts("the challenge is open");
	fflush(stdout);
	pause();
	return argc + !argv;
}
