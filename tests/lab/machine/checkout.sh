# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # steps.sh sets the others
#
# A user who has nothing but a checkout of this project builds the module for the kernel that runs.

# shellcheck source=tests/lab/machine/steps.sh
. /root/steps.sh

build() {
	apt-get update
	apt-get install --yes --no-install-recommends make mmdebstrap uidmap
	mkdir /home/user/checkout
	tar --extract --file /root/checkout.tar --directory /home/user/checkout
	chown -R user: /home/user/checkout
	! grep Check-Valid-Until /etc/apt/apt.conf.d/90host || expired=EXPIRED=1
	runuser --login user --command "cd checkout && make KERNEL=$release ${expired-}"
}
loaded() {
	insmod /home/user/checkout/taskscope.ko
	grep '^taskscope .* Live' /proc/modules
	grep -q ' systemd$' /sys/kernel/debug/taskscope/processes
	rmmod taskscope
}

step "/tmp: is a file system in memory" grep -E '^tmpfs /tmp tmpfs ' /proc/mounts
step "make KERNEL=\$(uname -r), as an ordinary user: builds the module" build
step "the module: the kernel loads it" loaded
