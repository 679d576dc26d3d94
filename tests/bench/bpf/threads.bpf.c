// SPDX-License-Identifier: GPL-2.0
/* The table `threads` of taskscope as a BPF iterator over tasks. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define PF_IDLE		0x00000002
#define PF_EXITING	0x00000004
#define PF_IO_WORKER	0x00000010
#define PF_USER_WORKER	0x00004000
#define PF_KTHREAD	0x00200000

char _license[] SEC("license") = "GPL";

/* The same as task_state_index() and task_index_to_char() in the kernel. */
static char state_of(struct task_struct *task)
{
	unsigned int state = task->__state, exit_state = task->exit_state, both;
	static const char letters[] = "RSDTtXZPI";
	unsigned int at = 0;

	both = (state | exit_state) & 0x7f;	/* TASK_REPORT */
	if ((state & 0x402) == 0x402)		/* TASK_IDLE */
		both = 0x80;
	if (state & 0x9000)			/* TASK_RTLOCK_WAIT, TASK_FROZEN */
		both = 2;
	while (both && at < 8) {
		both >>= 1;
		at++;
	}
	return letters[at];
}

SEC("iter/task")
int threads(struct bpf_iter__task *context)
{
	struct seq_file *file = context->meta->seq;
	struct task_struct *task = context->task;
	const char *kind = "user  ", *mm = "NULL", *note = "-";
	const char *open = "", *close = "";
	bool kernel;

	if (!task)
		return 0;
	if (!context->meta->seq_num) {
		BPF_SEQ_PRINTF(file, "   TGID     PID    PPID   UID  EUID S KIND   MM     NTHR");
		BPF_SEQ_PRINTF(file, " CPU SWITCHES           START");
		BPF_SEQ_PRINTF(file, " TASK             STACK            NOTE COMM\n");
	}
	kernel = task->flags & PF_KTHREAD;
	if (task->flags & PF_IDLE)
		kind = "idle  ";
	else if (kernel)
		kind = "kernel";
	else if (task->flags & (PF_USER_WORKER | PF_IO_WORKER))
		kind = "worker";
	if (task->mm) {
		mm = "set ";
		if (kernel)
			note = "borrowed-mm";
	} else if (!kernel && task->flags & PF_EXITING) {
		note = "exiting";
	} else if (!kernel && !(task->flags & (PF_USER_WORKER | PF_IO_WORKER))) {
		note = "pre-exec";
	}
	if (kernel) {
		open = "[";
		close = "]";
	}
	BPF_SEQ_PRINTF(file, "%7d %7d %7d %5u %5u %c", task->tgid, task->pid,
		       task->real_parent->tgid, task->cred->uid.val, task->cred->euid.val,
		       state_of(task));
	BPF_SEQ_PRINTF(file, " %s %s %6d %3u %8lu %15llu %p %p %s %s%s%s\n", kind, mm,
		       task->signal->nr_threads, task->thread_info.cpu,
		       task->nvcsw + task->nivcsw, task->start_boottime, task, task->stack, note,
		       open, task->comm, close);
	return 0;
}
