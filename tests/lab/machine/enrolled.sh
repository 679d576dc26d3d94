# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # steps.sh sets the others
#
# A machine with Secure Boot, in which the key is enrolled that has signed the module of one of two packages.

# shellcheck source=tests/lab/machine/steps.sh
. /root/steps.sh

signed() {
	dpkg --install /root/packages/signed/*.deb
	[[ $(modinfo --field signer taskscope) == "key of a test" ]]
	module_loads
	modprobe --remove taskscope
}
unsigned() {
	dpkg --install /root/packages/unsigned/*.deb
	[[ ! $(modinfo --field signer taskscope) ]]
	module_refused
}

step "Secure Boot: is on, and the kernel is locked down" locked
step "signed module, key enrolled: loaded" signed
step "module without signature: refused" unsigned
