# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # steps.sh sets the others
#
# A user installs the module of a checkout, in which the module was built before, without a package.

# shellcheck source=tests/lab/machine/steps.sh
. /root/steps.sh

mkdir /root/checkout
tar --extract --file /root/checkout.tar --directory /root/checkout
system_files >/root/before
installed() {
	make -C /root/checkout install
	[[ $(modinfo --field filename taskscope) == "/lib/modules/$release/updates/taskscope.ko" ]]
}
gone() {
	modprobe --remove taskscope
	make -C /root/checkout uninstall
	nothing_left
	system_files | diff /root/before -
}

step "make install: modinfo finds the module" installed
step "modprobe taskscope: loaded" module_loads
step "root: reads each table" root_reads
step "make uninstall: no file more or less than before" gone
