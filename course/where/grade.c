// SPDX-License-Identifier: GPL-2.0
/*
 * The program is this one. The witness of the truth is where its own objects are: their addresses,
 * /proc/self/maps, and what the kernel has noted in /proc/self/stat. The table segments must agree.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"
#include "rows.h"
#include "segments.h"
#include "stand.h"

/* What the answers ask for, in all variants. The compiler must not know that nothing writes here. */
static void function(void)
{
	__asm__ volatile("");
}

static void (*pointer)(void) = function;
static char *literal = "hello";
static char array[] = "hello";
static int counter_0 __attribute__((used)) = 0;
static int counter_7 __attribute__((used)) = 7;
static const int table_const[] __attribute__((used)) = { 1, 2, 3 };
static volatile int table_plain[] __attribute__((used)) = { 1, 2, 3 };

/* An object, and where it is. */
struct object {
	const char *name;
	const volatile void *address;
	const char *segment;
	struct mapping mapping;
};

/* What a thread has: a variable of a function, and what malloc() has returned to it. */
struct thread {
	const volatile void *deep, *small;
};

static pthread_barrier_t made;

static bool is(const char *name, const char *value)
{
	return !strcmp(drawn(name), value);
}

/* The thread lives on, and its stack with it. */
static void *live(void *argument)
{
	struct thread *thread = argument;
	volatile int deep = 5;

	thread->deep = &deep;
	thread->small = malloc(100);
	pthread_barrier_wait(&made);
	return pause_for_ever(NULL);
}

static struct thread in_second_thread(void)
{
	struct thread thread;
	pthread_t made_thread;

	pthread_barrier_init(&made, NULL, 2);
	if (pthread_create(&made_thread, NULL, live, &thread))
		die("no thread");
	pthread_barrier_wait(&made);
	return thread;
}

static bool is_between(unsigned long address, int low, int high)
{
	return proc_stat(getpid(), low) <= address && address < proc_stat(getpid(), high);
}

/*
 * The segment, by /proc/self/stat (the numbers are those of proc(5)) for what the kernel notes, and
 * else by the mapping.
 */
static const char *segment_of(unsigned long address, const struct mapping *mapping)
{
	struct range image = proc_image(getpid());

	if (is_between(address, 48, 49))
		return "args";
	if (is_between(address, 50, 51))
		return "env";
	if (!strcmp(mapping->name, "[stack]"))
		return "stack";
	if (!strcmp(mapping->name, "[heap]"))
		return "heap";
	if (address < image.low || address >= image.high)
		return "mmap";
	if (is_between(address, 26, 27))
		return "text";
	if (is_between(address, 45, 46))
		return "data";
	return mapping->access[1] == 'w' ? "bss" : "rodata";
}

/* Whether the rows of segments say the same: what is rodata is in no row. */
static bool segments_agree(const struct rows *segments, const struct object *object)
{
	unsigned long address = (unsigned long)object->address;
	bool has = false;

	for (int i = 0; i < SEGMENTS; i++)
		if (segment_start(segments, getpid(), segment_names[i]) <= address &&
		    address < segment_end(segments, getpid(), segment_names[i])) {
			if (!strcmp(segment_names[i], object->segment))
				return true;
			has = true;
		}
	return !has && !strcmp(object->segment, "rodata");
}

static void look_drawn(const char *name)
{
	char want[24];

	snprintf(want, sizeof(want), "${%s}", name);
	look("drawn", name, drawn(name), want);
}

static void put(const char *id, const struct object *object, const char *why, const char *key)
{
	char text[400];

	snprintf(text, sizeof(text), "%s: %#lx is in %s, %s", why, (unsigned long)object->address,
		 *object->mapping.name ? object->mapping.name : "a mapping without a name",
		 object->mapping.access);
	cell(id, object->name, object->segment, text);
	mistake(id, key);
	look_drawn(object->name);
}

int main(int argc, char **argv)
{
	volatile int auto_local = 5, deep = 5;
	static volatile int static_local = 5;
	/* Before anything has freed a large block: that would change what malloc() takes from the heap. */
	void *block = malloc(drawn_number("block"));
	struct thread first = { &deep, malloc(100) }, second = in_second_thread();
	struct object object[] = {
		{ "code", is("code", "function") ? (void *)function : (void *)&pointer },
		{ "letters", is("letters", "literal") ? literal : array },
		{ "counter", is("counter", "0") ? &counter_0 : &counter_7 },
		{ "table", is("table", "const") ? (void *)table_const : (void *)table_plain },
		{ "local", is("local", "auto") ? &auto_local : &static_local },
		{ "deep", is("deep", "first") ? first.deep : second.deep },
		{ "small", is("small", "first") ? first.small : second.small },
		{ "block", block },
		{ "given", is("given", "argument") ? argv[0] : environ[0] },
	};
	struct rows *segments;

	segments = rows_read("segments");
	for (size_t i = 0; i < sizeof(object) / sizeof(*object); i++) {
		unsigned long address = (unsigned long)object[i].address;

		if (!proc_mapping(getpid(), address, &object[i].mapping))
			die("%s is nowhere, at %#lx", object[i].name, address);
		object[i].segment = segment_of(address, &object[i].mapping);
		if (!segments_agree(segments, &object[i]))
			die("%s, at %#lx, is in %s, and the table segments does not say that",
			    object[i].name, address, object[i].segment);
		shown("%-7s at %#14lx: %-6s (%s %s)", object[i].name, address, object[i].segment,
		      object[i].mapping.access, object[i].mapping.name);
	}
	put("program", &object[0],
	    is("code", "function") ? "instructions" : "a variable with a first value", "code");
	put("program", &object[1],
	    is("letters", "literal") ? "a literal is constant" : "an array has a copy of the letters",
	    "literal");
	put("program", &object[2],
	    is("counter", "0") ? "0 needs no room in the file" : "its first value is in the file",
	    "zero");
	put("program", &object[3],
	    is("table", "const") ? "constant" : "its first value is in the file", "const");
	put("stack", &object[4],
	    is("local", "auto") ? "a call of main() has it" : "it outlives each call", "static-local");
	put("stack", &object[5],
	    is("deep", "first") ? "the stack of main()" : "pthread_create() has mapped that stack",
	    "thread-stack");
	put("heap", &object[6],
	    is("small", "first") ? "the first arena uses brk()" :
				   "the arena of another thread is a mapping",
	    "thread-malloc");
	put("heap", &object[7],
	    strcmp(object[7].segment, "heap") ? "from 128 KiB on, malloc() calls mmap()" :
						"less than 128 KiB come from brk()",
	    "large-malloc");
	put("stack", &object[8], "the kernel has put it there", "given");
	rows_free(segments);
	return 0;
}
