# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # common.sh has the variables
#
# Sourced, after common.sh, in the build root: Debian's packages. apt keeps its lists and its cache in the
# project's cache, so that it needs no root rights.

# use_packages ARCHITECTURE: sets apt up for packages of that architecture
use_packages() {
	apt_lists=$cache/apt/$1$of_suite/lists
	apt_cache=$cache/apt/$1$of_suite/cache
	apt_options=(-o "Dir::State::Lists=$apt_lists" -o "Dir::Cache=$apt_cache"
		-o "APT::Architecture=$1" -o "APT::Architectures=$1"
		-o APT::Sandbox::User=root "${valid[@]}")
}

update_lists() (
	mkdir -p "$apt_lists/partial" "$apt_cache/archives/partial"
	lock "$cache/apt/lock"
	logged "$cache/log/apt" "asking the package archive for its lists" \
		apt-get "${apt_options[@]}" --error-on=any update
)

# need_lists: gets apt's lists of packages, if there are none
need_lists() { [[ -e $apt_lists/lock ]] || update_lists; }

# fetch DIRECTORY WHAT COMMAND...: runs a command of apt's that downloads into DIRECTORY. If the archive no
# longer has a file that the lists name, gets new lists, removes what was downloaded, and runs it again.
fetch() {
	local log directory=$1 what=$2 outdated=''
	shift 2
	# A file of its own, because other runs write to the log in the cache.
	log=$(mktemp)
	if "$@" >"$log" 2>&1; then
		rm "$log"
		return
	fi
	! grep -qE '\b404\b|Not Found|File not found|No such file|unexpected size|Hash Sum mismatch' "$log" || outdated=yes
	mv "$log" "$cache/log/download"
	[[ $outdated ]] || failed "$cache/log/download" "$what"
	say "the lists of packages are out of date; getting new ones"
	rm -f "$directory"/*.deb
	update_lists
	logged "$cache/log/download" "$what" "$@"
}

# download DIRECTORY PACKAGE[=VERSION]...: downloads the packages that DIRECTORY does not have
download() (
	mkdir -p "$1"
	cd "$1" || exit
	shift
	fetch . "downloading $*" apt-get "${apt_options[@]}" download "$@"
)
