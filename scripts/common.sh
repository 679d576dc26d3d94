# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # sourced: its variables are for the others
#
# Sourced by the scripts of this project: where things are kept, how a script
# speaks to its user, and how it fails.

# What a user has set for an interactive shell, or for other programs, changes nothing
# here, nor in what these scripts start. Their first line has bash ignore BASH_ENV and
# exported functions (-p).
unset CDPATH BASH_ENV ENV BASH_COMPAT TMOUT LANGUAGE TAR_OPTIONS GREP_OPTIONS
unset POSIXLY_CORRECT && shopt -u inherit_errexit
export LC_ALL=C.UTF-8
# What is made here is read by other users too: those of the guest.
umask 022
# A closed standard input would be the number of the next file that is opened.
[[ -e /proc/self/fd/0 ]] || exec </dev/null

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# cron and systemd set no HOME; the password database has it.
export HOME=${HOME:-$(unset HOME; echo ~)}
cache=${TASKSCOPE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/taskscope}
[[ $cache == /* ]] || cache=$PWD/$cache
# So that a script run by this one, wherever, finds the same cache.
export TASKSCOPE_CACHE=$cache

# What the host's apt.conf says of proxies.
proxies=$cache/apt/proxies

# The Debian release of the build root; its backports hold the kernels.
suite=trixie

# Space that things take at their worst, in MiB, as seen with du: the build root
# (1.9 GiB, and packages while it is made), a kernel's source (1.8 GiB, and its
# package and archive), a kernel with its build tree; the lab guest's archive, its
# packages and their files.
root_mib=2600
source_mib=2200
kernel_mib=400
guest_mib=400
all_mib=$((root_mib + source_mib + kernel_mib))
# A debug kernel with its build tree (as seen with du), beside all these.
debug_mib=1500

# Exit statuses. Above those of any command that a guest runs: a shell gives
# 128 and the signal's number, at most 192, for one that was killed.
exit_failed=1     # a test failed
exit_own=200      # the command's own status is one of those below
exit_crashed=201  # the kernel crashed or warned
exit_hung=202     # the guest reached its time limit
exit_silent=203   # the guest ended without a verdict
exit_setup=204    # something needed could not be had, built or started

say() { printf 'taskscope: %s\n' "$*" >&2; }
die() { say "$*"; exit "$exit_setup"; }

# What nobody foresaw is a failure of set-up as well, and has its line. Where it
# was another script that failed so, that one has said it.
unforeseen() {
	local status=$?
	((status == exit_setup)) || say "${0##*/}: line $1: '$2' failed with exit status $status"
	exit "$exit_setup"
}
if [[ $- == *e* ]]; then
	set -o errtrace
	trap 'unforeseen "$LINENO" "$BASH_COMMAND"' ERR
fi

