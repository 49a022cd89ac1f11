#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Exports of random recordings, in which processes have hostile names and arguments: each is well-formed by another program's
measure, holds all of the recording, and lets no text act as markup."""
import csv
import decimal
import html.parser
import io
import json
import os
import random
import re
import resource
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree

import tap
from tap import CTL

BEGIN = 1764410400 * 10**9
HOSTILE = [
    "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "]]>", "<!--", "-->", "&amp;",
    "=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(1)", "\t=1", "\"];\n}", "\\", "a\\\"; x", "\\N", "a;b 7", "\u202eevil", "\u2028",
    "\x1b'; echo injected #", "\x1b[31m", "\x00".replace("\x00", "\x01"), "\uffff", "é漢字", "'", "''", "%s%n", "{{x}}", "${x}", "`x`", "a\r\nb", ",", "", "\x7f", "\x9b"]


def stamp(ns):
    seconds, rest = divmod(BEGIN + ns, 10**9)
    import time  # pylint: disable=import-outside-toplevel
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + ".%09dZ" % rest


class Recording:
    """Random events, in order, as the daemon would report them: .lines, and what was put into them."""

    def __init__(self, seed, count, serial=False):
        self.random = random.Random(seed)
        self.events = []
        self.programs = 0
        self.cpu = 0
        self.strings = []
        self.pid = 1000
        self.process(None, 0, 10**9 * 10, count, serial, 0)
        self.events.sort(key=lambda e: e[0])
        self.lines = [json.dumps({"type": e[1], "seq": i, "time": stamp(e[0]), **e[2]}) for i, e in enumerate(self.events, 1)]

    def text(self):
        text = self.random.choice(HOSTILE)
        self.strings.append(text)
        return text

    def process(self, parent, start, end, budget, serial, depth):
        """One process in [start, end], with `budget` descendants; some outlive it."""
        self.pid += 1
        keys = {"id": "b-%d-1" % self.pid, "pid": self.pid, "ppid": parent["pid"] if parent else 1, "start_time": stamp(start),
                "uid": 0, "gid": 0, "comm": "c", "cwd": "/" + self.text().replace("/", ""), "unit": self.text()}
        if parent:
            keys["parent_id"] = parent["id"]
        at = start + (0 if self.random.random() < 0.2 else self.random.randrange(0, max(1, (end - start) // 10)))
        for _ in range(self.random.choice((0, 0, 0, 2))):
            self.events.append((at, "error", {**keys, "filename": "/none/" + self.text(), "exe": "/none/x", "args": [self.text()],
                                              "error_code": -2, "error": "ENOENT"}))
        for _ in range(self.random.choice((1, 1, 1, 2))):
            name = self.text() or "x"
            keys.update(exe="/bin/" + name, filename="/bin/" + name, args=[name, *(self.text() for _ in range(3))])
            self.events.append((at, "started", dict(keys)))
            self.programs += 1
            at += self.random.randrange(0, max(1, (end - at) // 4))
        now = at
        while budget > 0:
            share = min(budget, self.random.randrange(1, 1 + max(1, budget)))
            budget -= share
            first = now if serial else self.random.randrange(at, end + 1)
            last = self.random.randrange(first, end + 1) if self.random.random() < 0.95 else end + 10**9
            self.process(keys, first, max(first, last), share - 1, serial or self.random.random() < 0.5, depth + 1)
            now = min(max(first, last), end)
        if self.random.random() < 0.9:
            how = self.random.choice(({"exit_code": 0}, {"exit_code": 0}, {"exit_code": 3}, {"exit_signal": "SIGKILL"}))
            cpu = self.random.randrange(0, 10**9)
            self.cpu += cpu
            self.events.append((end, "exited", {**keys, "end_time": stamp(end), "running_time_ns": end - start, **how,
                                                "cpu_user_ns": cpu, "cpu_system_ns": 0, "max_rss_bytes": 1 << 20,
                                                "read_bytes": 1, "write_bytes": 2}))


def export(recording, *arguments, note=""):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write("".join(line + "\n" for line in recording.lines))
        file.flush()
        done = subprocess.run([CTL, "export", "-i", file.name, "-o", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
    if done.returncode != 0 or done.stderr.decode() != note:
        raise AssertionError("exit %d: %s" % (done.returncode, done.stderr.decode()))
    return done.stdout.decode()  # strict: not UTF-8 fails


def check(truth, *what):
    if not truth:
        raise AssertionError(" ".join(str(w) for w in what) or "not true")


def check_nesting(trace, number):
    """Of each thread: a slice ends before the one around it does; number: how a viewer reads times."""
    lanes = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            lanes.setdefault(event["tid"], []).append(event)
    for tid, slices in lanes.items():
        slices.sort(key=lambda e: (number(e["ts"]), -number(e["dur"])))
        ends = []
        for event in slices:
            start, end = number(event["ts"]), number(event["ts"]) + number(event["dur"])
            while ends and ends[-1] <= start:
                ends.pop()
            check(not ends or end <= ends[-1], "overlap in lane", tid, event, ends[-1:])
            ends.append(end)


def check_by_perfetto(trace):
    """SliceTracker::MaybeCloseStack() of Perfetto's trace processor drops a slice that partly overlaps one below it. Times are
    whole nanoseconds there, and events with one time stay in the order of the file."""
    slices = [(int(float(e["ts"]) * 1000), int(float(e["dur"]) * 1000), e) for e in trace["traceEvents"] if e["ph"] == "X"]
    stacks = {}
    for start, duration, event in sorted(slices, key=lambda s: s[0]):
        stack = stacks.setdefault(event["tid"], [])
        while stack and (stack[-1][0] < start or (stack[-1][0] == start and (stack[-1][1] or duration))):
            stack.pop()
        check(not stack or start >= stack[-1][0] or start + duration <= stack[-1][0], "Perfetto drops", event, stack)
        stack.append((start + duration, duration))


def chrome_nests_and_has_all(recording):
    text = export(recording, "chrome")
    exact = json.loads(text, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
    check_nesting(exact, lambda x: x)
    check_nesting(json.loads(text), float)
    check_by_perfetto(json.loads(text))
    slices = [e for e in exact["traceEvents"] if e["ph"] == "X"]
    check(len(slices) == recording.programs, "slices", len(slices), recording.programs)
    check(all(e["ts"] >= 0 and 0 <= e["dur"] < 10**8 for e in slices), "a time is out of range")
    lane = {}
    for e in slices:
        lane.setdefault(e["args"]["pid"], e["tid"])
    for e in slices:
        check(lane.get(e["args"]["ppid"], 0) <= e["tid"], "a parent lies below its child", e)
    failures = [e for e in exact["traceEvents"] if e["ph"] == "i"]
    check(len(failures) == sum(e[1] == "error" for e in recording.events), "instants", len(failures))


def many(count, at_once):
    """A program, and what it starts: all of them at once, or one after another."""
    recording = Recording(1, 0)
    keys = {"uid": 0, "exe": "/bin/p", "args": ["p"], "cwd": "/"}
    events = [(0, {"type": "started", "id": "b-1-1", "pid": 1, "ppid": 0, "start_time": stamp(0), **keys})]
    for i in range(2, count + 2):
        start = i * 10000
        end = (count + i) * 10000 if at_once else start + 5000
        life = {"id": "b-%d-1" % i, "pid": i, "ppid": 1, "parent_id": "b-1-1", "start_time": stamp(start), **keys}
        events += [(start, {"type": "started", **life}), (end, {"type": "exited", "exit_code": 0, **life})]
    events.sort(key=lambda e: e[0])
    recording.lines = [json.dumps({"time": stamp(time), **event}) for time, event in events]
    return recording


def cpu_of_export(recording, name):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    export(recording, name)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def programs_at_once_cost_as_others(_):
    for name in ("chrome", "svg", "html"):
        cost = [cpu_of_export(recording, name) for recording in (MANY_IN_TURN, MANY_AT_ONCE)]
        print("# %s: %.2f s in turn, %.2f s at once" % (name, *cost))
        check(cost[1] < 5 * cost[0], name, cost)


def critical_path_is_not_longer_than_the_time(recording):
    text = export(recording, "report")
    rows = text[text.index("\n      path  "):].splitlines()[1:]
    shares = []
    for row in rows:
        found = re.match(r" +(?:path  )?\+[0-9.]+(?:us|ms|s|m|h)[0-9a-z ]* +[0-9.]+[0-9a-z ]* +(\d+)%  ", row)
        if not found:
            break
        shares.append(int(found.group(1)))
    check(1 <= len(shares) <= 8, "rows", rows[:9])
    check(sum(shares) <= 100 + len(shares) / 2, "shares", shares)


def csv_has_no_formula(recording):
    rows = list(csv.reader(io.StringIO(export(recording, "csv"), newline="")))
    check({len(row) for row in rows} == {16}, "columns", {len(row) for row in rows})
    check(sum(row[3].isdigit() for row in rows) >= recording.programs, "rows")
    for row in rows:
        for cell in row:
            check(not re.match(r"[=+\-@\t\r|]", cell), "a formula", row)


def dot_is_well_formed(recording):
    string = r'"(?:[^"\\\n]|\\["\\])*"'
    lines = export(recording, "dot").splitlines()
    nodes = 0
    for line in lines[3:-1]:
        nodes += "label=" in line
        check(re.fullmatch(r"  n\d+ \[color=\w+, label=%s\];|  n\d+ -> n\d+( \[style=dashed\])?;" % string, line), line)
    check(nodes == recording.programs, "nodes", nodes)


def folded_has_all_cpu(recording):
    total = 0
    for line in export(recording, "folded").splitlines():
        frames, value = line.rsplit(" ", 1)
        check(all(frames.split(";")), "an empty frame", line)
        total += int(value)
    check(abs(total - recording.cpu // 1000) <= recording.programs, "cpu", total, recording.cpu)
    count = sum(int(line.rsplit(" ", 1)[1]) for line in export(recording, "folded", "--weight=count").splitlines())
    check(count == recording.programs, "count", count)


def sh_runs_the_same(recording):
    """bash reads each argument back; what is not printable comes as $'...'."""
    text = export(recording, "sh")
    script = "cd() { printf '%s\\0' \"$@\"; return 1; }\n" + text
    words = subprocess.run(["bash"], input=script.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    check(words.stderr == b"", words.stderr)
    folders = [e[2]["cwd"].encode() for e in recording.events if e[1] == "started"]
    check(words.stdout.split(b"\0")[:-1] == folders, "folders")
    # A shell without $'...' stops; and without that line it still takes every word for a word.
    lines = text.splitlines(True)
    guards = [line for line in lines if line.startswith("[ $'")]
    check(len(guards) == any("$'" in line for line in lines), guards)
    for script in (text, "".join(line for line in lines if line not in guards)) if shutil.which("dash") else ():
        words = subprocess.run(["dash"], input=b"cd() { printf '.'; return 1; }\n" + script.encode(), stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, check=False)
        stopped = guards and script is text
        check(not stopped or words.returncode == 1 and words.stdout.endswith(b"this shell has no $'...'\n"), words)
        check(stopped or words.stdout == b"." * len(folders), words.stdout[:200])


def arguments_come_back_through_a_shell(_):
    recording = Recording(1, 0)
    arguments = [text for text in HOSTILE if text] + ["", "A=b", "x" * 100000, "\n", "-n", "~", "*"]
    keys = {"type": "started", "time": stamp(1), "start_time": stamp(1), "id": "b-1-1", "pid": 1, "ppid": 0, "uid": 0, "exe": "/x", "cwd": "/"}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("printf", "a b", "A=b", "it's\x1b"):
            program = os.path.join(folder, name)
            with open(program, "w", encoding="ascii") as f:
                f.write("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
            os.chmod(program, 0o755)
            for first in (program, *([name] if name != "printf" else [])):
                recording.lines = [json.dumps({**keys, "args": [first, *arguments]})]
                done = subprocess.run(["bash"], input=export(recording, "sh").encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      check=False, env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]})
                check(done.stderr == b"" and done.stdout.decode().split("\0")[:-1] == arguments, first, done)


def what_lacks_arguments_is_not_run(_):
    recording = Recording(1, 0)
    recording.lines = [json.dumps({"type": "started", "time": stamp(1), "start_time": stamp(1), "id": "b-1-1", "pid": 1, "ppid": 0, "uid": 0,
                                   "exe": "/usr/bin/cc", "args": ["cc", "-c", "a.c", "new\nline"], "args_truncated": True, "cwd": "/"})]
    note = "execsnoopctl: of 1 programs not all arguments are known, see args_limit in execsnoopd.conf(5)\n"
    for name, wanted in (("sh", "# not all arguments: cd / && cc -c a.c $'new\\nline'\n"), ("compile-commands", "[\n]\n")):
        text = export(recording, name, note=note)
        check(text.endswith(wanted), name, text)
    check("line' ..." in json.loads(export(recording, "chrome", note=note))["traceEvents"][-1]["args"]["command"], "chrome")


def svg_is_xml_without_foreign_elements(recording):
    root = xml.etree.ElementTree.fromstring(export(recording, "svg"))
    names = {element.tag.split("}")[1] for element in root.iter()}
    check(names <= {"svg", "style", "text", "line", "rect", "path", "title"}, "elements", names)
    attributes = {name for element in root.iter() for name in element.attrib}
    check(not any(name.startswith("on") or "href" in name for name in attributes), "attributes", attributes)
    bars = [e for e in root.iter() if e.tag.endswith("}rect") and len(e)]
    check(len(bars) == recording.programs, "bars", len(bars))


class Page(html.parser.HTMLParser):
    """Elements, and what the element with the data holds."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.data = None
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag == "script" and ("id", "data") in attrs

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.data = data


