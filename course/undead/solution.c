// undead: a process whose first thread is dead, while two others live.

#include <pthread.h>
#include <unistd.h>

static void *live(void *name)
{
	pthread_setname_np(pthread_self(), name);
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	//| // argv[1] and argv[2] are the names of the two threads. How does the first thread end, but not the process?
	//| live(argv[1]);
	//> begin
	for (int i = 1; i <= 2; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, live, argv[i]))
			return 1;
	}
	// Not exit(), and no return: these end the whole process.
	pthread_exit(NULL);
	//> end
}
