// Exercise: asleep
// Fails: [0-3] of 6 checks passed
// Fails: yours is [a-z]+ asleep in
// A loop through all six calls: whichever is asked for, the thread is in it at some time.
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/msg.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void ignore(int signal)
{
}

int main(int argc, char **argv)
{
	struct itimerval often = { { 0, 3000 }, { 0, 3000 } };
	int queue = msgget(IPC_PRIVATE, 0600), epoll = epoll_create1(0), event = eventfd(0, 0);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct { long type; char text[8]; } message;
	struct epoll_event ready;
	sigset_t none;
	char bytes[8];

	if (argc != 3)
		return 2;
	sigemptyset(&none);
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = ignore }, NULL);
	if (!fork())
		for (;;)
			pause();
	setitimer(ITIMER_REAL, &often, NULL);
	pthread_setname_np(pthread_self(), argv[1]);
	for (;;) {
		wait(NULL);
		read(event, bytes, sizeof(bytes));
		epoll_wait(epoll, &ready, 1, -1);
		sigwaitinfo(&none, NULL);
		read(timer, bytes, sizeof(bytes));
		msgrcv(queue, &message, sizeof(message.text), 0, 0);
	}
}
