#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl cat: what it writes is complete, or says where it is not, whichever of the three is killed: the daemon, itself, or
the reader of its output."""
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

from e2e import CTL, PATIENCE, Daemon, check, equal, main, run, status, test, until
from stored import CRASHES, EVENTS, OWN, READER_KILLS, RESTARTS, Stored, Workload
from units import Listener, Unit


class Cat:
    """A `cat` that writes to the end of a file, or where its arguments say."""

    def __init__(self, path, *args, store=None, stdout=None):
        self.log = tempfile.TemporaryFile()
        out = open(store, "ab") if store else stdout if stdout is not None else subprocess.DEVNULL
        self.process = subprocess.Popen([CTL, "cat", "--socket=" + path, *args], stdout=out, stderr=self.log)
        if store:
            out.close()

    def messages(self):
        return os.pread(self.log.fileno(), 1 << 20, 0).decode()

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def stat(self):
        """proc(5), from the state on."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            return f.read().rsplit(")", 1)[1].split()

    def cpu(self):
        return sum(map(int, self.stat()[11:13])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Returns once it stands still, or has ended."""
        def stands_still():
            try:
                return self.stat()[0] in "TZ"
            except (FileNotFoundError, ProcessLookupError):
                return True
        self.process.send_signal(signal.SIGSTOP)
        until(stands_still, "it does not stop")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.kill()
        if kind is not None:
            print("# cat: " + self.messages().replace("\n", "\n# cat: "))


class Watched:
    """A file that grows."""

    def __init__(self, path):
        self.path, self.at, self.rest = path, 0, b""

    def has(self, text):
        """It appeared since the last time that something did."""
        with open(self.path, "rb") as f:
            f.seek(self.at)
            while data := f.read(1 << 20):
                self.at += len(data)
                data = self.rest + data
                found = data.find(text.encode())
                if found >= 0:
                    self.at -= len(data) - found - len(text)
                    self.rest = b""
                    return True
                self.rest = data[-1000:]
        return False

    def wait(self, text, patience=3 * PATIENCE):
        until(lambda: os.path.exists(self.path) and self.has(text), "not written: " + text, every=0.05, patience=patience)

    def wait_live(self):
        self.wait('{"type":"live"')

    def wait_mark(self):
        """Until a program that runs now is reported: there may be no connection at first."""
        text = "mark-%d-%s" % (time.monotonic_ns(), OWN)
        end = time.monotonic() + 3 * PATIENCE
        while not self.has(text):
            check(time.monotonic() < end, "no event comes")
            run("/bin/true", text)
            time.sleep(0.2)


def check_complete(stored, workload):
    """Every number, and every program of the workload, is there, or in a loss."""
    equal(stored.missing(), set(), "numbers that are missing")
    for kind in "started", "exited":
        missing = workload.programs - len(stored.ids[kind])
        check(0 <= missing <= stored.lost_count(), kind, "missing:", missing, "lost:", stored.lost_count())


def wait_handled(daemon):
    """Until the daemon has handled all that has happened by now: it may be behind, and what it has not seen it can't have lost either."""
    with daemon.connect(live=False) as client:
        client.send({"ppid": os.getpid(), "fields": ["pid"]})
        client.wait(lambda e: e["type"] == "subscribed")
        client.wait_exit(run("/bin/true").pid)


def summary(stored):
    print("#   %d events stored, %d twice, %d lost in %d lines; %d connections continued, %d began" %
          (len(stored.seqs), stored.duplicates, stored.lost_count(), len(stored.lost), stored.resumed, stored.begun))


def chances():
    seed = random.randrange(1 << 32)
    print("# seed %d" % seed)
    return random.Random(seed)


@test
def named_cat_killed_at_random_stores_every_event():
    """The daemon is restarted and killed, too. Only what waits while the daemon is killed is lost, and that is reported."""
    chance = chances()
    with Listener() as listener, Unit(listener, {"socket": {"queue": "16M"}}) as unit, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stored")
        written = Watched(path)

        def begin():
            return Cat(listener.path, "--name=siem", store=path)

        cat = begin()
        written.wait_live()
        workload = Workload(EVENTS)
        ends = [1] * RESTARTS + [2] * CRASHES + [0] * READER_KILLS
        chance.shuffle(ends)
        for end in ends:
            time.sleep(chance.uniform(0, 2 * (EVENTS / 4000) / len(ends)))
            if end == 0:
                how = chance.choice((signal.SIGKILL, signal.SIGTERM))
                ended = cat.kill(how)
                # It may not have come as far as to catch a signal.
                check(ended == -how or (how == signal.SIGTERM and ended == 0), "exit status:", ended, cat.messages())
                time.sleep(chance.uniform(0, 0.1))
                cat = begin()
            else:
                unit.stop() if end == 1 else unit.kill()
                unit.start()
        until(workload.is_over, "the work is not over", patience=PATIENCE * 10)
        written.wait_mark()
        equal(cat.kill(signal.SIGTERM), 0, "exit status")
        stored = Stored(path)
        summary(stored)
        equal(stored.begun, 1, "subscriptions that began")
        check_complete(stored, workload)
        if CRASHES == 0:
            equal([line for line in stored.lost if line["where"] == "subscriber"], [], "lost without a crash")


class Peer:
    """Takes connections, one after the other, and stores whole lines; it goes away in the middle of one, with bytes unread."""

    def __init__(self, path, tcp, chance):
        self.socket = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        self.tcp, self.chance, self.file = tcp, chance, path
        self.where = ("127.0.0.1", 0) if tcp else path + ".sock"
        self.begin()
        self.connections, self.ends, self.sender = 0, False, None
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def begin(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Little is on its way, so that the peer is not always up to date.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.socket.bind(self.where)
        self.socket.listen()
        self.address = "127.0.0.1:%d" % self.socket.getsockname()[1] if self.tcp else "unix:" + self.where

    def run(self):
        with open(self.file, "ab", buffering=0) as out:
            while True:
                connection, _ = self.socket.accept()
                self.connections += 1
                with connection:
                    self.take(connection, out)
                    if self.tcp:
                        self.end(connection, out)

    def take(self, connection, out):
        self.rest, limit = b"", self.chance.randrange(1 << 17, 1 << 20)
        while limit > 0 or not self.ends:
            data = connection.recv(1 << 16)
            if not data:
                return
            self.store(data, out)
            limit -= len(data)

    def end(self, connection, out):
        """What this kernel has acknowledged is taken first: see execsnoopctl(1). More comes until the connection is closed, so the sender,
        which asks what was acknowledged, stands still meanwhile."""
        self.sender.stop()
        connection.setblocking(False)
        try:
            while data := connection.recv(1 << 16):
                self.store(data, out)
        except BlockingIOError:
            pass
        if self.chance.random() < 0.5:
            # A reset: tcp(7).
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        self.sender.process.send_signal(signal.SIGCONT)

    def store(self, data, out):
        *lines, self.rest = (self.rest + data).split(b"\n")
        if lines:
            out.write(b"\n".join(lines) + b"\n")


def peer_goes_away(tcp):
    chance = chances()
    with Daemon({"socket": {"queue": "32M"}}) as daemon, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stored")
        written = Watched(path)
        peer = Peer(path, tcp, chance)
        with Cat(daemon.path, "--name=siem", "--connect=" + peer.address) as cat:
            peer.sender = cat
            written.wait_live()
            peer.ends = True
            workload = Workload(EVENTS)
            until(workload.is_over, "the work is not over", patience=PATIENCE * 10)
            # The peer may be behind.
            until(lambda: peer.connections > 2, "the peer did not go away")
            peer.ends = False
            written.wait_mark()
            equal(cat.kill(signal.SIGTERM), 0, "exit status")
        stored = Stored(path)
        print("#   %d connections" % peer.connections)
        summary(stored)
        check_complete(stored, workload)
        if not tcp:
            equal([line for line in stored.lost if line["where"] == "subscriber"], [], "lost")


@test
def named_cat_sends_every_event_to_a_unix_peer_that_goes_away():
    peer_goes_away(False)


@test
def named_cat_sends_every_event_to_a_tcp_peer_that_goes_away():
    peer_goes_away(True)


@test
def line_that_the_peer_has_not_read_is_not_acknowledged():
    """Of a Unix socket, and of a pipe. It comes again on the next connection."""
    def unacknowledged():
        return daemon.stats()["named"][0]["unacknowledged"]

    def runs(count):
        for _ in range(count):
            run("/bin/true", OWN)

    with Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(folder + "/sock")
        listener.listen()
        with Cat(daemon.path, "--name=siem", "--connect=unix:%s/sock" % folder, "args=" + OWN) as cat:
            peer, _ = listener.accept()
            until(lambda: daemon.stats()["named"] != [], "no subscription")
            runs(5)
            until(lambda: peer.recv(1 << 16, socket.MSG_PEEK).count(b'"exited"') == 5, "nothing was sent")
            time.sleep(1)
            check(unacknowledged() >= 10, "acknowledged:", unacknowledged())
            peer.close()
            peer, _ = listener.accept()
            data = b""
            while data.count(b'"exited"') < 5:
                data += peer.recv(1 << 16)
            until(lambda: unacknowledged() == 0, "not acknowledged")
            equal(cat.kill(signal.SIGTERM), 0, "exit status")
        read, write = os.pipe()
        with Cat(daemon.path, "--name=siem", "args=" + OWN, stdout=write) as cat:
            os.close(write)
            runs(5)
            until(lambda: unacknowledged() >= 10 and select.select([read], [], [], 0)[0], "nothing was written")
            time.sleep(1)
            check(unacknowledged() >= 10, "acknowledged:", unacknowledged())
            data = b""
            while data.count(b'"exited"') < 5:
                data += os.read(read, 1 << 16)
            until(lambda: unacknowledged() == 0, "not acknowledged")
        os.close(read)


@test
def cat_without_a_name_reports_what_a_new_connection_misses():
    """The daemon ends the connection of a slow reader; the stream is the same."""
    config = {"socket": {"queue": "64K", "slow": "disconnect", "snapshot": "no"}}
    with Daemon(config) as daemon, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stored")
        written = Watched(path)
        with Cat(daemon.path, store=path) as cat:
            written.wait_live()
            for _ in range(2):
                cat.process.send_signal(signal.SIGSTOP)
                workload = Workload(4000)
                until(workload.is_over, "the work is not over")
                wait_handled(daemon)
                cat.process.send_signal(signal.SIGCONT)
                written.wait_mark()
            messages = cat.messages()
        stored = Unnamed(path)
        check(stored.lost_count() > 1000, "lost:", stored.lost_count())
        equal(stored.missing(), set(), "numbers that are missing")
        outages = messages.count("trying again")
        check(outages >= 2, messages)
        equal((messages.count("connected again"), messages.count("missing: seq ")), (outages, outages), messages)


class Unnamed(Stored):
    """One stream, without a subscription that continues."""

    def add(self, line):
        if line["type"] == "subscribed":
            line["resumed"] = self.begun > 0
        super().add(line)


@test
def cat_waits_for_a_daemon_that_stopped_and_reports_another_stream():
    with tempfile.TemporaryDirectory() as folder:
        path, where = os.path.join(folder, "stored"), os.path.join(folder, "sock")
        config = {"socket": {"path": where}}
        written = Watched(path)
        with Daemon(config):
            cat = Cat(where, store=path)
            written.wait_live()
            written.wait_mark()
        with cat:
            until(lambda: "trying again" in cat.messages(), "it does not notice")
            before = cat.cpu()
            time.sleep(2)
            check(cat.cpu() - before <= 0.05, "CPU time of an outage:", cat.cpu() - before)
            check(cat.process.poll() is None)
            with Daemon(config):
                written.wait_live()
                written.wait_mark()
                text = cat.messages()
            equal(cat.kill(signal.SIGTERM), 0, "exit status")
        equal((text.count("trying again"), text.count("connected again"), text.count("another stream")), (1, 1, 1), text)
        stored = [line for line in open(path) if '"type":"subscribed"' in line or '"type":"live"' in line]
        equal(len(stored), 4, "answers and ends of snapshots")


@test
def cat_whose_reader_stands_still_is_bounded_and_ends_when_asked_to():
    """What does not fit the daemon's queue is reported in its place."""
    with Daemon({"socket": {"queue": "256K"}}) as daemon:
        read, write = os.pipe()
        with Cat(daemon.path, "--name=siem", stdout=write) as cat:
            os.close(write)
            with open(read, "rb") as lines:
                # Not for the end of the snapshot: a queue this small may be full before, on a busy machine, and the next connection has none.
                for line in lines:
                    if b'"type":"subscribed"' in line:
                        break
                workload = Workload(4000)
                until(workload.is_over, "the work is not over")
                wait_handled(daemon)
                check(status(cat.process.pid, "VmRSS") < 32 << 20, "memory:", status(cat.process.pid, "VmRSS"))
                # What runs later is there again.
                over = threading.Event()
                marks = threading.Thread(target=lambda: [run("/bin/true", "last-" + OWN) for _ in iter(lambda: over.wait(0.2), True)])
                marks.start()
                try:
                    lost = 0
                    for line in lines:
                        lost += b'"where":"subscriber"' in line
                        if b"last-" + OWN.encode() in line:
                            break
                finally:
                    over.set()
                    marks.join()
                check(lost >= 1, "nothing is reported as lost")
                # It reads nothing again: a signal ends it all the same.
                workload = Workload(2000)
                time.sleep(1)
                began = time.monotonic()
                equal(cat.kill(signal.SIGTERM), 0, "exit status")
                check(time.monotonic() - began < 5, "took", time.monotonic() - began)
                # Another test would have the rest.
                until(workload.is_over, "the work is not over")


@test
def cat_ends_with_its_reader_and_with_the_status_of_its_kind():
    with Daemon() as daemon:
        shell = "set -o pipefail; %s cat --socket=%s | head -n 1" % (CTL, daemon.path)
        equal(subprocess.run(["bash", "-c", shell], stdout=subprocess.DEVNULL, timeout=PATIENCE).returncode, 0, "of head")
        for args, expected in ((("--name=a b",), 2), (("--connect=nowhere",), 2), (("--grep=(",), 2), (("--name=a", "-i", "-"), 2)):
            with Cat(daemon.path, *args) as cat:
                equal(cat.process.wait(PATIENCE), expected, args)
        with Cat("/nonexistent/socket") as cat:
            equal(cat.process.wait(PATIENCE), 69, "without a daemon")


class Hosts:
    """An ssh(1) that reaches this machine by any name but "dead"."""

    def __init__(self, folder):
        self.calls = folder + "/calls"
        os.mkdir(folder + "/bin")
        with open(folder + "/bin/ssh", "w") as f:
            f.write("#!/bin/sh\necho \"$@\" >>%s\nwhile [ \"$1\" != -- ]; do shift; done\n[ \"$2\" != dead ] || exit 255\n"
                    "PATH=%s:$PATH exec sh -c \"$3\"\n" % (self.calls, os.path.dirname(os.path.abspath(CTL))))
            os.chmod(f.name, 0o755)
        self.env = {**os.environ, "PATH": folder + "/bin:" + os.environ["PATH"]}

    def run(self, *args):
        return subprocess.run([CTL, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)


@test
def hosts_are_asked_by_ssh_and_named_in_each_line():
    with Daemon() as daemon, tempfile.TemporaryDirectory() as folder:
        hosts = Hosts(folder)
        path = "--socket=" + daemon.path
        for names, count in ("one", 1), ("one,root@two.example", 2), ("one,dead", 1):
            reader = subprocess.Popen([CTL, "cat", path, "-H", names, "args=" + OWN], env=hosts.env, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL)
            begun, ended = 0, []
            while len(ended) < count:
                line = json.loads(reader.stdout.readline())
                check(line["type"] == "live" or line["host"] in names.split(","), line)
                begun += line["type"] == "live"
                if begun == count and line["type"] == "live":
                    run("/bin/true", OWN)
                elif line["type"] == "exited":
                    ended.append(line["host"])
            equal(sorted(ended), sorted(names.split(","))[-count:] if "dead" not in names else ["one"], "hosts")
            reader.terminate()
            equal(reader.wait(PATIENCE), 0, "exit status")
            reader.stdout.close()
        status = hosts.run("status", path, "-H", "one,two", "--json")
        equal((status.returncode, sorted(json.loads(line)["host"] for line in status.stdout.splitlines())), (0, ["one", "two"]))
        tree = hosts.run("tree", path, "-H", "one", "--no-pager")
        check(tree.returncode == 0 and str(os.getpid()).encode() in tree.stdout, tree)
        equal(hosts.run("cat", path, "-H", "dead").returncode, 69, "of a host that is not there")


@test
def host_that_could_be_an_option_or_a_command_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        hosts = Hosts(folder)
        for args in (("cat", "-H-oProxyCommand=id"), ("cat", "-H", "a,-oProxyCommand=id"), ("cat", "-H", "a;id"), ("cat", "-H", ""),
                     ("cat", "-H", "a,,b"), ("cat", "-H", "a", "--socket=/run/$(id)"), ("cat", "-H", "a,b", "--name=siem"),
                     ("run", "-H", "a", "true"), ("log", "-H", "a"), ("tree", "-H", "a,b")):
            equal(hosts.run(*args).returncode, 2, args)
        check(not os.path.exists(hosts.calls), "ssh was called")


if __name__ == "__main__":
    main()
