/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TASKSCOPE_NMI_H
#define _TASKSCOPE_NMI_H

struct pt_regs;

/* The handler of src/abstractions/nmi.rs. */
int taskscope_nmi(unsigned int type, struct pt_regs *regs);

#endif /* _TASKSCOPE_NMI_H */
