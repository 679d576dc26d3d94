# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # common.sh has the variables
#
# Sourced, after common.sh: what this host has, and what this user may do.

mapfile -t root_packages < <(sed '/^#/d' "$top/scripts/root-packages")

# The build root's name has a hash of what it is made from.
root=$cache/root-$(printf '%s\n' "$suite" "${root_packages[@]}" | sha256sum | cut -c 1-12)

# host_has_tools: whether no root is needed, because this host is a Debian of the root's release, with all
# packages of the root and with the part of the archive that has the kernels
host_has_tools() {
	[[ $(. /etc/os-release 2>/dev/null && echo "${VERSION_CODENAME-}") == "$base" ]] &&
		grep -qrs "$pocket" /etc/apt/sources.list /etc/apt/sources.list.d &&
		dpkg-query --show "${root_packages[@]}" >/dev/null 2>&1
}

# apt_proxies: prints the proxies of the host's apt.conf, as lines of an apt.conf. A program that detects a
# proxy is run here, because the root does not have it.
apt_proxies() {
	local name value
	command -v apt-config >/dev/null || return 0
	while read -r name value; do
		case $name in
		Acquire::http::Proxy-Auto-Detect | Acquire::http::ProxyAutoDetect)
			[[ ! $value ]] || echo "Acquire::http::Proxy \"$("$value" || echo DIRECT)\";"
			;;
		Acquire::http::Proxy | Acquire::https::Proxy | Acquire::http::Proxy::* | Acquire::https::Proxy::*)
			echo "$name \"$value\";"
			;;
		esac
	done < <(apt-config dump --format '%f %v%n')
}

# note_proxies: writes them to the file that apt reads in the root
note_proxies() {
	local found
	found=$(apt_proxies)
	[[ ! -e $proxies || $(<"$proxies") != "$found" ]] || return 0
	mkdir -p "${proxies%/*}"
	replace "$proxies" <<<"$found"
}

# remove_tree DIRECTORY: removes it, even if directories in it are read-only or belong to a subordinate id of
# the user
remove_tree() {
	local around=()
	[[ -e $1 ]] || return 0
	((EUID == 0)) || around=(unshare --user --map-root-user --map-auto)
	# The host may no longer allow the namespaces with which the tree was made.
	"${around[@]}" true 2>/dev/null || around=()
	"${around[@]}" chmod -R u+rwX "$1"
	"${around[@]}" rm -rf --one-file-system "$1"
}

# What the host needs to make a root: mmdebstrap, the archive's keys, and newuidmap for an ordinary user.
host_packages=(mmdebstrap debian-archive-keyring gpg)
((EUID == 0)) || host_packages+=(uidmap)
have_host_packages() {
	command -v mmdebstrap && [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] &&
		{ ((EUID == 0)) || command -v newuidmap; }
} >/dev/null

install_host_packages() {
	local as_root=()
	may_install || die "mmdebstrap or what it needs is missing, and you may not install it here:" \
		"sudo apt-get install ${host_packages[*]}"
	((EUID == 0)) || as_root=(sudo -n)
	say "installing ${host_packages[*]}"
	logged "$cache/log/host-packages" "apt-get update" "${as_root[@]}" apt-get update
	logged "$cache/log/host-packages" "installing ${host_packages[*]}" \
		"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get install --yes --no-install-recommends "${host_packages[@]}"
}

# make_debian DIRECTORY COMMAND...: runs the command, which calls mmdebstrap with "${debian[@]}", in namespaces that end with
# this script, even if it is killed. An ordinary user needs subordinate ids for that. Temporary files are in DIRECTORY/tmp,
# because /tmp may be small, or a file system in memory.
make_debian() {
	local around=("${namespaces[@]}" --mount-proc)
	mkdir -p "$1/tmp"
	BASE=$base POCKET=$pocket TMPDIR=$1/tmp setpriv --pdeathsig KILL unshare "${around[@]}" "${@:2}"
}

# use_debian: sets debian, the beginning of mmdebstrap's command for a system of the release `base` that also has the part
# of the archive with the kernels, from the mirror that mmdebstrap chose for the release. The proxies and the clock are
# those of this host and this time, so the system keeps no options for them.
use_debian() {
	note_proxies
	debian=(mmdebstrap --mode=root --dpkgopt=force-unsafe-io
		--setup-hook='[ $BASE = $POCKET ] || sed -n "s/ $BASE main/ $POCKET main/p" \
			"$1/etc/apt/sources.list" >"$1/etc/apt/sources.list.d/kernels.list"')
	[[ ! $(<"$proxies") ]] || debian+=(--aptopt="$proxies")
	if is_set EXPIRED; then
		say "EXPIRED=1: lists of packages that have expired are accepted"
		debian+=(--aptopt='Acquire::Check-Valid-Until "false"')
	fi
	debian+=(--customize-hook='rm --force "$1/etc/apt/apt.conf.d/99mmdebstrap"')
}

# may_install: whether this user may install packages: as root, or by sudo without a password
may_install() {
	command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }
}

# The namespaces in which the root is entered. An ordinary user has subordinate ids there, if there are any: some packages have
# directories of other users than root.
namespaces=(--mount --pid --fork --kill-child=KILL)
if ((EUID != 0)); then
	namespaces+=(--user --map-root-user)
	! unshare --user --map-root-user --map-auto true 2>/dev/null || namespaces+=(--map-auto)
fi

# user_lacks: prints why this user cannot make or enter a root, or nothing
user_lacks() {
	local kind
	if ((EUID != 0)) && ! unshare --user --map-root-user true 2>/dev/null; then
		echo "user namespaces are not allowed here: run as root, or ask for" \
			"sysctl kernel.unprivileged_userns_clone=1 (Debian)," \
			"sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"
		return
	fi
	# A host may allow these namespaces, but not mounts in them.
	if ! unshare "${namespaces[@]}" mount -t tmpfs tmpfs /proc 2>/dev/null; then
		if ((EUID == 0)); then
			echo "this root may not mount: it lacks CAP_SYS_ADMIN, as in most containers;" \
				"give that to the container (docker run --privileged), or run outside of it"
		else
			echo "user namespaces are allowed here, but mounts in them are not: run as root," \
				"or ask for sysctl kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu)"
		fi
		return
	fi
	((EUID != 0)) && [[ ! -d $root ]] || return 0
	if [[ $(unshare --help) != *--map-auto* ]]; then
		echo "to make a build root as $(id -un), unshare must be of util-linux 2.38 or newer: run as root"
		return
	fi
	for kind in uid gid; do
		grep -qs "^\($(id -un)\|$(id -u)\):" "/etc/sub$kind" || {
			echo "$(id -un) has no subordinate ids: sudo usermod --add-subuids" \
				"100000-165535 --add-subgids 100000-165535 $(id -un)"
			return
		}
	done
}
