# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl over a journal of a million entries."""
import os
import tempfile
import time

import contest
import journal_file

CTL = os.path.join(contest.e2e.BUILD, "src", "execsnoopctl")
SPAN = ["-S", "2026-11-29 10:00 UTC", "-U", "2026-11-30 10:00 UTC"]


def cost(*command):
    """What a command took: seconds, seconds of CPU, bytes of memory at most. Its output is thrown away."""
    begin = time.monotonic()
    pid = os.posix_spawnp(command[0], command, {**os.environ, "PAGER": "cat"}, file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, (command, status)
    return {"wall": time.monotonic() - begin, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss * 1024}


def ctl(quick):
    """execsnoopctl over a journal of a million entries, and journalctl -o json over the same; each reads all of it once before"""
    count = 20000 if quick else 1000000
    with tempfile.TemporaryDirectory(prefix="execsnoopd-bench-", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        journal_file.make_journal(folder, count)
        ours = {"log -o json": [CTL, "log", "-D", folder, "-t", "started,exited,error", "-o", "json"], "log": [CTL, "log", "-D", folder],
                "show": [CTL, "show", "-D", folder, "2500"], "tree": [CTL, "tree", "-D", folder, *SPAN], "stats": [CTL, "stats", "-D", folder],
                "export": [CTL, "export", "-D", folder, "-o", "folded"], "verify": [CTL, "verify", "-D", folder]}
        journalctl = ["journalctl", "-D", folder, "-o", "json"]
        samples = {name: [] for name in ours}
        ratios = []
        cost(*ours["stats"])
        for _ in range(1 if quick else 3):
            theirs = cost(*journalctl)
            for name, command in ours.items():
                samples[name].append(cost(*command))
            ratios.append(samples["log -o json"][-1]["cpu"] / theirs["cpu"])
        yield "log -o json / journalctl -o json", contest.summary(ratios, "times") | {"relative": True}
        for name, costs in samples.items():
            yield f"{name}: CPU", contest.summary([one["cpu"] for one in costs], "s")
            yield f"{name}: wall", contest.summary([one["wall"] for one in costs], "s")
            yield f"{name}: memory", contest.summary([one["memory"] / 2**20 for one in costs], "MiB")
