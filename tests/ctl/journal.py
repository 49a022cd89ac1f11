#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl over journal files, which systemd-journal-remote(8) makes of the recording's events."""
import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import tap
from tap import CTL

HERE = os.path.dirname(os.path.abspath(__file__))
REMOTE = "/lib/systemd/systemd-journal-remote"
BOOTS = ["b" * 32, "a" * 32, "c" * 32]  # in the order of time, not in that of their names
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def recording():
    with open(os.path.join(HERE, "recording.json"), encoding="utf-8") as file:
        lines = [json.loads(line) for line in file if line.startswith('{"type"')]
    return [line for line in lines if line["type"] in ("started", "exited", "error", "lost") and not line.get("snapshot")]


def microseconds(event):
    day, clock = event["time"].rstrip("Z").split("T")
    clock, fraction = clock.split(".")
    seconds = int(subprocess.check_output(["date", "-u", "-d", f"{day} {clock}", "+%s"])) if event["time"] not in SECONDS else SECONDS[event["time"]]
    SECONDS[event["time"]] = seconds
    return seconds * 1000000 + int(fraction[:6])


SECONDS = {}


def fields(event):
    for key, value in event.items():
        name = "EXECSNOOP_" + key.upper()
        if key == "args":
            # As quote_args() of src/util/quote.c has it; shlex.quote() would use double quotes.
            yield name, " ".join("'" + item.replace("'", "'\\''") + "'" for item in value)
        elif key == "ancestors":
            yield from (("EXECSNOOP_ANCESTOR", item) for item in value)
        elif isinstance(value, list):
            yield from ((name, item) for item in value)
        elif isinstance(value, dict):
            yield from ((name, f"{variable}={text}") for variable, text in value.items())
        elif isinstance(value, bool):
            yield name, "true"
        elif not key.startswith("_"):
            yield name, str(value)


def entry(event, boot, number):
    """One entry in systemd's export format."""
    at = microseconds(event)
    head = [("__REALTIME_TIMESTAMP", str(at)), ("__MONOTONIC_TIMESTAMP", str(number + 1)), ("_BOOT_ID", boot), ("_HOSTNAME", event.get("_HOSTNAME", "here")),
            ("_MACHINE_ID", "d" * 32), ("SYSLOG_IDENTIFIER", "execsnoopd"), ("MESSAGE", f"event {number}")]
    out = b""
    for name, value in head + list(fields(event)):
        data = value.encode("utf-8", "surrogateescape")
        out += name.encode() + (b"=" + data if b"\n" not in data else b"\n" + len(data).to_bytes(8, "little") + data) + b"\n"
    return out + b"\n"


