#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The start and the resync, while processes come and go: the table is what /proc says, every exec is reported once and with its arguments.

STARTS=N: so many starts instead of a few, and a tenth of them slow. COUNT=1: all of them, with a line for each that is wrong."""
import mmap
import os
import platform
import signal
import socket
import struct
import subprocess
import tempfile
import time

from e2e import (BUILD, PATIENCE, SLOW, Client, Daemon, Failure, check, check_seq, equal, is_sanitized,
                 live, main, needs, seconds, test, until)

STORM = os.path.join(BUILD, "tests", "e2e", "storm")
PRELOAD = os.path.join(BUILD, "tests", "e2e", "slow.so")
STARTS = int(os.environ.get("STARTS", "0"))
COUNT = bool(os.environ.get("COUNT"))
ROOM, HEAD, ENTRY = 65536, 16, struct.Struct("=QQQII")  # struct log of storm.c
TICKS = os.sysconf("SC_CLK_TCK")


def many_segments(path, count=1000):
    """A program that the kernel takes long to load: it writes a byte to descriptor 5 and waits. False: the kernel refuses it."""
    code = bytes.fromhex("b801000000" "bf05000000" "488d3511000000" "ba01000000" "0f05" "b822000000" "0f05" "ebf7" "00")
    base, page = 0x10000000, 4096
    headers = 64 + 56 * count
    start = (headers + page - 1) // page * page
    image = bytearray(start + page)
    image[start:start + len(code)] = code
    struct.pack_into("<16sHHIQQQIHHHHHH", image, 0, b"\x7fELF\x02\x01\x01", 2, 62, 1, base, 64, 0, 0, 64, 56, count, 0, 0, 0)
    for i in range(count):
        struct.pack_into("<IIQQQQQQ", image, 64 + 56 * i, 1, 5, start, base + i * 2 * page, 0, page, page, page)
    with open(path, "wb") as f:
        f.write(image)
    os.chmod(path, 0o755)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(write_end, 5)
        try:
            os.execv(path, ["many"])
        except OSError:
            os._exit(1)
    os.close(write_end)
    runs = os.read(read_end, 1) != b""
    os.close(read_end)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return runs


class Storm:
    """storm.c, and what it knows of each exec: (begin, done, until, pid, stays), times in ns since the epoch."""
    number = 0

    def __init__(self, folder, many=None, only=False):
        Storm.number += 1
        self.run = "storm%d.%d" % (os.getpid(), Storm.number)
        path = os.path.join(folder, self.run)
        with open(path, "wb") as f:
            f.truncate(HEAD + ROOM * ENTRY.size)
        with open(path, "rb") as f:
            self.log = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        self.process = subprocess.Popen([STORM, path, self.run, "3", "60", *([many] if many else []), *(["only"] if only else [])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        equal(self.process.stdout.readline(), b"begun\n")

    def calm(self):
        """Ends it, but for those that stay."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        equal(self.process.stdout.readline(), b"quiet\n")

    def end(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def execs(self):
        """marker: entry, of those that came to what they call."""
        count = min(struct.unpack_from("=Q", self.log)[0], ROOM)
        entries = (ENTRY.unpack_from(self.log, HEAD + i * ENTRY.size) for i in range(count))
        return {"%s-%d" % (self.run, i): e for i, e in enumerate(entries) if e[1]}

    def marker(self, event):
        """What it calls itself; None: it is not of this storm, or its arguments are not known."""
        args = event.get("args", [])
        return args[2] if len(args) == 3 and args[0] == "storm" and args[2].startswith(self.run + "-") else None


def alive():
    """pid: start, in ticks; zombies are not."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, "rb") as f:
                fields = f.read().rsplit(b")", 1)[1].split()
        except OSError:
            continue
        if fields[0] not in (b"Z", b"X") or int(fields[17]) > 1:
            found[int(pid)] = int(fields[19])
    return found


def start_ticks(event):
    return int(event["id"].rsplit("-", 1)[1], 16) * TICKS // 10**9


def differences(daemon):
    """What the table has and /proc has not, and the other way round, for longer than it takes the daemon to read of it: processes as
    (pid, start). Others come and go meanwhile."""
    extra = missing = None
    snapshot = {}
    end = time.monotonic() + PATIENCE / 4
    while time.monotonic() < end:
        before = set(alive().items())
        client = daemon.connect()
        client.close()
        after = set(alive().items())
        snapshot = {(e["pid"], start_ticks(e)): e for e in client.events if e.get("snapshot")}
        now_extra, now_missing = set(snapshot) - before - after, (before & after) - set(snapshot)
        extra = now_extra if extra is None else extra & now_extra
        missing = now_missing if missing is None else missing & now_missing
        if not extra and not missing:
            break
        time.sleep(0.05)
    return extra, missing, snapshot


def wrongs_of_table(daemon, storm):
    """Where table and /proc differ, and where arguments do."""
    extra, missing, snapshot = differences(daemon)
    wrong = ["in the table only: %s" % [snapshot[p].get("args") for p in extra]] if extra else []
    wrong += ["not in the table: %s" % sorted(missing)] if missing else []
    for (pid, _), event in snapshot.items():
        marker = storm.marker(event)
        try:
            with open("/proc/%d/cmdline" % pid, "rb") as f:
                args = f.read().decode("utf-8", "replace").split("\0")[:-1]
        except OSError:
            continue
        if (marker or any(a.startswith(storm.run) for a in args)) and event.get("args") != args:
            wrong.append("args of %d: %s, which are %s" % (pid, event.get("args"), args))
    return wrong


def wrongs_of_stream(events, storm):
    """Execs and ends that are missing, repeated or incomplete."""
    went_live = next(seconds(e["time"]) for e in events if e["type"] == "live")
    shown = {storm.marker(e) for e in events if e.get("snapshot")}
    started, wrong = {}, []
    for event in events:
        marker = storm.marker(event)
        if event["type"] == "lost" or event.get("source") == "resync":
            wrong.append("%s %s" % (event["type"], event.get("source", event.get("where"))))
        if event["type"] == "started" and not event.get("snapshot") and marker:
            started[marker] = started.get(marker, 0) + 1
            if "filename" not in event:
                wrong.append("no filename: %s" % event["args"])
    for marker, (begin, _, until, _, stays) in storm.execs().items():
        count = started.pop(marker, 0)
        if count > 1 or count == 0 and begin > went_live:
            wrong.append("%s is reported %d times" % (marker, count))
        elif count == 0 and (until > went_live or stays and until == 0) and marker not in shown:
            wrong.append("%s ran when the stream began, and is neither in the snapshot nor reported" % marker)
    try:
        check_seq(events)
    except Failure as failure:
        wrong.append(str(failure))
    known = {e["id"] for e in events if e["type"] == "started"}
    ends = [e["id"] for e in events if e["type"] == "exited"]
    wrong += ["%d ends are reported twice" % (len(ends) - len(set(ends)))] if len(ends) != len(set(ends)) else []
    wrong += ["%d ends of nothing" % len(set(ends) - known)] if set(ends) - known else []
    return wrong


def one_start(folder, many, env, only):
    """What is wrong after one start in a storm."""
    storm = Storm(folder, many, only)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            path = os.path.join(folder, "socket")
            listening.bind(path)
            listening.listen(64)
            client = Client(path)  # has its snapshot at the first moment
            with Daemon(passed=[("execsnoopd.socket", listening.fileno())], env=env) as daemon:
                daemon.path = path
                client.wait_live()
                storm.calm()
                last = subprocess.Popen(["true", storm.run])
                last.wait()
                client.wait_exit(last.pid)
                wrong = wrongs_of_stream(client.events, storm) + wrongs_of_table(daemon, storm)
                client.close()
            os.unlink(path)
    finally:
        storm.end()
    return wrong


def many_in(folder):
    """That program; None where there is none."""
    path = os.path.join(folder, "many")
    runs = platform.machine() == "x86_64" and many_segments(path)
    return path if needs(runs, "a program of 1,000 segments") else None


def starts(count, env=None, only=False):
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        many = many_in(folder)
        for i in range(count if many or not only else 0):
            wrong = one_start(folder, many, env, only)
            bad += bool(wrong)
            for line in wrong[:5] if COUNT else ():
                print("# start %d: %s" % (i, line[:300]), flush=True)
            check(COUNT or not wrong, "start", i, *(line[:300] for line in wrong[:5]))
    print("# %d starts, %d of them wrong" % (count, bad))
    check(bad == 0, bad, "of", count, "starts are wrong")


@test
def start_in_a_storm_is_exact():
    starts(STARTS or (1 if SLOW else 2))


@test
def exec_under_way_at_the_start_is_reported():
    starts(STARTS // 2 or (1 if SLOW else 2), only=True)


@test
def slow_start_in_a_storm_is_exact():
    env = {"LD_PRELOAD": PRELOAD, "SLOW_ATTACH": "60000", "SLOW_LIST": "300"}
    if is_sanitized():
        env["ASAN_OPTIONS"] = "verify_asan_link_order=0"
    starts(STARTS // 10 or 1, env)


def own_starts(events, storm):
    return [storm.marker(e) for e in events if e["type"] == "started" and not e.get("snapshot") and storm.marker(e)]


@test
def resync_in_a_storm_is_exact():
    """A small ring, and a daemon that is stopped again and again."""
    with tempfile.TemporaryDirectory() as folder:
        many = many_in(folder)
        with live({"probes": {"ring_buffer": "64K"}}) as (daemon, client):
            for _ in range(STARTS // 10 or (1 if SLOW else 3)):
                storm = Storm(folder, many)
                try:
                    for _ in range(3):
                        since = len(client.events)
                        os.kill(daemon.process.pid, signal.SIGSTOP)
                        before = len(storm.execs())
                        until(lambda before=before: len(storm.execs()) >= before + 150, "no storm")
                        os.kill(daemon.process.pid, signal.SIGCONT)
                        client.wait(lambda e: e["type"] == "lost" and e["where"] == "kernel", since=since)
                    storm.calm()
                    wrong = wrongs_of_table(daemon, storm)
                    check(not wrong, *(line[:300] for line in wrong[:5]))
                    markers = own_starts(client.events, storm)
                    twice = {marker for marker in markers if markers.count(marker) > 1}
                    equal(twice, set(), "reported twice")
                finally:
                    storm.end()
            client.close()


if __name__ == "__main__":
    main()
