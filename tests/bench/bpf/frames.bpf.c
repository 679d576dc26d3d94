// SPDX-License-Identifier: GPL-2.0
/* The kernel stack of every thread, one frame per line, as a BPF iterator over tasks. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define DEPTH 64

char _license[] SEC("license") = "GPL";

unsigned long entries[DEPTH];

SEC("iter/task")
int frames(struct bpf_iter__task *context)
{
	struct seq_file *file = context->meta->seq;
	struct task_struct *task = context->task;
	long size;

	if (!task)
		return 0;
	size = bpf_get_task_stack(task, entries, sizeof(entries), 0);
	BPF_SEQ_PRINTF(file, "%d %d %s\n", task->tgid, task->pid, task->comm);
	for (int i = 0; i < DEPTH && i * 8 < size; i++)
		BPF_SEQ_PRINTF(file, "[<0>] %pB\n", (void *)entries[i]);
	return 0;
}
