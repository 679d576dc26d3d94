# SPDX-License-Identifier: GPL-2.0
"""What bench.c measured, as figures.

usage: report.py results RELEASE DIRECTORY
       report.py check|baseline RELEASE LINES BASELINE
       report.py loop TIMES

`results` reads instructions.lines and time.lines in DIRECTORY, and writes results.json,
results.md and scaling.svg there. `check` compares LINES with BASELINE; `baseline` writes
BASELINE from LINES.

`check` compares the cost of a table relative to that of the C peer `c_best`, at the same crowd
in the same boot. Another kernel or compiler changes both costs; a change to taskscope changes
only one. So the baseline stays valid for other kernels and compilers. It says with which ones it
was made, and which goals were reached: `check` fails if one of these is lost.
"""

import json
import math
import os
import platform
import subprocess
import sys
import time
from statistics import median

CLOCKS = ("instructions", "nanoseconds")
PEER = "c_best"
WORSE = 1.03

# A crowd whose processes have address spaces of their own, as programs with libraries have.
REAL = ":own:mappings=24:frames=8"
# Two crowds that differ in the number of mappings in their one address space.
FEW, VERY_MANY = ":mappings=20", ":mappings=60000"

NAMES = {
    "threads": "taskscope `threads`",
    "threads_first": "the same, first time after loading",
    "kstacks": "taskscope `kstacks`",
    "kframes": "taskscope `kframes`",
    "kframes_first": "the same, first time after loading",
    "syscalls": "taskscope `syscalls`",
    "c_best": "C module, best way",
    "c_plain": "C module, plain way",
    "c_walk": "C module, walk that prints nothing",
    "bpf_threads": "BPF iterator, same columns",
    "bpf_frames": "BPF iterator, kernel stacks",
    "proc_stat": "/proc/PID/task/TID/stat of each",
    "proc_stack": "/proc/PID/task/TID/stack of each",
    "ps": "ps -eLo, matching columns",
    "segments": "taskscope `segments`",
    "proc_maps": "/proc/PID/maps of each process",
    "query_all": "PROCMAP_QUERY of each mapping",
    "query_segments": "stat, auxv, and PROCMAP_QUERY of 5 segments",
    "bpf_segments": "BPF iterator over mappings, same table",
    "ustacks": "taskscope `ustacks`",
    "uframes": "taskscope `uframes`",
    "proc_maps_syscall": "/proc/PID/task/TID/maps and syscall of each",
    "query_stacks": "syscall of each, PROCMAP_QUERY of its stack",
    "bpf_ustacks": "BPF iterator, columns of `ustacks`",
}


class Group:
    """Contenders that show the same things, what one row is called, and which contenders are taskscope's."""

    def __init__(self, unit, count, ours, contenders):
        self.unit = unit
        self.count = count
        self.ours = ours
        self.contenders = contenders


GROUPS = [
    Group("thread", "threads", ("threads",),
          ("threads", "threads_first", "kstacks", "kframes", "kframes_first", "syscalls", "c_best", "c_plain",
           "c_walk", "bpf_threads", "bpf_frames", "proc_stat", "proc_stack", "ps")),
    Group("process", "user_processes", ("segments",),
          ("segments", "proc_maps", "query_all", "query_segments", "bpf_segments")),
    Group("user thread", "user_threads", ("ustacks", "uframes"),
          ("ustacks", "uframes", "proc_maps_syscall", "query_stacks", "bpf_ustacks")),
]

# Each goal: the first table may cost at most this factor of what the second one costs. A pair is a
# contender and the end of a crowd's name; the two crowds begin with the same number of threads.
GOALS = [
    (("segments", REAL), ("proc_maps", REAL), 0.2),
    (("ustacks", REAL), ("proc_maps_syscall", REAL), 0.15),
    (("uframes", REAL), ("proc_maps_syscall", REAL), 0.15),
    (("segments", VERY_MANY), ("segments", FEW), 1.2),
]


