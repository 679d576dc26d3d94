// Exercise: undead
// Fails: [0-2] of 3 checks passed
// Stops itself, so that it cannot be waited for.
#include <signal.h>

int main(int argc, char **argv)
{
	signal(SIGTERM, SIG_IGN);
	raise(SIGSTOP);
	pause();
	return argc + !argv;
}
