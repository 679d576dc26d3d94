// backtrace: asleep, with a given chain of calls.
//
// This file is compiled with -O2, which leaves out frame pointers, as most programs are.

#include <string.h>
#include <unistd.h>

//> begin
// A frame, and a frame pointer, for each call: the compiler knows nothing of the function when it compiles its callers
// (noipa), and a call is one also if nothing follows it.
#define FRAME __attribute__((noipa, optimize("no-omit-frame-pointer", "no-optimize-sibling-calls")))

FRAME static void call(char **names);
FRAME static void red(char **names) { call(names); }
FRAME static void green(char **names) { call(names); }
FRAME static void blue(char **names) { call(names); }

// The C library has no frame pointers. So it is not called by a function of the chain, which would be missing.
FRAME static void rest(void)
{
	pause();
}

FRAME static void call(char **names)
{
	if (!*names)
		rest();
	else if (!strcmp(*names, "red"))
		red(names + 1);
	else if (!strcmp(*names, "green"))
		green(names + 1);
	else if (!strcmp(*names, "blue"))
		blue(names + 1);
}
//> end

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	//| // argv[1] is the name of the function that main() calls, argv[2] of the one that this one calls, and so on. The last
	//| // one sleeps.
	//| (void)argv;
	//| pause();
	//> begin
	call(argv + 1);
	//> end
	return 1;
}
