# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=busybox disable=SC2034 # tables: for the tests
#
# Sourced by the shell tests in this directory, which run in the guest: TAP output from
# the kernel's helpers, and the columns of taskscope's tables by name.

# shellcheck source=/dev/null # of the kernel's selftests
. /tests/ktap_helpers.sh

tables=/sys/kernel/debug/taskscope

# result NAME COMMAND...: the test NAME passes if the command succeeds
result() {
	local name=$1
	shift
	if "$@" >/tmp/why 2>&1; then
		ktap_test_pass "$name"
	else
		sed 's/^/# /' /tmp/why
		ktap_test_fail "$name"
	fi
}

# The trap unloads the module after the test, however the test ends.
load_module() {
	insmod /taskscope.ko || exit 1
	trap 'rmmod taskscope' EXIT
}

# column TABLE COLUMN...: these columns of each row, separated by spaces. Of the last
# column of a table, whose values may contain spaces, the first word.
column() {
	local table=$1
	shift
	awk -v wanted="$*" '
		NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; n = split(wanted, name, " "); next }
		/^#/ { next }
		{ for (i = 1; i <= n; i++) printf "%s%s", $at[name[i]], i < n ? " " : "\n" }' "$table"
}

# lacks FILE FILE: the lines of the first file that the second one does not have
lacks() { awk -v file="$2" 'BEGIN { while ((getline line <file) > 0) have[line] } !($0 in have)' "$1"; }
