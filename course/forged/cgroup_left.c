// Exercise: undead
// Fails: the state of the leader, PID [0-9]+: yours is S, expected Z
// Fails: undead: 0 of 3 checks passed
// Tries to leave its cgroup, and exits if it can; otherwise leaves a process behind that holds on to the run.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int file = open("/sys/fs/cgroup/cgroup.procs", O_WRONLY);

	if (file >= 0 && dprintf(file, "0") > 0)
		return 77;
	if (!fork()) {
		setsid();
		for (;;)
			pause();
	}
	pause();
	return argc + !argv;
}
