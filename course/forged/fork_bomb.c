// Exercise: undead
// Fails: the state of the leader, PID [0-9]+: yours is [RSD], expected Z
// Fails: undead: 0 of 3 checks passed
// Forks without end.
#include <unistd.h>

int main(int argc, char **argv)
{
	for (;;)
		fork();
	pause();
	return argc + !argv;
}