def html_has_all_as_data_only(recording):
    with open(os.path.join(os.environ.get("top_srcdir", "."), "src/ctl/export/page.html"), encoding="utf-8") as f:
        template = Page(f.read())
    page = Page(export(recording, "html"))
    check(page.tags == template.tags, "elements", page.tags)
    check(not re.search("[<>&]", page.data), "markup in the data")
    data = json.loads(page.data)
    check(len(data["programs"]) == recording.programs, "programs", len(data["programs"]))
    check(len(data["failures"]) == sum(e[1] == "error" for e in recording.events), "failures")
    ends = {}
    for i, program in enumerate(data["programs"]):
        parent, before, row, start, end = program[0], program[1], *program[3:6]
        check(parent < i and before < i, "an order", program)
        check(0 <= start <= end <= data["duration"] and row < data["rows"], "a bar", program)
        ends.setdefault(row, []).append((start, end))
    for bars in ends.values():
        bars.sort()
        check(all(a[1] <= b[0] for a, b in zip(bars, bars[1:])), "bars of a row overlap")


def folded_searches_are_counted(_):
    """A search along PATH, and one that found nothing, as they are and as the journal has them."""
    keys = {"start_time": stamp(1), "pid": 7, "ppid": 1, "uid": 0, "exe": "x", "args": ["x"]}
    errors = [{"type": "error", "time": stamp(i), **keys, "id": "b-7-1", "filename": "/%d/x" % i, "error_code": -2, "error": "ENOENT"}
              for i in range(2, 6)]
    start = {"type": "started", "time": stamp(6), **keys, "id": "b-7-1", "filename": "/5/x"}
    others = [{**e, "id": "b-8-1", "pid": 8} for e in errors]
    headings = []
    for events in ([*errors, start, *others], [{**start, "path_tries": 5}, {**others[-1], "path_tries": 4}]):
        recording = Recording(1, 0)
        recording.lines = [json.dumps(event) for event in events]
        headings.append(export(recording, "report").splitlines()[0].split("; ", 1)[1])
    check(headings == ["1 program; 1 failed exec; 7 execs of searches along PATH"] * 2, headings)


