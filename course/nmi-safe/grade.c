// SPDX-License-Identifier: GPL-2.0
/*
 * The witness is the course's part of the module, which sends the NMIs and knows each pair that
 * was published: glue.rs.
 */
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"

static const char *text;

static void compare(const char *id, const char *subject, const char *line, const char *want,
		    const char *key)
{
	look_at(id, subject, value_in(text, line), want, key);
}

int main(void)
{
	const char *key = NULL, *half, *first, *letters;
	char backwards[20] = "";
	int publishes = 0, reads = 0;

#ifndef __x86_64__
	die("no module can handle NMIs on this architecture");
#endif
	load_exercise("latest", "word");
	text = read_answer();
	first = value_in(text, "first");
	if (sscanf(value_in(text, "accesses"), "%d %d", &publishes, &reads) != 2)
		die("the module has not counted its accesses");
	if (!strcmp(first, "nothing"))
		key = "nothing";
	else if (!strcmp(value_in(text, "waits"), "1"))
		key = "waits";
	else if (!strcmp(value_in(text, "read-waits"), "1"))
		key = "read-waits";

	letters = drawn("word");
	for (size_t i = strlen(letters); i--;)
		strncat(backwards, &letters[i], 1);
	compare("latest", "a read before the first NMI returns", "before", "nothing",
		"before-the-first");
	compare("latest", "after the first NMI, the first word of a read", "first", "${word}", key);
	compare("latest", "after the first NMI, the second word of a read", "second", backwards,
		key);
	compare("latest", "20 reads, each after another NMI", "latest", "whole",
		key ?: "not-latest");
	compare("lock", "did the NMI wait for something that does not come?", "waits", "0", key);
	compare("reader", "reads that an NMI interrupts", "reader", "whole", key ?: "torn");
	compare("lapped", "reads that several NMIs interrupt", "lapped", "whole", key ?: "lapped");
	compare("lapped", "reads that any number of NMIs up to tens of thousands interrupts",
		"wraps", "whole", key ?: "lapped");
	compare("reader", "did a read store something in a word?", "read-stores", "0",
		key ?: "read-stores");
	half = strncmp(value_in(text, "writer"), "nothing", 7) ? "half-written" : "gave-up";
	compare("writer", "reads while an NMI of another CPU has done a part", "writer", "whole",
		key ?: half);
	compare("writer", "did a read wait for something that does not come?", "read-waits", "0",
		key);
	compare("beside", "reads beside 200 NMIs of another CPU", "beside", "whole",
		key ?: "half-written");
	shown("%s NMIs have published a pair, and came before each of %d accesses of a read",
	      value_in(text, "nmis"), reads);
	shown("a read came before each of %d accesses of an NMI", publishes);
	unload_exercise("beside");
	return 0;
}
