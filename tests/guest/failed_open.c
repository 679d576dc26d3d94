// SPDX-License-Identifier: GPL-2.0
/*
 * An open is refused, and the module is unloaded before the kernel has cleaned up after the open.
 * Debugfs lets the module go as soon as the module's open() has returned. What the kernel still
 * uses of the file must not be the module's: the kernel would crash.
 */
#include <fcntl.h>
#include <sys/wait.h>

#include <kselftest.h>

#include "capabilities.h"
#include "guest.h"

static int open_without_capability(void)
{
	drop_capability(CAP_SYS_ADMIN);
	return open_error(TABLES "current", O_RDONLY);
}

int main(void)
{
	pid_t child;
	int status;

	ksft_print_header();
	ksft_set_plan(2);
	load_taskscope("");
	load_module("/tests/open_returns_late.ko", "");
	child = fork_child();
	if (!child)
		_exit(open_without_capability());
	wait_until(parameter_is_set("open_returns_late", "waits"), "the open does not come");
	ksft_test_result(!unload_module("taskscope"), "open refused: the module unloads\n");
	set_parameter("open_returns_late", "go_on", 1);
	status = wait_for(child);
	ksft_test_result(WIFEXITED(status) && WEXITSTATUS(status) == EPERM,
			 "open refused, then the module unloaded: EPERM\n");
	ksft_finished();
}
