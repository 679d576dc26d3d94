/* SPDX-License-Identifier: GPL-2.0 */
/*
 * /proc/interrupts as a witness, and tests/modules/raise_irq.c.
 */
#ifndef _INTERRUPTS_H
#define _INTERRUPTS_H

#include <stdbool.h>

/* The counters of a moment. */
struct interrupts;

struct interrupts *interrupts_read(void);
void interrupts_free(struct interrupts *interrupts);
/*
 * The count of a CPU in the line "NUMBER: ... NAME" for source "NUMBER:NAME"; -1 if there is
 * no such line. A name with escaped bytes is not found.
 */
long interrupts_of(const struct interrupts *interrupts, const char *source, int cpu);
/* The same of the line "LETTERS: ... WORDS" that the architecture has, by its last words. */
long interrupts_named(const struct interrupts *interrupts, const char *words, int cpu);

/* A parameter of raise_irq. */
long raise_irq_value(const char *parameter);
/* Raises the interrupt of raise_irq that has this place on the CPU, some times. */
void raise_irq(int cpu, int place, int times);

#endif /* _INTERRUPTS_H */
