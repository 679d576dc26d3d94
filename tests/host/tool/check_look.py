#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# usage: check_look.py PAGE [PICTURE]
#
# Opens a page of `taskscope report` in Chromium, wide and narrow, light and dark, and prints each text that is clipped or
# that overlaps another one; ends with 1 if there is one. Also writes a picture of the first screen. Runs in the build root.
#
# The page forbids scripts. So the script that looks at it is put into a copy, without that rule.

import html
import json
import os
import re
import subprocess
import sys
import tempfile

LOOK = """<script>
addEventListener("load", () => {
	const found = [];
	const box = node => node.getBoundingClientRect();
	const said = node => node.textContent.trim().slice(0, 40);
	// A pixel for how fonts are rounded
	const outside = (a, b) => a.left < b.left - 1 || a.top < b.top - 1 || a.right > b.right + 1 || a.bottom > b.bottom + 1;
	const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
		Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
	let texts = 0;
	const pairs = (nodes, what) => nodes.forEach((a, at) => nodes.slice(at + 1).forEach(b => {
		if (overlap(box(a), box(b)))
			found.push(`${what} overlap: ${said(a)} / ${said(b)}`);
	}));
	for (const svg of document.querySelectorAll("svg:not(.patterns)")) {
		const inside = [...svg.querySelectorAll("text")];
		texts += inside.length;
		for (const text of inside)
			if (outside(box(text), box(svg)))
				found.push(`clipped: ${said(text)}`);
		pairs(inside, "texts");
		// A text in a box of the contexts must fit into it.
		for (const rect of svg.querySelectorAll("rect.context"))
			if (rect.nextElementSibling.tagName == "text" && outside(box(rect.nextElementSibling), box(rect)))
				found.push(`wider than its box: ${said(rect.nextElementSibling)}`);
	}
	pairs([...document.querySelectorAll("figure.card")], "cards");
	for (const card of document.querySelectorAll("figure.card")) {
		pairs([...card.children], "parts of a card");
		for (const part of card.children)
			if (outside(box(part), box(card)))
				found.push(`outside of its card: ${said(part)}`);
	}
	// What is wider than the window can be reached only by scrolling the page.
	if (document.documentElement.scrollWidth > innerWidth)
		found.push(`the page is ${document.documentElement.scrollWidth} pixels wide, in a window of ${innerWidth}`);
	for (const node of document.querySelectorAll("h1, h3, p, figcaption, li"))
		if (node.scrollWidth > node.clientWidth + 1 && node.clientWidth)
			found.push(`clipped: ${said(node)}`);
	// Text and paper must differ in the colours that the browser has chosen.
	const style = getComputedStyle(document.body);
	if (style.color == style.backgroundColor)
		found.push("the text has the colour of the paper");
	const result = document.createElement("pre");
	result.id = "result";
	result.textContent = JSON.stringify({ texts, found: found.slice(0, 20), paper: style.backgroundColor });
	document.body.append(result);
});
</script>"""


def chromium(*arguments):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def main():
    page = open(sys.argv[1], encoding="utf-8").read()
    bad = 0
    papers = {}
    with tempfile.TemporaryDirectory() as directory:
        copy = os.path.join(directory, "page.html")
        # Removes all of the element that has the rule; it must be there.
        without, number = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
        if number != 1:
            sys.exit("the page does not forbid scripts")
        with open(copy, "w", encoding="utf-8") as file:
            file.write(without.replace("</body>", LOOK + "</body>"))
        for mode, width in (("light", 1240), ("light", 520), ("dark", 1240)):
            scheme = f"--blink-settings=preferredColorScheme={1 if mode == 'light' else 0}"
            dom = chromium(f"--user-data-dir={directory}/browser", scheme, f"--window-size={width},1000", "--dump-dom", "file://" + copy)
            result = json.loads(html.unescape(re.search(r'<pre id="result">(.*?)</pre>', dom, re.S).group(1)))
            papers[mode] = result["paper"]
            for text in result["found"]:
                print(f"{mode}, {width} pixels: {text}")
            bad += len(result["found"])
            if not result["texts"]:
                print("the page has no text in pictures")
                bad += 1
        if papers["light"] == papers["dark"]:
            print(f"the paper is {papers['light']}, light and dark")
            bad += 1
        if len(sys.argv) > 2:
            chromium(f"--user-data-dir={directory}/browser", "--window-size=1240,1000", f"--screenshot={os.path.abspath(sys.argv[2])}",
                     "file://" + os.path.abspath(sys.argv[1]))
    print(f"{result['texts']} texts in pictures, {bad} of what was found is wrong")
    sys.exit(bad > 0)


main()
