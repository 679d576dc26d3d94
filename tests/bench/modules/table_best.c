// SPDX-License-Identifier: GPL-2.0
/*
 * The table `threads` of taskscope in the fastest C: a snapshot taken by open() in one RCU
 * section, and rows written directly into seq_file's buffer, which is large from the start.
 * seq_put_decimal_ull_width() is not exported, so this file has its own. Two %p in one call hash
 * the addresses: no other hash function is exported.
 */
#include <linux/cred.h>
#include <linux/debugfs.h>
#include <linux/math.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/string.h>

#define BUFFER	(32 * 1024)
#define SLACK	64
/* A row is at most nine numbers, two addresses, words and an escaped name. */
#define ROW_MAX	256

struct record {
	u32 tgid, pid, ppid, uid, euid, nr_threads, cpu;
	u64 switches, start;
	const void *task, *stack;
	u32 flags;
	char state;
	bool has_mm;
	char comm[TASK_COMM_LEN];
};

enum { TGID, PID, PPID, UID, EUID, NTHR, CPU, SWITCHES, START, NUMBERS };

static const char * const names[NUMBERS] = {
	"TGID", "PID", "PPID", "UID", "EUID", "NTHR", "CPU", "SWITCHES", "START",
};

struct table {
	size_t count;
	u32 width[NUMBERS];
	bool has_note;
	struct record records[];
};

/* The number of tasks at the last open. */
static size_t expected = SLACK;

static void take(struct record *record, struct task_struct *task)
{
	const struct cred *cred = __task_cred(task);

	record->switches = READ_ONCE(task->nvcsw) + READ_ONCE(task->nivcsw);
	smp_rmb(); /* the count is the oldest value of the row */
	record->tgid = READ_ONCE(task->tgid);
	record->pid = READ_ONCE(task->pid);
	record->ppid = pid_alive(task) ? READ_ONCE(rcu_dereference(task->real_parent)->tgid) : 0;
	record->uid = __kuid_val(cred->uid);
	record->euid = __kuid_val(cred->euid);
	record->nr_threads = READ_ONCE(task->signal->nr_threads);
	record->cpu = task_cpu(task);
	record->start = READ_ONCE(task->start_boottime);
	record->task = task;
	record->stack = READ_ONCE(task->stack);
	record->state = task_state_to_char(task);
	record->has_mm = READ_ONCE(task->mm);
	smp_rmb(); /* PF_EXITING is set before mm is given up */
	record->flags = READ_ONCE(task->flags);
	memcpy(record->comm, task->comm, sizeof(record->comm));
	record->comm[TASK_COMM_LEN - 1] = 0;
}

/* false if the array is too small for all tasks */
static bool walk(struct table *table, size_t room)
{
	struct task_struct *process, *thread;
	size_t count = 0;

	rcu_read_lock();
	take(&table->records[count++], &init_task);
	for_each_process_thread(process, thread) {
		if (count == room) {
			rcu_read_unlock();
			return false;
		}
		take(&table->records[count++], thread);
	}
	rcu_read_unlock();
	table->count = count;
	return true;
}

static bool is_kernel(const struct record *record)
{
	return record->flags & PF_KTHREAD;
}

static const char *note_of(const struct record *record)
{
	if (is_kernel(record))
		return record->has_mm ? "borrowed-mm" : NULL;
	if (record->has_mm)
		return NULL;
	if (record->flags & PF_EXITING)
		return "exiting";
	return record->flags & (PF_USER_WORKER | PF_IO_WORKER) ? NULL : "pre-exec";
}

static u32 digits(u64 number)
{
	u32 count = 1;

	while (number >= 10) {
		number /= 10;
		count++;
	}
	return count;
}

static void measure(struct table *table)
{
	u64 largest[NUMBERS] = {};

	for (size_t i = 0; i < table->count; i++) {
		const struct record *record = &table->records[i];

		largest[TGID] = max(largest[TGID], record->tgid);
		largest[PID] = max(largest[PID], record->pid);
		largest[PPID] = max(largest[PPID], record->ppid);
		largest[UID] = max(largest[UID], record->uid);
		largest[EUID] = max(largest[EUID], record->euid);
		largest[NTHR] = max(largest[NTHR], record->nr_threads);
		largest[CPU] = max(largest[CPU], record->cpu);
		largest[SWITCHES] = max(largest[SWITCHES], record->switches);
		largest[START] = max(largest[START], record->start);
		if (unlikely(note_of(record)))
			table->has_note = true;
	}
	for (int i = 0; i < NUMBERS; i++)
		table->width[i] = max(digits(largest[i]), strlen(names[i]));
}

static struct table *capture(void)
{
	size_t room = READ_ONCE(expected) + SLACK;

	for (;;) {
		struct table *table = kvmalloc_flex(*table, records, room, GFP_KERNEL);

		if (!table)
			return NULL;
		if (walk(table, room)) {
			WRITE_ONCE(expected, table->count);
			table->has_note = false;
			measure(table);
			return table;
		}
		kvfree(table);
		room *= 2;
	}
}

static void *item(struct table *table, loff_t pos)
{
	return pos <= table->count + 1 ? (void *)(uintptr_t)(pos + 1) : NULL;
}

static void *table_start(struct seq_file *file, loff_t *pos)
{
	return item(file->private, *pos);
}

static void *table_next(struct seq_file *file, void *v, loff_t *pos)
{
	return item(file->private, ++*pos);
}

