# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # steps.sh sets the others
#
# After the upgrade to the kernel in /root/new, the machine has booted again. Then the user removes everything.

# shellcheck source=tests/lab/machine/steps.sh
. /root/steps.sh

upgraded() { [[ $release == "$(</root/new)" ]]; }
gone() {
	modprobe --remove taskscope
	apt-get purge --yes taskscope-dkms 'linux-headers-rust-*' 'linux-kbuild-rust-*'
	nothing_left
	[[ ! $(dkms status) ]]
	find /usr/src /usr/lib -xdev \( -name '*.rmeta' -o -path '*linux-headers*/rust/*.so' -o -path '*linux-kbuild*/target.json' \) |
		tee /root/left
	[[ ! -s /root/left ]]
	unowned_files | diff /root/before -
}

step "the machine: runs the newer kernel" upgraded
step "modprobe taskscope: loaded" module_loads
step "root: reads each table" root_reads
step "ordinary user: is refused" user_refused
step "linux-headers-rust of the newer kernel: an ordinary user builds a module of its samples" other_module
step "purge: nothing is left" gone
