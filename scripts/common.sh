# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # sourced: its variables are for the others
#
# Sourced by each script of this project: where things are kept, how a script tells its user something,
# and how it fails.

# Undo what a user has set for an interactive shell or for other programs. In each script's first line,
# -p makes bash ignore BASH_ENV and exported functions.
unset CDPATH BASH_ENV ENV BASH_COMPAT TMOUT LANGUAGE TAR_OPTIONS GREP_OPTIONS
unset POSIXLY_CORRECT && shopt -u inherit_errexit
export LC_ALL=C.UTF-8
# Users in the guest must be able to read the files that the scripts make.
umask 022
# If standard input is closed, the next file that is opened would become standard input.
[[ -e /proc/self/fd/0 ]] || exec </dev/null

# The name of the project, of its module, and of its cache. With MODULE a guest has another module, whose
# name scripts/run.sh reads from its file.
project=taskscope

top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd -P)

# cron and systemd do not set HOME; the password database has it.
export HOME=${HOME:-$(unset HOME; echo ~)}
cache=${TASKSCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/$project}
[[ $cache == /* ]] || cache=$PWD/$cache
# Every script that this one starts finds the same cache.
export TASKSCOPE_CACHE=$cache

# The proxies of the host's apt.conf, for apt in the build root.
proxies=$cache/apt/proxies

# SUITE is the Debian release whose kernels are meant. The build root has that release's compilers: `base` is what
# it is made of, and `pocket` is the part of the archive with the kernels.
suite=${SUITE:-trixie} base=$suite pocket=$suite of_suite=@$suite
case $suite in
trixie) pocket=trixie-backports of_suite='' ;;
forky | sid) ;;
experimental) base=sid ;;
*) printf '%s\n' "$project: SUITE=$suite is neither trixie, forky, sid nor experimental" >&2; exit 204 ;;
esac

# The oldest kernel for which the module builds; src/abstractions/compat.rs has the differences.
oldest=7.2

# The most space that each takes, in MiB, as measured with du: the build root (1.9 GiB, and packages while
# it is made), a kernel's source (1.8 GiB, and its package and archive), a kernel with its build tree; for
# the lab guest the archive, the packages and their files; for the lab machine its disk, and what it is made of.
root_mib=2600
source_mib=2200
kernel_mib=400
guest_mib=400
lab_mib=1200
all_mib=$((root_mib + source_mib + kernel_mib))
# A debug kernel with its build tree. It needs this in addition to all of the above.
debug_mib=1500

# Exit statuses. From 200 on, because a command that a guest runs has at most 192: 128 and the number of
# the signal that killed it.
exit_failed=1     # a test failed
exit_own=200      # the command's own status is one of the following
exit_crashed=201  # the kernel crashed or warned
exit_hung=202     # the guest reached its time limit
exit_silent=203   # the guest ended without a verdict
exit_setup=204    # something could not be downloaded, built, started or loaded

say() { printf '%s: %s\n' "$project" "$*" >&2; }
die() { say "$*"; exit "$exit_setup"; }

# A command that fails unexpectedly ends the script as a failure of set-up, with a message. If the command
# was a script that ended so, that script has printed the message.
unforeseen() {
	local status=$?
	((status == exit_setup)) || say "${0##*/}: line $1: '$2' failed with exit status $status"
	exit "$exit_setup"
}
if [[ $- == *e* ]]; then
	set -o errtrace
	trap 'unforeseen "$LINENO" "$BASH_COMMAND"' ERR
fi

# is_set SWITCH: whether the variable of that name is 1. Unset, empty and 0 are off; ends if it has another value.
is_set() {
	case ${!1-} in
	1) ;;
	'' | 0) return 1 ;;
	*) die "$1=${!1}: must be 1 or 0" ;;
	esac
}

# check_switches SWITCH...: ends if one of them is neither on nor off
check_switches() {
	local name
	for name; do
		is_set "$name" || true
	done
}

# For apt: with EXPIRED=1, lists of packages that have expired are accepted.
valid=()
! is_set EXPIRED || valid=(-o Acquire::Check-Valid-Until=false)

