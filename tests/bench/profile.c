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
	long samples;
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

static void read_symbols(void)
{
	FILE *file = fopen("/proc/kallsyms", "r");
	size_t room = 0, length = 0;
	char type, *line = NULL;
	struct symbol *symbol;

	if (!file)
		die("/proc/kallsyms");
	free(symbols);
	symbols = NULL;
	symbol_count = 0;
	while (getline(&line, &length, file) > 0) {
		if (symbol_count == room)
			symbols = realloc(symbols, (room += 65536) * sizeof(*symbols));
		symbol = symbols + symbol_count;
		symbol->samples = 0;
		if (sscanf(line, "%lx %c %199[^\n]", &symbol->address, &type, symbol->name) == 3 &&
		    strchr("tTwW", type))
			symbol_count++;
	}
	free(line);
	fclose(file);
	qsort(symbols, symbol_count, sizeof(*symbols), by_address);
}

static void count(unsigned long address)
{
	size_t low = 0, high = symbol_count;

	while (high - low > 1) {
		size_t middle = (low + high) / 2;

		if (symbols[middle].address <= address)
			low = middle;
		else
			high = middle;
	}
	symbols[low].samples++;
}

void profile_start(void)
{
	struct perf_event_attr attribute = {
		.type = PERF_TYPE_SOFTWARE, .config = PERF_COUNT_SW_CPU_CLOCK,
		.size = sizeof(attribute), .sample_period = PERIOD,
		.sample_type = PERF_SAMPLE_IP, .disabled = 1,
	};

	event = must(syscall(SYS_perf_event_open, &attribute, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
	ring = mmap(NULL, (PAGES + 1) * sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED,
		    event, 0);
	if (ring == MAP_FAILED)
		die("no memory to sample into");
	must(ioctl(event, PERF_EVENT_IOC_ENABLE, 0));
}

void profile_print(const char *what)
{
	size_t page = sysconf(_SC_PAGESIZE), size = PAGES * page;
	long samples = 0, lost = 0;

	must(ioctl(event, PERF_EVENT_IOC_DISABLE, 0));
	read_symbols();
	for (unsigned long at = 0; at < ring->data_head;) {
		struct perf_event_header *header = (void *)((char *)ring + page + at % size);

		if (header->type == PERF_RECORD_SAMPLE) {
			count(*(unsigned long *)(header + 1));
			samples++;
		} else {
			lost++;
		}
		at += header->size;
	}
	qsort(symbols, symbol_count, sizeof(*symbols), by_samples);
	printf("# %s: %ld samples, %ld other records\n", what, samples, lost);
	for (int i = 0; i < SHOWN && symbols[i].samples; i++)
		printf("# %5.1f%% %lx %s\n", 100.0 * symbols[i].samples / samples,
		       symbols[i].address, symbols[i].name);
	munmap(ring, (PAGES + 1) * page);
	close(event);
}
