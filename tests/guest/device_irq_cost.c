// SPDX-License-Identifier: GPL-2.0
/*
 * What device_irqs=1 costs in an interrupt of a device: the least time in which such an
 * interrupt is raised and handled, without the module, with it, and with device_irqs=1.
 *
 * The figures are printed. That the module without device_irqs=1 costs nothing is a test
 * result only if COST is set, which says that time is reliable: in a guest whose clock counts
 * instructions, as QEMU's does with CLOCK=instructions, a nanosecond is an instruction.
 *
 * RAISES, if set, is how often an interrupt is raised.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <kselftest.h>

#include "contexts.h"
#include "guest.h"
#include "interrupts.h"

/* The least of many, in nanoseconds. */
static double cost(const char *what, long raises)
{
	double least = 1e9;

	for (long i = 0; i < raises; i++) {
		double start = monotonic();

		raise_irq(0, 0, 1);
		start = monotonic() - start;
		least = start < least ? start : least;
	}
	ksft_print_msg("%s: %.0f ns\n", what, 1e9 * least);
	return 1e9 * least;
}

int main(void)
{
	const long raises = setting("RAISES", 500);
	double without, loaded, hooked;
	struct contexts *table;
	const struct context_row *row;

	ksft_print_header();
	ksft_set_plan(getenv("COST") ? 2 : 1);
	load_module("/tests/raise_irq.ko", "");
	stay_on(0);
	without = cost("without the module", raises);
	load_taskscope("");
	loaded = cost("with the module", raises);
	must(unload_module("taskscope") ? -1 : 0);
	load_taskscope("device_irqs=1");
	hooked = cost("device_irqs=1", raises);
	ksft_print_msg("device_irqs=1: %+.0f ns, else %+.0f ns\n", hooked - loaded,
		       loaded - without);
	table = contexts_read();
	row = contexts_find(table, "device_irq", 0);
	ksft_test_result(!!row, "device_irqs=1: what was measured is recorded\n");
	contexts_free(table);
	if (getenv("COST"))
		ksft_test_result(loaded - without < 20 && hooked > loaded,
				 "without device_irqs=1: an interrupt costs no more\n");
	ksft_finished();
}
