// SPDX-License-Identifier: GPL-2.0
/*
 * usage: no_mounts COMMAND [ARGUMENT]...
 *
 * Runs a command that may make namespaces, but not mount in them, like AppArmor where user
 * namespaces are restricted. A change of propagation, with which unshare makes a mount
 * namespace, names no type of file system, and is allowed.
 */
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF_EQUAL(value, then, otherwise) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)

int main(int argc, char **argv)
{
	/* The type is the third argument of mount(); its low half is 0 where it is NULL. */
	struct sock_filter filter[] = {
		LOAD(nr),
		IF_EQUAL(__NR_fsopen, 4, 0),
		IF_EQUAL(__NR_open_tree, 3, 0),
		IF_EQUAL(__NR_mount, 0, 3),
		LOAD(args[2]),
		IF_EQUAL(0, 1, 0),
		RETURN(SECCOMP_RET_ERRNO | EACCES),
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	if (argc < 2)
		errx(1, "usage: no_mounts COMMAND [ARGUMENT]...");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		err(1, "seccomp");
	execvp(argv[1], argv + 1);
	err(1, "%s", argv[1]);
}
