/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A loader for i386 programs that need no library: it jumps to the program's entry point, which
 * the kernel has put on the stack (AT_ENTRY of the auxiliary vector).
 */
#define AT_ENTRY 9

	.globl	_start
_start:
	mov	(%esp), %ecx
	lea	8(%esp,%ecx,4), %ebx	/* behind the arguments: the environment */
1:	add	$4, %ebx
	cmpl	$0, -4(%ebx)
	jne	1b
2:	add	$8, %ebx		/* behind that: the auxiliary vector */
	cmpl	$AT_ENTRY, -8(%ebx)
	jne	2b
	jmp	*-4(%ebx)

	.section .note.GNU-stack, "", @progbits