def read_lines(path):
    """The measurements in a file, by kind, crowd and contender."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("{"):
                sys.exit(f"report.py: {path} says {line.strip()}")
            record = json.loads(line)
            key = record["what"], record["crowd"], record["contender"]
            found.setdefault(key, []).append(record)
    return found


def summary(records):
    """Minimum, median and maximum cost of repeated measurements."""
    costs = [record["cost"] for record in records]
    return {"min": min(costs), "median": median(costs), "max": max(costs), "repeats": len(costs)}


def group_of(contender):
    """The group of a contender."""
    return next(group for group in GROUPS if contender in group.contenders)


def results_of(lines):
    """A record for each crowd and contender, with all its measurements."""
    results = {}
    for (what, crowd, contender), records in lines.items():
        result = results.setdefault((crowd, contender), {"crowd": crowd, "contender": contender})
        for group in GROUPS:
            result[group.count] = records[-1][group.count]
        if what == "meter":
            for name in ("calls", "kernel_bytes", "not_followed", "user_kib", "section", "sections"):
                result[name] = records[0][name]
        else:
            result[what] = summary(records)
            result["bytes"] = records[-1]["bytes"]
            group = group_of(contender)
            result["unit"] = group.unit
            result[what]["a_" + group.unit.replace(" ", "_")] = result[what]["min"] / result[group.count]
    return list(results.values())


def version(*command):
    """The first line of a program's version."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def machine():
    """The machine, the kernel and the programs of the measurement."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
    return {
        "date": time.strftime("%Y-%m-%d"),
        "processor": model,
        "processors": os.cpu_count(),
        "qemu": version("qemu-system-x86_64", "--version"),
        "gcc": version("gcc", "--version"),
        "rustc": version("rustc", "--version"),
        "machine": platform.machine(),
    }


def number(value):
    """A number for a reader."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


def crowd_name(crowd):
    """What a crowd is, in words."""
    threads, group, *more = crowd.split(":")
    settings = dict(word.split("=") for word in more if "=" in word)
    dress = [word for word in more if word in ("names", "users")]
    if group == threads == "1":
        shape = "process of one thread"
    elif group == "1":
        shape = "processes of one thread"
    elif group == threads:
        shape = "threads of one process"
    else:
        shape = f"threads in processes of {group}"
    name = f"{int(threads):,} {shape}"
    if dress:
        name += f", with {' and '.join(dress)} of their own"
    if settings:
        name += ", each with" if "own" in more else ", all with"
        name += " an address space of its own:" if "own" in more else " one address space:"
        name += "".join(f" {int(value):,} {what}" if at == 0 else f", {int(value):,} {what}"
                        for at, (what, value) in enumerate(settings.items()))
    return name


def ratio(ours, theirs):
    """A ratio for a reader."""
    value = ours / theirs
    return f"{value:.3f} x" if value > 0.02 else f"1/{1 / value:.0f}"


def group_table(group, here):
    """The rows of a group's contenders in one crowd, as lines of a table."""
    clocks = [clock for clock in CLOCKS if any(clock in result for result in here.values())]
    head = [""]
    head += [f"{clock} a {group.unit}: min, median, max" for clock in clocks]
    compared = [(table, clock) for clock in clocks for table in group.ours if table in here]
    head += [f"`{table}` is, by {clock}" for table, clock in compared]
    head += ["bytes", "system calls", "kernel memory, KiB", "user memory, KiB",
             "longest RCU section, instructions"]
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for contender in group.contenders:
        if contender not in here:
            continue
        result = here[contender]
        cells = [NAMES[contender]]
        for clock in clocks:
            if clock in result:
                cells.append(" ".join(number(result[clock][which] / result[group.count])
                                      for which in ("min", "median", "max")))
            else:
                cells.append("-")
        for table, clock in compared:
            ours = here[table].get(clock)
            # The minimum of many runs is below that of a few, if runs differ by chance.
            which = "min" if clock == "instructions" else "median"
            cells.append(ratio(ours[which], result[clock][which]) if clock in result and ours else "-")
        kernel_bytes = result.get("kernel_bytes")
        cells += [number(result["bytes"]), number(result.get("calls")),
                  number(kernel_bytes / 1024) if kernel_bytes is not None else "-",
                  number(result.get("user_kib")), number(result.get("section"))]
        text.append("| " + " | ".join(cells) + " |")
    return text


