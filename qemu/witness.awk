# SPDX-License-Identifier: GPL-2.0
#
# usage: awk -v mark=MARK -v last_word=0|1 -v counted=0|1 -f qemu/witness.awk \
#		qemu/splats RUN/records RUN/console
#
# Finds reports in the kernel's log. RUN/records has what init has sent of /dev/kmsg, record by record. There,
# a newline in the name of a program, a file or an option is \x0a; on the console, the text after it looks
# like a line of the kernel. So the console is read only if init's last report is missing (last_word=0), and
# only from where the records end.
#
# A report is
#   - a record `Call Trace:`, which only the kernel can write as a whole record, unless it is the OOM
#     killer's, or that of the process which it has killed and which gets no page;
#   - a record that begins like an `own` line of qemu/splats;
#   - what begins like an `any` line, if it is on the console or the kernel has counted a fault (counted=1).
#
# Prints facts, one a line, each with a word first; an excerpt follows the line `report`.

function begins(text, patterns) {
	return match(text, "^(watchdog: |NMI watchdog: |rcu: )?(" patterns ")")
}

# of_a_program: whether the record begins with the name of a program, which it is about
function of_a_program(text) { return match(text, /(\[[0-9]+\]| ?\([0-9]+\))[: ]/) && RSTART <= 16 }

# of_oom_killer: whether the record is the OOM killer's, which begins with the name of a program, of at most
# 15 bytes
function of_oom_killer(text,    name) {
	name = substr(text, 1, index(text, " invoked oom-killer: gfp_mask=0x") - 1)
	gsub(/\\x[0-9a-f][0-9a-f]/, "x", name)
	return length(name) > 0 && length(name) <= 15
}

# victim_of: the name of the process that the OOM killer killed
function victim_of(text) {
	sub(/^[^:]*: Killed process [0-9]+ \(/, "", text)
	sub(/\) total-vm:.*/, "", text)
	return text
}

function add(at, what, is_kernels, is_line) {
	texts[++entries] = what
	stamps[entries] = at
	kernels[entries] = is_kernels
	lines[entries] = is_line
}

FILENAME == ARGV[1] {
	pattern = substr($0, 5)
	if (/^own /) own = own (own ? "|" : "") pattern
	if (/^any /) any = any (any ? "|" : "") pattern
	next
}

# take: reads a record, PRIORITY,NUMBER,MICROSECONDS,FLAGS[,...];TEXT
function take(record,    field, text) {
	if (record !~ /^[0-9]+,[0-9]+,[0-9]+,[^;]*;/) return
	split(record, field, /[,;]/)
	text = substr(record, index(record, ";") + 1)
	# init sends records again when it starts from the oldest one.
	if (records && field[2] + 0 <= last) return
	if (text == "guest: run " mark " begins") begun = 1
	else if (text == "guest: run " mark " ends") ended = 1
	if (records) lost += field[2] - last - 1
	else if (!begun) lost += field[2]
	records++
	last = field[2] + 0
	end = field[3] / 1000000
	# Facility 0 is the kernel's own. The flag c marks a continuation of another record.
	add(end, text, field[1] < 8 && field[4] == "-", 0)
}

# Lines after a record that belong to it begin with a space. A record that the kernel cuts short
# (PRINTK_MESSAGE_MAX, which a text with many newlines reaches) has no newline at its end, and the next
# record follows on the same line.
FILENAME == ARGV[2] {
	for (line = $0; length(line) > 2048; line = substr(line, 2049)) take(substr(line, 1, 2048))
	take(line)
	next
}

!last_word {
	sub(/\r+$/, "")
	if (match($0, /^\[ *[0-9]+\.[0-9]+\](\[ *[TC][0-9]+\])? ?/)) {
		at = substr($0, 2, index($0, "]") - 2) + 0
		$0 = substr($0, RLENGTH + 1)
		unread = !records || at > end
	}
	if (unread || !records) add(at, $0, 1, 1)
}

END {
	if (begun) print "begun"
	if (ended) print "ended"
	if (lost) print "lost " lost
	for (i = 1; i <= entries; i++) {
		text = texts[i]
		if (!kernels[i]) continue
		if (text ~ /^Initramfs unpacking failed: / && !unpacking) {
			unpacking = 1
			print "unpacking " text
		}
		if (text ~ /^Out of memory( \(oom_kill_allocating_task\))?: Killed process [0-9]/) {
			if (!killed++) print "killed " text
			victim = victim_of(text)
		}
		# The victim, too, may get no page on its way to its end.
		if (of_oom_killer(text) || victim != "" && index(text, victim ": page allocation failure: order:0,") == 1) ooms++
		else if (text ~ /^Call [Tt]race:$/) {
			if (ooms) ooms--
			else if (!report) report = i
		} else if (!report && (begins(text, own) || (counted || lines[i]) && begins(text, any) && !of_a_program(text)))
			report = i
	}
	if (!report) exit
	# The beginning of this report: at most 200 records before, and after the end of another report.
	first = report
	for (i = report; i > 0 && i > report - 200; i--) {
		text = texts[i]
		if (i < report && (text ~ /^Call [Tt]race:$/ || text ~ /^---\[ end trace/)) break
		if (kernels[i] && begins(text, any) && !of_a_program(text)) first = i
	}
	print "report " texts[first]
	for (i = first > 2 ? first - 2 : 1; i <= entries && i <= first + 40; i++)
		printf "[%12.6f] %s\n", stamps[i], texts[i]
}
