// SPDX-License-Identifier: GPL-2.0
/*
 * Changes what taskscope's snprintf() prints for `%08p`, from call number `from` on: `mode`
 * names what is printed instead of a hash. taskscope is loaded after this module.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/string.h>

static char *mode;
module_param(mode, charp, 0400);
MODULE_PARM_DESC(mode, "raw, half, placeholder, short, long or garbage");

static int from;
module_param(from, int, 0400);
MODULE_PARM_DESC(from, "The number of calls that print hashes first");

static atomic_t calls;
static int broken;
module_param(broken, int, 0400);
MODULE_PARM_DESC(broken, "The number of calls that have printed something else");

#define MOST 8

/* The formats for each of the first four pointers, and for each later one. */
static const struct format {
	const char *mode, *early, *late;
} formats[] = {
	/* As %p on a kernel that was booted with no_hash_pointers. */
	{ "raw", "%08lx", "%08lx" },
	{ "half", "%08p", "%4lx" },
	{ "placeholder", "(____ptrval____)", "(____ptrval____)" },
	{ "short", "%.0s", "%.0s" },
	{ "long", "%32lx", "%32lx" },
	{ "garbage", "?garbage", "?garbage" },
};

/* The format string for MOST pointers, and the length of the part for one. */
static char text[16 * MOST + 1];
static size_t length;

static int replace_format(struct kprobe *probe, struct pt_regs *regs)
{
#ifdef CONFIG_X86
	unsigned long *argument = &regs->dx;
#else
	unsigned long *argument = (unsigned long *)&regs->regs[2];
#endif
	const char *asked = (const char *)*argument;
	size_t count = strlen(asked) / 4;

	if (count < 1 || count > MOST || strncmp(asked, "%08p", 4))
		return 0;
	if (atomic_inc_return(&calls) <= from)
		return 0;
	WRITE_ONCE(broken, broken + 1);
	*argument = (unsigned long)text + (MOST - count) * length;
	return 0;
}

static struct kprobe at_snprintf = {
	.symbol_name = "snprintf",
	.pre_handler = replace_format,
};

static int __init break_hash_init(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(formats[i].mode, mode ?: ""))
			continue;
		for (int j = 0; j < MOST; j++)
			strcat(text, j < 4 ? formats[i].early : formats[i].late);
		length = strlen(formats[i].early);
	}
	return length ? register_kprobe(&at_snprintf) : -EINVAL;
}
module_init(break_hash_init);

static void __exit break_hash_exit(void)
{
	unregister_kprobe(&at_snprintf);
}
module_exit(break_hash_exit);

MODULE_DESCRIPTION("Changes what %p prints for taskscope");
MODULE_LICENSE("GPL");
