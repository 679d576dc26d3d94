// Exercise: undead
// Fails: yours is no process: signal 9 \(Killed\) ended it
// Fails: undead: 0 of 3 checks passed
// Takes all memory that it gets.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	for (;;)
		memset(malloc(1 << 20), 1, 1 << 20);
	pause();
	return argc + !argv;
}