def markdown(results):
    """A table for each crowd and group."""
    crowds = list(dict.fromkeys(result["crowd"] for result in results))
    text = []
    for crowd in crowds:
        text += [f"### {crowd_name(crowd)}", ""]
        for group in GROUPS:
            here = {result["contender"]: result for result in results
                    if result["crowd"] == crowd and result["contender"] in group.contenders}
            if here:
                text += group_table(group, here) + [""]
    return "\n".join(text)


def goals_of(costs):
    """The description, value and limit of each goal; `costs` by crowd and contender."""
    for (ours, our_crowd), (theirs, their_crowd), most in GOALS:
        for (crowd, contender), cost in costs.items():
            size = crowd.removesuffix(our_crowd)
            peer = costs.get((size + their_crowd, theirs))
            # The name of another kind of crowd is kept whole.
            if contender == ours and ":mappings=" not in size and peer:
                against = f"{theirs} at {size + their_crowd}" if theirs == ours else theirs
                yield f"{crowd} {ours}", against, cost / peer, most


def goal_table(costs):
    """The goals, as lines of a table."""
    text = ["| what | in terms of | by instructions | goal | |", "|---|---|---|---|---|"]
    for what, against, value, most in goals_of(costs):
        text.append(f"| {what} | {against} | {value:.3f} | {most} | "
                    f"{'holds' if value <= most else 'does not hold'} |")
    return text if len(text) > 2 else []


LINES = [
    ("ps", "#7f7f7f"), ("proc_stack", "#bcbd22"), ("proc_stat", "#8c564b"), ("bpf_frames", "#ff7f0e"),
    ("c_plain", "#9467bd"), ("bpf_threads", "#e377c2"), ("kframes", "#2ca02c"),
    ("c_best", "#1f77b4"), ("threads", "#d62728"), ("kstacks", "#17becf"),
]


def plot(results):
    """A plot of the cost per thread against the number of threads, both logarithmic; or None."""
    width, height, left, right, top, bottom = 760, 460, 70, 210, 46, 50
    points = {}
    for result in results:
        threads, group, *more = result["crowd"].split(":")
        if threads == group and not more and "instructions" in result:
            points.setdefault(result["contender"], []).append(
                (int(threads), result["instructions"]["a_thread"]))
    lines = [(name, colour) for name, colour in LINES if name in points]
    everything = [point for name, _ in lines for point in points[name]]
    if not everything:
        return None
    low_x, high_x = (math.log10(pick(x for x, _ in everything)) for pick in (min, max))
    low_y = math.floor(math.log10(min(y for _, y in everything)))
    high_y = math.ceil(math.log10(max(y for _, y in everything)))

    def at_x(value):
        return left + (math.log10(value) - low_x) / max(high_x - low_x, 1e-9) * (width - left - right)

    def at_y(value):
        return height - bottom - (math.log10(value) - low_y) / (high_y - low_y) * (height - top - bottom)

    svg = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{left}" y="22" font-size="15">Instructions a thread, by how many threads there are</text>',
           f'<text x="{(left + width - right) / 2}" y="{height - 12}" text-anchor="middle">'
           'threads of one process</text>']
    for power in range(low_y, high_y + 1):
        y = at_y(10 ** power)
        svg.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - right}" y2="{y:.1f}" stroke="#dddddd"/>')
        svg.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{10 ** power:,}</text>')
    for x in sorted({x for x, _ in everything}):
        svg.append(f'<text x="{at_x(x):.1f}" y="{height - bottom + 18}" text-anchor="middle">{x:,}</text>')
    # From the top down, labels are at least a line's height apart.
    last = 0
    for name, colour in sorted(lines, key=lambda line: -max(points[line[0]])[1]):
        line = sorted(points[name])
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in line)
        bold = 3 if name in ("threads", "kstacks", "kframes") else 1.5
        svg.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{bold}"/>')
        y = max(at_y(line[-1][1]) + 4, last + 14)
        last = y
        label = NAMES[name].replace("`", "")
        svg.append(f'<text x="{width - right + 8}" y="{y:.1f}" fill="{colour}">{label}</text>')
    svg.append("</svg>")
    return "\n".join(svg) + "\n"


