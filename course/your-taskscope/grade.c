// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is task_oracle, which finds tasks by their PIDs and not on the lists of threads,
 * with their flags and the bytes of their names; and /proc/PID/status.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "report.h"
#include "guest.h"
#include "threads.h"
#include "workers.h"

#define DEVICE "/dev/exercise"
#define HEADER "TGID PID KIND MM COMM"
/* A text that is longer than this has no end. */
#define LONGEST (1024 * 1024)
#define OPENS 10
#define RELOADS 20

static bool take_row(struct list *list, const char *line)
{
	struct thread thread = { 0 };
	int end = 0;

	if (sscanf(line, " %d %d %11s %7s %79s %n", &thread.tgid, &thread.pid, thread.kind,
		   thread.mm, thread.comm, &end) != 5 || line[end] || thread.pid < 0 ||
	    thread.pid >= PIDS)
		return false;
	add_thread(list, &thread);
	return true;
}

/* The last line may lack its end, if the text was not read to its end. */
static struct list parse(const char *text, bool is_whole)
{
	struct list list = empty_list();
	char *copy = strdup(text), *rest = copy, *line, word[5][8];
	int end = 0;

	line = next_line(&rest) ?: "";
	if (sscanf(line, " %7s %7s %7s %7s %7s %n", word[0], word[1], word[2], word[3], word[4],
		   &end) == 5 && !line[end])
		snprintf(line, strlen(line) + 1, "%s %s %s %s %s", word[0], word[1], word[2],
			 word[3], word[4]);
	if (strcmp(line, HEADER))
		list.bad = strndup(line, 60);
	while ((line = next_line(&rest))) {
		bool has_end = text[line - copy + strlen(line)] == '\n';

		if ((!has_end && !is_whole) || (has_end && take_row(&list, line)) || list.bad)
			continue;
		list.bad = strndup(line, 60);
	}
	free(copy);
	return list;
}

/* What the text of the exercise makes of a name. */
static void escape(const char *name, char *escaped)
{
	if (!*name)
		sprintf(escaped, "\\000");
	for (; *name; name++)
		escaped += sprintf(escaped, *name > ' ' && *name <= '~' && *name != '\\' ?
				   "%c" : "\\%03o", (unsigned char)*name);
}

static const char *kind_by_flags(unsigned long flags)
{
	return flags & PF_KTHREAD ? "kernel" : flags & PF_USER_WORKER ? "worker" : "user";
}

/* Ends the grader if that fails. */
static int open_table(const char *id)
{
	int file = open(DEVICE, O_RDONLY | O_CLOEXEC);

	if (file < 0) {
		look_at(id, "open(\"" DEVICE "\")", strerror(errno), "no error", "open-fails");
		exit(0);
	}
	return file;
}

/* A text as far as it was read. */
struct text {
	char *bytes;
	size_t size;
	bool has_end;
	int error;
};

/* Reads on, `piece` bytes at a time, until is_enough() or the end. */
static void read_on(int file, struct text *text, size_t piece,
		    bool (*is_enough)(const struct text *text))
{
	for (;;) {
		ssize_t count;

		text->bytes = realloc(text->bytes, text->size + piece + 1);
		count = read(file, text->bytes + text->size, piece);
		text->error = count < 0 ? errno : 0;
		if (count > 0)
			text->size += count;
		text->bytes[text->size] = 0;
		text->has_end = !count;
		if (count <= 0 || text->size > LONGEST || (is_enough && is_enough(text)))
			return;
	}
}

/* Opens the file, and reads all of it. */
static struct text read_table(const char *id, size_t piece)
{
	struct text text = { 0 };
	int file = open_table(id);

	read_on(file, &text, piece, NULL);
	close(file);
	return text;
}

static bool has_zero(const struct text *text)
{
	return memchr(text->bytes, 0, text->size);
}

static const char *end_of(const struct text *text)
{
	if (text->error)
		return strerror(text->error);
	if (!text->has_end)
		return "no end after 1 MiB";
	return has_zero(text) ? "an end, and a byte 0 before it" : "an end";
}

/* The mistake that end_of() tells; NULL if there is none. */
static const char *key_of_end(const struct text *text)
{
	return text->error ? "read-fails" : !text->has_end ? "no-end" :
	       has_zero(text) ? "zeros" : NULL;
}

