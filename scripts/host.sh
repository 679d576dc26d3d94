# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced, after common.sh, by what asks what this host has and may do.

mapfile -t root_packages < <(sed '/^#/d' "$top/scripts/root-packages")

# The build root's name holds a hash of what it is made from.
root=$cache/root-$(printf '%s\n' "$suite" "${root_packages[@]}" | sha256sum | cut -c 1-12)

# host_has_tools: a Debian of the root's release, with all its packages and the
# backports, so that no root is needed
host_has_tools() {
	[[ $(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME-}") == "$suite" ]] &&
		grep -qrs "$suite-backports" /etc/apt/sources.list /etc/apt/sources.list.d &&
		dpkg-query --show "${root_packages[@]}" >/dev/null 2>&1
}

# What the host must have to make a root: mmdebstrap, the archive's keys, and for
# an ordinary user newuidmap.
host_packages=(mmdebstrap debian-archive-keyring gpg)
((EUID == 0)) || host_packages+=(uidmap)
have_host_packages() {
	command -v mmdebstrap && [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] &&
		{ ((EUID == 0)) || command -v newuidmap; }
} >/dev/null

# may_install: as root, or by a sudo that asks for no password
may_install() {
	command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# user_lacks: why an ordinary user cannot make or enter a root, if so
user_lacks() {
	local kind
	((EUID != 0)) || return 0
	if ! unshare --user --map-root-user --mount true 2>/dev/null; then
		echo "user namespaces are not allowed here: run as root, or ask for" \
			"sysctl kernel.unprivileged_userns_clone=1 (Debian)," \
			"sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"
		return
	fi
	[[ ! -d $root ]] || return 0
	for kind in uid gid; do
		grep -qs "^\($(id -un)\|$(id -u)\):" "/etc/sub$kind" || {
			echo "$(id -un) has no subordinate ids: sudo usermod --add-subuids" \
				"100000-165535 --add-subgids 100000-165535 $(id -un)"
			return
		}
	done
}
