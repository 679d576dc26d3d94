# SPDX-License-Identifier: GPL-2.0
"""What bench.c measured, as figures.

usage: report.py results RELEASE DIRECTORY
       report.py check|baseline RELEASE LINES BASELINE
       report.py loop TIMES

`results` reads instructions.lines and time.lines in DIRECTORY, and makes of them
results.json, results.md and scaling.svg there. `check` compares LINES with BASELINE,
which `baseline` makes of LINES.

What is compared is the cost of a table in terms of that of the C peer `c_best`, at the
same crowd in the same boot. Another kernel, or another compiler, changes both; a change
to taskscope changes one. So the baseline outlives them, and says which they were.
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
}


def read_lines(path):
    """The measurements in a file, by what, crowd and contender."""
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


def results_of(lines):
    """A record for each crowd and contender, with all that was measured of it."""
    results = {}
    for (what, crowd, contender), records in lines.items():
        result = results.setdefault((crowd, contender), {"crowd": crowd, "contender": contender})
        result["threads"] = records[-1]["threads"]
        if what == "meter":
            for name in ("calls", "kernel_bytes", "not_followed", "user_kib", "section", "sections"):
                result[name] = records[0][name]
        else:
            result[what] = summary(records)
            result["bytes"] = records[-1]["bytes"]
            result[what]["a_thread"] = result[what]["min"] / result["threads"]
    return list(results.values())


def version(*command):
    """The first line that a program says of itself."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]


def machine():
    """What was measured on."""
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
    """A number for people."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2f}"


def crowd_name(crowd):
    """What a crowd is, in words."""
    threads, group, *more = crowd.split(":")
    if group == "1":
        shape = "processes of one thread"
    elif group == threads:
        shape = "threads of one process"
    else:
        shape = f"threads in processes of {group}"
    with_what = f", with {' and '.join(more)} of their own" if more else ""
    return f"{int(threads):,} {shape}{with_what}"


def markdown(results):
    """A table for each crowd."""
    crowds = list(dict.fromkeys(result["crowd"] for result in results))
    text = []
    for crowd in crowds:
        here = {result["contender"]: result for result in results if result["crowd"] == crowd}
        clocks = [clock for clock in CLOCKS if any(clock in result for result in here.values())]
        head = [""]
        head += [f"{clock} a thread: min, median, max" for clock in clocks]
        head += [f"`threads` is, by {clock}" for clock in clocks]
        head += ["bytes", "system calls", "kernel memory, KiB", "user memory, KiB",
                 "longest RCU section, instructions"]
        text += [f"### {crowd_name(crowd)}", "", "| " + " | ".join(head) + " |",
                 "|---" * len(head) + "|"]
        for contender, label in NAMES.items():
            if contender not in here:
                continue
            result = here[contender]
            cells = [label]
            for clock in clocks:
                if clock in result:
                    cells.append(" ".join(number(result[clock][which] / result["threads"])
                                          for which in ("min", "median", "max")))
                else:
                    cells.append("-")
            for clock in clocks:
                ours = here.get("threads", {}).get(clock)
                if clock in result and ours:
                    # The best of many is better than the best of a few, where there is luck.
                    which = "min" if clock == "instructions" else "median"
                    ratio = ours[which] / result[clock][which]
                    cells.append(f"{ratio:.3f} x" if ratio > 0.02 else f"1/{1 / ratio:.0f}")
                else:
                    cells.append("-")
            kernel_bytes = result.get("kernel_bytes")
            cells += [number(result["bytes"]), number(result.get("calls")),
                      number(kernel_bytes / 1024) if kernel_bytes is not None else "-",
                      number(result.get("user_kib")), number(result.get("section"))]
            text.append("| " + " | ".join(cells) + " |")
        text.append("")
    return "\n".join(text)


LINES = [
    ("ps", "#7f7f7f"), ("proc_stack", "#bcbd22"), ("proc_stat", "#8c564b"), ("bpf_frames", "#ff7f0e"),
    ("c_plain", "#9467bd"), ("bpf_threads", "#e377c2"), ("kframes", "#2ca02c"),
    ("c_best", "#1f77b4"), ("threads", "#d62728"), ("kstacks", "#17becf"),
]


def plot(results):
    """The cost a thread against the number of threads, both on logarithmic scales."""
    width, height, left, right, top, bottom = 760, 460, 70, 210, 46, 50
    points = {}
    for result in results:
        threads, group, *more = result["crowd"].split(":")
        if threads == group and not more and "instructions" in result:
            points.setdefault(result["contender"], []).append(
                (int(threads), result["instructions"]["a_thread"]))
    lines = [(name, colour) for name, colour in LINES if name in points]
    everything = [point for name, _ in lines for point in points[name]]
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
    # Labels keep a line's height apart, from the top down.
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
    text = markdown(results)
    about = machine() | {"kernel": release}
    with open(os.path.join(directory, "results.json"), "w", encoding="utf-8") as file:
        json.dump({"about": about, "results": results}, file, indent=1)
    with open(os.path.join(directory, "results.md"), "w", encoding="utf-8") as file:
        file.write(text)
    with open(os.path.join(directory, "scaling.svg"), "w", encoding="utf-8") as file:
        file.write(plot(results))
    print(text)
    print(f"figures: {directory}/results.json, results.md, scaling.svg")


def ratios(path):
    """The cost of each table in terms of the peer's, by crowd and table."""
    found = {}
    costs = {(crowd, contender): summary(records)["min"]
             for (what, crowd, contender), records in read_lines(path).items()
             if what == "instructions"}
    for (crowd, contender), cost in costs.items():
        if contender != PEER:
            found[f"{crowd} {contender}"] = round(cost / costs[crowd, PEER], 4)
    return found


def make_baseline(release, lines, path):
    """The file that check() compares with."""
    about = machine()
    baseline = {"kernel": release, "gcc": about["gcc"], "rustc": about["rustc"], "ratios": ratios(lines)}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(baseline, file, indent=1)
        file.write("\n")
    print(f"{path}: {len(baseline['ratios'])} ratios of {release}")


def check(release, lines, path):
    """Compares, says what is worse, and counts; returns the exit status."""
    with open(path, encoding="utf-8") as file:
        baseline = json.load(file)
    now = ratios(lines)
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
    print(f"{len(baseline['ratios']) - worse} passed, {worse} failed")
    if worse:
        print("What is meant to cost more: make bench-baseline, and say why in the commit")
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