/*
 * How many of those that stay are not there once. A kernel thread may have ended nevertheless: it
 * is none of those that the oracle finds after the list was read.
 */
static size_t count_missing(const struct list *stay, const struct list *list,
			    const struct list *oracle, pid_t *example)
{
	size_t missing = 0;

	for (size_t i = 0; i < stay->count; i++) {
		pid_t pid = stay->thread[i].pid;

		if (oracle->times[pid] && !list->times[pid] && !missing++)
			*example = pid;
	}
	return missing;
}

static size_t count_twice(const struct list *list, pid_t *example)
{
	size_t twice = 0;

	for (size_t i = 0; i < list->count; i++)
		if (list->times[list->thread[i].pid] > 1 && !twice++)
			*example = list->thread[i].pid;
	return twice;
}

static void call_itself(void *name)
{
	must(prctl(PR_SET_NAME, name));
}

static pid_t start_named(const char *name)
{
	pid_t pid = start_child(call_itself, (void *)name);
	struct proc_thread thread;

	wait_until(proc_thread(pid, pid, &thread) && thread.comm_length == strlen(name) &&
		   !memcmp(thread.comm, name, strlen(name)), "no process of that name");
	return pid;
}

/* Names, and what the host expects of them. */
static struct name {
	const char *form, *want;
	char bytes[16];
	pid_t pid;
} names[] = {
	{ "%s\n:1 1 a", "${word}\\012:1\\0401\\040a" },
	{ "%s \\n", "${word}\\040\\134n" },
	{ "  %.5s ", NULL },
	{ "\033[31m%s", "\\033[31m${word}" },
	{ "\xc3\xa9\x7f%s", "\\303\\251\\177${word}" },
	{ "[%s]", "[${word}]" },
	{ "", "\\000" },
};

#define NAMES (sizeof(names) / sizeof(*names))

/* The last name is empty; the one before is that of a kernel thread in ps. */
static void start_names(void)
{
	for (size_t i = 0; i < NAMES; i++) {
		snprintf(names[i].bytes, sizeof(names[i].bytes), names[i].form, drawn("word"));
		names[i].pid = start_named(names[i].bytes);
	}
}

/* Returns the mistake that was found. */
static const char *look_at_names(const struct list *list, const char *key)
{
	const char *found = NULL;

	for (size_t i = 0; i < NAMES; i++) {
		const struct thread *row = find_thread(list, names[i].pid);
		char subject[60], want[80];

		snprintf(subject, sizeof(subject), "COMM of PID %d", names[i].pid);
		escape(names[i].bytes, want);
		if (!row || strcmp(row->comm, want))
			found = found ?: key ?: *names[i].bytes ? "escape" : "empty-name";
		look_at("names", subject, row ? row->comm : "no line", names[i].want ?: want,
			key ?: *names[i].bytes ? "escape" : "empty-name");
	}
	return found;
}

/* The processes whose kind, or whose address space, says something else than the other. */
static pid_t zombie, borrower;
static struct worker worker;

static void look_at_columns(const struct list *list, const struct list *stay, const char *key)
{
	const struct {
		pid_t pid;
		const char *what, *kind, *mm;
	} special[] = {
		{ zombie, "a zombie", "user", "NULL" },
		{ borrower, "a kernel thread inside kthread_use_mm()", "kernel", "set" },
		{ worker.thread, "a worker of io_uring", "worker", "set" },
		{ KTHREADD, "kthreadd", "kernel", "NULL" },
	};
	size_t kind = 0, mm = 0, comm = 0;
	pid_t example[3] = { 0 };

	for (size_t i = 0; i < sizeof(special) / sizeof(*special); i++) {
		const struct thread *row = find_thread(list, special[i].pid);
		const char *why = key;
		char subject[120];

		if (!why && row && strcmp(row->kind, special[i].kind))
			why = special[i].pid == worker.thread ? "worker" : "mm-is-null";
		snprintf(subject, sizeof(subject), "KIND of PID %d, %s", special[i].pid,
			 special[i].what);
		look_at("columns", subject, row ? row->kind : "no line", special[i].kind, why);
		snprintf(subject, sizeof(subject), "MM of PID %d, %s", special[i].pid,
			 special[i].what);
		look_at("columns", subject, row ? row->mm : "no line", special[i].mm,
			why ?: "mm-by-kind");
	}
	for (size_t i = 0; i < stay->count; i++) {
		const struct thread *truth = &stay->thread[i], *row = find_thread(list, truth->pid);
		struct proc_thread thread;
		char name[80];

		if (!row)
			continue;
		if ((strcmp(row->kind, kind_by_flags(truth->flags)) ||
		     row->tgid != truth->tgid) && !kind++)
			example[0] = truth->pid;
		if (!(truth->flags & (PF_KTHREAD | PF_EXITING)) &&
		    proc_thread(truth->tgid, truth->pid, &thread) &&
		    strcmp(row->mm, thread.has_mm ? "set" : "NULL") && !mm++)
			example[1] = truth->pid;
		escape(truth->comm, name);
		if (strcmp(row->comm, name) && !comm++)
			example[2] = truth->pid;
	}
	look_at("columns", "threads whose TGID or KIND is not that of task_oracle",
		number_of(kind, example[0]), "none", key);
	look_at("columns", "threads whose MM is not what /proc/PID/status says",
		number_of(mm, example[1]), "none", key ?: "mm-by-kind");
	look_at("names", "threads whose COMM is another one", number_of(comm, example[2]), "none",
		key ?: "escape");
}