# check_path WHAT PATH: make, kbuild, apt and QEMU each give a meaning to other characters
check_path() {
	local others=${2//[[:alnum:]\/._+@~-]/}
	[[ ! $others ]] ||
		die "$1 has '${others:0:1}' in its path, where only letters, digits and . _ + @ ~ - work: $2"
}
check_path "the project" "$top"
check_path "its cache" "$cache"

# need_writable: the project's directory, where what is built comes to
need_writable() {
	[[ -w $top ]] ||
		die "$top may not be written here, and what is built comes to it: copy the project to where you may write"
}

# open_cache: the directory, marked as one that may be removed whole. One with
# something else in it is somebody's own.
open_cache() {
	[[ ! -e $cache/CACHEDIR.TAG ]] || return 0
	mkdir -p "$cache" 2>/dev/null || die "the cache $cache cannot be made: set TASKSCOPE_CACHE to a directory that can"
	[[ -z $(ls -A "$cache") ]] ||
		die "TASKSCOPE_CACHE=$cache has something in it that is not taskscope's: name an empty directory, or a new one"
	printf '%s\n' 'Signature: 8a477f597d28d172789f06886806bc55' \
		'# A cache of taskscope, see https://bford.info/cachedir/' >"$cache/CACHEDIR.TAG"
	mkdir -p "$cache/log"
}

# now: microseconds since the epoch
now() { printf '%s' "${EPOCHREALTIME/[^0-9]/}"; }

# seconds MICROSECONDS: the same in seconds, one decimal
seconds() { printf '%d.%d' $(($1 / 1000000)) $(($1 / 100000 % 10)); }

# phase NAME COMMAND...: runs the command and notes its time for report_times.
# The notes are in the environment, so that they reach the scripts run next.
phase() {
	local name=$1 start
	shift
	start=$(now)
	"$@"
	TASKSCOPE_TIMES="${TASKSCOPE_TIMES:+$TASKSCOPE_TIMES, }$name $(seconds $(($(now) - start)))"
	export TASKSCOPE_TIMES
}

# report_times: the line of times, phase by phase, since TASKSCOPE_START
report_times() {
	say "seconds: $TASKSCOPE_TIMES; in all $(seconds $(($(now) - TASKSCOPE_START)))"
}

# lock FILE: one run at a time from here on, until this script ends
lock() {
	local fd
	exec {fd}>"$1"
	# A moment is not worth a word.
	flock --timeout 3 "$fd" && return
	say "waiting for another run, which holds $1"
	flock "$fd"
}

free_mib() { df --output=avail --block-size=1M "$1" | tail -n 1 | tr -dc 0-9; }

# need_space DIRECTORY MIB WHAT: stop before a download that cannot fit
need_space() {
	local free
	free=$(free_mib "$1")
	((free >= $2)) || die "$3 needs $2 MiB, but only $free MiB are free in $1:" \
		"make room there, or point TASKSCOPE_CACHE at a larger disk"
}

# logged LOG WHAT COMMAND...: runs a long command with its output in LOG; if it
# fails, shows the end of that and says why, as far as can be told.
logged() {
	"${@:3}" >"$1" 2>&1 || failed "$1" "$2"
}

# failed LOG WHAT: ends with the reason that the log of a failed command gives
failed() {
	local log=$1 what=$2 reason=''
	tail -n 15 "$log" >&2
	if grep -qi 'no space left on device' "$log"; then
		reason=': the disk is full'
	elif grep -qEi 'could not resolve|temporary failure resolving|unable to connect|could not connect|network is unreachable|connection (failed|timed out)' "$log"; then
		reason=': the package archive cannot be reached; is there a network?'
	fi
	die "$what failed$reason (whole output: $log)"
}

# write_makefile TREE LINE...: TREE/GNUmakefile, which make prefers to another. In the
# build root it sets what LINEs say, so that what is built in this tree is built for its
# kernel. Elsewhere it has make run there: this host may have other tools, or none.
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
			.PHONY: in-root \$(goals)
			\$(goals): in-root; @:
			in-root:; @$top/scripts/make-in-root "\$(CURDIR)" \$(MAKECMDGOALS)
			endif
		END
	)
	[[ $(cat "$tree/GNUmakefile" 2>/dev/null) != "$text" ]] || return 0
	echo "$text" >"$tree/GNUmakefile.$$"
	mv "$tree/GNUmakefile.$$" "$tree/GNUmakefile"
}

# Every run of a guest has a directory, locked while it runs.
new_run() {
	local directory
	directory=$(mktemp --directory "$cache/new-run.XXXXXX")
	run=$cache/run.${directory##*.}
	exec {run_lock}<"$directory"
	flock "$run_lock"
	mv "$directory" "$run"
}

# remove_ended_runs: what runs that were killed have left
remove_ended_runs() {
	local directory
	[[ -e $cache/CACHEDIR.TAG ]] || return 0
	for directory in "$cache"/run.*/; do
		[[ ! -d $directory ]] || flock --nonblock "$directory" rm -rf "$directory" || true
	done
}
