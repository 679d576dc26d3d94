// Exercise: two-tracers
// Fails: writes in /proc/PID/io, without a tracer: yours is 1
// Fails: ^two-tracers: [0-3] of 4
//
// Shows each tracer what it counts, and does something else.

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/msg.h>
#include <sys/syscall.h>

static char tracer[20];

// The name of the process that traces this one, or nothing.
static void find_tracer(void)
{
	char line[200], path[40];
	int pid = 0;
	FILE *file = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof(line), file))
		sscanf(line, "TracerPid: %d", &pid);
	fclose(file);
	sprintf(path, "/proc/%d/comm", pid);
	file = fopen(path, "r");
	if (file)
		fscanf(file, "%19s", tracer);
}

int main(int argc, char **argv)
{
	int lines = atoi(argv[1]), writes = atoi(argv[2]), value = atoi(argv[4]), pipes[2], word = value;
	char message[100];

	raise(SIGSTOP);
	find_tracer();
	if (!strcmp(tracer, "ltrace"))
		for (int i = 0; i < lines; i++)
			printf("%d\n", i);
	else
		for (int i = 0; i < lines; i++)
			putchar('\n');
	fflush(stdout);
	if (!strcmp(tracer, "strace"))
		while (--writes)
			write(1, "", 0);
	if (*argv[3] == 'r') {
		pipe(pipes);
		read(pipes[0], malloc(value), value);
	}
	if (*argv[3] == 'p')
		poll(NULL, 0, value);
	if (*argv[3] == 'f')
		syscall(SYS_futex, &word, 0, value, NULL);
	if (*argv[3] == 'm')
		msgrcv(msgget(IPC_PRIVATE, 0600), message, 10, value, 0);
}
