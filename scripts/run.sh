# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154 # sourced: variables of one are for the other
#
# Sourced by each script that starts a guest: scripts/launch, tests/run, tests/soak/run,
# tests/bench/guest. It has what these share. (scripts/deb and scripts/lab-vm use functions of it.) Such a
# script is run three times:
#
#   1. By the user. begin() starts it again in the build root.
#   2. In the build root. begin() finds the kernel, and boot() starts the guest.
#   3. By qemu/guest, while the guest boots: `SCRIPT --fill FUNCTION KERNEL ARGUMENT DIRECTORY`.
#      begin() calls FUNCTION, which puts the module, and what goes with it, into DIRECTORY.
#      Its contents come into the guest's root directory.

# shellcheck source=scripts/common.sh
. "${BASH_SOURCE[0]%/*}/common.sh"
# shellcheck source=scripts/architecture.sh
. "$top/scripts/architecture.sh"

self=$(readlink -f "$0")
# What the guest is to run, for put_command.
argument=''
# Variables that not every kind of run takes; a script names those that it takes.
takes=''

# begin [ARGUMENT]...: returns in the build root, with `kernel` set; see above
begin() {
	if [[ ${1-} == --fill ]]; then
		kernel=$3 argument=$4
		use_kernel
		"$2" "$5"
		exit
	elif [[ ! ${TASKSCOPE_TOOLS-} ]]; then
		enter_root "$@"
	fi
	phase kernel find_kernel
}

# enter_root [ARGUMENT]...: checks what the user asks for, then starts the script in the build root
enter_root() {
	local variable file files=()
	for variable in MODULE PARAMS; do
		[[ ! ${!variable-} || " $takes " == *" $variable "* ]] ||
			die "$variable is not for this target; make help says what it is for"
	done
	need_writable
	for file in ${FILES-}; do
		[[ -f $file || -d $file ]] || die "FILES=$file: there is no such file or directory"
		files+=("$(readlink -f "$file")")
	done
	export FILES="${files[*]}"
	exec "$top/scripts/in-root" "$self" "$@"
}

# use_kernel: sets what depends on the kernel's architecture
use_kernel() { use_architecture "$(architecture_of "$kernel")"; }

find_kernel() {
	[[ ${MODULE-} || ${KERNEL-} != [0-9]* ]] || check_release "$KERNEL"
	kernel=$("$top/scripts/rust-headers" --directory ${KERNEL:+"$KERNEL"})
	use_kernel
	# A build root that was made again after the kernel lacks these packages.
	"$top/scripts/add-packages" "${tool_packages[@]}"
}

# boot MODE FUNCTION: boots a guest (qemu/guest has the modes), which FUNCTION fills
boot() { "$top/qemu/guest" "$1" "$kernel" "$self" --fill "$2" "$kernel" "$argument"; }

# build WHAT SOURCES DIRECTORY [ARGUMENT]...: runs make with these arguments. DIRECTORY, which gets what
# is made, is locked from here on. It also gets the log, which is shown if make fails; then the script ends.
# make takes half a second to find that it has nothing to do. So it is not run if it was run for the same
# files, which SOURCES lists, with the same arguments; without SOURCES, it is always run.
build() {
	local what=$1 sources=$2 directory=$3
	shift 3
	mkdir -p "$directory"
	lock "$directory/.lock"
	[[ ! $sources ]] || sources=$(printf '%s\n' "$sources" "$@")
	[[ ! $sources || $(cat "$directory/sources" 2>/dev/null) != "$sources" ]] || return 0
	rm -f "$directory/sources"
	make -j"$(nproc)" "$@" >"$directory/log" 2>&1 || {
		cat "$directory/log" >&2
		die "$what could not be built for ${kernel##*/}"
	}
	[[ ! $sources ]] || echo "$sources" >"$directory/sources"
}

