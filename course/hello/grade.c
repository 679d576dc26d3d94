// SPDX-License-Identifier: GPL-2.0
/* The witness is the kernel's log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "guest.h"

/* The lines of the log that the module has written: "nothing", or one after the other. */
static char *own_lines(void)
{
	char *log = new_log(), *own;
	size_t size;
	FILE *all = open_memstream(&own, &size);

	for (char *line = strtok(log, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, "exercise: ", 10))
			fprintf(all, "%s%s", ftell(all) ? " | " : "", line);
	fclose(all);
	free(log);
	return *own ? own : strdup("nothing");
}

static char *load(const char *id, const char *word)
{
	free(new_log());
	load_exercise(id, word);
	return own_lines();
}

static char *unload(const char *id)
{
	unload_exercise(id);
	return own_lines();
}

int main(void)
{
	char *loaded, *unloaded, *again[2];

	loaded = load("load", "word");
	look("load", "the log at load", loaded, "exercise: hello ${word}");
	if (!strcmp(loaded, "nothing"))
		mistake("load", "nothing-at-load");
	unloaded = unload("unload");
	look("unload", "the log at unload", unloaded, "exercise: goodbye ${word}");
	if (!strcmp(unloaded, "nothing"))
		mistake("unload", "nothing-at-unload");
	/* A record of the log ends when the next one begins, if it has no newline. */
	if (!strcmp(loaded, "nothing") && strstr(unloaded, "hello"))
		mistake("load", "newline");
	if (strstr(loaded, "goodbye"))
		mistake("load", "goodbye-at-load");
	again[0] = load("again", "other");
	again[1] = unload("again");
	look("again", "the log at load", again[0], "exercise: hello ${other}");
	look("again", "the log at unload", again[1], "exercise: goodbye ${other}");
	if (strstr(again[0], drawn("word")) || strstr(again[1], drawn("word")))
		mistake("again", "word-written-in");
	shown("the log had: %s", loaded);
	shown("and then: %s", unloaded);
	return 0;
}
