#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each view of execsnoopctl over a recorded stream, compared byte for byte with the files in golden/, which GOLDEN=write writes.
Whatever the view, nothing in its output acts on a terminal."""
import functools
import os
import re
import socket
import subprocess
import tempfile
import threading

import tap
from tap import CTL

HERE = os.path.dirname(os.path.abspath(__file__))
# In the folder in which the commands run, so that messages are the same everywhere.
STATS = "stats.json"
RECORDING = "recording.json"
HOSTILE = "hostile.json"
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
    "tree-lived": ["tree", "-S", "2026-11-29 10:00:04.203", "-U", "2026-11-29 10:00:04.302"],
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
    "top-io": ["top", "-b", "--sort=io"],
    "top-json": ["top", "-b", "--by=spawner", "-o", "json", "cc", "sh"],
    "diff": ["diff", "recording.json", "recording-other.json"],
    "diff-lines": ["diff", "recording-other.json", "recording.json", "-n", "1", "cc", "/opt*"],
    "diff-none": ["diff", "recording.json", "recording.json"],
    "verify": ["verify"],
    "verify-hostile": ["verify", "-i", HOSTILE],
    "metrics": ["metrics", "-i", STATS],
    "show-hostile": ["show", "-i", HOSTILE, "50"],
    "log-last-reverse": ["log", "-r", "-n", "4"],
    "csv": ["log", "-o", "csv"],
    "csv-columns": ["log", "-t", "started,exited,error,lost", "-o", "csv", "--columns=time,pid,parent,status,took,cpu,rss,unit,args,error_code,command"],
    "cat": ["log", "-o", "cat", "-t", "started,exited,error,lost"],
    "json": ["log", "-o", "json"],
    "json-pretty": ["log", "-o", "json-pretty", "--failed"],
    "sh": ["log", "-o", "sh"],
}
# Without a terminal: one width.
EXPORTS = {
    "command-last": ["--utc", "-n", "3", "log", "cc"],
    "command-unknown": ["--utc", "cc", "log"],
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
# What a daemon answers, and the command that is given the answer.
ANSWERS = {
    "rejected": (["watch"], '{"type":"rejected","reason":"no \\u001b]0;title\\u0007 here"}'),
    "watch-idle": (["watch"], '{"type":"subscribed"}\n{"type":"live","time":"2026-11-30T10:00:00Z","stream":"0123456789abcdef","last_seq":0}'),
    "status-names": (["status"], """{"type":"stats","version":"0.1","uptime_s":50,"lost":{"untold":2},"subscribers_lost":12,"subscribers_not_listed":3,
"subscribers":[{"uid":0,"pid":77,"name":"siem","events":25,"lost":0,"queue":0,"queue_peak":9000},{"uid":0,"pid":78,"events":1,"lost":0,"queue":0,"queue_peak":0}],
"named":[{"name":"siem","uid":0,"connected":true,"events":25,"lost":0,"queue":0},
{"name":"a\\u001b[31m","uid":1000,"connected":false,"events":70,"lost":5,"queue":4194304}]}""".replace("\n", "")),
    "status": (["status"], """{"type":"stats","version":"0.1\\u001b[31m","uptime_s":93784,"events":{"started":12,"exited":10,"error":3},
"lost":{"fork":0,"exec":2,"exit":0,"error":0,"skipped":1},"probes":{"errors":"k\\u202eprobe","runs":1000,"run_time_ns":2500000,"ring_buffer_bytes":8388608,
"ring_buffer_used":4096},"table":{"processes":321,"args_bytes":65536},"memory_bytes":7340032,"journal":{"written":25,"lost":4,"queue":0,"queue_peak":1200},
"subscribers":[{"uid":0,"pid":77,"events":25,"lost":0,"queue":0,"queue_peak":9000},
{"uid":1000,"pid":4190000,"events":12345678,"lost":9,"queue":4194304,"queue_peak":4194304}]}""".replace("\n", "")),
}
LOCALES = {"utf8": "C.UTF-8", "ascii": "C"}
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f]")


def run(command, width, locale):
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": LOCALES[locale], "COLUMNS": str(width)}
    done = subprocess.run(command, cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return f"exit {done.returncode}\n".encode() + done.stdout + done.stderr


def answer(server, line):
    connection = server.accept()[0]
    connection.recv(65536)
    connection.sendall(line.encode() + b"\n")
    connection.close()


def answered(command, line, width, locale, color):
    """What the command prints when the daemon answers this."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = os.path.join(folder, "socket")
        server.bind(path)
        server.listen()
        server.settimeout(20)
        thread = threading.Thread(target=answer, args=(server, line))
        thread.start()
        output = run([CTL, *command, f"--socket={path}", "--numeric", f"--color={color}"], width, locale)
        thread.join()
    return output


def printed(view, width, locale, color):
    if isinstance(view, tuple):
        return answered(*view, width, locale, color)
    source = [] if view[0] == "diff" or "-i" in view else ["-i", RECORDING]
    return run([CTL, view[0], *source, "--numeric", f"--color={color}", *view[1:]], width, locale)


def cases():
    for name, view in ANSWERS.items():
        yield name, view, 100, "utf8", "never"
    for name, view in VIEWS.items():
        for width in (60, 100, 200):
            yield f"{name}-{width}", view, width, "utf8", "never"
    for name, view in EXPORTS.items():
        yield name, view, 0, "utf8", "never"
    for name in ("watch", "log", "tree-time", "show", "stats", "top", "diff", "verify"):
        yield f"{name}-color", VIEWS[name], 100, "utf8", "always"
        yield f"{name}-ascii", VIEWS[name], 100, "ascii", "never"


def check(name, view, width, locale, color):
    output = printed(view, width, locale, color)
    text = output.decode()
    if color == "always":
        text = re.sub("\x1b\\[[0-9;]*m", "", text)
    acts = CONTROL.search(text)
    assert not acts or "json" in name, f"acts on a terminal: {acts.group()!r} in {text[max(0, acts.start() - 40):acts.end() + 20]!r}"
    path = os.path.join(HERE, "golden", name + ".txt")
    if os.environ.get("GOLDEN") == "write":
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(output)
    with open(path, "rb") as file:
        expected = file.read()
    was, now = expected.splitlines(), output.splitlines()
    for number, (one, other) in enumerate(zip(was + [b""], now + [b""]), 1):
        assert one == other, f"line {number}:\n  was {one!r}\n  is  {other!r}"
    assert output == expected, f"{len(was)} lines were, {len(now)} are"


if __name__ == "__main__":
    tap.main([(case[0], functools.partial(check, *case)) for case in cases()])
