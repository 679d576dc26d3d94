// up-and-down: a heap that grows up, and a stack that grows down.

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

//> begin
// Calls itself until the stack reaches `bytes` below `top`. Each call has a frame of somewhat more than 1 KiB.
static void down(char *top, long bytes)
{
	char room[1024];

	memset(room, 0, sizeof(room));
	if (top - room < bytes)
		down(top, bytes);
	else
		raise(SIGSTOP);
	// Something is left to do after the call: it is no tail call.
	__asm__ volatile("" : : "r"(room) : "memory");
}
//> end

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;

	long heap = atol(argv[1]) * 1024, stack = atol(argv[2]) * 1024;

	raise(SIGSTOP);
	//| // The grader has looked at both, and lets the program go on. Now make the heap larger, and the stack deeper; while both
	//| // are as they are to be, stop again.
	//| (void)heap;
	//| (void)stack;
	//| raise(SIGSTOP);
	//> begin
	if (sbrk(heap) == (void *)-1)
		return 1;
	down(__builtin_frame_address(0), stack);
	//> end
	return 0;
}
