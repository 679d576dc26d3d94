// SPDX-License-Identifier: GPL-2.0
/*
 * While this module is loaded, a usermode helper sleeps before it runs its program: in the
 * init callback of call_usermodehelper_setup(), where it has no address space, or, if
 * `program` names a file, inside the execve() of that file, where it has an address space but
 * no user registers. When the module is unloaded, the helper exits without a program.
 */
#include <linux/binfmts.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/umh.h>

#include "sleep.h"

static char *program = "";
module_param(program, charp, 0400);
MODULE_PARM_DESC(program, "The file in whose execve() the helper sleeps");

static int pid;
module_param(pid, int, 0400);
MODULE_PARM_DESC(pid, "The helper's PID");

static DECLARE_COMPLETION(held);
static DECLARE_COMPLETION(let_go);

static void hold(void)
{
	pid = task_pid_nr(current);
	complete(&held);
	/* TASK_IDLE, as in sleep_until_stopped(). */
	wait_for_completion_state(&let_go, TASK_IDLE);
}

static int hold_before_exec(struct subprocess_info *info, struct cred *new)
{
	if (*program)
		return 0;
	hold();
	return -ECANCELED;
}

static int hold_in_exec(struct linux_binprm *bprm)
{
	int error;

	if (!*program || strcmp(bprm->filename, program))
		return -ENOEXEC;
	error = begin_new_exec(bprm);
	if (error)
		return error;
	setup_new_exec(bprm);
	hold();
	/* An error after begin_new_exec() kills the helper: it has no old program. */
	return -ENOEXEC;
}

/* Without .module: otherwise the helper would hold a reference, and no unload could end it. */
static struct linux_binfmt format = {
	.load_binary = hold_in_exec,
};

static int start_helper(void *unused)
{
	/* The arguments are the name alone; the environment is empty. */
	char *name = *program ? program : "/no/program", *arguments[2] = { name };
	struct subprocess_info *info;

	info = call_usermodehelper_setup(name, arguments, &arguments[1], GFP_KERNEL,
					 hold_before_exec, NULL, NULL);
	/* Waits until the helper has left this module. A kernel thread gets no signals. */
	if (info)
		call_usermodehelper_exec(info, UMH_WAIT_EXEC | UMH_KILLABLE);
	complete(&held);
	sleep_until_stopped();
	return 0;
}

static struct task_struct *thread;

static void hold_helper_exit(void)
{
	complete(&let_go);
	kthread_stop(thread);
	unregister_binfmt(&format);
}
module_exit(hold_helper_exit);

static int __init hold_helper_init(void)
{
	/* At the head of the list, before the formats that do not know the file. */
	insert_binfmt(&format);
	thread = kthread_run(start_helper, NULL, "hold_helper");
	if (IS_ERR(thread)) {
		unregister_binfmt(&format);
		return PTR_ERR(thread);
	}
	wait_for_completion(&held);
	if (!pid) {
		hold_helper_exit();
		return -EIO;
	}
	return 0;
}
module_init(hold_helper_init);

MODULE_DESCRIPTION("Holds a usermode helper before it runs its program");
MODULE_LICENSE("GPL");
