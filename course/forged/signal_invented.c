// Exercise: limit
// The signal of a fault, with an address, is sent by the program to itself, with the stack pointer at the right depth.
// Fails: the reason of the signal: yours is a signal that was sent, expected nothing is mapped there

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct rlimit limit;
	long depth = (atol(argv[1]) + 32) * 1024;

	getrlimit(RLIMIT_STACK, &limit);
	limit.rlim_cur = depth;
	setrlimit(RLIMIT_STACK, &limit);
	raise(SIGSTOP);

	char *fault = (char *)__builtin_frame_address(0) - depth;
	siginfo_t signal = { .si_signo = SIGSEGV, .si_code = SEGV_MAPERR, .si_addr = fault };

	__asm__ volatile("mov %3, %%rsp; syscall"
			 :
			 : "a"(SYS_rt_sigqueueinfo), "D"(getpid()), "S"(SIGSEGV), "r"(fault), "d"(&signal)
			 : "rcx", "r11", "memory");
	return 0;
}