COMPILATIONS = [
    # arguments, parent; the entries: (arguments, file, output)
    (["gcc", "-O2", "-c", "-o", "a.o", "a.c"], None, [(["/usr/bin/gcc", "-O2", "-c", "-o", "a.o", "a.c"], "/src/a.c", "/src/a.o")]),
    (["/usr/lib/gcc/cc1", "-quiet", "a.c"], 0, []),
    (["as", "-o", "a.o", "/tmp/x.s"], 0, []),
    (["cc", "-Wall", "-o", "p", "x.c", "/y/y.cc", "-lm"], None,
     [(["/usr/bin/cc", "-Wall", "-o", "p", "x.c", "-lm"], "/src/x.c", "/src/p"),
      (["/usr/bin/cc", "-Wall", "-o", "p", "/y/y.cc", "-lm"], "/y/y.cc", "/src/p")]),
    (["gcc", "-E", "a.c"], None, []),
    (["gcc", "-MM", "a.c"], None, []),
    (["gcc", "-MMD", "-MF", "a.c", "-c", "b.c"], None, [(["/usr/bin/gcc", "-MMD", "-MF", "a.c", "-c", "b.c"], "/src/b.c", None)]),
    (["cc", "-o", "p", "a.o"], None, []),
    (["ccache", "clang++-14", "-c", "n.cpp"], None, [(["clang++-14", "-c", "n.cpp"], "/src/n.cpp", None)]),
    (["clang++-14", "-c", "n.cpp"], 8, []),
    (["arm-linux-gnueabi-gcc-12", "-c", "-include", "h.c", "m.c"], None,
     [(["/usr/bin/arm-linux-gnueabi-gcc-12", "-c", "-include", "h.c", "m.c"], "/src/m.c", None)]),
    (["clang", "-cc1", "-emit-obj", "z.c"], None, []),
    (["notacc", "-c", "z.c"], None, []),
    (["g++", "-o", "h.gch", "h.hpp"], None, [(["/usr/bin/g++", "-o", "h.gch", "h.hpp"], "/src/h.hpp", "/src/h.gch")]),
    (["gcc", "-O2", "-c", "-o", "a.o", "a.c"], None, []),
]


