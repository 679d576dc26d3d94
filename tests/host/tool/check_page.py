#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# usage: check_page.py PAGE SNAPSHOT [BESIDE]
#
# Recomputes every number, height and count of a page of `taskscope report` from the tables, and shares no code with
# the program. Prints each difference, and then the number of comparisons; ends with 1 if there is a difference.

import collections
import html.parser
import json
import re
import sys
import tarfile

VOID = {"meta", "br", "hr", "img", "input", "link"}
STACK = 80
comparisons = 0
differences = 0


def same(what, found, expected):
    global comparisons, differences
    comparisons += 1
    if found != expected:
        differences += 1
        print(f"{what}: the page has {found!r}, the tables {expected!r}")


# The tables

class Table:
    def __init__(self, data):
        text = re.sub(rb"[^\n -~]", lambda byte: b"\\%03o" % byte.group()[0], data).decode("ascii")
        lines = text.split("\n")
        self.columns = lines[0].split()
        self.rows, self.summary = [], []
        for line in lines[1:-1]:
            if line.startswith("#"):
                self.summary.append(line.lstrip("#").strip())
                continue
            # The last column runs to the end of the line.
            values = line.split(None, len(self.columns) - 1)
            if len(values) == len(self.columns):
                self.rows.append(dict(zip(self.columns, values)))
        self.complete = lines[-1] == "" and bool(self.summary)


def read(path):
    tables = {}
    with tarfile.open(path) as tar:
        for member in tar:
            name = member.name.split("/")[-1]
            if name not in ("meta.json", "current", "set_pid"):
                tables[name] = Table(tar.extractfile(member).read())
    return tables


def meta(path):
    with tarfile.open(path) as tar:
        member = next(member for member in tar if member.name.split("/")[-1] == "meta.json")
        return json.load(tar.extractfile(member))


def number(text):
    return int(text) if re.fullmatch(r"\d+", text or "") and int(text) < 2 ** 64 else None


def pid_of(row, column):
    pid = number(row.get(column))
    return pid if pid is not None and pid < 4194304 else None


def by_pid(table):
    rows = {}
    for row in table.rows if table else []:
        if (pid := pid_of(row, "PID")) is not None:
            rows.setdefault(pid, row)
    return rows


def cut(text, limit):
    return text if len(text) <= limit else text[:limit - 1] + "…"


def people(bytes_):
    if bytes_ < 1024:
        return str(bytes_)
    tenths = bytes_ * 10
    for unit in "KMGTPE":
        tenths = (tenths + 512) // 1024
        if tenths < 10240 or unit == "E":
            return f"{tenths // 10}.{tenths % 10}{unit}"


