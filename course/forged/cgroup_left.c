// Exercise: undead
// Fails: [0-2] of 3 checks passed
// Tries to leave its cgroup, with a process that holds on to the run.
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int file = open("/sys/fs/cgroup/cgroup.procs", O_WRONLY);

	dprintf(file, "0");
	if (!fork()) {
		setsid();
		for (;;)
			pause();
	}
	pause();
	return argc + !argv;
}
