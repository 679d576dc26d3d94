// crowd: one process with many threads, which knows what ps says of it.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST 20

static pthread_barrier_t all_named;
static pid_t lwp[MOST];
static char names[MOST][40];

static void *live(void *argument)
{
	long number = (long)argument;

	pthread_setname_np(pthread_self(), names[number]);
	lwp[number] = gettid();
	pthread_barrier_wait(&all_named);
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;

	long count = atol(argv[1]);

	if (count < 1 || count > MOST)
		return 2;
	//| // argv[2] is the name. Here is a single thread, the leader, and what ps says of it.
	//| (void)live;
	//| printf("%d %d program\n", getpid(), gettid());
	//| fflush(stdout);
	//> begin
	pthread_barrier_init(&all_named, NULL, count);
	// The leader is one of them.
	for (long i = 1; i < count; i++) {
		pthread_t thread;

		snprintf(names[i], sizeof(names[i]), "%s%ld", argv[2], i);
		if (pthread_create(&thread, NULL, live, (void *)i))
			return 1;
	}
	pthread_barrier_wait(&all_named);
	printf("%d %d program\n", getpid(), gettid());
	for (long i = 1; i < count; i++)
		printf("%d %d %s\n", getpid(), lwp[i], names[i]);
	fflush(stdout);
	//> end
	for (;;)
		pause();
}
