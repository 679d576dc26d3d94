// Exercise: undead
// Fails: the state of the leader, PID [0-9]+: yours is S, expected Z
// Fails: undead: 0 of 3 checks passed
// Kills all that it can, its parent first; exits if it can kill that one or init.
#include <signal.h>

int main(int argc, char **argv)
{
	if (!kill(getppid(), SIGKILL) || !kill(1, SIGKILL))
		return 77;
	kill(-1, SIGKILL);
	pause();
	return argc + !argv;
}