/* What is found of a file that is read in pieces while nothing else happens. */
struct pieces {
	struct text whole, cut;
	size_t missing;
	pid_t example;
	/* The first offset at which a piece is not the one of the whole text; or -1 */
	ssize_t differs;
};

static void compare_at(int file, struct pieces *pieces, size_t offset, size_t size)
{
	char *piece = malloc(size);
	ssize_t count = pread(file, piece, size, offset);

	if (pieces->differs < 0 &&
	    (count <= 0 || offset + count > pieces->whole.size ||
	     memcmp(piece, pieces->whole.bytes + offset, count)))
		pieces->differs = offset;
	free(piece);
}

static struct pieces read_pieces(const struct list *stay)
{
	struct pieces pieces = { .differs = -1 };
	size_t piece = drawn_number("piece"), offset = drawn_number("offset");
	struct list list, oracle;
	int file;

	pieces.cut = read_table("pieces", piece);
	oracle = ask_oracle();
	list = parse(pieces.cut.bytes, true);
	pieces.missing = count_missing(stay, &list, &oracle, &pieces.example);
	free_list(&list);
	free_list(&oracle);

	file = open_table("pieces");
	read_on(file, &pieces.whole, LONGEST, NULL);
	/* Backwards, to and fro, twice the same, and behind the end. */
	if (pieces.whole.size > 2 * offset) {
		for (size_t i = 0; i < 2 * offset; i += piece)
			compare_at(file, &pieces, 2 * offset - i, 7);
		for (int i = 0; i < 3; i++) {
			compare_at(file, &pieces, offset, piece);
			compare_at(file, &pieces, 0, 1);
			compare_at(file, &pieces, pieces.whole.size - 1, piece);
		}
		if (pread(file, &(char){ 0 }, 1, pieces.whole.size + offset))
			pieces.differs = pieces.whole.size + offset;
	}
	close(file);
	return pieces;
}

static void look_at_pieces(const struct pieces *pieces, const char *key)
{
	char differs[60] = "none";

	look_at("pieces", "a text that is read in small pieces has", end_of(&pieces->cut), "an end",
		pieces->cut.error ? "read-fails" : key ?: key_of_end(&pieces->cut));
	look_at("pieces", "threads missing, read in small pieces",
		number_of(pieces->missing, pieces->example), "none", key ?: "row-lost");
	if (pieces->differs >= 0)
		snprintf(differs, sizeof(differs), "that at offset %zd", pieces->differs);
	look_at("pieces", "pieces that are not what the whole text has there", differs, "none",
		key ?: "offset");
}

/* A process whose threads die while the file is open, and what is found then. */
static pid_t victim;
static struct text first;

/* Whether some, but not all, rows of the victim have been read. */
static bool is_within_victim(const struct text *text)
{
	struct list list = parse(text->bytes, false);
	size_t count = list.count, rows = 0;

	for (size_t i = 0; i < count; i++)
		rows += list.thread[i].tgid == victim;
	rows = count && list.thread[count - 1].tgid == victim ? rows : 0;
	free_list(&list);
	return rows > 3;
}

