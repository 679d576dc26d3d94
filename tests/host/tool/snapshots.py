#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# usage: snapshots.py DIRECTORY
#
# Writes snapshots of tables that no test can provoke in a guest, as `taskscope record` would write them:
#   words.tar    every word of VALID and NOTE
#   hostile.tar  names and values that the module never writes
#   chosen.tar   set_pid leaves out threads
#   cut.tar      words.tar, whose last table is cut short
#   many.tar     100,000 threads
#   lock.tar     300 threads, of which 200 wait for the lock that another one has
#   later.tar    lock.tar of a later time: threads came, went, ran, and stood still

import io
import json
import sys
import tarfile

THREADS = "TGID PID PPID UID EUID S KIND MM NTHR CPU SWITCHES START TASK STACK NOTE COMM"
KSTACKS = "TGID PID SWITCHES BASE SIZE USED VALID BLOCKED_BY COMM"
KFRAMES = "TGID PID SWITCHES DEPTH FRAME"
USTACKS = "TGID PID SWITCHES SP START END SIZE USED RLIM_CUR RLIM_MAX VALID COMM"
UFRAMES = "TGID PID SWITCHES DEPTH ADDRESS FRAME"
SEGMENTS = "TGID SEGMENT START END SIZE VALID COMM"
SYSCALLS = "TGID PID SWITCHES NR ARG0 ARG1 ARG2 ARG3 ARG4 ARG5 SP PC ABI CALL COMM"
CONTEXTS = "CONTEXT IN_TASK SOFTIRQ HARDIRQ NMI IRQS PREEMPT_COUNT CPU STACK SP PID TGID MM SOURCE COMM"


class Tables:
    """The rows of a machine that does not exist."""

    def __init__(self):
        self.rows = {name: [] for name in ("threads", "kstacks", "kframes", "ustacks", "uframes", "segments", "syscalls", "contexts")}
        self.chosen_of = None

    def thread(self, pid, comm, tgid=None, state="S", kind="user", note="-", switches=5, kernel=("ok", 1000), user=("ok", 4096, 135168),
               frames=("do_wait+0x58/0x110", "do_syscall_64+0xc2/0x520"), user_frames=(), start=None, lock="-"):
        tgid = tgid or pid
        start = pid * 1000 if start is None else start
        mm = "set" if user or note == "borrowed-mm" else "NULL"
        stack = "-" if kernel[0] == "released" else f"{pid:016x}"
        self.rows["threads"].append(f"{tgid} {pid} 0 0 0 {state} {kind} {mm} 1 0 {switches} {start} {pid + 1:016x} {stack} {note} {comm}")
        size = "-" if kernel[0] == "released" else 16384
        used = kernel[1] if kernel[0] == "ok" else "-"
        self.rows["kstacks"].append(f"{tgid} {pid} {switches} {stack} {size} {used} {kernel[0]} {lock} {comm}")
        if kernel[0] in ("on-cpu", "released"):
            self.rows["kframes"].append(f"{tgid} {pid} {switches} - {kernel[0]}")
        else:
            self.rows["kframes"] += [f"{tgid} {pid} {switches} {depth} {frame}" for depth, frame in enumerate(frames)]
        if user:
            valid, used, size = user
            places = "7ffd00001000 7ffd00000000 7ffd00021000" if valid == "ok" else "- - -"
            self.rows["ustacks"].append(f"{tgid} {pid} {switches} {places} {size or '-'} {used or '-'} 8388608 unlimited {valid} {comm}")
            for depth, frame in enumerate(user_frames):
                self.rows["uframes"].append(f"{tgid} {pid} {switches} {depth} 00401000 {frame}")
            self.rows["uframes"].append(f"{tgid} {pid} {switches} - - end: null")
            self.rows["syscalls"].append(f"{tgid} {pid} {switches} 34 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x4010 x86_64 pause {comm}")
        else:
            # A thread without a user space has a row too.
            self.rows["ustacks"].append(f"{tgid} {pid} {switches} - - - - - - - no-mm {comm}")

    def segments(self, tgid, comm, valid="ok"):
        at = 0x400000
        for name in "text data bss heap mmap stack args env vdso".split():
            word = valid if name in ("bss", "mmap", "stack", "vdso") or valid in ("ok", "exec") else "ok"
            values = f"{at:08x} {at + 8192:08x} 8192" if word == "ok" else "- - -"
            self.rows["segments"].append(f"{tgid} {name} {values} {word} {comm}")
            at += 0x10000

    def text(self, name):
        columns = globals()[name.upper()]
        rows = self.rows[name]
        summary = f"# {len(rows)} {name}"
        if name in ("threads", "kstacks") and self.chosen_of:
            summary = f"# {len(rows)} of {self.chosen_of} threads, the others left out by set_pid"
        return "\n".join([columns, *rows, summary]) + "\n"

    def files(self):
        return {name: self.text(name).encode("latin-1") for name in self.rows}


