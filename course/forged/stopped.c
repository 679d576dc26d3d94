// Exercise: undead
// Fails: the state of the leader, PID [0-9]+: yours is T, expected Z
// Fails: undead: 0 of 3 checks passed
// Stops itself, so that it cannot be waited for.
#include <signal.h>

int main(int argc, char **argv)
{
	signal(SIGTERM, SIG_IGN);
	raise(SIGSTOP);
	pause();
	return argc + !argv;
}
