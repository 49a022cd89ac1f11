#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each view of execsnoopctl over a recorded stream, compared byte for byte with the files in golden/, which GOLDEN=write writes.
Whatever the view, nothing in its output acts on a terminal."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CTL = os.path.join(os.environ.get("builddir", "."), "src", "execsnoopctl")
STATS = os.path.join(HERE, "stats.json")
RECORDING = os.path.join(HERE, "recording.json")
SINCE = ["-S", "2026-11-29"]
VIEWS = {
    "watch": ["watch"],
    "watch-events": ["watch", "--merge=no"],
    "watch-failed": ["watch", "--failed"],
    "watch-columns": ["watch", "--columns=pid,cpu,rss,unit,cwd,args", "cc", "make"],
    "log": ["log"],
    "log-last": ["log", "-n", "3"],
    "log-reverse": ["log", "-r"],
    "log-slow": ["log", "--slower=1s", "--cpu=1s"],
    "log-grep": ["log", "-g", "f[12]"],
    "log-pair": ["log", "exit_signal=SIG*", "id=!*-30200-*"],
    "log-types": ["log", "-t", "started", "--uid=1000"],
    "log-none": ["log", "nothing-of-this-name"],
    "tree": ["tree"],
    "tree-time": ["tree", *SINCE],
    "tree-root": ["tree", *SINCE, "30000"],
    "tree-unit": ["tree", *SINCE, "cron.service"],
    "tree-at": ["tree", "--at=2026-11-29 10:00:04"],
    "show": ["show", "22041", "40000", "30008", "2"],
    "stats": ["stats"],
    "stats-program": ["stats", "-n", "2", "sh", "cc"],
    "stats-by": ["stats", "--by=user,exe", "--sort=cpu"],
    "stats-args": ["stats", "--by=args", "-n", "4", "--no-legend"],
    "stats-csv": ["stats", "--by=spawner", "-o", "csv"],
    "stats-json": ["stats", "--by=status,unit", "-o", "json"],
    "top": ["top", "-b"],
    "top-delay": ["top", "-d", "3s", "-n", "2", "--by=unit,user", "--sort=cpu"],
    "top-json": ["top", "-b", "--by=spawner", "-o", "json", "cc", "sh"],
    "metrics": ["metrics", "-i", STATS],
    "json": ["log", "-o", "json"],
    "json-pretty": ["log", "-o", "json-pretty", "--failed"],
    "sh": ["log", "-o", "sh"],
}
# Without a terminal: one width.
EXPORTS = {
    "export-report": ["export", "-o", "report"],
    "export-chrome": ["export", "-o", "chrome"],
    "export-compile": ["export", "-o", "compile-commands"],
    "export-csv": ["export", "-o", "csv"],
    "export-dot": ["export", "-o", "dot"],
    "export-folded": ["export", "-o", "folded"],
    "export-folded-count": ["export", "-o", "folded", "--weight=count"],
    "export-folded-wall": ["export", "-o", "folded", "--weight=wall", "make", "cc", "sh"],
    "export-svg": ["plot"],
    "export-sh": ["export", "-o", "sh"],
    "export-none": ["export", "-o", "report", "nothing-of-this-name"],
    "export-unknown": ["export", "-o", "short"],
}
LOCALES = {"utf8": "C.UTF-8", "ascii": "C"}
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f]")


def printed(view, width, locale, color):
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": LOCALES[locale], "COLUMNS": str(width)}
    command = [CTL, view[0], "-i", RECORDING, "--numeric", f"--color={color}", *view[1:]]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return f"exit {done.returncode}\n".encode() + done.stdout + done.stderr


def cases():
    for name, view in VIEWS.items():
        for width in (60, 100, 200):
            yield f"{name}-{width}", view, width, "utf8", "never"
    for name, view in EXPORTS.items():
        yield name, view, 0, "utf8", "never"
    for name in ("watch", "log", "tree-time", "show", "stats", "top"):
        yield f"{name}-color", VIEWS[name], 100, "utf8", "always"
        yield f"{name}-ascii", VIEWS[name], 100, "ascii", "never"


def problem(name, output, color):
    """What is wrong with it; None: nothing."""
    try:
        text = output.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8: {error}"
    if color == "always":
        text = re.sub("\x1b\\[[0-9;]*m", "", text)
    acts = CONTROL.search(text)
    if acts and "json" not in name:
        return f"acts on a terminal: {acts.group()!r} in {text[max(0, acts.start() - 40):acts.end() + 20]!r}"
    path = os.path.join(HERE, "golden", name + ".txt")
    if os.environ.get("GOLDEN") == "write":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(output)
    with open(path, "rb") as file:
        expected = file.read()
    if output == expected:
        return None
    was, now = expected.splitlines(), output.splitlines()
    for number, (one, other) in enumerate(zip(was + [b""], now + [b""]), 1):
        if one != other:
            return f"line {number}:\n#   was {one!r}\n#   is  {other!r}"
    return f"{len(was)} lines were, {len(now)} are"


def main():
    bad = 0
    all_cases = list(cases())
    print(f"1..{len(all_cases)}")
    for number, (name, view, width, locale, color) in enumerate(all_cases, 1):
        wrong = problem(name, printed(view, width, locale, color), color)
        if wrong:
            print(f"# {wrong}")
            bad += 1
        print(f"{'not ' if wrong else ''}ok {number} - {name}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
