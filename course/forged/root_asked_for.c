// Exercise: undead
// Fails: yours is no process: it exited with status 1, expected Z
// Fails: undead: 0 of 3 checks passed
// Tries to become root, and to load a module.
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	setresuid(0, 0, 0);
	syscall(SYS_finit_module, open("/taskscope.ko", O_RDONLY), "", 0);
	syscall(SYS_delete_module, "taskscope", 0);
	execl("/bin/busybox", "su", "-c", "true", NULL);
	pause();
	return argc + !argv;
}