def write(path, events, boot=BOOTS[0], first=0):
    export = b"".join(entry(event, boot, first + i) for i, event in enumerate(events))
    subprocess.run([REMOTE, "-o", path, "-"], input=export, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(*arguments, status=0):
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([CTL, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
    assert status in (None, done.returncode), (arguments, done.returncode, done.stdout[-500:], done.stderr)
    return done.stdout.decode() + done.stderr.decode()


def seqs(*arguments):
    """Those of a subscriber's loss have none."""
    lines = [json.loads(line) for line in run(*arguments, "-o", "json").splitlines()]
    return [line["seq"] for line in lines if "seq" in line]


@test
def log_of_a_journal_is_that_of_the_stream(folder):
    events = recording()
    write(f"{folder}/a.journal", events)
    lines = [json.loads(line) for line in run("log", "-t", "started,exited,error,lost", "-D", folder, "-o", "json").splitlines()]
    for line, event in zip(lines, events):
        event = {key: value for key, value in event.items() if key not in ("ancestors", "env", "later_key") and not key.endswith("_raw")}
        assert all(line[key] == value for key, value in event.items() if key != "args"), (line, event)
    assert len(lines) == len(events)


@test
def last_lines_are_the_last_of_all(folder):
    write(f"{folder}/a.journal", recording())
    every = seqs("log", "-D", folder, "-t", "exited,error")
    lines = run("log", "-D", folder, "-t", "exited,error", "-o", "json").splitlines()
    assert run("log", "-D", folder, "-t", "exited,error", "-o", "json", "-n", "5").splitlines() == lines[-5:]
    assert run("log", "-D", folder, "-t", "exited,error", "-o", "json", "-r", "-n", "5").splitlines() == lines[:-6:-1]
    assert seqs("log", "-D", folder, "-t", "exited,error", "-r") == every[::-1]
    since = ["-S", "2026-11-29 10:00:04 UTC"]
    assert 0 < len(seqs("log", "-D", folder, "-t", "exited", *since)) < len(every)
    assert seqs("log", "-D", folder, "-t", "exited", "-r", *since) == seqs("log", "-D", folder, "-t", "exited", *since)[::-1]


@test
def damaged_files_are_reported(folder):
    events = recording()
    half = len(events) // 2
    write(f"{folder}/whole.journal", events[:half])
    write(f"{folder}/cut.journal", events[half:], first=half)
    assert len(seqs("log", "-D", folder, "-t", "!forked")) == sum("seq" in event for event in events)
    os.truncate(f"{folder}/cut.journal", os.stat(f"{folder}/cut.journal").st_size // 2)
    with open(f"{folder}/foreign.journal~", "wb") as out:
        out.write(b"no journal\n" * 1000)
    for command in (["log", "-o", "json"], ["verify"], ["tree", "-S", "2026-11-29"]):
        said = run(*command, "-D", folder, status=65)
        reported = [line.split(":")[0] for line in said.splitlines() if "the file is not read" in line]
        assert sorted(reported) == [f"{folder}/cut.journal", f"{folder}/foreign.journal~"], said


def unread(*arguments, status=65):
    """The files that a command reports as not read."""
    return sorted(line.split(": the file is not read")[0] for line in run(*arguments, status=status).splitlines() if "the file is not read" in line)


@test
def damaged_files_are_found_where_sd_journal_looks(folder):
    """The name of the folder looks like a pattern; below it are a machine, a namespace of it, and something else."""
    top, machine = f"{folder}/a[b]*?", "d" * 32
    for name in ("", machine, f"{machine}.other", "old"):
        os.makedirs(f"{top}/{name}")
        with open(f"{top}/{name}/damaged.journal", "wb") as out:
            out.write(b"no journal\n" * 1000)
    write(f"{top}/{machine}/a.journal", recording())
    assert unread("log", "-D", top) == sorted([f"{top}/damaged.journal", f"{top}/{machine}/damaged.journal"])


@test
def file_that_is_being_created_is_not_damaged(folder):
    write(f"{folder}/a.journal", recording())
    with open(f"{folder}/system.journal", "wb"):
        pass
    assert not unread("log", "-D", folder, status=0)
    os.utime(f"{folder}/system.journal", (0, 0))
    assert unread("log", "-D", folder) == [f"{folder}/system.journal"]


@test
def boot_is_chosen_by_number_and_id(folder):
    events = recording()
    third = len(events) // 3
    parts = [events[:third], events[third:2 * third], events[2 * third:]]
    for boot, part in zip(BOOTS, parts):
        write(f"{folder}/{boot}.journal", part, boot)
    for name, part in [("0", 2), ("-1", 1), ("-2", 0), ("1", 0), ("3", 2), (BOOTS[1], 1), (BOOTS[1] + "-1", 0), (BOOTS[1] + "+1", 2)]:
        expected = [event["seq"] for event in parts[part] if "seq" in event]
        assert seqs("log", "-t", "!forked", "-D", folder, f"--boot={name}") == expected, name
    assert seqs("log", "-D", folder, "-t", "!forked", "-b", "-1") == seqs("log", "-D", folder, "-t", "!forked", "-b" + BOOTS[1])
    assert "no such boot" in run("log", "-D", folder, "-b", "-3", status=1)


@test
def follow_begins_with_the_last_lines_and_continues(folder):
    events = [event for event in recording() if event["type"] == "exited"]
    path = f"{folder}/a.journal"
    write(path, events[:-2])
    with subprocess.Popen(["timeout", "30", CTL, "log", "-f", "-n", "3", "-D", folder, "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as reader:
        shown = [json.loads(reader.stdout.readline())["seq"] for _ in range(3)]
        write(f"{folder}/b.journal", events[-2:], first=1000)
        shown += [json.loads(reader.stdout.readline())["seq"] for _ in range(2)]
        reader.send_signal(signal.SIGTERM)
        assert reader.wait(10) == -signal.SIGTERM
    assert shown == [event["seq"] for event in events[-5:]], shown


def opened(pid, name):
    """Whether a process has a file open whose name begins so."""
    with contextlib.suppress(FileNotFoundError):
        for fd in os.listdir(f"/proc/{pid}/fd"):
            if os.path.basename(os.readlink(f"/proc/{pid}/fd/{fd}")).startswith(name):
                return True
    return False


def log_while_rotated(folder):
    """The events of `log`, stopped while it opens the files of a folder, where journald's file is rotated then; None: it was open already."""
    active, archived = f"{folder}/system.journal", f"{folder}/system@{0:032x}-{1:016x}-{1:016x}.journal"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(archived)
    shutil.copy(f"{folder}/full/full.journal", active)
    with subprocess.Popen([CTL, "log", "-q", "-D", folder, "-o", "json", "make"], stdout=subprocess.PIPE) as reader:
        while reader.poll() is None and len(os.listdir(f"/proc/{reader.pid}/fd")) < 6:
            pass
        reader.send_signal(signal.SIGSTOP)
        late = reader.poll() is not None or opened(reader.pid, "system")
        os.rename(active, archived)
        shutil.copy(f"{folder}/other@{0:032x}-{0:016x}-{0:016x}.journal", active + ".new")
        os.rename(active + ".new", active)
        reader.send_signal(signal.SIGCONT)
        lines = reader.stdout.read().splitlines()
    return None if late else len(lines)


@test
def rotation_while_files_are_opened_hides_none(folder):
    os.mkdir(f"{folder}/full")
    write(f"{folder}/full/full.journal", recording())
    write(f"{folder}/other@{0:032x}-{0:016x}-{0:016x}.journal", [event for event in recording() if event["type"] == "exited"][-1:])
    for i in range(1, 200):
        os.link(f"{folder}/other@{0:032x}-{0:016x}-{0:016x}.journal", f"{folder}/other@{0:032x}-{i:016x}-{0:016x}.journal")
    shown = []
    while len([count for count in shown if count is not None]) < 3 and len(shown) < 60:
        shown.append(log_while_rotated(folder))
    counts = [count for count in shown if count is not None]
    assert counts and set(counts) == {len(run("log", "-q", "-D", folder, "-o", "json", "make").splitlines())}, shown


@test
def tree_of_a_span_has_all_that_lived_in_it(folder):
    write(f"{folder}/a.journal", recording())
    out = run("tree", "-D", folder, "-S", "2026-11-29 10:00:04.203 UTC", "-U", "2026-11-29 10:00:04.302 UTC", "--numeric")
    assert "make -j8 all" in out and "sh ×3" in out and "f3.c" in out and "rm ×2" in out and "f1.c" not in out, out
    out = run("tree", "-D", folder, "--at=2026-11-29 10:00:04 UTC", "--numeric")
    assert out.count("cc -O2") == 8 and "exit" not in out, out


@test
def tree_without_a_time_is_what_runs_at_the_end(folder):
    """Of a journal as of a file."""
    events = recording()
    ended = {event["id"] for event in events if event["type"] == "exited"}
    running = {event["pid"] for event in events if event["type"] == "started" and event["id"] not in ended}
    assert running
    write(f"{folder}/a.journal", events)
    with open(f"{folder}/lines.json", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    shown = run("tree", "-i", f"{folder}/lines.json", "--no-legend")
    for source in (["-D", folder], [f"--file={folder}/*.journal"], ["-D", folder, "-b"]):
        assert run("tree", *source, "--no-legend") == shown, source
    assert all(re.search(rf" {pid} ", shown) for pid in running), shown


@test
def log_of_a_journal_is_that_of_a_file(folder):
    """Whatever its order and end: what runs still comes last, and is none of the last lines that were asked for."""
    events = recording()
    late = dict(next(event for event in events if event["type"] == "started"), id="00c0ffee00c0ffee-70000-1", pid=70000, start_time="2026-11-29T09:00:00.000000000Z")
    events.append({**late, "seq": 1000, "time": max(event["time"] for event in events)})
    # The entries of this test have no exact bytes of their own.
    events = [{key: value for key, value in event.items() if not key.endswith("_raw")} for event in events]
    write(f"{folder}/a.journal", events)
    with open(f"{folder}/lines.json", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    for options in ([], ["-r"], ["-n", "4"], ["-r", "-n", "4"], ["-n", "0"], ["--failed", "-r"]):
        shown = run("log", *options, "-D", folder, status=None)
        assert shown == run("log", *options, "-i", f"{folder}/lines.json", status=None), options
        running = [line.split()[3] for line in shown.splitlines() if " running " in line]
        assert running == ([] if "-n" in options or "--failed" in options else ["40001", "70000"] if "-r" in options else ["70000", "40001"]), shown
        assert not running or shown.splitlines()[-1].split()[3] == running[-1], shown


@test
def time_chooses_one_of_several_that_had_a_pid(folder):
    lives = [{"type": "exited", "seq": n, "time": f"2026-11-29T10:0{n}:30.000000000Z", "id": f"a-500-{n}", "parent_id": "a-1-1", "pid": 500, "uid": 0, "comm": name,
              "args": [name], "start_time": f"2026-11-29T10:0{n}:00.000000000Z", "running_time_ns": 30000000000, "exit_code": 0}
             for n, name in enumerate(("first", "second", "third"), 1)]
    parent = {"type": "started", "seq": 9, "time": "2026-11-29T09:00:00.000000000Z", "id": "a-1-1", "pid": 1, "uid": 0, "comm": "init", "args": ["/sbin/init"],
              "start_time": "2026-11-29T09:00:00.000000000Z"}
    write(f"{folder}/a.journal", [parent, *lives])
    with open(f"{folder}/lines.json", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in [parent, *lives])
    for source in (["-D", folder], ["-i", f"{folder}/lines.json"]):
        for options, name in (([], "third"), (["-U", "2026-11-29 10:02:10"], "second"), (["-S", "2026-11-29 10:01:10", "-U", "2026-11-29 10:01:20"], "first"),
                              (["-U", "2026-11-29 10:01:00"], None), (["-S", "2026-11-29 10:04"], None)):
            out = run("show", *source, *options, "500", status=0 if name else 1)
            assert name is None or (f"Command: {name}\n" in out and "1 /sbin/init" in out), (source, options, out)
    for name in ("4294967796", "0", "99999999999999999999999", "", "-1"):
        assert "no event of such a process" in run("show", "-i", f"{folder}/lines.json", "--", name, status=1), name
    assert run("tree", "-i", f"{folder}/lines.json", "-S", "2026-11-29", "4294967796", status=1) == ""


def life_of(host, boot, second):
    """A shell and what it ran, with the pids that every host and boot of this test has."""
    common = {"_HOSTNAME": host, "stream": boot * 2, "uid": 0, "running_time_ns": 1, "exit_code": 0}
    shell = {"id": f"{boot}-100-1", "pid": 100, "comm": "sh", "args": ["sh", host, boot]}
    work = {"id": f"{boot}-200-2", "pid": 200, "comm": "work", "args": ["work", host, boot], "parent_id": shell["id"], "ppid": 100}
    steps = [("started", shell), ("started", work), ("exited", work), ("exited", shell)]
    return [{"type": kind, "seq": seq, "time": f"2026-11-29T10:00:{second:02}.00{seq}000000Z", "start_time": f"2026-11-29T10:00:{second:02}.000000000Z", **common, **of}
            for seq, (kind, of) in enumerate(steps, 1)]


@test
def hosts_and_boots_are_not_mixed(folder):
    """Each has the same pids, at times that overlap."""
    every = [("alpha", "aaaaaaaaaaaaaaa1", 1), ("beta", "bbbbbbbbbbbbbbb1", 1), ("alpha", "aaaaaaaaaaaaaaa2", 2)]
    for host, boot, second in every:
        write(f"{folder}/{host}{boot}.journal", life_of(host, boot, second), boot * 2)
    shown = [json.loads(line) for line in run("log", "-D", folder, "-o", "json").splitlines()]
    assert sorted(line["id"] for line in shown) == sorted(f"{boot}-{pid}" for _, boot, _ in every for pid in ("100-1", "200-2"))
    tree = run("tree", "-D", folder, "-S", "2026-11-29", "-U", "2026-11-30", "--no-legend").splitlines()
    assert len(tree) == 6, tree
    for up, down in zip(tree[::2], tree[1::2]):
        assert up.split()[1:3] == down.split()[1:3] and "work" in down, tree
    for _, boot, _ in every:
        out = run("show", "-D", folder, f"{boot}-200-2")
        assert f"sh {'beta' if boot[0] == 'b' else 'alpha'} {boot}" in out and out.count("sh ") == 1, out
    stats = run("stats", "-D", folder, "--by=host", "--no-legend").splitlines()
    assert sorted((line.split()[0], line.split()[-1]) for line in stats) == [("2", "beta"), ("4", "alpha")], stats
    assert run("verify", "-D", folder).count(": complete") == 3
    alone = [json.loads(line) for line in run("log", f"--file={folder}/alpha*.journal", "-o", "json").splitlines()]
    assert len(alone) == 4 and all(line["id"].startswith("a") for line in alone), alone
    assert "No such file" in run("log", f"--file={folder}/nothing*.journal", status=71)


def in_folder(function):
    with tempfile.TemporaryDirectory() as folder:
        function(folder)


def main():
    """The tests of the program's own file, each with a folder."""
    if not os.path.exists(REMOTE):
        print(f"1..0 # SKIP there is no {REMOTE}")
        sys.exit(0)
    tap.main([(function.__name__, functools.partial(in_folder, function)) for function in TESTS if function.__module__ == "__main__"])


if __name__ == "__main__":
    main()
