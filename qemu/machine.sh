# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # sourced: its variables are for the others
#
# Sourced by what starts QEMU: the machine for each architecture.

# use_machine ARCHITECTURE ACCELERATOR: sets machine, the QEMU command as far as
# it depends on these, console, the kernel's name of the serial port, and
# machine_append, what else the kernel is to be told of the machine
use_machine() {
	case $1 in
	amd64)
		# A fifth level of page tables is one more to walk for TCG, at every TLB miss. And of
		# `rep movsb`, which copies lines where it is announced as fast, TCG does a byte a
		# turn: where it is not, the kernel copies words.
		machine=(qemu-system-x86_64 -machine q35 -cpu "max,la57=off,erms=off,fsrm=off")
		console=ttyS0
		# On a busy host its timer may take longer than the kernel tries it for.
		machine_append=no_timer_check
		;;
	arm64)
		# The architecture's own cipher for pointers is much work for TCG.
		machine=(qemu-system-aarch64 -machine virt -cpu "max,pauth-impdef=on")
		console=ttyAMA0
		machine_append=''
		;;
	esac
	[[ $2 != kvm ]] || machine=("${machine[@]:0:3}" -cpu host)
	machine+=(-accel "$2")
}
