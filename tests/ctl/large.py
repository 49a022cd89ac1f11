#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl over many entries: what it costs beside journalctl(1), and how that grows. `make bench BENCH=ctl` has a million of them. Only
CPU time is compared, with a margin of several times."""
import json
import os
import re
import subprocess
import sys
import tempfile

import journal
from journal import CTL, test

sys.path.insert(0, os.path.join(journal.HERE, "..", "bench"))
import journal_file  # noqa: E402 pylint: disable=wrong-import-position

MANY, FEW = 30000, 3000
FOLDER = tempfile.TemporaryDirectory()
SPAN = ["-S", "2026-11-29 10:00 UTC", "-U", "2026-11-30 10:00 UTC"]
MIB = 2**20


def journal_of(count):
    folder = os.path.join(FOLDER.name, str(count))
    if not os.path.exists(folder):
        os.mkdir(folder)
        journal_file.make_journal(folder, count)
    return folder


def cost(*command):
    """CPU seconds, and bytes of memory at most, of a command that succeeds; the best of three."""
    best = None
    for _ in range(3):
        pid = os.posix_spawnp(command[0], command, {**os.environ, "TZ": "UTC"}, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
        _, status, usage = os.wait4(pid, 0)
        assert status == 0, (command, status)
        took = usage.ru_utime + usage.ru_stime
        best = min(best, (took, usage.ru_maxrss * 1024)) if best else (took, usage.ru_maxrss * 1024)
    return best


def output(*command):
    return subprocess.run(command, env={**os.environ, "TZ": "UTC", "LC_ALL": "C.UTF-8"}, check=True, stdout=subprocess.PIPE, timeout=60).stdout.decode()


@test
def log_is_faster_than_journalctl(_):
    many = journal_of(MANY)
    ours = [CTL, "log", "-D", many, "-t", "started,exited,error", "-o", "json"]
    assert output(*ours).count("\n") == MANY
    (mine, _), (theirs, _) = cost(*ours), cost("journalctl", "-D", many, "-o", "json")
    assert mine < theirs, f"{mine:.3f} s; journalctl {theirs:.3f} s"


@test
def process_is_found_by_the_index(_):
    """Ten times the entries, and it takes as long. The pid is used once in both."""
    of_many, of_few = ([CTL, "show", "-D", journal_of(count), "2500"] for count in (MANY, FEW))
    assert "2500" in output(*of_many) and "Why" in output(*of_many)
    (many, _), (few, _), (read_all, _) = cost(*of_many), cost(*of_few), cost(CTL, "log", "-D", journal_of(MANY))
    assert many < 3 * few + 0.01 and many < read_all / 4, f"{many:.3f} s; of a tenth {few:.3f} s; all is read in {read_all:.3f} s"


@test
def tree_of_a_span_is_a_page(_):
    """Every process is in it, folded; and it takes memory for them, not for the files that they are in."""
    tree = [CTL, "tree", "-D", journal_of(MANY), *SPAN]
    out = output(*tree)
    shells = sum(int(count or 1) for count in re.findall(r"─sh(?: ×(\d+)| -c)", out))
    started = output(CTL, "log", "-D", journal_of(MANY), "-t", "started", "comm=sh", "-o", "json").count("\n")
    assert shells == started > MANY / 10, (shells, started)
    assert out.count("\n") < MANY / 40, out.count("\n")
    _, memory = cost(*tree)
    # 15,000 processes of 400 bytes, a file of 40 MiB at a time, libraries.
    assert memory < 100 * MIB, memory / MIB


@test
def depth_of_a_tree_costs_no_more_than_its_size(folder):
    """Each process is the child of the one before: a walk over the ancestors of each would never end, and recursion leaves the stack."""
    path = f"{folder}/deep.json"
    with open(path, "w", encoding="utf-8") as file:
        for i in range(2, 100000):
            print(json.dumps({"type": "started", "time": "2026-11-29T10:00:00.000000000Z", "id": f"b-{i}-{i}", "parent_id": f"b-{i - 1}-{i - 1}", "pid": i, "uid": 0,
                              "comm": "sh"}), file=file)
    took, _ = cost(CTL, "tree", "-i", path, *SPAN)
    read, _ = cost(CTL, "stats", "-i", path)
    assert took < 5 * read, f"{took:.2f} s, and {read:.2f} s to read it"
    assert "too deep" in output(CTL, "tree", "-i", path, *SPAN)


if __name__ == "__main__":
    journal.main()
