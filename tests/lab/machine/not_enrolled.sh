# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # steps.sh sets the others
#
# A machine with Secure Boot that does not know the key that has signed the module.

# shellcheck source=tests/lab/machine/steps.sh
. /root/steps.sh

signed() {
	dpkg --install /root/packages/signed/*.deb
	[[ $(modinfo --field signer taskscope) == "key of a test" ]]
	module_refused
}

step "Secure Boot: is on, and the kernel is locked down" locked
step "signed module, key not enrolled: refused" signed
