// Exercise: undead
// Fails: [0-2] of 3 checks passed
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