# check_path WHAT PATH: ends if the path has a character with a meaning for make, kbuild, apt or QEMU
check_path() {
	local others=${2//[[:alnum:]\/._+@~-]/}
	[[ ! $others ]] ||
		die "$1 has '${others:0:1}' in its path, where only letters, digits and . _ + @ ~ - work: $2"
}
check_path "the project" "$top"
check_path "its cache" "$cache"

# check_release RELEASE: ends if the module cannot be built for so old a kernel
check_release() {
	[[ $(printf '%s\n' "$oldest" "${1%%[^0-9.]*}" | sort --version-sort | head -n 1) == "$oldest" ]] ||
		die "kernel $1 is too old: $project needs $oldest or newer"
}

# check_signing: ends if SIGN_KEY and SIGN_CERT do not fit together
check_signing() {
	[[ ! ${SIGN_KEY-}${SIGN_CERT-} || -r ${SIGN_KEY-} && -r ${SIGN_CERT-} ]] ||
		die "a signature needs both SIGN_KEY and SIGN_CERT, as files that you may read"
}

# need_writable: ends if the project's directory, where everything is built, is read-only
need_writable() {
	[[ -w $top ]] ||
		die "$top is read-only, but the project's scripts write to it: copy the project to a directory that you may write to"
}

# open_cache: makes the cache, with the mark of a directory that may be removed whole. Refuses a directory
# that has other files in it.
open_cache() {
	[[ ! -e $cache/CACHEDIR.TAG ]] || return 0
	mkdir -p "$cache" 2>/dev/null || die "the cache $cache cannot be made: set TASKSCOPE_CACHE to a directory that can"
	[[ -z $(ls -A "$cache") ]] ||
		die "TASKSCOPE_CACHE=$cache has files in it that are not $project's: name an empty directory, or a new one"
	printf '%s\n' 'Signature: 8a477f597d28d172789f06886806bc55' \
		"# A cache of $project, see https://bford.info/cachedir/" >"$cache/CACHEDIR.TAG"
	mkdir -p "$cache/log"
}

# now: prints the microseconds since the epoch
now() { printf '%s' "${EPOCHREALTIME/[^0-9]/}"; }

# seconds MICROSECONDS: prints them in seconds, with one decimal
seconds() { printf '%d.%d' $(($1 / 1000000)) $(($1 / 100000 % 10)); }

# phase NAME COMMAND...: runs the command, and notes its time for report_times. The notes are in the
# environment, for the scripts that this one starts later.
phase() {
	local name=$1 start
	shift
	start=$(now)
	"$@"
	TASKSCOPE_TIMES="${TASKSCOPE_TIMES:+$TASKSCOPE_TIMES, }$name $(seconds $(($(now) - start)))"
	export TASKSCOPE_TIMES
}

# report_times: prints the time of each phase, and the time since TASKSCOPE_START
report_times() {
	say "seconds: $TASKSCOPE_TIMES; in all $(seconds $(($(now) - TASKSCOPE_START)))"
}

# lock FILE: waits for the lock, and holds it until this shell ends, or closes the descriptor lock_fd
lock() {
	exec {lock_fd}>"$1"
	# Say so only after some seconds.
	flock --timeout 3 "$lock_fd" && return
	say "waiting for another run, which holds $1"
	flock "$lock_fd"
}

# take_line FILE: removes the first line of the file, and prints it; fails if there is none. Several processes
# may take lines of one file.
take_line() {
	local line
	{
		flock 9
		line=$(head -n 1 "$1")
		# Without this, a full disk would give the same line again and again.
		sed -i 1d "$1" || return
	} 9>"$1.lock"
	[[ $line ]] && printf '%s\n' "$line"
}

free_mib() { df --output=avail --block-size=1M "$1" | tail -n 1 | tr -dc 0-9; }

# need_space DIRECTORY MIB WHAT: ends before a download that does not fit
need_space() {
	local free
	free=$(free_mib "$1")
	((free >= $2)) || die "$3 needs $2 MiB, but only $free MiB are free in $1:" \
		"make room there, or point TASKSCOPE_CACHE at a larger disk"
}

# logged LOG WHAT COMMAND...: runs a long command, with its output in LOG; ends if it fails (see failed). A function must return the
# status of its command that fails: bash ignores -e in what is followed by ||.
logged() {
	"${@:3}" >"$1" 2>&1 || failed "$1" "$2"
}

# failed LOG WHAT: ends with the end of the log of a failed command, and with the reason if the log has a
# known one
failed() {
	local log=$1 what=$2 reason=''
	tail -n 15 "$log" >&2
	if grep -qi 'no space left on device' "$log"; then
		reason=': the disk is full'
	elif grep -qE 'Release file for .* is expired' "$log"; then
		reason=": the archive's lists of packages have expired, so an old copy cannot be told from the archive; EXPIRED=1 accepts it"
	elif grep -qEi 'could not resolve|temporary failure resolving|unable to connect|could not connect|network is unreachable|connection (failed|timed out)' "$log"; then
		reason=': the package archive cannot be reached; is there a network?'
	fi
	die "$what failed$reason (whole output: $log)"
}

# replace FILE: makes standard input the contents of FILE, in one step. Several runs may replace a file at the
# same time. Their process IDs may be equal, because some run in PID namespaces of their own.
replace() {
	local new
	new=$(mktemp "$1.XXXXXX")
	cat >"$new"
	chmod a+r "$new"
	mv "$new" "$1"
}

# write_makefile TREE LINE...: writes TREE/GNUmakefile, which make reads instead of TREE/Makefile. In the
# build root it has LINEs, which set the architecture and the compilers. On the host, whose tools may be
# others, it makes make run in the build root.
write_makefile() {
	local tree=$1 text
	shift
	text=$(
		cat <<-END
			# Made by scripts/rust-headers.
			ifdef TASKSCOPE_TOOLS
		END
		printf '%s\n' "$@"
		cat <<-END
			include Makefile
			else
			goals := \$(or \$(MAKECMDGOALS),_all)
			export M MO INSTALL_MOD_PATH
			export TASKSCOPE_CACHE := $cache
			export SUITE := $suite
			.PHONY: in-root \$(goals)
			\$(goals): in-root; @:
			in-root:; @$top/scripts/make-in-root "\$(CURDIR)" \$(MAKECMDGOALS)
			endif
		END
	)
	[[ $(cat "$tree/GNUmakefile" 2>/dev/null) != "$text" ]] || return 0
	replace "$tree/GNUmakefile" <<<"$text"
}

# new_run: makes a directory for a run of a guest, and sets `run`. It is locked until this shell ends.
new_run() {
	local directory
	directory=$(mktemp --directory "$cache/new-run.XXXXXX")
	run=$cache/run.${directory##*.}
	exec {run_lock}<"$directory"
	flock "$run_lock"
	mv "$directory" "$run"
}

# remove_ended_runs: removes the directories of runs that were killed
remove_ended_runs() {
	local directory
	[[ -e $cache/CACHEDIR.TAG ]] || return 0
	for directory in "$cache"/run.*/; do
		# Another run may remove it meanwhile.
		[[ ! -d $directory ]] || flock --nonblock "$directory" rm -rf "$directory" 2>/dev/null || true
	done
}

# on_exit COMMAND: runs it when this script ends, by a signal too
on_exit() {
	# shellcheck disable=SC2064 # COMMAND is the same then
	trap "$1" EXIT
	trap 'exit 143' TERM HUP
	trap 'exit 130' INT
}

# sum_of PATH...: a hash of the contents and the names of all files there; the paths begin at the project's directory
sum_of() (
	cd "$top" || exit
	find "$@" -type f -print0 | sort --zero-terminated | xargs --null sha256sum | sha256sum | cut -c 1-12
)

# copy_project DIRECTORY: copies the project there, without what is built
copy_project() {
	mkdir -p "$1"
	tar --create --exclude ./build --exclude ./.git --directory "$top" . | tar --extract --directory "$1"
}
