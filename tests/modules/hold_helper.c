// SPDX-License-Identifier: GPL-2.0
/*
 * As long as this module is loaded, a usermode helper sleeps on its way to its program:
 * in the init callback of call_usermodehelper_setup(), where it has no address space, or
 * if `program` names a file, in the middle of executing that, where it has one, but no
 * registers of user space yet. Then it ends, and runs no program.
 */
#include <linux/binfmts.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/umh.h>

static char *program = "";
module_param(program, charp, 0400);
MODULE_PARM_DESC(program, "The file in whose execution the helper sleeps");

static int pid;
module_param(pid, int, 0400);
MODULE_PARM_DESC(pid, "The helper");

static DECLARE_COMPLETION(held);
static DECLARE_COMPLETION(let_go);

static void hold(void)
{
	pid = task_pid_nr(current);
	complete(&held);
	/* Idle, for the hung task detector looks for what waits like this. */
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
	/* It cannot return to the program before: there was none. */
	return -ENOEXEC;
}

/* Without a module: its unload waits for the helper. */
static struct linux_binfmt format = {
	.load_binary = hold_in_exec,
};

static int start_helper(void *unused)
{
	/* Of its own arguments and environment it has its name alone. */
	char *name = *program ? program : "/no/program", *arguments[2] = { name };
	struct subprocess_info *info;

	info = call_usermodehelper_setup(name, arguments, &arguments[1], GFP_KERNEL,
					 hold_before_exec, NULL, NULL);
	/* Until the helper has left this module. No signal comes: this is a kernel thread. */
	if (info)
		call_usermodehelper_exec(info, UMH_WAIT_EXEC | UMH_KILLABLE);
	complete(&held);
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
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
	/* Before the others, which do not know the file. */
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
