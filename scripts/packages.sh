# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced, after common.sh, by what runs where the tools are: Debian's packages,
# by an apt with lists and a cache of our own, so that it needs no rights.

# use_packages ARCHITECTURE: of that one from here on
use_packages() {
	apt_lists=$cache/apt/$1/lists
	apt_cache=$cache/apt/$1/cache
	apt_options=(-o "Dir::State::Lists=$apt_lists" -o "Dir::Cache=$apt_cache"
		-o "APT::Architecture=$1" -o "APT::Architectures=$1"
		-o APT::Sandbox::User=root)
}

update_lists() (
	mkdir -p "$apt_lists/partial" "$apt_cache/archives/partial"
	lock "$cache/apt/lock"
	logged "$cache/log/apt" "asking the package archive for its lists" \
		apt-get "${apt_options[@]}" --error-on=any update
)

# So that apt knows the packages; a run that goes on may have lists no more.
need_lists() { [[ -e $apt_lists/lock ]] || update_lists; }

# fetch DIRECTORY WHAT COMMAND...: runs a command of apt's that downloads into DIRECTORY.
# Where the archive has a file no more that the lists name, it runs once again with new
# lists, and without what the old ones have brought.
fetch() {
	local log=$cache/log/download directory=$1 what=$2
	shift 2
	"$@" >"$log" 2>&1 && return
	if ! grep -qE '\b404\b|Not Found|File not found|No such file|unexpected size|Hash Sum mismatch' "$log"; then
		failed "$log" "$what"
	fi
	say "the lists of packages have grown old; asking for new ones"
	rm -f "$directory"/*.deb
	update_lists
	logged "$log" "$what" "$@"
}

# download DIRECTORY PACKAGE[=VERSION]...: a package that is there is not asked for again
download() (
	mkdir -p "$1"
	cd "$1" || exit
	shift
	fetch . "downloading $*" apt-get "${apt_options[@]}" download "$@"
)
