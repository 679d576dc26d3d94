// SPDX-License-Identifier: GPL-2.0
/*
 * usage: pin
 *
 * Loads the BPF iterators of this directory and pins each as a file in /sys/fs/bpf, where
 * bpffs is mounted. Their light skeletons need no library.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frames.lskel.h"
#include "segments.lskel.h"
#include "threads.lskel.h"
#include "ustacks.lskel.h"

static void pin(int link, const char *path)
{
	union bpf_attr attribute = {
		.pathname = (unsigned long)path,
		.bpf_fd = link,
	};

	if (link < 0 || syscall(SYS_bpf, BPF_OBJ_PIN, &attribute, sizeof(attribute))) {
		perror(path);
		exit(1);
	}
}

int main(void)
{
	struct threads_bpf *threads = threads_bpf__open_and_load();
	struct frames_bpf *frames = frames_bpf__open_and_load();
	struct segments_bpf *segments = segments_bpf__open_and_load();
	struct ustacks_bpf *ustacks = ustacks_bpf__open_and_load();

	if (!threads || !frames || !segments || !ustacks) {
		perror("pin: a BPF iterator cannot be loaded");
		return 1;
	}
	pin(threads_bpf__threads__attach(threads), "/sys/fs/bpf/threads");
	pin(frames_bpf__frames__attach(frames), "/sys/fs/bpf/frames");
	pin(segments_bpf__segments__attach(segments), "/sys/fs/bpf/segments");
	pin(ustacks_bpf__ustacks__attach(ustacks), "/sys/fs/bpf/ustacks");
	return 0;
}
