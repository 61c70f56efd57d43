"""Runs a command on what main left behind, and records the metrics it prints as outputs."""

import json
import math
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from postlude_hub.run import Failure, Run, cut, one_line, perform, record  # noqa: E402

# Of what the command prints, what is looked at: its end.
BOUND = 1 << 20
LINE = re.compile(r"\s*([A-Za-z_][\w./-]*)\s*[=:]\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*")


def metrics(output):
    """The last JSON object on a line of its own; else what looks like `name=number`."""
    lines = output.splitlines()
    for line in reversed(lines):
        if line.lstrip().startswith("{"):
            try:
                found = json.loads(line, parse_constant=lambda name: None)
            except ValueError:
                continue
            if isinstance(found, dict):
                return found
    return {match[1]: float(match[2]) for match in map(LINE.fullmatch, lines) if match}


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def out_of_bounds(found, minimum, maximum):
    for name, bound in sorted(minimum.items()):
        if not is_number(found.get(name)) or found[name] < bound:
            yield f"{name} is {found.get(name, 'missing')}, which is not at least {bound}"
    for name, bound in sorted(maximum.items()):
        if not is_number(found.get(name)) or found[name] > bound:
            yield f"{name} is {found.get(name, 'missing')}, which is not at most {bound}"


def main():
    run = Run()
    directory = os.environ.get("POSTLUDE_MAIN_ARTIFACTS", "")
    process = subprocess.Popen(
        run.inputs["command"], cwd=directory if os.path.isdir(directory) else "/", stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE)
    kept = b""
    while block := process.stdout.read1(65536):
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        kept = (kept + block)[-BOUND:]
    status = process.wait()
    if status != 0:
        said = f"signal {-status}" if status < 0 else f"code {status}"
        raise Failure(f"the command ended with {said}")
    found = metrics(kept.decode("utf-8", "replace"))
    if not found:
        raise Failure("the command printed no metric: print a JSON object, or lines name=number")
    problems = list(out_of_bounds(found, run.inputs.get("minimum") or {}, run.inputs.get("maximum") or {}))
    record({"metrics": found, "passed": not problems})
    if problems:
        raise Failure(cut(one_line("; ".join(problems)), 800))


if __name__ == "__main__":
    perform(main)
