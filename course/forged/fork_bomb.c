// Exercise: undead
// Fails: [0-2] of 3 checks passed
// Forks without end.
#include <unistd.h>

int main(int argc, char **argv)
{
	for (;;)
		fork();
	pause();
	return argc + !argv;
}
