// SPDX-License-Identifier: GPL-2.0
/*
 * The table `segments` of taskscope as a BPF iterator over the mappings of all processes. The
 * segments of a process are complete when the iterator reaches a mapping of the next one.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define PAGE_SIZE	4096
#define VM_PFNMAP	0x00000400

char _license[] SEC("license") = "GPL";

struct span {
	unsigned long start, end;
};

/* In the order of the table. */
struct process {
	int tgid;
	char comm[16];
	struct span text, data, bss, heap, mmap, stack, args, env, vdso;
};

static struct process process, done;
/* The address at which bss may continue; 0 before bss has begun. */
static unsigned long bss_end;
static unsigned long seen;

/* The addresses that the kernel keeps in mm_struct. */
static void begin(struct task_struct *task, struct mm_struct *mm)
{
	__builtin_memset(&process, 0, sizeof(process));
	process.tgid = task->tgid;
	bpf_probe_read_kernel_str(process.comm, sizeof(process.comm), task->comm);
	process.text = (struct span){ mm->start_code, mm->end_code };
	process.data = (struct span){ mm->start_data, mm->end_data };
	process.heap = (struct span){ mm->start_brk, mm->brk };
	process.args = (struct span){ mm->arg_start, mm->arg_end };
	process.env = (struct span){ mm->env_start, mm->env_end };
	bss_end = 0;
}

static void add(struct vm_area_struct *vma, struct mm_struct *mm)
{
	unsigned long start = vma->vm_start, end = vma->vm_end, data_end = mm->end_data;
	unsigned long stack = mm->start_stack, heap = mm->start_brk;

	if (start < data_end && data_end <= end) {
		bss_end = (data_end + PAGE_SIZE - 1) & -PAGE_SIZE;
		process.bss = (struct span){ data_end, bss_end };
	} else if (start == bss_end && !vma->vm_file) {
		bss_end = start < heap && heap < end ? heap : end;
		process.bss.end = bss_end;
	}
	if (start == (unsigned long)mm->context.vdso) {
		process.vdso = (struct span){ start, end };
	} else if (start <= stack && stack <= end) {
		process.stack = (struct span){ start, end };
	} else if (start >= mm->brk && start < mm->mmap_base && !(vma->vm_flags & VM_PFNMAP)) {
		/* Without the kernel's other mappings beside the vdso. */
		if (!process.mmap.start)
			process.mmap.start = start;
		process.mmap.end = end;
	}
}

/* Prints a row of the process that is complete. */
static void print(struct seq_file *file, const char *name, const struct span *at)
{
	if (at->start)
		BPF_SEQ_PRINTF(file, "%7d %s %12lx %12lx %10lu ok    %s\n", done.tgid, name,
			       at->start, at->end, at->end - at->start, done.comm);
	else
		BPF_SEQ_PRINTF(file, "%7d %s            -            -          - ok    %s\n",
			       done.tgid, name, done.comm);
}

static void print_all(struct seq_file *file)
{
	print(file, "text   ", &done.text);
	print(file, "data   ", &done.data);
	print(file, "bss    ", &done.bss);
	print(file, "heap   ", &done.heap);
	print(file, "mmap   ", &done.mmap);
	print(file, "stack  ", &done.stack);
	print(file, "args   ", &done.args);
	print(file, "env    ", &done.env);
	print(file, "vdso   ", &done.vdso);
}

SEC("iter/task_vma")
int segments(struct bpf_iter__task_vma *context)
{
	struct seq_file *file = context->meta->seq;
	struct task_struct *task = context->task;
	struct vm_area_struct *vma = context->vma;
	struct mm_struct *mm;
	/* If the rows did not fit, the iterator calls again with the same mapping. */
	bool again = context->meta->seq_num && context->meta->seq_num == seen;

	if (!task || !vma) {
		done = process;
		print_all(file);
		return 0;
	}
	mm = vma->vm_mm;
	if (!context->meta->seq_num) {
		BPF_SEQ_PRINTF(file, "   TGID SEGMENT       START          END");
		BPF_SEQ_PRINTF(file, "       SIZE VALID COMM\n");
		begin(task, mm);
		done.tgid = 0;
	}
	seen = context->meta->seq_num;
	if (again) {
		/* The previous process is printed at the first mapping of another one. */
		if (done.tgid)
			print_all(file);
		return 0;
	}
	done.tgid = 0;
	if (process.tgid != task->tgid) {
		done = process;
		begin(task, mm);
		print_all(file);
	}
	add(vma, mm);
	return 0;
}