# files_in PATH...: lists the files there, with their sizes and times, for build()
files_in() { find "$@" -type f -printf '%p %s %T@\n' | sort; }

# build_programs WHAT SOURCE DIRECTORY [VARIABLE=VALUE]...: builds by the Makefile of the directory
# SOURCE, which may use the library and the modules of the tests
#
# If the build root has ccache, it keeps compiled C files in the cache of the project: the programs are the same for each
# kernel of an architecture, and a fresh clone need not compile them again. Debian's ccache has a directory with links that
# are named after each compiler.
build_programs() {
	local -x PATH=/usr/lib/ccache:$PATH CCACHE_DIR=$cache/ccache CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=500M
	build "$1" "$(files_in "$2" "$top"/tests/{lib,modules} "$kernel/complete")" "$3" --silent -C "$2" TREE="$kernel/build" OUT="$3" COMPILER="${cross_compile}gcc" "${@:4}"
}

# compile WHAT SOURCE DIRECTORY [VARIABLE=VALUE]...: builds the module of the directory SOURCE by
# kbuild. What it makes goes to DIRECTORY, so that sources stay clean.
compile() {
	local sources=''
	# Another module may include files from anywhere.
	[[ $2 != "$top" ]] || sources=$(files_in "$top"/{Kbuild,src,tests/suites,scripts/rustc-incremental} "$kernel/complete")
	# Nothing in the guest reads debug information, which takes rustc half a second.
	build "$1" "$sources" "$3" -C "$kernel/build" M="$2" MO="$3" KRUSTFLAGS=-Cdebuginfo=0 "${@:4}" modules
	grep -E -A 20 '(^|: )warning: ' "$3/log" >&2 || true
}

# give FILE DIRECTORY: the module in FILE, to be loaded with the parameters PARAMS. For qemu/init,
# DIRECTORY/module has the module's name and the parameters.
give() {
	local name
	name=$(modinfo --field name "$1" 2>/dev/null) || name=''
	[[ $name ]] || die "$1 is not a kernel module"
	cp "$1" "$2/$name.ko"
	echo "$name ${PARAMS-}" >"$2/module"
}

# builds: the directory of all that is built for this kernel
builds() { echo "$top/build/${kernel##*/}"; }

# check_used_types: ends if the module names a type whose size is wrong in the Rust metadata, or a member of a static of such a type.
# scripts/bindgen-limits has the members that were compared. The debug kernels are built here, with their metadata.
check_used_types() {
	local types used
	[[ ${kernel##*/} != debug* ]] || return 0
	types=$(paste -sd '|' "$kernel/build/wrong-uses")
	[[ $types ]] || return 0
	used=$(grep -rlw bindings "$top/src" | xargs sed 's,//.*,,' | grep -owE "$types" |
		grep -vxFf <(grep '[.]' "$top/scripts/bindgen-limits") || true)
	[[ ! $used ]] ||
		die "${kernel##*/}: the module uses ${used%%$'\n'*}, which has a wrong size in the Rust metadata"
}

# build_module [DIRECTORY]: builds the project's module. DIRECTORY gets a copy, because another run
# may build again while this one boots.
build_module() (
	check_used_types
	# TASKSCOPE_INCREMENTAL: for runs in which the speed of the tables does not matter
	compile "the module" "$top" "$(builds)" ${TASKSCOPE_INCREMENTAL:+RUSTC="$top/scripts/rustc-incremental"}
	ln -f "$(builds)/$project.ko" "$top/$project.ko"
	[[ ! ${1-} ]] || give "$(builds)/$project.ko" "$1"
)

# put_command DIRECTORY: the command in `argument`, or the script TASKSCOPE_SCRIPT, as /command
put_command() {
	if [[ ${TASKSCOPE_SCRIPT-} ]]; then
		cp "$TASKSCOPE_SCRIPT" "$1/command"
	else
		printf '%s\n' "$argument" >"$1/command"
	fi
	chmod +x "$1/command"
}
