// SPDX-License-Identifier: GPL-2.0
/*
 * The table `threads` of taskscope in plain C, as most such files are written: a walk in one RCU
 * section that prints as it goes, and starts again whenever seq_file's buffer is too small. And
 * a walk that prints nothing, which no table can beat.
 */
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>

static const char *kind_of(struct task_struct *task)
{
	if (task->flags & PF_IDLE)
		return "idle";
	if (task->flags & PF_KTHREAD)
		return "kernel";
	return task->flags & (PF_USER_WORKER | PF_IO_WORKER) ? "worker" : "user";
}

static const char *note_of(struct task_struct *task)
{
	if (task->flags & PF_KTHREAD)
		return task->mm ? "borrowed-mm" : "-";
	if (task->mm)
		return "-";
	if (task->flags & PF_EXITING)
		return "exiting";
	return task->flags & (PF_USER_WORKER | PF_IO_WORKER) ? "-" : "pre-exec";
}

static void show_row(struct seq_file *file, struct task_struct *task)
{
	bool kernel = task->flags & PF_KTHREAD;

	seq_printf(file,
		   "%7d %7d %7d %5u %5u %c %-6s %-4s %6d %3u %8lu %15llu %p %p %-4s %s%s%s\n",
		   task->tgid, task->pid, task_ppid_nr(task),
		   __kuid_val(task_uid(task)), __kuid_val(task_cred_xxx(task, euid)),
		   task_state_to_char(task), kind_of(task), task->mm ? "set" : "NULL",
		   get_nr_threads(task), task_cpu(task), task->nvcsw + task->nivcsw,
		   task->start_boottime, task, task->stack, note_of(task),
		   kernel ? "[" : "", task->comm, kernel ? "]" : "");
}

static int table_plain_show(struct seq_file *file, void *data)
{
	struct task_struct *process, *thread;
	unsigned long count = 1;

	seq_printf(file,
		   "%7s %7s %7s %5s %5s S KIND   MM   %6s CPU SWITCHES %15s %-16s %-16s NOTE COMM\n",
		   "TGID", "PID", "PPID", "UID", "EUID", "NTHR", "START", "TASK", "STACK");
	rcu_read_lock();
	show_row(file, &init_task);
	for_each_process_thread(process, thread) {
		show_row(file, thread);
		count++;
	}
	rcu_read_unlock();
	seq_printf(file, "# %lu threads\n", count);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(table_plain);

static int table_walk_show(struct seq_file *file, void *data)
{
	struct task_struct *process, *thread;
	unsigned long count = 1, sum = 0;

	rcu_read_lock();
	for_each_process_thread(process, thread) {
		sum += READ_ONCE(thread->pid);
		count++;
	}
	rcu_read_unlock();
	seq_printf(file, "# %lu threads, the sum of whose PIDs is %lu\n", count, sum);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(table_walk);

static struct dentry *plain, *walk;

static int __init table_plain_init(void)
{
	plain = debugfs_create_file("table_plain", 0400, NULL, NULL, &table_plain_fops);
	walk = debugfs_create_file("table_walk", 0400, NULL, NULL, &table_walk_fops);
	return 0;
}
module_init(table_plain_init);

static void __exit table_plain_exit(void)
{
	debugfs_remove(plain);
	debugfs_remove(walk);
}
module_exit(table_plain_exit);

MODULE_DESCRIPTION("A table of threads in plain C, and a walk that prints nothing");
MODULE_LICENSE("GPL");
