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

/* What the answers ask for, in all variants. The addresses are taken: the compiler keeps them. */
static void function(void)
{
	__asm__ volatile("");
}

static void (*pointer)(void) = function;
static volatile char *literal = "hello", array[] = "hello";
static volatile int counter_0, counter_7 = 7, table_plain[] = { 1, 2, 3 };
static const int table_const[] = { 1, 2, 3 };

/* An object, and where it is. */
struct object {
	const char *check, *name, *key;
	const char *why; /* it is there */
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

/* The cell of the object, and what was drawn for it. */
static void put(const struct object *object)
{
	char why[400], want[24];

	snprintf(why, sizeof(why), "%s: %#lx is in %s, %s", object->why,
		 (unsigned long)object->address,
		 *object->mapping.name ? object->mapping.name : "a mapping without a name",
		 object->mapping.access);
	cell(object->check, object->name, object->segment, why);
	mistake(object->check, object->key);
	snprintf(want, sizeof(want), "${%s}", object->name);
	look("drawn", object->name, drawn(object->name), want);
}

int main(int argc, char **argv)
{
	volatile int auto_local = 5, deep = 5;
	static volatile int static_local = 5;
	/* Nothing has freed a large block yet, after which malloc() takes more from the heap. */
	void *block = malloc(drawn_number("block"));
	struct thread first = { &deep, malloc(100) }, second = in_second_thread();
	bool is_pointer = is("code", "pointer"), is_array = is("letters", "array");
	bool is_zero = is("counter", "0"), is_const = is("table", "const");
	bool is_static = is("local", "static"), is_large = drawn_number("block") >= 128 * 1024;
	bool is_deep_in_second = is("deep", "second"), is_small_of_second = is("small", "second");
	struct object objects[] = {
		{ "program", "code", "code",
		  is_pointer ? "a variable with a first value" : "instructions",
		  is_pointer ? (void *)&pointer : (void *)function },
		{ "program", "letters", "literal",
		  is_array ? "an array begins with a copy" : "a literal is constant",
		  is_array ? array : literal },
		{ "program", "counter", "zero",
		  is_zero ? "0 needs no room in the file" : "its first value is in the file",
		  is_zero ? &counter_0 : &counter_7 },
		{ "program", "table", "const",
		  is_const ? "it is constant" : "its first value is in the file",
		  is_const ? (volatile void *)table_const : table_plain },
		{ "stack", "local", "static-local",
		  is_static ? "it outlives each call" : "a call of main() has it",
		  is_static ? &static_local : &auto_local },
		{ "stack", "deep", "thread-stack",
		  is_deep_in_second ? "pthread_create() has mapped that stack" :
				      "the first thread has that stack",
		  is_deep_in_second ? second.deep : first.deep },
		{ "heap", "small", "thread-malloc",
		  is_small_of_second ? "the arena of another thread is a mapping" :
				       "the first arena uses brk()",
		  is_small_of_second ? second.small : first.small },
		{ "heap", "block", "large-malloc",
		  is_large ? "from 128 KiB on, malloc() calls mmap()" :
			     "less than 128 KiB come from brk()",
		  block },
		{ "stack", "given", "given", "the kernel has put it there at execve()",
		  is("given", "argument") ? argv[0] : environ[0] },
	};
	struct rows *segments = rows_read("segments");

	for (size_t i = 0; i < sizeof(objects) / sizeof(*objects); i++) {
		struct object *object = &objects[i];
		unsigned long address = (unsigned long)object->address;

		if (!proc_mapping(getpid(), address, &object->mapping))
			die("%s is nowhere, at %#lx", object->name, address);
		object->segment = segment_of(address, &object->mapping);
		if (!segments_agree(segments, object))
			die("%s, at %#lx, is in %s, and the table segments does not say that",
			    object->name, address, object->segment);
		put(object);
		shown("%-7s at %#14lx: %-6s (%s %s)", object->name, address, object->segment,
		      object->mapping.access, object->mapping.name);
	}
	rows_free(segments);
	return 0;
}