def make_results(release, directory):
    """results.json, results.md and scaling.svg"""
    lines = {}
    for clock in ("instructions", "time"):
        path = os.path.join(directory, clock + ".lines")
        if os.path.exists(path):
            lines.update(read_lines(path))
    results = results_of(lines)
    costs = {(result["crowd"], result["contender"]): result["instructions"]["min"]
             for result in results if "instructions" in result}
    text = "\n".join([markdown(results), *goal_table(costs), ""])
    about = machine() | {"kernel": release}
    with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as file:
        json.dump({"about": about, "results": results}, file, indent=1)
    with open(os.path.join(directory, "results.md"), "w", encoding="utf-8") as file:
        file.write(text)
    picture = plot(results)
    if picture:
        with open(os.path.join(directory, "scaling.svg"), "w", encoding="utf-8") as file:
            file.write(picture)
    print(text)
    print(f"figures: {directory}/results.json, results.md" + (", scaling.svg" if picture else ""))


def costs_in(path):
    """The instructions of each contender, by crowd and contender."""
    return {(crowd, contender): summary(records)["min"]
            for (what, crowd, contender), records in read_lines(path).items()
            if what == "instructions"}


def ratios(costs):
    """The ratio of each table's cost to the peer's, by crowd and table, if the peer was measured."""
    return {f"{crowd} {contender}": round(cost / costs[crowd, PEER], 4)
            for (crowd, contender), cost in costs.items()
            if contender != PEER and not contender.startswith("proc_") and (crowd, PEER) in costs}


def make_baseline(release, lines, path):
    """Writes the file that check() compares with."""
    about = machine()
    costs = costs_in(lines)
    baseline = {"kernel": release, "gcc": about["gcc"], "rustc": about["rustc"], "ratios": ratios(costs),
                "goals": [what for what, _, value, most in goals_of(costs) if value <= most]}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(baseline, file, indent=1)
        file.write("\n")
    print(f"{path}: {len(baseline['ratios'])} ratios of {release}")


def check(release, lines, path):
    """Compares with the baseline and prints each result; returns the exit status."""
    with open(path, encoding="utf-8") as file:
        baseline = json.load(file)
    costs = costs_in(lines)
    now = ratios(costs)
    worse = 0
    if baseline["kernel"] != release:
        print(f"the baseline is of kernel {baseline['kernel']}, and this is {release}: "
              "both are in terms of the C peer, which was measured on each")
    for name, before in baseline["ratios"].items():
        if name not in now:
            print(f"BAD  {name}: was not measured")
            worse += 1
            continue
        change = now[name] / before
        verdict = "BAD " if change > WORSE else "ok  "
        worse += change > WORSE
        print(f"{verdict} {name}: {now[name]:.4f} of {PEER}, the baseline is {before:.4f}: "
              f"{100 * (change - 1):+.1f}%")
    for what, against, value, most in goals_of(costs):
        reached = what in baseline["goals"]
        verdict = "ok  " if value <= most else "BAD " if reached else "open"
        worse += reached and value > most
        print(f"{verdict} {what}: {value:.3f} of {against}, the goal is {most}")
    passed = len(baseline["ratios"]) + len(baseline["goals"]) - worse
    print(f"{passed} passed, {worse} failed")
    if worse:
        print("if a higher cost is intended: make bench-baseline, and explain it in the commit")
    return 1 if worse else 0


def loop(path):
    """Times of the development loop, from lines of `what: phase seconds, ...; in all seconds`."""
    phases = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            what, times = line.strip().split(": ", 1)
            for part in times.replace("; ", ", ").split(", "):
                phase, seconds = part.rsplit(" ", 1)
                phases.setdefault((what, phase), []).append(float(seconds))
    print("| | phase | seconds: min, median, max | runs |")
    print("|---|---|---|---|")
    for (what, phase), seconds in phases.items():
        print(f"| {what} | {phase} | {min(seconds):.1f} {median(seconds):.1f} {max(seconds):.1f} "
              f"| {len(seconds)} |")


def main():
    """As the usage says."""
    what, *arguments = sys.argv[1:]
    return {"results": make_results, "check": check, "baseline": make_baseline, "loop": loop}[what](*arguments)


sys.exit(main())
