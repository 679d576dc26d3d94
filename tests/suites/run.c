// SPDX-License-Identifier: GPL-2.0
/*
 * Runs the module's KUnit suites on a kernel without KUnit, when the module is loaded with
 * suites=1. The kernel logs the results as KTAP. Only a build with WITH_SUITES=y has this file.
 *
 * As in KUnit, each case runs in a thread of its own, which ends at the first failed assertion.
 */
#define pr_fmt(fmt) "suites: " fmt

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/kthread.h>
#include <linux/module.h>

/* From suites.lds: the suites of all files of the module. */
extern struct kunit_suite *first_suite[], *end_of_suites[];

static struct kunit test;
static struct task_struct *runner;
static DECLARE_COMPLETION(case_ended);

/* What the cases call. The first one takes the place of the kernel's, which knows no test. */
struct kunit *rust_helper_kunit_get_current_test(void)
{
	return current == READ_ONCE(runner) ? &test : NULL;
}

void kunit_unary_assert_format(const struct kunit_assert *assert, const struct va_format *message,
			       struct string_stream *stream)
{
}

void __kunit_do_failed_assertion(struct kunit *failed, const struct kunit_loc *loc,
				 enum kunit_assert_type type, const struct kunit_assert *assert,
				 assert_format_t assert_format, const char *fmt, ...)
{
	const struct kunit_unary_assert *unary =
		container_of(assert, struct kunit_unary_assert, assert);

	failed->status = KUNIT_FAILURE;
	pr_info("    # %s:%d: %s is false\n", loc->file, loc->line, unary->condition);
}

void __noreturn __kunit_abort(struct kunit *aborted)
{
	kthread_complete_and_exit(&case_ended, 0);
}

static int run_case(void *data)
{
	struct kunit_case *one = data;

	WRITE_ONCE(runner, current);
	one->run_case(&test);
	kthread_complete_and_exit(&case_ended, 0);
}

static const char *name_of(enum kunit_status status)
{
	return status == KUNIT_FAILURE ? "not ok" : "ok";
}

static enum kunit_status run_suite(struct kunit_suite *suite)
{
	enum kunit_status status = KUNIT_SUCCESS;
	int count = 0, number = 0;

	while (suite->test_cases[count].run_case)
		count++;
	pr_info("    KTAP version 1\n");
	pr_info("    # Subtest: %s\n", suite->name);
	pr_info("    1..%d\n", count);
	for (struct kunit_case *one = suite->test_cases; one->run_case; one++) {
		struct task_struct *thread;

		memset(&test, 0, sizeof(test));
		thread = kthread_run(run_case, one, "%s", one->name);
		if (IS_ERR(thread))
			test.status = KUNIT_FAILURE;
		else
			wait_for_completion(&case_ended);
		if (test.status == KUNIT_FAILURE)
			status = KUNIT_FAILURE;
		pr_info("    %s %d %s%s\n", name_of(test.status), ++number, one->name,
			test.status == KUNIT_SKIPPED ? " # SKIP" : "");
	}
	return status;
}

static int run_suites(const char *value, const struct kernel_param *param)
{
	int number = 0;

	pr_info("1..%td\n", end_of_suites - first_suite);
	for (struct kunit_suite **suite = first_suite; suite < end_of_suites; suite++) {
		enum kunit_status status = run_suite(*suite);

		pr_info("%s %d %s\n", name_of(status), ++number, (*suite)->name);
	}
	return 0;
}

static const struct kernel_param_ops suites_ops = { .set = run_suites };

module_param_cb(suites, &suites_ops, NULL, 0200);
MODULE_PARM_DESC(suites, "Any value runs the suites");
