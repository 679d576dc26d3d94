// SPDX-License-Identifier: GPL-2.0
/*
 * What /proc does not show of tasks, by other means than those of taskscope: the tasks come
 * from the PID namespace instead of the task list, and the kernel's own formats print them.
 * A line of /sys/kernel/debug/task_oracle is
 *
 *	TGID PID TASK TASK STACK STACK FLAGS COMM
 *
 * Each address is there twice: hashed, as %p prints it, and raw. It is "-" for a released
 * stack. FLAGS is hexadecimal. COMM is the whole name as pairs of hexadecimal digits, so that
 * no name can break a line.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>

static void show_task(struct seq_file *file, struct task_struct *task)
{
	char comm[TASK_COMM_LEN];
	void *stack = READ_ONCE(task->stack);

	seq_printf(file, "%d %d %p %016lx ", task->tgid, task->pid, task, (unsigned long)task);
	if (stack)
		seq_printf(file, "%p %016lx ", stack, (unsigned long)stack);
	else
		seq_puts(file, "- - ");
	get_task_comm(comm, task);
	seq_printf(file, "%x %*phN\n", READ_ONCE(task->flags), (int)strlen(comm), comm);
}

static int task_oracle_show(struct seq_file *file, void *data)
{
	struct pid *pid;
	int number = 0;

	show_task(file, &init_task);
	rcu_read_lock();
	while ((pid = find_ge_pid(number + 1, &init_pid_ns))) {
		struct task_struct *task = pid_task(pid, PIDTYPE_PID);

		number = pid_nr(pid);
		if (task)
			show_task(file, task);
	}
	rcu_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(task_oracle);

static struct dentry *entry;

static int __init task_oracle_init(void)
{
	entry = debugfs_create_file("task_oracle", 0400, NULL, NULL, &task_oracle_fops);
	return PTR_ERR_OR_ZERO(entry);
}
module_init(task_oracle_init);

static void __exit task_oracle_exit(void)
{
	debugfs_remove(entry);
}
module_exit(task_oracle_exit);

MODULE_DESCRIPTION("Tasks and their addresses, found by PID");
MODULE_LICENSE("GPL");
