# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # steps.sh sets the others
#
# The user installs taskscope-dkms and what it needs, and then upgrades the machine, which gets a newer kernel; /root/new has the
# release of that kernel.

# shellcheck source=tests/lab/machine/steps.sh
. /root/steps.sh

export new
new=$(</root/new)
get() { apt-get install --yes --no-install-recommends "$@"; }
# has_module RELEASE: by dkms, by modinfo, and in the list that modprobe reads
has_module() {
	dkms status taskscope | grep -F ", $1, x86_64: installed"
	[[ $(modinfo --set-version "$1" --field filename taskscope) == "/lib/modules/$1/updates/dkms/taskscope.ko"* ]]
	[[ $(modinfo --set-version "$1" --field vermagic taskscope) == "$1 "* ]]
	grep '^updates/dkms/taskscope.ko' "/lib/modules/$1/modules.dep"
}
metadata() {
	apt-get update
	get "linux-headers-$release" "/root/packages/$release"/linux-*rust*.deb
	dpkg --verify "linux-headers-rust-$release" | tee /root/verify
	[[ ! -s /root/verify ]]
}
by_dkms() {
	get openssl /root/packages/taskscope-dkms_*.deb
	has_module "$release"
	[[ $(modinfo --field signer taskscope) ]]
}
# metapackage NAME: installs a package like Debian's NAME of the time when this kernel was the newest one. The archive has only
# the newest of these.
metapackage() {
	local directory=/root/$1
	mkdir -p "$directory/DEBIAN"
	printf '%s\n' "Package: $1" "Version: $(dpkg-query --show --showformat '${source:Version}' "linux-headers-$release")" \
		'Architecture: amd64' "Depends: ${1%%-"${release#*-}"}-$release" 'Maintainer: a test <test@example.org>' \
		'Description: metapackage of a test' >"$directory/DEBIAN/control"
	dpkg-deb --build "$directory" "$directory.deb"
	dpkg --install "$directory.deb"
}
without_metadata() {
	metapackage "linux-image-${release#*-}"
	metapackage "linux-headers-${release#*-}"
	apt-get full-upgrade --yes --no-install-recommends
	dpkg --verify "linux-image-$new" "linux-headers-$new"
	[[ -e /boot/vmlinuz-$new && -e /boot/initrd.img-$new ]]
	fails grep taskscope "/lib/modules/$new/modules.dep"
	has_module "$release"
}
with_metadata() {
	get "/root/packages/$new"/linux-*rust*.deb
	has_module "$new"
	has_module "$release"
}
next_boot() { [[ $(readlink /vmlinuz) == *"/vmlinuz-$new" ]]; }

unowned_files >/root/before
step "linux-headers-rust: installed" metadata
step "linux-headers-rust: an ordinary user builds a module of the kernel's samples" other_module
step "taskscope-dkms: built for the kernel, and signed" by_dkms
step "modprobe taskscope: loaded" module_loads
step "root: reads each table" root_reads
step "ordinary user: is refused" user_refused
step "apt-get full-upgrade: installs the newer kernel, and DKMS leaves it out without Rust metadata" without_metadata
step "Rust metadata of the newer kernel: DKMS builds the module for that kernel, too" with_metadata
step "the next boot: is the newer kernel's" next_boot