def compile_commands_are_those_of_drivers(_):
    recording = Recording(1, 0)
    recording.lines = []
    for i, (arguments, parent, _) in enumerate(COMPILATIONS):
        name = arguments[0] if arguments[0].startswith("/") else "/usr/bin/" + arguments[0]
        event = {"type": "started", "time": stamp(i), "start_time": stamp(i), "id": "b-%d-1" % i, "pid": i + 1, "ppid": 0, "uid": 0,
                 "exe": name, "filename": name, "args": arguments, "cwd": "/src"}
        if parent is not None:
            event["parent_id"] = "b-%d-1" % parent
        recording.lines.append(json.dumps(event))
    got = [(e["arguments"], e["file"], e.get("output")) for e in json.loads(export(recording, "compile-commands"))]
    wanted = [entry for _, _, entries in COMPILATIONS for entry in entries]
    check(got == wanted, "got", got, "wanted", wanted)


MANY_IN_TURN, MANY_AT_ONCE = many(20000, False), many(20000, True)
ONCE = [programs_at_once_cost_as_others, arguments_come_back_through_a_shell, what_lacks_arguments_is_not_run, folded_searches_are_counted,
        compile_commands_are_those_of_drivers]
TESTS = [chrome_nests_and_has_all, critical_path_is_not_longer_than_the_time, svg_is_xml_without_foreign_elements, html_has_all_as_data_only, csv_has_no_formula, dot_is_well_formed, folded_has_all_cpu, sh_runs_the_same, *ONCE]


if __name__ == "__main__":
    RECORDINGS = [Recording(seed, count, serial) for seed, count, serial in ((1, 0, False), (2, 30, False), (3, 300, True), (4, 2000, False))]
    tap.main([(test.__name__, lambda test=test: [test(recording) for recording in (RECORDINGS[:1] if test in ONCE else RECORDINGS)]) for test in TESTS])
