// SPDX-License-Identifier: GPL-2.0
/*
 * usage: renew SECONDS.MICROSECONDS SEED
 *
 * Gives a guest that was restored the date, and random numbers of its own. After RNDRESEEDCRNG, the kernel uses what
 * was written to /dev/urandom at once. Otherwise it would use it after a minute, and until then two guests that were
 * restored from the same state would draw the same random numbers.
 */
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

int main(int argc, char **argv)
{
	struct timespec date = { 0 };
	int random;

	if (argc != 3 || sscanf(argv[1], "%ld.%ld", &date.tv_sec, &date.tv_nsec) != 2) {
		fprintf(stderr, "usage: renew SECONDS.MICROSECONDS SEED\n");
		return 1;
	}
	date.tv_nsec *= 1000;
	if (clock_settime(CLOCK_REALTIME, &date))
		return fail("renew: the date");
	random = open("/dev/urandom", O_WRONLY);
	if (random < 0)
		return fail("renew: /dev/urandom");
	if (write(random, argv[2], strlen(argv[2])) < 0 || ioctl(random, RNDRESEEDCRNG))
		return fail("renew: random numbers");
	return 0;
}
