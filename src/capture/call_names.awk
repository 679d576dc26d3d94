# SPDX-License-Identifier: GPL-2.0
#
# Writes the names of system calls as Rust, from the kernel's own headers
# asm/unistd_*.h: for each header a table of that name, UNISTD_64 for one. A
# number without a name is "-".

function fail(message)
{
	print "call_names.awk: " message >"/dev/stderr"
	failed = 1
	exit 1
}

function end_table(    nr)
{
	if (!table)
		return
	if (last < 0)
		fail(header ": there is no system call in it")
	print "/// The names of the system calls of `" table ".h`, by number."
	print "pub(crate) static " toupper(table) ": [&str; " last + 1 "] = ["
	for (nr = 0; nr <= last; nr++)
		print "    \"" (nr in name ? name[nr] : "-") "\","
	print "];"
	split("", name)
}

BEGIN { print "// SPDX-License-Identifier: GPL-2.0" }

FNR == 1 {
	end_table()
	header = table = FILENAME
	gsub(/^.*\/|\.h$/, "", table)
	last = -1
}

# The number may follow a common offset: (__X32_SYSCALL_BIT + 0). __NR_syscalls is
# how many there are.
$1 == "#define" && $2 ~ /^__NR_/ && $2 != "__NR_syscalls" {
	nr = $NF
	sub(/\)$/, "", nr)
	if (nr !~ /^[0-9]+$/)
		fail(header ": what number is " $0 "?")
	name[nr + 0] = substr($2, length("__NR_") + 1)
	if (nr + 0 > last)
		last = nr + 0
}

END {
	if (!failed)
		end_table()
}
