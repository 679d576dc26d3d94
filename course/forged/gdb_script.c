// Exercise: backtrace
// Fails: the calls that gdb finds: yours is nothing
//
// A script in the program's file, which gdb would run as root.

#include <unistd.h>

__asm__(".pushsection .debug_gdb_scripts, \"MS\", @progbits, 1\n"
	".byte 4\n"
	".ascii \"gdb.inlined-script\\n\"\n"
	".ascii \"print('look\\\\tgdb\\\\tforged\\\\tx\\\\tx')\\n\"\n"
	".ascii \"print(' rip = 0x1 in red (x.c:1)')\\n\"\n"
	".byte 0\n"
	".popsection\n");

int main(void)
{
	pause();
}