static void table_stop(struct seq_file *file, void *v)
{
}

/* Writes a number at the right end of a field of spaces; returns the end of the field. */
static __always_inline char *put_number(char *at, u32 width, u64 number)
{
	char *digit = at + width;

	memset(at, ' ', width);
	do {
		*--digit = '0' + number % 10;
		number /= 10;
	} while (number);
	return at + width;
}

/* The text is a constant, so the compiler knows its length. */
static __always_inline char *put(char *at, const char *text)
{
	size_t length = strlen(text);

	memcpy(at, text, length);
	return at + length;
}

static char *put_comm(char *at, const struct record *record)
{
	bool brackets = is_kernel(record);
	size_t length = strlen(record->comm) ?: 1;

	if (brackets)
		*at++ = '[';
	for (size_t i = 0; i < length; i++) {
		unsigned char c = record->comm[i];
		bool edge = i == 0 || i == length - 1;

		if (likely(c > ' ' && c <= '~' && c != '\\') || (c == ' ' && !edge))
			*at++ = c;
		else
			at += sprintf(at, "\\%03o", c);
	}
	if (brackets)
		*at++ = ']';
	return at;
}

static char *put_row(char *at, const struct table *table, const struct record *record)
{
	const char *note = note_of(record);

	at = put_number(at, table->width[TGID], record->tgid);
	*at++ = ' ';
	at = put_number(at, table->width[PID], record->pid);
	*at++ = ' ';
	at = put_number(at, table->width[PPID], record->ppid);
	*at++ = ' ';
	at = put_number(at, table->width[UID], record->uid);
	*at++ = ' ';
	at = put_number(at, table->width[EUID], record->euid);
	*at++ = ' ';
	*at++ = record->state;
	if (record->flags & PF_IDLE)
		at = put(at, " idle  ");
	else if (record->flags & PF_KTHREAD)
		at = put(at, " kernel");
	else if (record->flags & (PF_USER_WORKER | PF_IO_WORKER))
		at = put(at, " worker");
	else
		at = put(at, " user  ");
	at = record->has_mm ? put(at, " set  ") : put(at, " NULL ");
	at = put_number(at, table->width[NTHR], record->nr_threads);
	*at++ = ' ';
	at = put_number(at, table->width[CPU], record->cpu);
	*at++ = ' ';
	at = put_number(at, table->width[SWITCHES], record->switches);
	*at++ = ' ';
	at = put_number(at, table->width[START], record->start);
	if (likely(record->stack))
		at += sprintf(at, " %p %p", record->task, record->stack);
	else
		at += sprintf(at, " %p %-16s", record->task, "-");
	if (unlikely(table->has_note))
		at += sprintf(at, " %-11s ", note ?: "-");
	else
		at = put(at, " -    ");
	at = put_comm(at, record);
	*at++ = '\n';
	return at;
}

static void show_row(struct seq_file *file, const struct table *table, const struct record *record)
{
	char *buffer;
	size_t room = seq_get_buf(file, &buffer);

	seq_commit(file, room < ROW_MAX ? -1 : put_row(buffer, table, record) - buffer);
}

static int table_show(struct seq_file *file, void *v)
{
	const struct table *table = file->private;
	size_t at = (uintptr_t)v - 1;

	if (!at)
		seq_printf(file,
			   "%*s %*s %*s %*s %*s S KIND   MM   %*s %*s %*s %*s %-16s %-16s %-*s COMM\n",
			   table->width[TGID], names[TGID], table->width[PID], names[PID],
			   table->width[PPID], names[PPID], table->width[UID], names[UID],
			   table->width[EUID], names[EUID], table->width[NTHR], names[NTHR],
			   table->width[CPU], names[CPU], table->width[SWITCHES], names[SWITCHES],
			   table->width[START], names[START],
			   "TASK", "STACK", table->has_note ? 11 : 4, "NOTE");
	else if (at <= table->count)
		show_row(file, table, &table->records[at - 1]);
	else
		seq_printf(file, "# %zu threads\n", table->count);
	return 0;
}

static const struct seq_operations table_operations = {
	.start = table_start,
	.next = table_next,
	.stop = table_stop,
	.show = table_show,
};

static int table_open(struct inode *inode, struct file *file)
{
	struct table *table = capture();
	struct seq_file *seq;
	int error;

	if (!table)
		return -ENOMEM;
	error = seq_open(file, &table_operations);
	if (error) {
		kvfree(table);
		return error;
	}
	seq = file->private_data;
	seq->private = table;
	seq->buf = kvmalloc(BUFFER, GFP_KERNEL);
	seq->size = seq->buf ? BUFFER : 0;
	return 0;
}

static int table_release(struct inode *inode, struct file *file)
{
	struct seq_file *seq = file->private_data;

	kvfree(seq->private);
	return seq_release(inode, file);
}

static const struct file_operations table_file = {
	.owner = THIS_MODULE,
	.open = table_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = table_release,
};

static struct dentry *entry;

static int __init table_best_init(void)
{
	entry = debugfs_create_file("table_best", 0400, NULL, NULL, &table_file);
	return PTR_ERR_OR_ZERO(entry);
}
module_init(table_best_init);

static void __exit table_best_exit(void)
{
	debugfs_remove(entry);
}
module_exit(table_best_exit);

MODULE_DESCRIPTION("A table of threads in C, as fast as seq_file makes it");
MODULE_LICENSE("GPL");
