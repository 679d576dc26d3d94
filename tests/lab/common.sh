# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # for the tests
#
# Sourced by the tests beside it. Each starts the lab machine with a script of tests/lab/machine, whose steps are the
# tests.

. "${BASH_SOURCE[0]%/*}/../host/common.sh"

machine=$top/tests/lab/machine
kernels_of_archive() {
	"$top/scripts/in-root" bash -c '. scripts/common.sh && . scripts/packages.sh && use_packages amd64 && need_lists &&
		apt-cache "${apt_options[@]}" pkgnames linux-image-'
}

# new is the newest kernel of the flavour, and old the newest one of the version before, or new if the archive has none. The
# lab machine is made with old.
new=$release
flavour=${new#*-}
# An archive that cannot be reached is a failure. apt leaves empty lists then, which the next run finds.
kernels=$(kernels_of_archive) || kernels=''
[[ $kernels ]] || { say "the archive's kernels are not known"; exit 1; }
old=$(sed -n "s/^linux-image-\([0-9].*-$flavour\)$/\1/p" <<<"$kernels" | cat - <(echo "$new") | sort --version-sort |
	sed "/^$release_pattern$/q" | grep -v "^${new%%.*}[.]$(cut -d . -f 2 <<<"$new")[.]" | tail -n 1)
[[ $old ]] && (check_release "$old") || old=$new
if [[ $new != [0-9]*amd64 ]]; then
	skip_test "the lab machine has a kernel of Debian for amd64, and $new is none"
fi

# steps_of SCRIPT...: how many tests they are: the steps, and the verdict of each
steps_of() { cat "${@/#/$machine/}" | grep -c '^step '; }

# lab SCRIPT [VARIABLE=VALUE]...: runs the script of tests/lab/machine in the lab machine. Each step is a test, and so is the
# verdict on the run.
lab() {
	local script=$1 status=0 line said=''
	shift
	say "the lab machine runs $script"
	env KERNEL="$old" LIMIT="${LIMIT:-7200}" "$@" "$top/scripts/lab-vm" "$machine/$script" >"$scratch/lab" 2>&1 </dev/null || status=$?
	while IFS= read -r line; do
		case $line in
		'step passed: '*) : >"$scratch/said" && report "${line#*: }" '' ;;
		'step failed: '*) printf '%s\n' "$said" >"$scratch/said" && report "${line#*: }" "the step failed" ;;
		*) said+=$line$'\n' && continue ;;
		esac
		said=''
	done <"$scratch/lab"
	printf '%s\n' "$said" >"$scratch/said"
	((status == 0)) && status='' || status="exit status $status"
	report "$script: the machine ran to its end, and its kernel's log is clean" "$status"
}

# A copy of the project makes the packages, so build/deb stays as it is. It is not in /tmp, which may be small.
maker=$top/build/lab_test
rm -rf --one-file-system "$maker"
trap 'rm -rf --one-file-system "$scratch" "$maker"' EXIT

# make_packages RELEASE DIRECTORY [VARIABLE=VALUE]...: makes the packages for that kernel, and copies them to DIRECTORY
make_packages() {
	local release=$1 directory=$2 made=$maker/build/deb
	shift 2
	say "making the packages for $release"
	copy_project "$maker"
	env KERNEL="$release" "$@" "$maker/scripts/deb" >"$scratch/packages.log" 2>&1 || {
		cat "$scratch/packages.log"
		exit 1
	}
	mkdir -p "$directory/$release"
	cp "$made"/linux-headers-rust-"$release"_*.deb "$made"/linux-kbuild-rust-"${release%%-*}"_*.deb \
		"$made"/taskscope-modules-"$release"_*.deb "$directory/$release/"
	cp "$made"/taskscope-dkms_*.deb "$made"/taskscope_*.deb "$directory/"
}
