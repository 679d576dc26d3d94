# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # for the tests
#
# Sourced by the tests beside it, which run the project's real scripts on the
# host: TAP from the kernel's own helpers, and what a command printed and did.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/common.sh"

set +e
kernel=$("$top/scripts/rust-headers" --directory ${KERNEL:+"$KERNEL"}) || exit
# shellcheck source=/dev/null # of the kernel's selftests
. "$kernel/build/source/tools/testing/selftests/kselftest/ktap_helpers.sh"
cd "$top" || exit

# All that a test makes is below here.
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT

# report NAME WHY: passes where WHY is empty. A # would begin a directive of TAP.
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

# expect NAME STATUS PATTERN COMMAND...: the command ends with that status, and a
# line of what it says matches the pattern
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

# holds NAME COMMAND...: the command succeeds
holds() {
	local name=$1
	shift
	expect "$name" 0 '' "$@"
}

# A copy of the project, to be broken.
copy() {
	mkdir -p "$scratch/$1"
	tar --create --exclude ./build --exclude ./.git . | tar --extract --directory "$scratch/$1"
	echo "$scratch/$1"
}

# A cache with the real build root in it, and nothing else.
new_cache() {
	local name=$scratch/cache-$1
	mkdir -p "$name"/{kernels,log}
	cp "$cache/CACHEDIR.TAG" "$name/"
	ln -s "$cache"/root-* "$name/"
	echo "$name"
}

# with_cache CACHE COMMAND...
with_cache() { TASKSCOPE_CACHE=$1 "${@:2}"; }

# In the guest, with the environment that the arguments before -- set.
vm() {
	local settings=()
	while [[ $1 != -- ]]; do
		settings+=("$1")
		shift
	done
	env "${settings[@]}" "$top/scripts/launch" vm "$2"
}

# build_provoke: sets provoke, the module that provokes what its parameter says
build_provoke() {
	local build=$top/build/provoke/${kernel##*/}
	mkdir -p "$build"
	lock "$build/.lock"
	"$top/scripts/in-root" make -C "$kernel/build" M="$top/tests/host/provoke" MO="$build" \
		modules >"$scratch/said" 2>&1 || { cat "$scratch/said"; exit 1; }
	provoke=$build/provoke.ko
}

# Nothing of a run that has ended is left: no directory, no process, no mount.
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
