// limit: a stack that meets its limit.

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

//> begin
// Calls itself. Each call has a frame of somewhat more than 1 KiB.
static void down(long calls)
{
	char room[1024];

	memset(room, 0, sizeof(room));
	if (calls > 0)
		down(calls - 1);
	// Something is left to do after the call: it is no tail call.
	__asm__ volatile("" : : "r"(room) : "memory");
}
//> end

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;

	long low = atol(argv[1]), high = atol(argv[2]);

	//| // Where does the limit belong? And when does it have to be set?
	//| (void)low;
	//| (void)high;
	//> begin
	struct rlimit limit;

	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = (low + high) / 2 * 1024;
	if (setrlimit(RLIMIT_STACK, &limit))
		return 1;
	//> end
	raise(SIGSTOP);
	//| // Now go down.
	//> begin
	down(high);
	//> end
	return 0;
}
