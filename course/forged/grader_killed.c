// Exercise: undead
// Fails: [0-2] of 3 checks passed
// Kills all that it can, its parent first.
#include <signal.h>

int main(int argc, char **argv)
{
	kill(getppid(), SIGKILL);
	kill(1, SIGKILL);
	kill(-1, SIGKILL);
	pause();
	return argc + !argv;
}
