#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Prints the steps of a composite action that run a command, as a script for bash.

usage: steps.py ACTION [INPUT=VALUE]...

The script needs RUNNER_TEMP, GITHUB_OUTPUT and GITHUB_ACTION_PATH in its environment, as a runner sets them. It ends with the
status of the first step that fails, before the steps that a runner would run after a failure. An expression with a name that
the action does not declare is an error.
"""

import re
import shlex
import sys

import yaml

path, *given = sys.argv[1:]
with open(path, encoding="utf-8") as file:
    action = yaml.safe_load(file)
values = {name: str(about.get("default", "")) for name, about in action["inputs"].items()}
for setting in given:
    name, value = setting.split("=", 1)
    assert name in values, f"the action has no input {name}"
    values[name] = value
steps = action["runs"]["steps"]
ids = {step["id"] for step in steps if "id" in step}


def expand(text):
    """The text, in shell, with the values of its expressions."""
    words = []
    for part in re.split(r"(\$\{\{.*?\}\})", text):
        if not part.startswith("${{"):
            words.append(shlex.quote(part))
            continue
        kind, *names = part[3:-2].strip().split(".")
        if kind == "inputs":
            words.append(shlex.quote(values[names[0]]))
        elif kind == "runner":
            words.append(f'"${{RUNNER_{names[0].upper()}}}"')
        else:
            assert kind == "steps" and names[0] in ids and names[1] == "outputs", part
            # The runner keeps the outputs of each step apart.
            words.append(f"\"$(sed -n 's/^{names[2]}=//p' \"$GITHUB_OUTPUT\" | tail -n 1)\"")
    return "".join(words)


for output in action["outputs"].values():
    expand(output["value"])
for step in steps:
    for value in step.get("with", {}).values():
        expand(value)
    if "run" not in step:
        continue
    assert step["shell"] == "bash" and "if" not in step
    print("(")
    for name, value in step.get("env", {}).items():
        print(f"export {name}={expand(value)}")
    print(f"exec bash --noprofile --norc -eo pipefail -c {shlex.quote(step['run'])}")
    print(") || exit")