struct snapshot {
	/* In the first text: of those that stay, of those that died; a PID that was born. */
	size_t missing, dead_missing;
	pid_t example, dead_example;
	bool has_born;
	/* The name of this grader there, which it had at the open, and gave up before the read. */
	char comm[80];
	/* In the second one */
	bool has_dead, has_new;
};

static struct snapshot take_snapshots(const struct list *stay)
{
	struct snapshot found = { 0 };
	size_t piece = drawn_number("piece");
	struct text second = { 0 };
	struct list list, oracle, later;
	int file, other;
	pid_t early, born, dead, young;

	victim = start_threads(drawn("other"), drawn_number("victims"));
	dead = victim;
	/*
	 * It is behind the victim on the list of processes, and its rows are longer than those of
	 * the victim: who walks the list again still finds something behind an old offset.
	 */
	young = start_threads("a-younger-one", 2 * drawn_number("victims"));
	oracle = ask_oracle();
	call_itself((void *)drawn("word"));
	file = open_table("snapshot");
	call_itself("renamed");
	early = start_named("born");
	read_on(file, &first, piece, is_within_victim);
	end_child(victim);
	born = start_named("born");
	other = open_table("snapshot");
	read_on(other, &second, LONGEST, NULL);
	read_on(file, &first, piece, NULL);
	later = ask_oracle();
	close(file);
	close(other);
	/* It has a copy of the descriptor, and the module could not be unloaded. */
	end_child(born);
	end_child(early);

	list = parse(first.bytes, true);
	found.missing = count_missing(stay, &list, &later, &found.example);
	for (size_t i = 0; i < oracle.count; i++) {
		const struct thread *thread = &oracle.thread[i];

		if (list.times[thread->pid])
			continue;
		if (thread->tgid == dead && !found.dead_missing++)
			found.dead_example = thread->pid;
		if (thread->tgid == young && !found.missing++)
			found.example = thread->pid;
	}
	found.has_born = list.times[early] || list.times[born];
	snprintf(found.comm, sizeof(found.comm), "%s",
		 list.times[getpid()] ? find_thread(&list, getpid())->comm : "no line");
	free_list(&list);
	list = parse(second.bytes, true);
	found.has_dead = list.times[dead];
	found.has_new = list.times[born];
	free_list(&list);
	free_list(&oracle);
	free_list(&later);
	return found;
}

static const char *yes_or_no(bool is)
{
	return is ? "yes" : "no";
}

static void look_at_snapshots(const struct snapshot *found, const char *key)
{
	look_at("snapshot", "threads missing that have lived all the time",
		number_of(found->missing, found->example), "none", key ?: "cursor-dead");
	look_at("snapshot", "threads missing that have died since the open",
		number_of(found->dead_missing, found->dead_example), "none", key ?: "late");
	look_at("snapshot", "is a process there that was born after the open?",
		yes_or_no(found->has_born), "no", key ?: "late");
	look_at("snapshot", "COMM of a thread that has another name since the open", found->comm,
		"${word}", key ?: "late-values");
	look_at("snapshot", "is a process that was born meanwhile in the text of the next open?",
		yes_or_no(found->has_new), "yes", key ?: "one-for-all");
	look_at("snapshot", "is the dead process in the text of the next open?",
		yes_or_no(found->has_dead), "no", key ?: "one-for-all");
}

/* Reads the file, some bytes at a time, while threads come and go. */
static void look_in_the_storm(const struct list *stay, const char *key)
{
	size_t missing = 0, twice = 0;
	pid_t example[2] = { 0 };

	for (int i = 0; i < OPENS; i++) {
		struct text text;
		struct list list, oracle;

		wait_for_births();
		text = read_table("storm", 16 * drawn_number("piece"));
		oracle = ask_oracle();
		list = parse(text.bytes, true);
		missing += count_missing(stay, &list, &oracle, &example[0]);
		twice += count_twice(&list, &example[1]);
		free_list(&list);
		free_list(&oracle);
		free(text.bytes);
	}
	look_at("storm", "threads missing", number_of(missing, example[0]), "none",
		key ?: "cursor-dead");
	look_at("storm", "threads listed twice", number_of(twice, example[1]), "none",
		key ?: "twice");
	shown("%lu threads were born while your file was opened %d times", births(), OPENS);
}