def write(path, files, release="7.3.4-test", time=1795880000, boot="00000000-0000-0000-0000-000000000001"):
    meta = {"taskscope": 1, "release": release, "machine": "x86_64", "boot_id": boot, "time": time, "errors": {}}
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in {"meta.json": json.dumps(meta).encode(), **files}.items():
            info = tarfile.TarInfo("taskscope/" + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def words():
    tables = Tables()
    tables.thread(0, "[swapper/0]", kind="idle", user=None, state="R")
    tables.thread(2, "[kthreadd]", kind="kernel", user=None)
    tables.thread(3, "[borrow]", kind="kernel", user=None, note="borrowed-mm")
    pid = 100
    for valid in ("ok", "on-cpu", "released", "outside"):
        tables.thread(pid, "k-" + valid, kernel=(valid, 16384 if valid == "ok" else 0))
        tables.segments(pid, "k-" + valid)
        pid += 1
    for valid, used, size in [("ok", 135168, 135168), ("on-cpu", 0, 0), ("exec", 0, 0), ("locked", 0, 0), ("guarded", 5000, 0),
                              ("guarded", 0, 0), ("pieces", 0, 0), ("unmapped", 0, 0)]:
        tables.thread(pid, "u-" + valid, user=(valid, used, size))
        tables.segments(pid, "u-" + valid, valid if valid in ("exec", "locked", "guarded", "pieces") else "ok")
        pid += 1
    for note in ("exiting", "pre-exec"):
        tables.thread(pid, note, note=note, user=None)
        pid += 1
    tables.thread(pid, "worker", kind="worker")
    # The rows of this thread are of two moments.
    pid += 1
    tables.thread(pid, "ran")
    tables.rows["kstacks"][-1] = tables.rows["kstacks"][-1].replace(f"{pid} {pid} 5", f"{pid} {pid} 6")
    # This one came after `threads` was read, and this one went before `kstacks` was.
    pid += 1
    tables.thread(pid, "came")
    tables.rows["threads"].pop()
    tables.thread(pid + 1, "went")
    for name in ("kstacks", "ustacks", "syscalls"):
        tables.rows[name].pop()
    for row in ("syscall yes no no no yes 00000000 0 task 0000 9 9 set 257:openat cat",
                "softirq_bh no yes no no yes 00000101 0 irq 0000 0 0 NULL 6:TASKLET [swapper/0]",
                "softirq_bh no yes no no yes 00000100 1 irq 0000 0 0 NULL 6:TASKLET [swapper/1]",
                "hrtimer no no yes no no 01000001 0 task 0000 9 9 set CLOCK_MONOTONIC sh",
                "irq_work no yes yes no no 01000100 1 other 0000 9 9 set cpu1 sh",
                "nmi no no yes yes no 11000001 0 nmi 0000 9 9 set - sh",
                "nmi - - - - - - - - - - - - - -",
                "ipi - - - - - - 2 - - - - - - -"):
        tables.rows["contexts"].append(row)
    return tables


def hostile():
    tables = Tables()
    names = ["<script>alert(1)</script>", "\"'><img src=x onerror=y>", "]]>&amp;&#60;b", "\x1b[31mred\x1b]0;title\x07", "\xff\xfe\x9b31m",
             "a" * 3000, "\\000", "\\040lead", "-", "# 1 threads", "W" * 17, "</svg></style>", "${x}", "{{x}}", "%s%n", "a  b   c"]
    for number, name in enumerate(names):
        tables.thread(200 + number, name, user=("ok", 4096, 135168))
        tables.segments(200 + number, name)
    # Values that do not fit together, or are none.
    tables.thread(300, "more-than-all", kernel=("ok", 16385), user=("ok", 200000, 135168))
    tables.thread(301, "no-numbers", kernel=("ok", "0x10"), user=("ok", "many", "1e9"))
    tables.thread(302, "huge", kernel=("ok", 2 ** 64), user=("ok", 2 ** 64 - 1, 2 ** 64 - 1))
    tables.thread(303, "negative", kernel=("ok", -1), user=("ok", -1, 0))
    tables.thread(304, "new-word", kernel=("<b>word", 0), user=("a-word-of-a-later-version", 0, 0))
    for number, lock in enumerate(["<b>:1", "mutex:<i>", "mutex:4194304", "mutex:99999", ":", "mutex:306", "rwsem-reader:300"]):
        tables.thread(306 + number, "waits", state="D", lock=lock)
    tables.thread(305, "<u>", state="<i>", kind="<b>", note="<u>")
    tables.rows["threads"] += ["1 2 3", "99999999 4194304 0 0 0 S user set 1 0 5 1 1 1 - pid-too-large", "x y 0 0 0 S user set 1 0 5 1 1 1 - no-pid",
                               tables.rows["threads"][0]]
    tables.rows["kframes"] += ["305 305 5 9 " + "f" * 100000 + "+0x1/0x2", "305 305 5 10 a;b c"]
    tables.rows["uframes"] += ["305 305 5 7 zzz /../../etc/shadow+0x10", "305 305 5 8 401000 /dev/zero+0xffffffffffffffff", "305 305 5 9 401000 +0x"]
    tables.rows["segments"] += ["200 text 00 01 1 ok again", "305 <b> zz zz zz <i> x"] * 10
    tables.rows["contexts"] += ["<b> yes no no no yes 00000000 0 <i> 0000 9 9 set <a> <u>"]
    tables.rows["contexts"] += [f"context{number} yes no no no yes 00000000 {number} task 0000 9 9 set - x" for number in range(100)]
    return tables


def many(count):
    tables = Tables()
    tgid = 1
    for pid in range(1, count + 1):
        if pid % 37 == 1:
            tgid = pid
        kernel = [("ok", (pid * 97) % 16385), ("on-cpu", 0), ("ok", 600)][pid % 3 if pid % 50 else 1]
        is_kernel = tgid % 2 == 0
        tables.thread(pid, f"name-{tgid}", tgid=tgid, kind="kernel" if is_kernel else "user", state="SDRI"[pid % 4], kernel=kernel,
                      user=None if is_kernel else ("ok", (pid * 131) % 135169, 135168),
                      frames=[f"function_{(pid + depth) % 30}+0x10/0x20" for depth in range(6)])
        if pid == tgid and not is_kernel:
            tables.segments(tgid, f"name-{tgid}")
    for cpu in range(256):
        tables.rows["contexts"].append(f"hrtimer no no yes no no 01000001 {cpu} irq 0000 0 0 NULL CLOCK_MONOTONIC [swapper/{cpu}]")
    return tables


LOCK = ("__mutex_lock.constprop.0+0x1/0x2", "hold_write+0x10/0x20", "vfs_write+0xc1/0x370", "do_syscall_64+0xc2/0x520")


def lock(later):
    tables = Tables()
    for number in range(300):
        pid = 1000 + number
        if later and pid == 1299:
            continue
        waits = number < 200
        # Later, 1000 has the lock and 1001 has run; the others have stood still. The PID 1298 was used again.
        ran = later and number in (0, 1)
        tables.thread(pid, "locker" if waits else "sleeper", state="D" if waits else "S", switches=9 if ran else 5,
                      kernel=("on-cpu", 0) if later and number == 0 else ("ok", 1200), frames=LOCK if waits else ("do_wait+0x58/0x110",),
                      start=7 if later and pid == 1298 else None,
                      lock=f"mutex:{1000 if later else 1200}" if waits and not (later and number == 0) else "-")
    if later:
        tables.thread(2000, "new")
    return tables


def main():
    directory = sys.argv[1]
    of_words = words().files()
    write(f"{directory}/words.tar", of_words)
    write(f"{directory}/hostile.tar", hostile().files(), release="<b>\x1b[31m")
    chosen = lock(False)
    chosen.chosen_of = 300
    write(f"{directory}/chosen.tar", chosen.files())
    cut = dict(of_words)
    cut["threads"] = cut["threads"][:cut["threads"].rindex(b"worker")]
    write(f"{directory}/cut.tar", cut)
    write(f"{directory}/many.tar", many(100_000).files())
    write(f"{directory}/lock.tar", lock(False).files())
    write(f"{directory}/later.tar", lock(True).files(), time=1795880060)
    write(f"{directory}/other-boot.tar", lock(True).files(), boot="00000000-0000-0000-0000-000000000002")


main()
