# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # sourced: its variables are for the others
#
# Sourced by what starts QEMU: the machine for each architecture.

# use_machine ARCHITECTURE ACCELERATOR: sets what depends on these: machine, the beginning of the QEMU
# command; console, the kernel's name of the serial port; machine_append, words for the kernel's command line
use_machine() {
	case $1 in
	amd64)
		# For TCG: a fifth level of page tables makes every TLB miss slower. A CPU that
		# announces a fast `rep movsb` makes the kernel use it, and TCG executes it byte by byte;
		# otherwise the kernel copies words.
		machine=(qemu-system-x86_64 -machine q35 -cpu "max,la57=off,erms=off,fsrm=off")
		console=ttyS0
		# On a busy host the timer may not tick within the time for which the kernel tests it.
		machine_append=no_timer_check
		;;
	arm64)
		# The architecture's cipher for pointer authentication is slow under TCG.
		machine=(qemu-system-aarch64 -machine virt -cpu "max,pauth-impdef=on")
		console=ttyAMA0
		machine_append=''
		;;
	esac
	[[ $2 != kvm ]] || machine=("${machine[@]:0:3}" -cpu host)
	machine+=(-accel "$2")
}
