# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # scripts/common.sh, sourced before, has the variables
#
# Sourced by the scripts of this directory: a copy of the project, in which a mutant is built and tested.

# header WORD PATCH: the text of that header in the patch, or nothing
header() { sed -n "/^--- /q; s/^$1: //p" "$2"; }

# new_copy DIRECTORY: makes the copy of a lane there; sets copy, said, the file with what a run prints, and applied,
# the patch that the copy has. What an earlier run has built there is kept, and src/ is compiled again.
new_copy() {
	copy=$1/taskscope said=$1/said applied=/dev/null
	mkdir -p "$copy"
	find "$copy" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
	cp -r --preserve=timestamps "$top"/{Kbuild,qemu,scripts,src,tests} "$copy"
	find "$copy/src" -type f -exec touch {} +
}

# undo_patch: undoes the patch that the copy has. make builds its files again, because cp gives new times.
undo_patch() {
	local file
	while read -r file; do
		cp "$top/$file" "$copy/$file"
	done < <(sed -nE 's,^--- (a/)?,,p' "$applied")
	applied=/dev/null
}

# change_copy STRIP PATCH: undoes the patch that the copy has, and applies this one
change_copy() {
	undo_patch
	applied=$2
	patch --directory "$copy" --strip "$1" --fuzz 0 --batch <"$2" >"$said" 2>&1
}

# test_copy KERNEL TESTS: the status of `make test` in the copy; its output goes to a file. TURNS, because lanes share
# the host. After a patch, only a part of the module is compiled again.
#
# A mutation may make a test wait for ever. init kills a test after a fifth of the limit, here after 60 s: longer than
# any wait in a test, and than the 30 s of the hung-task detector. THOROUGH and debug kernels need the default.
test_copy() {
	local status=0
	[[ $1 ]] || is_set THOROUGH || local -x TASKSCOPE_LIMIT=300
	KERNEL=$1 TESTS=$2 GUESTS=1 TURNS=1 TASKSCOPE_INCREMENTAL=1 "$copy/scripts/launch" test >"$said" 2>&1 </dev/null || status=$?
	return "$status"
}
