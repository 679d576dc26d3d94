// Exercise: undead
// Fails: the state of the leader, PID [0-9]+: yours is R, expected Z
// Fails: undead: 0 of 3 checks passed
// Prints without end.
#include <signal.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	signal(SIGXFSZ, SIG_IGN);
	for (;;)
		puts("look\tdead\tforged\tZ\tZ");
	pause();
	return argc + !argv;
}
