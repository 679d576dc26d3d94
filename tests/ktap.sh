# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # common.sh has the variables
#
# Sourced, after scripts/common.sh, by what runs tests: the kernel's own parser shows and counts KTAP, and
# also notices tests that were announced and did not run.

# show_ktap FILE: prints the KTAP on standard input for people, a line for each test. FILE gets that and the
# parser's count, for close_ktap.
show_ktap() {
	"$top/scripts/in-root" python3 -u "$(rust_headers)/source/tools/testing/kunit/kunit.py" parse |
		sed --unbuffered 's/^\[[0-9:]*\] //' | tee "$1" | sed --unbuffered '/^Testing complete/d'
}

rust_headers() { "$top/scripts/rust-headers" ${KERNEL:+"$KERNEL"}; }

# join_ktap COUNT: the KTAP of several guests, on standard input, as one KTAP of COUNT tests
join_ktap() {
	local line number=0
	printf 'KTAP version 1\n1..%d\n' "$1"
	while read -r line || [[ $line ]]; do
		case $line in
		'KTAP version'* | 1..*) continue ;;
		'ok '[0-9]* | 'not ok '[0-9]*)
			[[ $line =~ ^(not )?ok\ [0-9]+(.*) ]]
			line="${BASH_REMATCH[1]}ok $((++number))${BASH_REMATCH[2]}"
			;;
		esac
		printf '%s\n' "$line"
	done
}

# explain_failures: prints each failed test of the KTAP on standard input, with what the test said about itself, which
# the parser does not show
explain_failures() {
	awk '
		/^ *#/ { said = said $0 "\n"; next }
		/^ *not ok / { printf "%s%s\n", said, $0 }
		/^ *(not )?ok / { said = "" }'
}

# close_ktap STATUS: prints the closing line from the file of show_ktap, on standard input. STATUS is that of
# the run; a run that failed, although no test did, counts as one failure. Returns STATUS, or another one if
# a test failed or none was run.
close_ktap() {
	local status=$1 counts passed failed skipped
	# The names of failed tests may follow it.
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
