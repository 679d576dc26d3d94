// SPDX-License-Identifier: GPL-2.0
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "guest.h"
#include "profile.h"

#define PERIOD 20000		/* nanoseconds, or instructions */
#define PAGES 2048		/* of the ring, a power of two */
#define SHOWN 25

struct symbol {
	unsigned long address;
	char name[200];
	long samples;		/* in the function itself */
	long below;		/* in the function, or in functions that it has called */
	long last;		/* the last sample that had the function in its call chain */
};

/* A sample, in the layout of perf_event_open(2) for the sample type below. */
struct sample {
	struct perf_event_header header;
	unsigned long address;
	unsigned long depth;
	unsigned long callers[];
};

static struct symbol *symbols;
static size_t symbol_count;
static int event = -1;
static struct perf_event_mmap_page *ring;

static int by_address(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;

	return a->address < b->address ? -1 : a->address > b->address;
}

static int by_samples(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;

	return b->samples - a->samples;
}

static int by_below(const void *left, const void *right)
{
	const struct symbol *a = left, *b = right;

	return b->below - a->below;
}

static void read_symbols(void)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	size_t room = 0, length = 0;
	char type, *line = NULL;
	struct symbol *symbol;

	if (!file)
		die("/proc/kallsyms");
	free(symbols);
	symbol_count = 0;
	symbols = malloc((room = 65536) * sizeof(*symbols));
	/* Addresses below the kernel's. */
	symbols[symbol_count++] = (struct symbol){ .name = "(user space)", .last = -1 };
	while (getline(&line, &length, file) > 0) {
		if (symbol_count == room)
			symbols = realloc(symbols, (room += 65536) * sizeof(*symbols));
		symbol = symbols + symbol_count;
		*symbol = (struct symbol){ .last = -1 };
		if (sscanf(line, "%lx %c %199[^\n]", &symbol->address, &type, symbol->name) == 3 &&
		    strchr("tTwW", type))
			symbol_count++;
	}
	free(line);
	fclose(file);
	qsort(symbols, symbol_count, sizeof(*symbols), by_address);
}

static struct symbol *symbol_at(unsigned long address)
{
	size_t low = 0, high = symbol_count;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (symbols[middle].address <= address)
			low = middle;
		else
			high = middle;
	}
	return symbols + low;
}

/* A function that is in the call chain twice counts once. */
static void count(const struct sample *sample, long number)
{
	symbol_at(sample->address)->samples++;
	for (unsigned long i = 0; i < sample->depth; i++) {
		struct symbol *symbol = symbol_at(sample->callers[i]);

		if (sample->callers[i] >= PERF_CONTEXT_MAX || symbol->last == number)
			continue;
		symbol->last = number;
		symbol->below++;
	}
}

void profile_start(void)
{
	struct perf_event_attr attribute = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attribute), .sample_period = PERIOD,
		.sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_CALLCHAIN,
		.exclude_callchain_user = 1, .disabled = 1,
	};

	event = must(syscall(SYS_perf_event_open, &attribute, -1, 0, -1, PERF_FLAG_FD_CLOEXEC));
	ring = mmap(NULL, (PAGES + 1) * sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
		    event, 0);
	if (ring == MAP_FAILED)
		die("no memory to sample into");
	must(ioctl(event, PERF_EVENT_IOC_ENABLE, 0));
}

static void print(const char *order, int (*compare)(const void *, const void *), long samples)
{
	printf("#   self   with callees: the first by %s\n", order);
	qsort(symbols, symbol_count, sizeof(*symbols), compare);
	for (int i = 0; i < SHOWN && (symbols[i].samples || symbols[i].below); i++)
		printf("# %5.1f%% %5.1f%% %lx %s\n", 100.0 * symbols[i].samples / samples,
		       100.0 * symbols[i].below / samples, symbols[i].address,
		       symbols[i].name);
}

void profile_print(const char *what)
{
	size_t page = sysconf(_SC_PAGESIZE), size = PAGES * page;
	long samples = 0, lost = 0;

	must(ioctl(event, PERF_EVENT_IOC_DISABLE, 0));
	read_symbols();
	for (unsigned long at = 0; at < ring->data_head;) {
		struct perf_event_header *header = (void *)((char *)ring + page + at % size);

		if (header->type == PERF_RECORD_SAMPLE)
			count((struct sample *)header, samples++);
		else
			lost++;
		at += header->size;
	}
	printf("# %s: %ld samples, %ld other records\n", what, samples, lost);
	print("in the function itself", by_samples, samples);
	print("with callees", by_below, samples);
	munmap(ring, (PAGES + 1) * page);
	close(event);
}