def part(used, size, pixels):
    tenths = (used * pixels * 10 + size // 2) // size
    return f"{tenths // 10}.{tenths % 10}"


# The page

class Node:
    def __init__(self, tag, attributes, parent):
        self.tag, self.attributes, self.parent = tag, dict(attributes), parent
        self.children = []

    def classes(self):
        return self.attributes.get("class", "").split()

    def text(self):
        return "".join(child if isinstance(child, str) else child.text() for child in self.children)

    def all(self, selector):
        tag, *classes = selector.split(".")
        found = []
        for child in self.children:
            if isinstance(child, Node):
                if tag in ("", child.tag) and all(name in child.classes() for name in classes):
                    found.append(child)
                found += child.all(selector)
        return found


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.root = self.at = Node("", {}, None)
        self.elements = 0
        self.feed(text)
        self.close()
        same("elements that are not closed", self.at is self.root, True)

    def handle_starttag(self, tag, attributes):
        self.elements += 1
        node = Node(tag, attributes, self.at)
        self.at.children.append(node)
        if tag not in VOID:
            self.at = node

    def handle_endtag(self, tag):
        same("end tag", tag, self.at.tag)
        self.at = self.at.parent or self.at

    def handle_data(self, data):
        self.at.children.append(data)


def check_safety(page, text):
    tags = {node.tag for node in page.root.all("")}
    same("elements that the page may not have", tags - {
        "html", "head", "meta", "title", "style", "body", "header", "main", "section", "h1", "h2", "h3", "p", "b", "em", "ul", "ol", "li",
        "div", "figure", "figcaption", "table", "caption", "tr", "th", "td", "svg", "defs", "pattern", "line", "rect", "path", "text"}, set())
    names = {name for node in page.root.all("") for name in node.attributes}
    same("attributes that the page may not have", names - {
        "lang", "charset", "name", "content", "http-equiv", "class", "id", "width", "height", "viewbox", "role", "aria-label", "aria-hidden",
        "data-pid", "x", "y", "x1", "x2", "y1", "y2", "d", "patternunits", "patterntransform"}, set())
    style = page.root.all("style")[0].text()
    same("what the style loads", [url for url in re.findall(r"url\(([^)]*)", style) if url != "#hatch"], [])
    same("@import", "@import" in style, False)
    same("bytes that are not printable", re.findall(r"[^\n\t -~…]", text), [])
    same("at most 2 MB", len(text.encode()) <= 2_000_000, True)
    same("at most 5,000 elements", page.elements <= 5000, True)


class Machine:
    """What the tables say of each thread, in the words of the page."""

    def __init__(self, tables):
        self.threads, self.processes = {}, collections.OrderedDict()
        for row in tables["threads"].rows:
            pid, tgid = pid_of(row, "PID"), pid_of(row, "TGID")
            if pid is not None and tgid is not None and pid not in self.threads:
                self.threads[pid] = row
                self.processes.setdefault(tgid, []).append(pid)
        self.kernel, self.user = by_pid(tables.get("kstacks")), by_pid(tables.get("ustacks"))

    def is_kernel(self, pid):
        return self.threads[pid]["KIND"] in ("kernel", "idle")

    def kernel_stack(self, pid):
        """(VALID, USED, SIZE)"""
        row = self.kernel.get(pid)
        if not row:
            return "no row", None, None
        size, used = number(row["SIZE"]), number(row["USED"])
        if size is not None and not 1 <= size <= 1 << 20:
            size = None
        if row["VALID"] != "ok" or size is None or used is None or used > size:
            used = None
        return row["VALID"], used, size

    def user_stack(self, pid):
        row = self.user.get(pid)
        if not row:
            thread = self.threads[pid]
            return ("no row", None, None) if thread["MM"] == "set" and not self.is_kernel(pid) else None
        if row["VALID"] == "no-mm":
            return None
        size, used = number(row["SIZE"]) or None, number(row["USED"])
        if size is not None and used is not None and used > size:
            used = None
        return row["VALID"], used, size

    def fullness(self, pid):
        kernel, user = self.kernel_stack(pid)[1], self.user_stack(pid)
        user = user[1] if user else None
        return (-1 if kernel is None else kernel, -1 if user is None else user)

    def moment(self, pid):
        """By the rules of the description of the directory, for `threads`, then `kstacks`, then `ustacks`"""
        # (SWITCHES, whether the module has checked that the thread stood still, whether the row says that it did not)
        rows = [(number(self.threads[pid]["SWITCHES"]), False, False)]
        of_user = [self.user.get(pid)] if self.user_stack(pid) else []
        for row in [self.kernel.get(pid), *of_user]:
            moved = not row or row["VALID"] in NO_STANDSTILL | {"-"}
            rows.append((number(row["SWITCHES"]) if row else None, not moved, moved))
        proved = True
        for (earlier, _, moved), (later, stood_still, _) in zip(rows, rows[1:]):
            if None not in (earlier, later) and earlier != later:
                return "of different moments: the thread ran in between"
            proved = proved and None not in (earlier, later) and stood_still and not moved
        return "of one moment" if proved else "may be of different moments"


def words_without_standstill():
    """The words with which a row is not of a standstill, from the description of the directory"""
    text = " ".join(open("Documentation/ABI/testing/debugfs-taskscope", encoding="utf-8").read().split())
    said = re.search(r'"uframes" that do not say ([a-z, -]+?), and the rows', text).group(1)
    return set(re.split(", | or ", said))


NO_STANDSTILL = words_without_standstill()


def words(stack):
    valid, used, size = stack
    if used is not None and size is not None:
        return f"{used} of {size}"
    if used is not None:
        return f"at least {used}"
    return f"not known ({cut('bad values' if valid == 'ok' else valid, 80)})"


def check_stack(what, svg, kind, stack, top, exact):
    valid, used, size = stack
    within = [node for node in svg.all("") if "y" in node.attributes and top <= float(node.attributes["y"]) <= top + STACK + 12]
    fills = [node for node in within if "used" in node.classes()]
    texts = [node.text() for node in within if node.tag == "text"]
    label = texts[-1] if texts else None
    same(f"{what}: kind", [kind in node.classes() for node in fills], [True] * len(fills))
    torn = [node for node in svg.all("path.torn") if node.attributes["d"].split()[1].startswith(f"{top}h")]
    if used is not None and size is not None:
        same(f"{what}: height", [node.attributes["height"] for node in fills], [part(used, size, STACK)])
        same(f"{what}: top", [node.attributes["y"] for node in fills], [str(top)])
        same(f"{what}: the whole", [node.attributes["height"] for node in within if "stack" in node.classes()], [str(STACK)])
        same(f"{what}: label", label, f"{used} of {size}" if exact else f"{people(used)} of {people(size)}")
        return
    same(f"{what}: nothing is filled", len(fills), 0)
    if used is not None:
        same(f"{what}: torn", len(torn), 1)
        same(f"{what}: label", label, f"at least {people(used)}")
    elif valid == "on-cpu":
        same(f"{what}: hatched", [node.tag for node in within if "running" in node.classes()], ["rect"])
        same(f"{what}: text", texts, ["?", "on-cpu"])
    else:
        same(f"{what}: dashed", [node.tag for node in within if "unknown" in node.classes()], ["rect"])
        same(f"{what}: label", label, cut("bad values" if valid == "ok" else valid, 17))


def check_landscape(page, tables):
    machine = Machine(tables)
    section = next(node for node in page.root.all("section") if node.attributes.get("id") == "landscape")
    columns = section.all("svg.thread")
    drawn = [int(svg.attributes["data-pid"]) for svg in columns]
    same("threads that are drawn twice", len(drawn), len(set(drawn)))
    same("threads that are drawn and are in no table", set(drawn) - set(machine.threads), set())
    tgid_of = {pid: tgid for tgid, pids in machine.processes.items() for pid in pids}
    drawn_processes = {tgid_of[pid] for pid in drawn}
    rest = [pid for pid in machine.threads if pid not in set(drawn)]
    rest_processes = len(machine.processes) - len(drawn_processes)
    numbers = [int(re.match(r"\d+", node.text()).group()) for node in section.all("p.sum")[0].all("b")]
    same("sum: at least", "In all: at least" in section.all("p.sum")[0].text(), not tables["threads"].complete)
    same("torn edge", len(section.all("p.torn")), 0 if tables["threads"].complete else 1)
    same("sum", numbers, [len(drawn_processes), len(drawn), rest_processes, len(rest), len(machine.processes), len(machine.threads)])
    if tables["threads"].complete and tables["threads"].rows:
        summary = int(re.match(r"\d+", tables["threads"].summary[0]).group())
        if summary == len(machine.threads):
            same("drawn and counted threads, by the summary of the table", numbers[1] + numbers[3], summary)
    same("at most 40 processes", len(drawn_processes) <= 40, True)
    same("all of a small machine are drawn", len(drawn_processes), min(len(machine.processes), 40))
    for tgid in drawn_processes:
        same(f"process {tgid}: at most 16 threads", sum(tgid_of[pid] == tgid for pid in drawn) <= 16, True)

    # A process that is not drawn is no fuller than one of its kind that is.
    for kernel in (False, True):
        ranks = {tgid: (any(machine.threads[pid]["NOTE"] != "-" for pid in pids), max(machine.fullness(pid) for pid in pids))
                 for tgid, pids in machine.processes.items() if machine.is_kernel(pids[0]) == kernel}
        there, absent = [r for t, r in ranks.items() if t in drawn_processes], [r for t, r in ranks.items() if t not in drawn_processes]
        if there and absent:
            same("the fullest are drawn", min(there) >= max(absent), True)
    for tgid in drawn_processes:
        there = [machine.fullness(pid) for pid in machine.processes[tgid] if pid in set(drawn)]
        absent = [machine.fullness(pid) for pid in machine.processes[tgid] if pid not in set(drawn)]
        if absent:
            same(f"process {tgid}: the fullest are drawn", min(there) >= max(absent), True)

    for svg, pid in zip(columns, drawn):
        what, thread = f"PID {pid}", machine.threads[pid]
        texts = [node.text() for node in svg.all("text")]
        same(f"{what}: first lines", texts[:2], [f"{pid} {cut(thread['S'] if thread['S'] != '-' else '?', 2)}", cut(thread["COMM"], 17)])
        with_user = not machine.is_kernel(machine.processes[tgid_of[pid]][0])
        check_stack(f"{what}: kernel stack", svg, "kernel", machine.kernel_stack(pid), 132 if with_user else 27, True)
        user = machine.user_stack(pid)
        if with_user and user:
            check_stack(f"{what}: user stack", svg, "user", user, 27, False)
        elif with_user:
            note = thread["NOTE"]
            same(f"{what}: no user space", [node.text() for node in svg.all("text.none")], ["no user space" if note == "-" else cut(note, 17)])
        spoken = f"PID {pid}, {cut(thread['COMM'], 80)}: kernel stack {words(machine.kernel_stack(pid))}"
        spoken += f", user stack {words(user)}" if user else ""
        same(f"{what}: spoken", svg.attributes["aria-label"], spoken)

    rows = [[cell.text() for cell in row.all("td")] for row in section.all("table.stacks")[0].all("tr")[1:]]
    expected = []
    for pid in drawn:
        thread, user = machine.threads[pid], machine.user_stack(pid)
        kind = cut("?" if thread["KIND"] == "-" else thread["KIND"], 12) + ("" if thread["NOTE"] == "-" else ", " + cut(thread["NOTE"], 20))
        expected.append([str(tgid_of[pid]), str(pid), cut(thread["COMM"], 80), cut(thread["S"], 8), kind, words(machine.kernel_stack(pid)),
                         words(user) if user else "none", machine.moment(pid)])
    same("table of stacks", rows, expected)
    check_cards(section, machine, tables, tgid_of)
    check_rest(section, machine, rest, rest_processes)


def check_cards(section, machine, tables, tgid_of):
    segments = collections.defaultdict(list)
    for row in tables["segments"].rows if "segments" in tables else []:
        if (tgid := pid_of(row, "TGID")) is not None and len(segments[tgid]) < 12:
            segments[tgid].append(row)

    def word(row):
        size = number(row["SIZE"])
        if row["VALID"] != "ok":
            return f"not known ({cut(row['VALID'], 20)})"
        return "-" if size is None else str(size)

    def address(row):
        text = row["START"].removeprefix("0x")
        return int(text, 16) if re.fullmatch("[0-9a-fA-F]+", text) else -1

    table = {row.all("td")[0].text(): [cell.text() for cell in row.all("td")[1:]] for row in section.all("table.segments")[0].all("tr")[1:]}
    seen = 0
    for card in section.all("figure.card"):
        if "rest" in card.classes():
            continue
        pid = int(card.all("svg.thread")[0].attributes["data-pid"])
        tgid = tgid_of[pid]
        pids = machine.processes[tgid]
        if machine.is_kernel(pids[0]):
            continue
        seen += 1
        name = cut(machine.threads[pids[0]]["COMM"], 68)
        hidden = len(pids) - len(card.all("svg.thread"))
        caption = f"{name} {tgid}, {len(pids)} thread{'' if len(pids) == 1 else 's'}" + (f", {hidden} not drawn" if hidden else "")
        same(f"process {tgid}: caption", card.all("figcaption")[0].text(), caption)
        listed = [f"{cut(row['SEGMENT'], 10)} {people(number(row['SIZE']))}" if row["VALID"] == "ok" else
                  f"{cut(row['SEGMENT'], 10)} {cut(row['VALID'], 12)}"
                  for row in sorted(segments[tgid], key=address, reverse=True) if word(row) != "-"]
        same(f"process {tgid}: segments", [item.text() for item in card.all("li")], listed)
        rows = {}
        for row in sorted(segments[tgid], key=address, reverse=True):
            rows.setdefault(row["SEGMENT"], row)
        expected = [word(rows[name]) if name in rows else "no row" for name in "text data bss heap mmap stack args env vdso".split()]
        same(f"process {tgid}: table of segments", table.get(f"{tgid} {name}"), expected)
    same("rows of the table of segments", len(table), seen)


def check_rest(section, machine, rest, rest_processes):
    figures = section.all("figure.rest")
    same("the rest is shown", len(figures), 1 if rest else 0)
    if not rest:
        return
    bins, unknown = [0] * 16, collections.Counter()
    for pid in rest:
        valid, used, size = machine.kernel_stack(pid)
        if used is None:
            unknown[valid] += 1
        else:
            bins[min(15, used * 16 // size)] += 1
    caption = figures[0].all("figcaption")[0].text()
    same("rest: caption", [int(text) for text in re.findall(r"(\d+) (?:process|thread)", caption)], [rest_processes, len(rest)])
    most = max(bins + [sum(unknown.values()), 1])
    bars = [(node.attributes["y"], node.attributes["height"]) for node in figures[0].all("rect")]
    counts = bins + [sum(unknown.values())]
    same("rest: bars", bars, [(part(most - count, most, 100), part(count, most, 100)) for count in counts])
    same("rest: numbers", [node.text() for node in figures[0].all("text") if node.attributes["y"] == "112"], [str(count) for count in counts])
    rows = [[cell.text() for cell in row.all("td")] for row in figures[0].all("tr")[1:]]
    expected = [[f"{bin}/16 to {bin + 1}/16", str(count)] for bin, count in enumerate(bins) if count]
    listed = ", ".join(f"{word} {count}" for word, count in sorted(unknown.items()))
    expected.append(["not known" + (f" ({listed})" if listed else ""), str(sum(unknown.values()))])
    same("rest: table", rows, expected)


FLAGS = ("IN_TASK", "SOFTIRQ", "HARDIRQ", "NMI", "IRQS")
LANES = ("task", "irq", "nmi", "other")


def check_contexts(page, machines):
    section = next(node for node in page.root.all("section") if node.attributes.get("id") == "contexts")
    tables = [tables["contexts"] for tables in machines if "contexts" in tables]
    same("snapshots with contexts", len(section.all("svg.contexts")), len(tables))
    for table, svg, drawn_table, total in zip(tables, section.all("svg.contexts"), section.all("table.contexts"), section.all("p.sum")):
        groups = collections.OrderedDict()
        for row in table.rows:
            flags = tuple(row[flag] if row[flag] in ("yes", "no") else "not known" for flag in FLAGS)
            groups.setdefault((row["CONTEXT"], flags, row["STACK"]), []).append(row)
        drawn = list(groups.items())[:24]
        shown = sum(len(rows) for _, rows in drawn)
        same("contexts: sum", [int(node.text()) for node in total.all("b")], [len(table.rows), shown, len(table.rows) - shown])
        labels = [node.text() for node in svg.all("text.label")]
        boxes = [node for node in svg.all("rect") if "lane" not in node.classes()]
        texts = [node.text() for node in svg.all("text") if "label" not in node.classes()][4:]
        rows_of_table = [[cell.text() for cell in row.all("td")] for row in drawn_table.all("tr")[1:]]
        same("contexts: rows", [len(labels), len(boxes), len(rows_of_table)], [len(drawn)] * 3)
        for at, ((name, flags, stack), rows) in enumerate(drawn):
            cpus = [row["CPU"] for row in rows if number(row["CPU"]) is not None]
            where = ", ".join(cpus[:4]) + (f" and {len(cpus) - 4} more" if len(cpus) > 4 else "")
            same("contexts: label", labels[at], cut(name + (f", CPU {where}" if cpus else ""), 44))
            if stack in LANES:
                same(f"contexts: lane of {name}", (boxes[at].classes(), boxes[at].attributes["x"]), (["context"], str(250 + 176 * LANES.index(stack) + 6)))
                said = [word for word, flag in zip(("task", "softirq", "hardirq", "nmi"), flags) if flag == "yes"]
                said.append({"yes": "IRQs on", "no": "IRQs off"}.get(flags[4], "IRQs ?"))
                same(f"contexts: flags of {name}", texts[at], " ".join(said))
            else:
                same(f"contexts: {name} is dashed", boxes[at].classes(), ["unknown"])
                same(f"contexts: {name} says", texts[at], "not known: it has not happened, or has not answered" if stack == "-" else
                     f"not known: stack {cut(stack, 20)}")

            def distinct(column, none="-"):
                values = list(dict.fromkeys(row[column] for row in rows if row[column] != "-"))[:8]
                return ", ".join(cut(value, 80) for value in values) or none
            same(f"contexts: table, {name}", rows_of_table[at],
                 [cut(name, 40), str(len(rows)), where or "-", *flags, distinct("PREEMPT_COUNT"), "not known" if stack == "-" else cut(stack, 20),
                  distinct("COMM"), distinct("SOURCE")])


def check_banners(page, machines, meta):
    banners = [node.text() for node in page.root.all("header")[0].all("p.banner")]
    tables = machines[0]
    names = ("threads", "kstacks", "ustacks", "segments", "contexts")
    chosen = [name for name in names if name in tables and any("left out by set_pid" in line for line in tables[name].summary)]
    same("banners of set_pid", sum("set_pid has left out" in text for text in banners), min(len(chosen), 1))
    for name in names:
        of_table = [text for text in banners if text.startswith(name + ":")]
        same(f"{name}: at most one banner", len(of_table) <= 1, True)
        cut_short = name in tables and not tables[name].complete
        same(f"{name} is said to be cut short", any("its end is missing" in text for text in of_table), cut_short)
    for other in machines[1:]:
        cut_short = "contexts" in other and not other["contexts"].complete
        same("beside: contexts is said to be cut short", any(text.startswith("beside: contexts: its end") for text in banners), cut_short)
    times = [meta["microseconds"][name] for name in names if name in meta.get("microseconds", {})]
    within = re.search(r"within (\d+) ms", page.root.all("header")[0].text())
    same("time of the reading", within and int(within.group(1)),
         -((min(time[0] for time in times) - max(time[1] for time in times)) // 1000) if times else None)


def main():
    path, *snapshots = sys.argv[1:]
    text = open(path, encoding="utf-8", newline="").read()
    page = Page(text)
    machines = [read(snapshot) for snapshot in snapshots]
    check_safety(page, text)
    check_landscape(page, machines[0])
    check_contexts(page, machines)
    check_banners(page, machines, meta(snapshots[0]))
    print(f"{comparisons} comparisons, {differences} differences; {len(text.encode())} bytes, {page.elements} elements")
    sys.exit(differences > 0)


main()