/* The module is not loaded before, and is not afterwards. */
static void look_at_reloads(void)
{
	long complete = 0, reloads = 1 + (RELOADS - 1) / slower();
	char want[20], got[20];

	/* An unload waits for RCU, several times. */
	write_file("/sys/kernel/rcu_expedited", "1");
	for (int i = 0; i < reloads; i++) {
		struct text text;
		struct list list;

		load_exercise("reload", "other");
		text = read_table("reload", LONGEST);
		list = parse(text.bytes, true);
		complete += !list.bad && find_thread(&list, getpid()) &&
			    find_thread(&list, names[0].pid);
		free_list(&list);
		free(text.bytes);
		unload_exercise("reload");
	}
	snprintf(want, sizeof(want), "%ld", reloads);
	snprintf(got, sizeof(got), "%ld", complete);
	look("reload", "how often the table was there after another load", got, want);
}

int main(void)
{
	struct list before, after, list, stay = empty_list();
	size_t missing, twice, unknown = 0, named = 0, threads = 0;
	pid_t many, example[3] = { 0 };
	struct snapshot snapshot;
	struct pieces pieces;
	const char *key = NULL;
	struct text text;
	char number[20];

	load_exercise("rows", "word");
	load_module("/tests/task_oracle.ko", "");
	many = start_threads(drawn("word"), drawn_number("threads"));
	zombie = start_zombie();
	borrower = start_borrower();
	worker = start_ring_worker();
	start_names();

	before = ask_oracle();
	text = read_table("rows", LONGEST);
	after = ask_oracle();
	list = parse(text.bytes, true);
	for (size_t i = 0; i < before.count; i++)
		if (before.thread[i].pid && after.times[before.thread[i].pid] &&
		    !strcmp(before.thread[i].comm, find_thread(&after, before.thread[i].pid)->comm))
			add_thread(&stay, &before.thread[i]);
	missing = count_missing(&stay, &list, &after, &example[0]);
	twice = count_twice(&list, &example[1]);
	for (size_t i = 0; i < list.count; i++) {
		const struct thread *row = &list.thread[i];

		named += row->tgid == many && !strcmp(row->comm, drawn("word"));
		threads += row->tgid != row->pid;
		if (!before.times[row->pid] && !after.times[row->pid] && !unknown++)
			example[2] = row->pid;
	}
	if (!text.size)
		key = text.error ? "read-fails" : "nothing-read";
	else if (key_of_end(&text))
		key = key_of_end(&text);
	else if (strchr(text.bytes, '\n') && !strstr(text.bytes, "user"))
		key = "header-only";
	else if (memmem(text.bytes, text.size, names[0].bytes, strcspn(names[0].bytes, ":") + 1))
		key = "newline";
	else if (list.bad && find_thread(&list, names[NAMES - 2].pid) &&
		 !find_thread(&list, names[NAMES - 1].pid))
		key = "empty-name";
	else if (list.bad)
		key = "format";
	else if (!threads)
		key = "leaders-alone";

	look_at("rows", "the text has", end_of(&text), "an end", key);
	look_at("rows", "the first line that has not five values", list.bad ?: "none", "none", key);
	snprintf(number, sizeof(number), "%zu", named);
	look_at("rows", "threads of the process with many threads, by their name", number,
		"${threads}", key);
	look_at("rows", "threads missing", number_of(missing, example[0]), "none",
		key ?: "missing");
	look_at("rows", "threads listed twice", number_of(twice, example[1]), "none",
		key ?: "twice");
	look_at("rows", "PIDs of no thread", number_of(unknown, example[2]), "none", key);
	look_at_columns(&list, &stay, key);
	key = look_at_names(&list, key) ?: key;

	pieces = read_pieces(&stay);
	if (!key && pieces.missing)
		key = "row-lost";
	snapshot = take_snapshots(&stay);
	if (!key && (snapshot.has_dead || !snapshot.has_new))
		key = "one-for-all";
	else if (!key && snapshot.has_born)
		key = "late";
	else if (!key && snapshot.missing)
		key = "cursor-dead";
	else if (!key && snapshot.dead_missing)
		key = "late";
	look_at_pieces(&pieces, key);
	look_at_snapshots(&snapshot, key);
	start_storm();
	look_in_the_storm(&stay, key);
	shown("%zu threads, %zu of them no leaders, in a text of %zu bytes", list.count, threads,
	      text.size);
	unload_exercise("reload");
	look_at_reloads();
	return 0;
}
