// SPDX-License-Identifier: GPL-2.0
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "capabilities.h"
#include "guest.h"

void keep_capabilities(unsigned long kept)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	must(syscall(SYS_capget, &header, data));
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= kept >> (32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable &= data[i].permitted;
	}
	must(syscall(SYS_capset, &header, data));
}

void drop_capability(int capability)
{
	keep_capabilities(~ONLY(capability));
}

void become_user(uid_t uid)
{
	must(setgroups(0, NULL));
	must(setresgid(uid, uid, uid));
	must(setresuid(uid, uid, uid));
	/* setresuid() has cleared this, and a write of uid_map needs it. */
	must(prctl(PR_SET_DUMPABLE, 1));
}

void become_namespace_root(uid_t uid)
{
	char map[30];

	if (uid)
		become_user(uid);
	must(unshare(CLONE_NEWUSER));
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	if (getuid())
		die("no root in the namespace");
}

int as_other(void (*become)(uid_t uid), int (*call)(const char *path), const char *path)
{
	pid_t pid = fork_child();
	int status;

	if (!pid) {
		become(1000);
		_exit(call(path));
	}
	status = wait_for(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}
