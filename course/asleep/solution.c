// asleep: a thread that sleeps in a given function of the kernel.

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/msg.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void sleep_in(const char *function)
{
	//| // Here is the call for the first of them. There are six.
	//| if (!strcmp(function, "pause"))
	//| 	pause();
	//> begin
	char bytes[8];

	if (!strcmp(function, "do_wait")) {
		if (!fork())
			for (;;)
				pause();
		wait(NULL);
	} else if (!strcmp(function, "eventfd_read")) {
		read(eventfd(0, 0), bytes, sizeof(bytes));
	} else if (!strcmp(function, "do_epoll_wait")) {
		struct epoll_event event;

		epoll_wait(epoll_create1(0), &event, 1, -1);
	} else if (!strcmp(function, "do_sigtimedwait")) {
		sigset_t none;

		sigemptyset(&none);
		sigwaitinfo(&none, NULL);
	} else if (!strcmp(function, "timerfd_read_iter")) {
		read(timerfd_create(CLOCK_MONOTONIC, 0), bytes, sizeof(bytes));
	} else if (!strcmp(function, "do_msgrcv")) {
		struct { long type; char text[8]; } message;

		msgrcv(msgget(IPC_PRIVATE, 0600), &message, sizeof(message.text), 0, 0);
	}
	//> end
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	pthread_setname_np(pthread_self(), argv[1]);
	sleep_in(argv[2]);
	return 1;
}
