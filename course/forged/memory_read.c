// Exercise: undead
// Fails: the state of the leader, PID [0-9]+: yours is S, expected Z
// Fails: undead: 0 of 3 checks passed
// Reads the memory and the environment of init and of its parent, and the challenge; exits if one of these can be read.
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
				return 77;
		}
		if (!ptrace(PTRACE_SEIZE, victim[i], NULL, NULL))
			return 77;
	}
	if (open("/challenge", O_RDONLY) >= 0)
		return 77;
	pause();
	return argc + !argv;
}
