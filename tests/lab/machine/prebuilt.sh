# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # steps.sh sets the others
#
# A machine without compiler and without network, whose user has the packages taskscope-modules-RELEASE and taskscope.

# shellcheck source=tests/lab/machine/steps.sh
. /root/steps.sh

system_files >/root/before
bare() {
	fails command -v cc gcc rustc make
	fails apt-get --error-on=any update
}
installed() {
	dpkg --install /root/packages/prebuilt/*.deb
	dpkg --verify taskscope-modules-"$release" taskscope | tee /root/verify
	[[ ! -s /root/verify ]]
	[[ $(modinfo --field filename taskscope) == "/lib/modules/$release/updates/taskscope.ko" ]]
}
program() { taskscope --help; }
gone() {
	modprobe --remove taskscope
	apt-get purge --yes taskscope-modules-"$release" taskscope
	nothing_left
	system_files | diff /root/before -
}

step "the machine: has no compiler and no network" bare
step "taskscope-modules: installed, each file as in the package" installed
step "modprobe taskscope: loaded" module_loads
step "root: reads each table" root_reads
step "ordinary user: is refused" user_refused
step "the program taskscope: runs" program
step "purge: no file more or less than before" gone
