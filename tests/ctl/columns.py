#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Columns: numbers, times and statuses are whole in any width; into a file or a pipe everything is."""
import json
import os
import subprocess

import journal
from journal import CTL, test

# Each is longer than its column.
EVENT = {"type": "exited", "seq": 18446744073709551615, "time": "2026-11-29T10:00:00.123456789Z", "id": "8040ef965e8ef083-4194304-43da92184", "start_time":
         "2025-11-29T10:00:00.123456789Z", "ppid": 4194303, "parent_comm": "systemd-userwor", "pid": 4194304, "uid": 4294967294, "comm": "fifteen-letters", "exe": "/usr/lib/" + "e" * 90,
         "filename": "f" * 3000, "args": ["x" * 700], "env": {"LONG": "v" * 4000}, "unit": "u" * 200 + ".service", "ancestors": [f"ancestor-{i}" for i in range(90)],
         "parent_args": ["p" * 2000], "running_time_ns": 31536000000000000, "exit_signal": "SIGRTMIN+14", "cpu_user_ns": 123456789012345678, "cpu_system_ns": 1,
         "max_rss_bytes": 1 << 60, "exe_inode": 18446744073709551614}
FAILED = {"type": "error", "seq": 7, "time": "2026-11-29T10:00:01.000000000Z", "pid": 5, "ppid": 4194302, "parent_comm": "systemd-userwor", "uid": 0, "comm": "a", "exe": "/b", "error_code": -93,
          "error": "EPROTONOSUPPORT"}


def log(folder, *options, width=None):
    path = f"{folder}/lines.json"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in (EVENT, FAILED))
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C.UTF-8", **({"COLUMNS": str(width)} if width else {})}
    return subprocess.check_output([CTL, "log", "-i", path, "--numeric", *options], env=environment, text=True)


@test
def numbers_times_and_statuses_are_whole_in_any_width(folder):
    for width in (20, 40, 60, 80, 100, 200):
        out = log(folder, width=width)
        for whole, title in (("4194304", "PID"), ("4294967294", "USER"), ("SIGRTMIN+14", "STATUS"), ("EPROTONOSUPPORT", "STATUS"), ("365d 0h", "TOOK"), ("10:00:00", "TIME")):
            assert whole in out or title not in out, (width, out)
        assert all(title in out for title in (["PID", "STATUS"] + ["TIME"] * (width > 20) + ["USER", "TOOK"] * (width > 40) + ["PARENT"] * (width > 80))), (width, out)
        # Where there is a parent, its name is cut, not its pid.
        assert "PARENT" not in out or ("(4194303)" in out and "(4194302)" in out), (width, out)
        keys = ["seq", "start_time", "pid", "cpu_user_ns", "exe_inode", "uid", "max_rss_bytes"]
        out = log(folder, "--columns=" + ",".join([*keys, "took", "cpu", "exe", "comm"]), width=width)
        for key in keys:
            assert f" {EVENT[key]} " in " ".join(["", *out.splitlines(), ""]) and (key in out or key == "pid"), (width, key, out)


@test
def everything_is_whole_in_a_pipe_and_with_full(folder):
    keys = ["id", "exe", "filename", "unit", "comm", "parent"]
    for options, width in (([], None), (["--full"], 40)):
        for last in ("filename", "env", "ancestors", "parent_args", "unit", "args", "command"):
            line = log(folder, *options, "--columns=" + ",".join([*keys, last]), width=width).splitlines()[1]
            assert "…" not in line, (last, line)
            assert all(EVENT[key] in line for key in ("id", "exe", "filename", "unit", "comm")) and "systemd-userwor(4194303)" in line, line
            assert {"env": "LONG=" + "v" * 4000, "ancestors": "ancestor-89", "parent_args": "p" * 2000}.get(last, "x" * 700 if last in ("args", "command") else EVENT.get(last)) in line, (last, line)


@test
def text_is_cut_on_a_terminal_only(folder):
    out = log(folder, "--columns=exe,unit,comm,pid", width=80)
    assert "e" * 20 not in out and "u" * 30 not in out and "fifteen-le" in out, out


if __name__ == "__main__":
    journal.main()
