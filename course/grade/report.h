/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a grader tells the host. A grader runs in the guest as root: it brings situations
 * about, looks at what the student's module or program does, and reports that, beside what an
 * independent witness says. It does not judge: the host compares, because only the host knows
 * what it has drawn for this run.
 */
#ifndef _REPORT_H
#define _REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "guest.h"

/* What the host has drawn under this name. */
const char *drawn(const char *name);
long drawn_number(const char *name);

/*
 * Reports one look of the check `id`: the host compares `got` with `want`. ${NAME} in `want`
 * is what the host has drawn: a grader need not be told, and cannot say, what that is.
 * `subject` says what was looked at.
 */
void look(const char *id, const char *subject, const char *got, const char *want);
/* Says which mistake explains that look; the host shows its hint if the look differs. */
void mistake(const char *id, const char *key);
/* Both, if there is a key. */
void look_at(const char *id, const char *subject, const char *got, const char *want,
	     const char *key);
/* Looks at a count of mistakes, which is a parameter of the module `oracle`: it is to be 0. */
void look_at_oracle(const char *id, const char *subject, const char *oracle,
		    const char *parameter, const char *key);
/* What a student sees after the pass, beside the text of the exercise. */
void shown(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * Loads the student's module with the word of that name, and unloads it. A module that does
 * not let itself be loaded or unloaded has failed the check `id`: that is reported, and the
 * grader ends.
 */
void load_exercise(const char *id, const char *word);
void unload_exercise(const char *id);
#define ANSWER "/sys/kernel/debug/exercise/answer"
/*
 * The text of the student's file; NULL, with errno, if it cannot be opened or read. If that takes
 * too long, the check of load_exercise() has failed: that is reported, and the grader ends.
 */
char *read_answer(void);
/* The same, if something else than read_answer() has found that the module takes too long. */
void end_as_slow(void) __noreturn;
/*
 * The seconds in which the guest has run, if there is a module. A host that stands still does not
 * count: another process of the grader sleeps a tenth of a second each time, and counts.
 */
double lived(void);
/*
 * Waits until the condition is true, and returns whether it is. What a module does takes
 * milliseconds: this gives up after some such seconds, more on a slow host.
 */
#define MODULE_LIMIT (10 * patience())
#define module_reaches_within(limit, condition) ({		\
	double _end = lived() + (limit);			\
	bool _is;						\
								\
	while (!(_is = (condition)) && lived() < _end)		\
		usleep(1000);					\
	_is;							\
})
#define module_reaches(condition) module_reaches_within(MODULE_LIMIT, condition)

/*
 * Such a text, line by line. The next line, without its newline, which is cut off in place;
 * NULL at the end. A file that cannot be read has no line.
 */
char *next_line(char **text);
/*
 * What follows "KEY: " in the line that begins with this; says so if there is no such line. The
 * text is not changed.
 */
char *value_in(const char *text, const char *key);

/*
 * Calls body(argument) in a child process with a PID of the host's choice, and waits until it
 * has ended. What the child reports counts.
 */
void run_as(pid_t pid, void (*body)(void *argument), void *argument);
/*
 * Has processes take PIDs after the latest one: the second next, and any of the most next. So
 * what is made now does not get consecutive numbers. They live as long as the grader.
 */
void take_pids(int most);

/*
 * Starts the student's program with these arguments (the last is NULL), as an ordinary user
 * without capabilities, in a cgroup of its own, which limits processes and memory. What it
 * prints goes to a file of limited size.
 */
pid_t start_program(const char *const *arguments);
/* What the program has printed so far. */
char *program_output(void);
/*
 * Stops all threads of the program, whatever they do, so that a tool of the guest can look at
 * them: it need not wait for locks of a program that makes processes all the time. Their states
 * are not theirs any more.
 */
void freeze_program(void);
/* Kills all that the program has started, and waits until it is gone. */
void end_program(void);
/* Whether a process is of the student's program. */
bool is_of_program(pid_t pid);
/*
 * The threads that the program has started, zombies too, in the order of /proc; the caller
 * frees them.
 */
size_t program_threads(struct proc_thread **threads);

/*
 * Waits until the condition is true, and returns whether it is. Gives up when the program will
 * not get there: it has ended, has slept for a while, or has had much time of a CPU. A host
 * that is slow or busy changes none of these. A program that changes all the time without
 * running much is given up after WAIT_LIMIT.
 */
#define program_reaches(condition) ({					\
	bool _is, _will;						\
									\
	begin_progress();						\
	do {								\
		_will = program_makes_progress();			\
		_is = (condition);					\
	} while (!_is && _will);					\
	_is;								\
})
/* For program_reaches(). The second one also waits a little. */
void begin_progress(void);
bool program_makes_progress(void);

/*
 * 0, or the signal that the program's first process has stopped of since the last call; for one
 * that is traced, with the event in the higher bits, as ptrace(2) has it.
 */
int program_stop(void);
/*
 * Waits until the program's first process has stopped by SIGSTOP, and returns whether it has; the
 * check `id` looks at that. The keys are "no-stop" and those of end_key().
 */
bool look_at_stop(const char *id, const char *subject);
/* What has become of the program: "it exited with status 1", or another such text. */
const char *program_end(void);
/* The key of the hint for a program that has ended: "program-crashed" by a signal, or "ended". */
const char *end_key(void);
/* Whether nothing of the program lives any more. */
bool program_has_ended(void);

/*
 * For PREDICT: the truth of a cell of the student's table, and the reason. The host compares
 * it with the answer.
 */
void cell(const char *id, const char *name, const char *truth, const char *why);

/*
 * What the kernel has logged since the last call, without the time, a line each; the caller
 * frees it.
 */
char *new_log(void);

#endif /* _REPORT_H */
