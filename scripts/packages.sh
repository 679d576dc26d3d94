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

# download DIRECTORY PACKAGE[=VERSION]...: a package that is there is not asked for again
download() (
	mkdir -p "$1"
	cd "$1" || exit
	shift
	logged "$cache/log/download" "downloading $*" apt-get "${apt_options[@]}" download "$@"
)
