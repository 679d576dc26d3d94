// SPDX-License-Identifier: GPL-2.0
/*
 * The table `ustacks` of taskscope as a BPF iterator over tasks. An iterator over mappings would
 * visit the mappings of a process, not the stack of each thread.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define PF_KTHREAD	0x00200000
#define RLIMIT_STACK	3

char _license[] SEC("license") = "GPL";

struct span {
	unsigned long start, end;
};

static long note(struct task_struct *task, struct vm_area_struct *vma, struct span *mapping)
{
	mapping->start = vma->vm_start;
	mapping->end = vma->vm_end;
	return 0;
}

SEC("iter/task")
int ustacks(struct bpf_iter__task *context)
{
	struct seq_file *file = context->meta->seq;
	struct task_struct *task = context->task;
	struct span mapping = {};
	struct pt_regs *registers;
	struct rlimit *limit;
	unsigned long sp;

	if (!task)
		return 0;
	if (!context->meta->seq_num) {
		BPF_SEQ_PRINTF(file, "   TGID     PID           SP        START          END");
		BPF_SEQ_PRINTF(file, "     SIZE     USED             RLIM_CUR");
		BPF_SEQ_PRINTF(file, "             RLIM_MAX VALID COMM\n");
	}
	if (task->flags & PF_KTHREAD)
		return 0;
	registers = (struct pt_regs *)bpf_task_pt_regs(task);
	sp = registers->sp;
	bpf_find_vma(task, sp, note, &mapping, 0);
	limit = &task->signal->rlim[RLIMIT_STACK];
	BPF_SEQ_PRINTF(file, "%7d %7d %12lx %12lx %12lx %8lu %8lu %20lu %20lu ok    %s\n",
		       task->tgid, task->pid, sp, mapping.start, mapping.end,
		       mapping.end - mapping.start, mapping.end - sp, limit->rlim_cur,
		       limit->rlim_max, task->comm);
	return 0;
}
