# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034 # sourced: its variables are for the others
#
# Sourced, after common.sh: the architectures of kernels, with their names for Debian, kbuild and GNU.
# qemu/machine.sh has their machines.

# architecture_of NAME: prints Debian's name of the architecture of a kernel. It is a word of Debian's releases and
# flavours (cloud-amd64, arm64-16k); a kernel whose name has no such word is for this machine.
architecture_of() {
	case -${1##*/}- in
	*-amd64-*) echo amd64 ;;
	*-arm64-*) echo arm64 ;;
	*) host_architecture ;;
	esac
}

host_architecture() {
	case $(uname -m) in
	x86_64) echo amd64 ;;
	aarch64) echo arm64 ;;
	*) die "no kernel can be booted here: this machine is $(uname -m), neither x86_64 nor aarch64" ;;
	esac
}

# use_architecture ARCHITECTURE: sets its names for kbuild (kbuild_arch), rustc (rust_target) and the compilers (cross_compile),
# and the packages that building for it and booting it need (tool_packages)
use_architecture() {
	local triplet
	architecture=$1 cross_compile=''
	case $architecture in
	amd64) kbuild_arch=x86 rust_target=x86_64-unknown-linux-gnu triplet=x86_64-linux-gnu tool_packages=(qemu-system-x86) ;;
	arm64) kbuild_arch=arm64 rust_target=aarch64-unknown-linux-gnu triplet=aarch64-linux-gnu tool_packages=(qemu-system-arm) ;;
	esac
	[[ $architecture != "$(host_architecture)" ]] || return 0
	cross_compile=$triplet-
	tool_packages+=("gcc-${triplet//_/-}" "libc6-dev-$architecture-cross")
}
