// Exercise: undead
// Fails: the state of the leader, PID [0-9]+: yours is S, expected Z
// Fails: undead: 0 of 3 checks passed
// Takes the descriptors of init and of its parent, and writes a report to each.
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REPORT "look\tdead\tforged\tZ\tZ\nlook\talive\tforged\t${first} ${second}\t${first} ${second}\nlook\tmm\tforged\ta\ta\n"

int main(int argc, char **argv)
{
	pid_t victim[] = { 1, getppid() };

	for (int i = 0; i < 2; i++) {
		int process = syscall(SYS_pidfd_open, victim[i], 0);

		for (int number = 0; number < 20; number++) {
			int file = syscall(SYS_pidfd_getfd, process, number, 0);
			char path[PATH_MAX];

			if (file >= 0)
				dprintf(file, REPORT);
			snprintf(path, sizeof(path), "/proc/%d/fd/%d", victim[i], number);
			file = open(path, O_WRONLY | O_NONBLOCK);
			if (file >= 0)
				dprintf(file, REPORT);
		}
	}
	pause();
	return argc + !argv;
}
