#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl in a terminal: what watch, log and tree show in tmux(1), as it is resized, and when they are interrupted, stopped or
left by their reader; nothing that a program is called or given acts on the terminal."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from e2e import ODD, SLOW, Daemon, at_best, check, copy_of, equal, is_sanitized, main, needs, run, test, until
from tmux import CTL, RECORDING, Tmux
from units import Listener, Unit

SGR = re.compile("\x1b\\[[0-9;]*m")
# As in tests/ctl/golden.py, but for the line ends of a terminal.
ACTS = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u206f]")


class Screen:
    """A terminal in a folder of its own."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.tmux = Tmux(self.folder.name)
        return self.tmux

    def __exit__(self, *_):
        self.tmux.__exit__()
        self.folder.cleanup()


def subscriber(stats):
    """The execsnoopctl that reads."""
    for one in stats["subscribers"]:
        # One that has ended may still be listed.
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{one['pid']}/comm", encoding="utf-8") as file:
            if file.read() == "execsnoopctl\n":
                return one
    return None


def wait_filter(daemon):
    """Until the daemon has read the request of the execsnoopctl that reads, which has a filter; what happens before is not shown. Its pid."""
    def filtered():
        stats = daemon.stats()
        # The connection that asks has none.
        one, least = subscriber(stats), min(one["filter_bytes"] for one in stats["subscribers"])
        return one and one["filter_bytes"] > least
    until(filtered, "the request is not there")
    return subscriber(daemon.stats())["pid"]


def watch(tmux, daemon, *options):
    """The pid of a watch with a filter, which shows what happens from now on."""
    tmux.type(CTL, "watch", "--numeric", f"--socket={daemon.path}", *options)
    return wait_filter(daemon)


def marked(text, mark):
    return [line for line in text.splitlines() if mark in line]


@test
def watch_shows_columns_that_follow_the_width():
    if not needs(shutil.which("tmux"), "no tmux"):
        return
    with Daemon() as daemon, Screen() as tmux:
        mark = f"aligned-{os.getpid()}"
        before = tmux.settings()
        watch(tmux, daemon, f"--args={mark}")
        good = run("/usr/bin/true", mark)
        bad = run("/bin/sh", "-c", "exit 3", mark)
        none = run("/bin/sh", "-c", 'exec /nonexistent/prog "$0"', mark, stderr=subprocess.DEVNULL)
        tmux.wait(r"^[\d:]+ .*exit 127 .* /bin/sh -c ")
        shown = {number: marked(tmux.text(), f"{number} ")[0] for number in (good.pid, bad.pid)}
        head = next(line for line in tmux.text().splitlines() if line.startswith("TIME"))
        for number, line in shown.items():
            equal(line[:head.index(" PARENT")].split()[-1], str(number), "the pid ends where its heading does:", line)
            # Its name is cut where its pid is long.
            check(re.match(r"pyt[a-z0-9]*…?\(%d\) " % os.getpid(), line[head.index("PARENT"):]), "the parent begins where its heading does:", line)
        check(shown[good.pid][head.index("STATUS"):].startswith("0 ") and shown[bad.pid][head.index("STATUS"):].startswith("exit 3 "), shown)
        equal(shown[good.pid][head.index("COMMAND"):], f"/usr/bin/true {mark}")
        # Failures are coloured: an end red, a failed exec yellow.
        colored = [line for process in (good, bad, none) for line in marked(tmux.text("-e"), f" {process.pid} ")]
        equal([re.findall("\x1b\\[(3[0-7])m", line) for line in colored], [[], ["31"], ["33"], ["31"]], colored)
        for width, has_parent, time_of_day in ((60, False, r"\d\d:\d\d:\d\d "), (150, True, r"\d\d:\d\d:\d\d\.\d\d\d ")):
            tmux.resize(width)
            last = run("/usr/bin/true", mark, "x" * 200)
            line = tmux.wait(rf"^{time_of_day}.* {last.pid} .*…$").group()
            equal(len(line), width)
            heads = [line for line in tmux.text().splitlines() if line.startswith("TIME")]
            equal("PARENT" in heads[-1], has_parent, heads)
            check(line[heads[-1].index("COMMAND"):].startswith("/usr/bin/true "[:10]), heads[-1], line)
        tmux.resize(100)
        tmux.keys("C-c")
        tmux.wait("^% ?$|\\^C% ?$")
        equal(tmux.status(), 128 + signal.SIGINT, "as journalctl -f")
        equal(tmux.settings(), before)


@test
def loss_is_shown_in_its_place():
    if not needs(shutil.which("tmux"), "no tmux"):
        return
    with Daemon({"socket": {"queue": "64K"}}) as daemon, Screen() as tmux:
        mark = f"lost-{os.getpid()}"
        pid = watch(tmux, daemon, f"--args={mark}*")
        run("/usr/bin/true", mark + "-before")
        tmux.wait(rf"true {mark}-before")
        os.kill(pid, signal.SIGSTOP)
        tmux.wait("Stopped")
        # More than the queue and the buffers of the socket hold.
        while subscriber(daemon.stats())["lost"] == 0:
            subprocess.run(["sh", "-c", 'for i in 1 2 3 4 5 6 7 8; do /bin/true "$@"; done', "sh", mark, "x" * 100000], check=True)
        tmux.keys("fg", "Enter")
        tmux.wait(r"^── \d+ events? lost by this reader ──")
        run("/usr/bin/true", mark + "-after")
        tmux.wait(rf"true {mark}-after")
        text = tmux.text("-S", "-")
        counts = [int(count) for count in re.findall(r"^── (\d+) events? lost by this reader ──", text, re.M)]
        equal(sum(counts), subscriber(daemon.stats())["lost"])
        order = [text.index(f"true {mark}-before"), text.index("lost by this reader"), text.index(f"true {mark}-after")]
        equal(order, sorted(order))


class Stream:
    """What a daemon is for a reader: the answer to its request, and then lines."""

    def __init__(self, folder, lines):
        self.path = os.path.join(folder, "stream.sock")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen()
        self.lines = lines
        self.seconds = None
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        connection = self.socket.accept()[0]
        connection.recv(65536)
        connection.sendall(b'{"type":"subscribed"}\n')
        self.began = time.monotonic()
        connection.sendall(self.lines)
        self.connection = connection


def lives(count):
    for i in range(count):
        known = {"id": f"00c0ffee00c0ffee-{i}-1", "ppid": 1, "pid": i + 1000, "uid": 0, "gid": 0, "comm": "true", "exe": "/usr/bin/true",
                 "args": ["true", f"storm-{i}"], "parent_comm": "systemd", "start_time": "2026-11-29T10:00:00.000000000Z"}
        yield {"type": "started", "seq": 2 * i + 1, "time": "2026-11-29T10:00:00.000000000Z", **known}
        yield {"type": "exited", "seq": 2 * i + 2, "time": "2026-11-29T10:00:00.001000000Z", **known,
               "end_time": "2026-11-29T10:00:00.001000000Z", "running_time_ns": 1000000, "exit_code": 0}


@test
def watch_keeps_up_with_10000_programs_a_second():
    if not needs(shutil.which("tmux"), "no tmux"):
        return
    count = 20000
    lines = b"".join(json.dumps(life, separators=(",", ":")).encode() + b"\n" for life in lives(count))

    def seconds():
        with Screen() as tmux:
            stream = Stream(tmux.folder, lines)
            tmux.type(CTL, "watch", f"--socket={stream.path}")
            until(lambda: f"storm-{count - 1}" in tmux.text(), "the last one does not come:\n" + tmux.text(), every=0.02)
            took = time.monotonic() - stream.began
            shown = re.findall(r"true storm-(\d+)$", tmux.text("-S", "-"), re.M)
            equal([int(number) for number in shown], list(range(count)), "each once, in order")
            tmux.keys("C-c")
            print("# %d programs in %.2f s" % (count, took))
            return took

    at_best(count / 10000 * (10 if SLOW or is_sanitized() else 1), seconds)


@test
def watch_outlives_a_restart_and_a_crash():
    if not needs(shutil.which("tmux"), "no tmux"):
        return
    with Listener() as listener, Unit(listener) as unit, Screen() as tmux:
        mark = f"restart-{os.getpid()}"
        tmux.type(CTL, "watch", "--numeric", f"--socket={listener.path}", f"--args={mark}*")
        unit.wait_kept(1)
        run("/usr/bin/true", mark + "-first")
        tmux.wait(rf"true {mark}-first")
        unit.restart()
        run("/usr/bin/true", mark + "-restarted")
        tmux.wait(rf"true {mark}-restarted")
        unit.kill()
        unit.start()
        run("/usr/bin/true", mark + "-crashed")
        tmux.wait(rf"true {mark}-crashed")
        check("execsnoopctl:" not in tmux.text(), tmux.text())
    # Without the store of systemd there is nothing that keeps the connection.
    with Daemon() as daemon, Screen() as tmux:
        watch(tmux, daemon, "--failed")
        daemon.process.terminate()
        tmux.wait("^execsnoopctl: the daemon ended the connection")
        equal(tmux.status(), 69)


def long_recording(folder):
    """Larger than a pipe, and a command line that is wider than the screen."""
    with open(RECORDING, encoding="utf-8") as file:
        one = file.read()
    path = os.path.join(folder, "long.json")
    with open(path, "w", encoding="utf-8") as file:
        last = list(lives(1))[-1]
        file.write(one * 100 + json.dumps({**last, "args": ["wide", "x" * 120 + "end-of-it"]}) + "\n")
    check(os.path.getsize(path) > 1 << 20)
    return path


@test
def reader_of_log_may_leave_early():
    if not needs(shutil.which("tmux") and shutil.which("less"), "no tmux or no less"):
        return
    with Screen() as tmux:
        path = long_recording(tmux.folder)
        before = tmux.settings()
        tmux.type(CTL, "log", "-i", path)
        tmux.wait("^TIME .* COMMAND$")
        tmux.wait("run-parts /etc/cron.hourly")
        tmux.keys("q")
        tmux.wait("^% ?$")
        equal(tmux.status(), 0)
        check("execsnoopctl:" not in tmux.text() and tmux.settings() == before, tmux.text())
        # The pager scrolls to what is right of the screen.
        tmux.type(CTL, "log", "-r", "-i", path)
        tmux.wait("wide x+")
        check("end-of-it" not in tmux.text(), tmux.text())
        tmux.keys("Right", "Right")
        tmux.wait("xend-of-it")
        tmux.keys("q")
        tmux.wait("^% ?$")
        tmux.type(CTL, "log -i", path, "| less -S")
        tmux.wait("^TIME .* COMMAND$")
        tmux.keys("q")
        tmux.wait("^% ?$")
        tmux.type("(", CTL, "log -i", path, "; echo of-log-$?", ">&2) | head -n 2 | cut -c 1-80")
        tmux.wait("^of-log-0$")
        tmux.wait("^2026-")
        tmux.wait("^% ?$")
        equal(len(re.findall("^2026-", tmux.text(), re.M)), 1, tmux.text())
        check("execsnoopctl:" not in tmux.text(), tmux.text())
        # ^C in the pager is the pager's.
        tmux.type(CTL, "log", "-i", path)
        tmux.wait("^TIME .* COMMAND$")
        tmux.keys("C-c", "q")
        tmux.wait("^% ?$")
        equal(tmux.settings(), before)


@test
def tree_fits_the_width_unless_full():
    if not needs(shutil.which("tmux"), "no tmux"):
        return
    with Screen() as tmux:
        for width in 100, 60:
            tmux.resize(width, 60)
            tmux.type(CTL, "tree --no-pager --numeric -S 2026-11-29 -i", RECORDING)
            tmux.wait(r"kthreadd\]")
            tmux.wait("^% ?$")
            text = tmux.text()
            shown = text[text.index("COMMAND"):].splitlines()
            equal(len([line for line in shown if line.strip(" %")]), 22, "a line is wrapped:\n" + text)
            head = next(line for line in text.splitlines() if line.startswith("COMMAND"))
            check(re.search(r"─make -j8 all", text) and head.endswith(" RSS"), text)
            line = next(line for line in text.splitlines() if "make -j8 all" in line)
            equal(line.index("30000") + 5, head.index("PID") + 3, head, line)
        tmux.type(CTL, "tree --full --no-pager --numeric -S 2026-11-29 -i", RECORDING)
        tmux.wait(r"kthreadd\]")
        tmux.wait("^% ?$")
        check(re.search(r"─sh -c 'convert '.*out\.jpg'", tmux.text("-S", "-", "-J"), re.M), tmux.text())


HOSTILE = [b"\x1b]0;owned\x07", b"\x1b[2J\x1b[31mred", b"\x9b31m", "\u202egnp.exe\u2066".encode(), b"\xff\xfe\xc3", b"a\rb\nc\td\x08",
           b"\x1bP$q\x1b\\", b"\x1b[?1049h\x1b[6n"]


def check_harmless(tmux, raw, before):
    """On the screen, and in all bytes that went there."""
    for text in (tmux.text("-S", "-"), SGR.sub("", raw.decode("utf-8"))):
        acts = ACTS.search(text)
        check(not acts, "acts on a terminal:", repr(text[max(0, acts.start() - 60):acts.end() + 20]) if acts else "")
    equal(tmux.settings(), before)


@test
def hostile_programs_do_not_reach_the_terminal():
    if not needs(shutil.which("tmux"), "no tmux"):
        return
    with Daemon() as daemon, Screen() as tmux:
        mark = f"hostile-{os.getpid()}"
        odd = copy_of(ODD, tmux.folder, b"odd\x1b[31m\xff")
        tmux.resize(200)
        before = tmux.settings()
        raw = os.path.join(tmux.folder, "raw")

        def through(*words, last):
            """What a command writes to the terminal, up to a line that has that."""
            open(raw, "wb").close()
            tmux.run("pipe-pane", f"cat >>{raw}")
            tmux.keys(" ".join(words), "Enter")
            tmux.wait(last)

        def written():
            """All of it, up to the next prompt, which cat may be late to write."""
            tmux.wait(r"^(\^C)?% ?$")
            tmux.run("pipe-pane")

            def read():
                with open(raw, "rb") as file:
                    return file.read()
            until(lambda: read().endswith(b"% "), "no prompt in", read()[-200:])
            return read()

        through(CTL, "watch", f"--args={mark}", f"--socket={daemon.path}", last="watch")
        wait_filter(daemon)
        big = b"\x1b[41m" + b"\xe2\x80\xae" * 40000
        for argument in HOSTILE + [big]:
            run(odd, "exit", "0", mark, argument)
        asleep = subprocess.Popen([odd, "sleep", mark, *HOSTILE], stdout=subprocess.DEVNULL)
        run("/usr/bin/true", mark, "the-last-one")
        tmux.wait("the-last-one")
        text = tmux.text("-S", "-", "-J")
        check(text.count(mark) >= len(HOSTILE) + 2 and r"\x1b]0;owned\x07" in text and r"\xff\xfe" in text, text)
        tmux.keys("C-c")
        check_harmless(tmux, written(), before)
        for words, last in (([CTL, "tree", f"--args={mark}", "--no-pager"], r"sleep hostile"),
                            ([CTL, "show", str(asleep.pid), "--no-pager"], "^ +Id: ")):
            tmux.run("send-keys", "-R", ";", "clear-history")
            through(*words, f"--socket={daemon.path}", last=last)
            raw_bytes = written()
            check(r"\x1b" in tmux.text(), tmux.text())
            check_harmless(tmux, raw_bytes, before)
        asleep.kill()
        asleep.wait()


if __name__ == "__main__":
    main()
