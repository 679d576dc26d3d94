# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # for the tests
#
# Sourced by the tests beside it, which run the project's scripts on the host: TAP by the kernel's own
# helpers, and checks of what a command printed and did.

. "${BASH_SOURCE[0]%/*}/../../scripts/common.sh"

set +e
kernel=$("$top/scripts/rust-headers" --directory ${KERNEL:+"$KERNEL"}) || exit
# shellcheck source=/dev/null # of the kernel's selftests
. "$kernel/build/source/tools/testing/selftests/kselftest/ktap_helpers.sh"
cd "$top" || exit

release=${kernel##*/}
release_pattern=${release//+/[+]}

# What a test makes is in here.
scratch=$(mktemp -d) || exit
trap 'rm -rf --one-file-system "$scratch"' EXIT

# report NAME WHY: the test passes if WHY is empty. A # in its name would begin a directive of TAP.
report() {
	local name=${1//\#/}
	if [[ -z $2 ]]; then
		ktap_test_pass "$name"
	else
		ktap_print_msg "$2"
		sed 's/^/# /' "$scratch/said"
		ktap_test_fail "$name"
	fi
}

# expect NAME STATUS PATTERN COMMAND...: the test passes if the command ends with that status, and a line of
# what it prints matches the pattern
expect() {
	local name=$1 status=$2 pattern=$3 got=0
	shift 3
	"$@" >"$scratch/said" 2>&1 </dev/null || got=$?
	if ((got != status)); then
		report "$name" "exit status $got, expected $status"
	elif [[ $pattern ]] && ! grep -qE -- "$pattern" "$scratch/said"; then
		report "$name" "nothing matches '$pattern'"
	else
		report "$name" ''
	fi
}

# skip_test REASON: ends the script; all of its tests count as skipped
skip_test() {
	ktap_print_header
	ktap_skip_all "$1"
	exit "$KSFT_SKIP"
}

# shown NAME PATTERN: the test passes if a line of what the command of the last test printed matches, too
shown() {
	cp "$scratch/said" "$scratch/shown"
	expect "$1" 0 "$2" cat "$scratch/shown"
}

# holds NAME COMMAND...: the test passes if the command succeeds
holds() {
	local name=$1
	shift
	expect "$name" 0 '' "$@"
}

# copy NAME: makes a copy of the project, which the test may break, and prints its path
copy() {
	copy_project "$scratch/$1"
	echo "$scratch/$1"
}

# new_cache NAME: makes a cache with nothing but the real build root, and prints its path
new_cache() {
	local name=$scratch/cache-$1
	mkdir -p "$name"/{kernels,log}
	cp "$cache/CACHEDIR.TAG" "$name/"
	ln -s "$cache"/root-* "$name/"
	echo "$name"
}

# with_cache CACHE COMMAND...
with_cache() { TASKSCOPE_CACHE=$1 "${@:2}"; }

# vm [VARIABLE=VALUE]... -- COMMAND: runs the command in a guest, with these variables set for the scripts
vm() {
	local settings=()
	while [[ $1 != -- ]]; do
		settings+=("$1")
		shift
	done
	env "${settings[@]}" "$top/scripts/launch" vm "$2"
}

# build_provoke: builds a module that provokes the fault which its parameter names; sets provoke to its path
build_provoke() {
	local build=$top/build/provoke/${kernel##*/}
	mkdir -p "$build"
	lock "$build/.lock"
	"$top/scripts/in-root" make -C "$kernel/build" M="$top/tests/host/provoke" MO="$build" \
		modules >"$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
	provoke=$build/provoke.ko
}

# nothing_left: succeeds if runs that have ended have left no directory, process and mount
nothing_left() {
	local directory pid left=0
	grep -F "$cache/root-" /proc/mounts && left=1
	for directory in "$cache"/run.*/; do
		[[ -d $directory ]] && flock --nonblock "$directory" echo "$directory" && left=1
	done
	for pid in $(pgrep -f "qemu-system.*$cache"); do
		directory=$(grep -aoE "$cache/run\.[A-Za-z0-9]+" "/proc/$pid/cmdline" | head -n 1)
		[[ -d $directory ]] || { ps -p "$pid" -o pid,args; left=1; }
	done
	return "$left"
}
