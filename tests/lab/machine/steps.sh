# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# Sourced by the scripts beside it, which run as root in the lab machine.

export DEBIAN_FRONTEND=noninteractive
# Exported, because a step has a shell of its own.
release=$(uname -r)
export release tables=/sys/kernel/debug/taskscope

# step NAME COMMAND...: the step has passed if the command succeeds. A function ends at its first command that fails, unless
# that is negated by `!`.
step() {
	local name=$1
	shift
	if bash -euxo pipefail -c "$(declare -f)"$'\n''"$@"' "$name" "$@" >/root/said 2>&1 </dev/null; then
		echo "step passed: $name"
	else
		tail -n 30 /root/said | sed 's/^/# /'
		echo "step failed: $name"
	fi
}

# fails COMMAND...: succeeds if the command fails
fails() { if "$@"; then return 1; fi; }

# system_files: prints the name of each file, but not of logs and caches; with a hash of what depmod makes
system_files() {
	find / -xdev \( -path /root -o -path /tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt \
		-o -path /var/lib/systemd \) -prune -o -print | sort
	sha256sum /lib/modules/*/modules.{dep,alias,symbols}
}

# unowned_files: those of system_files that no package has, and not what other packages make: for a kernel its files in /boot, the
# links to it and its lists of modules; a key of dkms.
unowned_files() {
	system_files | grep -vxE '/boot/(config|initrd.img|vmlinuz)-.*|/(vmlinuz|initrd.img)(.old)?|/usr/lib/modules/[^/]*/modules[.].*' |
		grep -vE '^([0-9a-f]{64} |/home/|/var/tmp/|/var/lib/dkms/mok[.])' |
		grep -vxFf <(sed -E 's,^/(bin|lib|lib64|sbin)/,/usr&,' /var/lib/dpkg/info/*.list)
}

module_loads() {
	modprobe taskscope
	grep '^taskscope .* Live' /proc/modules
}

# root_reads: reads each table to its end. The kernel's own files say what must be in two of them.
root_reads() {
	local table
	for table in "$tables"/*; do
		[[ $table != */set_pid ]] || continue
		cat "$table" >"/root/${table##*/}"
		[[ -s /root/${table##*/} ]]
	done
	grep -E '^ *1 +1 .*systemd$' /root/threads
	grep -E "^comm: +cat$" /root/current
}

user_refused() {
	local status=0
	runuser --user user -- cat "$tables/threads" >/root/refused 2>&1 || status=$?
	[[ $status == 1 ]]
	grep 'Permission denied' /root/refused
	[[ $(wc -l </root/refused) == 1 ]]
}

# nothing_left: succeeds if no file, no package and no loaded module has the project's name, and no list of modules names it
nothing_left() {
	find / -xdev -path /root -prune -o -iname '*taskscope*' ! -path '/var/log/*' ! -path '/var/cache/*' -print | tee /root/left
	[[ ! -s /root/left ]]
	fails grep taskscope /lib/modules/*/modules.*
	dpkg-query --list >/root/list
	fails grep taskscope /root/list
	fails grep taskscope /proc/modules
}

# other_module: an ordinary user builds a module of the kernel's samples, which is not this project's, as any module in C is
# built; the kernel loads it, and logs what it says
other_module() {
	local directory=/home/user/other-$release
	rm -rf "$directory"
	mkdir "$directory"
	cp "/root/samples/$release/rust_minimal.rs" "$directory/"
	echo 'obj-m := rust_minimal.o' >"$directory/Kbuild"
	chown -R user: "$directory"
	fails command -v bindgen clang
	runuser --user user -- make -C "/lib/modules/$release/build" M="$directory"
	insmod "$directory/rust_minimal.ko" test_parameter=21
	rmmod rust_minimal
	journalctl --dmesg --no-pager | grep 'rust_minimal: test_parameter: 21$'
	journalctl --dmesg --no-pager | grep 'rust_minimal: My numbers are \[72, 108, 200\]$'
}

# locked: the firmware's variable, after four bytes of attributes, and the kernel say so
locked() {
	[[ $(tail --bytes=1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c | od -An -tu1) -eq 1 ]]
	grep -F '[integrity]' /sys/kernel/security/lockdown
}

module_refused() {
	fails modprobe taskscope 2>/root/why
	grep -E 'Key was rejected by service|Required key not available|Operation not permitted' /root/why
	fails grep taskscope /proc/modules
}
