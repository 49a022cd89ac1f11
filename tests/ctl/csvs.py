#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl log -o csv, as Python's csv module and a spreadsheet would read it; formats that there are not."""
import csv
import io
import json

import journal
from journal import recording, run, test

HOSTILE = ["=1+2", "+1", "-1", "@SUM(A1)", "|calc", "\t=1", "\r=1", "a\"b", "a,b", "a\nb", "a\r\nb", "\x1b]0;title\x07", "\u202eevil", "", " ", "'", "ü"]


def lines(folder, events):
    path = f"{folder}/lines.json"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    return path


def table(*arguments):
    """The rows as dictionaries. Every line is one row: nothing in it is a line's end."""
    text = run("log", "-o", "csv", *arguments, status=None)
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert len(text.split("\n")) == len(rows) + 2, text
    assert all(None not in row and None not in row.values() for row in rows), "a row is longer or shorter than the heading"
    return rows


@test
def rows_are_the_events(folder):
    path = lines(folder, recording())
    keys = ["type", "seq", "time", "id", "pid", "ppid", "uid", "exit_code", "exit_signal", "error", "error_code", "running_time_ns", "count", "where", "unit"]
    rows = table("-i", path, "-t", "started,exited,error,lost", "--columns=" + ",".join(keys))
    expected = [{key: str(event.get(key, "")) for key in keys} for event in recording()]
    assert rows == expected, [pair for pair in zip(rows, expected) if pair[0] != pair[1]][:1]


@test
def nothing_is_a_formula_or_acts_on_a_terminal(folder):
    events = [{"type": "started", "seq": n, "time": "2026-11-29T10:00:00.000000000Z", "pid": n, "uid": 0, "comm": text, "exe": text, "filename": text, "cwd": text,
               "unit": text, "cgroup": text, "parent_comm": text, "args": [text, text], "ancestors": [text], "tty": text, "id": text, "container_id": text,
               "env": {text or "x": text}, "host": text, "user": text, "parent_args": [text], "session_leader_id": text}
              for n, text in enumerate(HOSTILE, 1)]
    keys = ["comm", "exe", "filename", "cwd", "unit", "cgroup", "parent_comm", "args", "ancestors", "tty", "id", "container_id", "env", "host", "user", "parent_args",
            "session_leader_id", "command", "parent", "pid"]
    rows = table("-i", lines(folder, events), "-t", "started", "--columns=" + ",".join(keys))
    assert len(rows) == len(events)
    for row, event in zip(rows, events):
        assert row["pid"] == str(event["pid"])
        for key, value in row.items():
            assert not value or value[0] not in "=+-@|\t\r", (key, value)
            assert not any(ord(c) < 32 or c in "\x7f\u202e" for c in value), (key, value)
        if event["comm"] in ("a\"b", "a,b", " ", "'", "ü"):
            assert row["comm"] == event["comm"], row


@test
def usual_columns_and_heading(folder):
    path = lines(folder, recording())
    rows = table("-i", path)
    assert [row["status"] for row in rows if row["type"] == "lost"] == ["17 lost"], rows
    assert rows[0]["type"] == "exited" and rows[0]["pid"] == "22032" and rows[0]["command"] == "run-parts /etc/cron.hourly", rows[0]
    assert run("log", "-i", path, "-o", "csv", "--no-legend").startswith("2026-"), "there is a heading"
    assert run("log", "-i", path, "-o", "csv", "none-of-this-name", "-S", "2030-01-01", status=1).count("\n") == 1
    assert "no such column" in run("log", "-i", path, "-o", "csv", "--columns=pid,nonsense", status=2)
    ended = [row["pid"] for row in rows if row["type"] != "started"]
    assert [row["pid"] for row in table("-i", path, "-r", "-n", "2")] == ended[-2:][::-1]
    assert len(table("-i", path, "--columns=" + ",".join(["pid"] * 60))) == len(rows)


@test
def formats_that_do_not_exist_are_refused(folder):
    path = lines(folder, recording())
    for name in ("ecs", "ocsf", "otel", "svg", "", "JSON"):
        for command in ("log", "watch"):
            out = run(command, "-i", path, "-o", name, status=2)
            assert "no such format" in out and out.count("\n") == 1, out
    for name in ("short", "verbose", "json", "json-pretty", "csv", "sh", "cat"):
        assert run("log", "-i", path, "-o", name)
    assert "17" in run("log", "-i", path, "-o", "sh"), "a loss is left out"


if __name__ == "__main__":
    journal.main()
