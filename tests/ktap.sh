# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced, after scripts/common.sh, by what runs tests: KTAP shown and counted
# by the kernel's own parser, which also knows of tests that never came.

# show_ktap FILE: the KTAP on standard input as a list for people, test by test; in FILE
# with the parser's count, of which close_ktap makes the one that is shown
show_ktap() {
	"$top/scripts/in-root" python3 -u "$(rust_headers)/source/tools/testing/kunit/kunit.py" parse |
		sed --unbuffered 's/^\[[0-9:]*\] //' | tee "$1" | sed --unbuffered '/^Testing complete/d'
}

rust_headers() { "$top/scripts/rust-headers" ${KERNEL:+"$KERNEL"}; }

# close_ktap STATUS: from the file of show_ktap, on standard input, the closing line.
# STATUS is that of the run itself: a run that failed though no test did is a failure more.
# The result is STATUS, or why it should not have been 0.
close_ktap() {
	local status=$1 counts passed failed skipped
	# Names of failures may follow it.
	counts=$(grep '^Testing complete' | tail -n 1) || true
	count() { grep -oP "(?<= $1: )[0-9]+" <<<"$counts" || echo 0; }
	passed=$(count passed) skipped=$(count skipped)
	failed=$(($(count failed) + $(count crashed) + $(count errors)))
	if ((status == 0 && failed > 0)); then
		status=$exit_failed
	elif ((status == 0 && passed == 0)); then
		say "no test was run"
		status=$exit_silent
	fi
	((status == 0 || failed > 0)) || failed=1
	printf '%d passed, %d failed' "$passed" "$failed"
	((skipped == 0)) || printf ', %d skipped' "$skipped"
	echo
	return "$status"
}
