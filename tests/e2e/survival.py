#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether what subscribers asked for, or what is left in systemd's store, takes the next daemon down: subscriptions with and without a name, that fold
searches, under the worst requests; a daemon that is killed while it works for one; saved state that is damaged."""
import contextlib
import fcntl
import json
import os
import random
import re
import select
import signal
import socket
import struct
import sys
import threading
import time

from e2e import ODD, Client, check, equal, main, run, test, until
from units import SHORT, Listener, Unit
from worst import REFUSED, WORST

SEALS = 0x1 | 0x2 | 0x4 | 0x8  # F_SEAL_SEAL, SHRINK, GROW, WRITE of linux/fcntl.h
F_ADD_SEALS = 1033
ARCHIVES = "-state", "-subscribers"
DAMAGES = 9
BLAME = "the previous daemon died while working for it"
CONFIG = {"socket": {"snapshot": "no", "max_subscribers": "40", "queue": "512K"}}
# By the name of what each asks a daemon to do.
REQUESTS = {
    "worst filter of a name that folds": {"name": "worst", "ack": 0, "args": ["!x", *WORST[:-1]], "path_search": "fold", "snapshot": True, "mark": 1},
    "worst filter": {"args": ["!x", *WORST[:-1]], "snapshot": True},
    "acknowledgement of what never was": {"name": "worst", "ack": (1 << 63) - 1},
    "statistics": {"stats": True},
    "forget": {"forget": "worst"},
    "tree of one who is gone": {"name": "tree", "tree": [str(i) for i in range(1, 60)], "snapshot": True, "path_search": "fold"},
}
# No longer than a checkpoint has room for, with lines that are written at once each: else the connection ends with the daemon anyway.
KEPT = [{**SHORT, "args": ["!x", *WORST[42:86]], "snapshot": True, **more} for more in ({}, {"name": "kept", "ack": 0, "path_search": "fold", "mark": 1})]


class Reader:
    """The one who stores everything: a subscription with a name, over all connections."""

    def __init__(self, path):
        self.path, self.numbers, self.pids, self.client, self.at = path, set(), set(), None, 0
        self.connect()

    def connect(self):
        self.client, self.at = Client(self.path), 0
        request = {"name": "reader", "fields": ["seq", "type", "pid"], "path_search": "fold", "types": ["started", "exited", "error"], "ppid": os.getpid()}
        self.client.send({**request, **({} if self.numbers else {"ack": 0})})
        reply = self.client.wait(lambda e: e["type"] == "subscribed")
        equal(reply["resumed"], bool(self.numbers), "resumed")

    def take(self):
        for event in self.client.events[self.at:]:
            if event["type"] == "lost":
                self.numbers.update(range(event.get("first_seq", 1), event.get("last_seq", 0) + 1))
                self.pids.add(None)
            elif "seq" in event:
                self.numbers.add(event["seq"])
                self.pids.add((event["type"], event["pid"]))
        self.at = len(self.client.events)

    def wait_exit(self, program):
        """Whatever becomes of its connection. What was lost may have been that: then another one's."""
        def is_there():
            nonlocal program
            try:
                while self.client.read_some(0.2):
                    pass
            except OSError:
                self.client.ended = True
            self.take()
            if self.client.ended:
                self.client.close()
                self.connect()
            if None in self.pids:
                self.pids.remove(None)
                program = run(ODD, "exit", "0")
            return ("exited", program.pid) in self.pids
        until(is_there, "no exit of", program.pid)
        self.client.send({"ack": max(self.numbers)})


class Asker(threading.Thread):
    """A connection that the daemon always has something to do for: it asks, reads all that comes, and asks again once it has the reply. What
    a daemon had read when it died has none."""

    def __init__(self, path, request):
        super().__init__(daemon=True)
        self.line = json.dumps(request).encode() + b"\n"
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.socket.settimeout(0.3)
        self.start()

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                self.socket.sendall(self.line)
                got = b"none"
                while got and b'"type":"subscribed"' not in got and b'"type":"stats"' not in got:
                    try:
                        got = self.socket.recv(1 << 20)
                    except TimeoutError:
                        break
                if not got:
                    return

    def close(self):
        self.socket.close()


def ask(path, request):
    """A connection that asks again and again, as often as its socket takes, and reads nothing."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    peer.setblocking(False)
    line = request.encode() + b"\n"
    with contextlib.suppress(OSError):
        while peer.send(line) == len(line):
            pass
    return peer


def kill(unit, number):
    unit.daemon.process.send_signal(number)
    equal(unit.daemon.process.wait(), -number, "the daemon's exit status")
    unit.gone()


def checkpoint_of(store):
    return next(fd for name, fd in store if name.endswith("-ledger"))


def page_of(fd):
    """Where the valid page of a checkpoint begins."""
    return 16 + int.from_bytes(os.pread(fd, 4, 8), sys.byteorder) * (os.fstat(fd).st_size - 16) // 2


def kill_within_a_turn(unit, number, of=None):
    """Stops the daemon again and again, until what it noted (struct checkpoint_page) says that it is at a request of a subscriber, or of this one: there
    it dies. Returns the subscriber's slot."""
    slot, pid, kept = 0, unit.daemon.process.pid, checkpoint_of(unit.daemon.store)

    def is_within():
        nonlocal slot
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state(pid) == "T", "not stopped")
        slot, is_own = struct.unpack("=IB", os.pread(kept, 5, page_of(kept) + 20))
        if slot and is_own and of in (slot, None):
            return True
        os.kill(pid, signal.SIGCONT)
        time.sleep(random.uniform(0, 0.003))
        return False
    until(is_within, "never at a request")
    os.kill(pid, number)
    os.kill(pid, signal.SIGCONT)
    equal(unit.daemon.process.wait(), -number, "the daemon's exit status")
    unit.gone()
    return slot


def have_ended(sockets):
    """Of some of them the daemon has closed its end."""
    ended = select.poll()
    for one in sockets:
        ended.register(one, select.POLLRDHUP)
    return bool(ended.poll(0))


def check_blamed(unit, reader, request, number):
    """The next daemon closes the connection for which the last one worked when it died, and that one alone. With a name, it is only the second SIGKILL
    that is not taken for a chance."""
    other = Client(unit.listener.path)
    other.send({"ppid": os.getpid()})
    other.wait(lambda e: e["type"] == "subscribed")
    askers = [Asker(unit.listener.path, {**request, "name": request["name"] + str(i)} if "name" in request else request) for i in range(6)]
    unit.wait_kept(8)
    slot = kill_within_a_turn(unit, number)
    unit.start()
    if number == signal.SIGKILL and "name" in request:
        equal(unit.daemon.messages().count(BLAME), 0, "subscribers that are blamed for one SIGKILL")
        if have_ended(one.socket for one in askers):
            print("#   again: a part of a line was out")
            for one in (*askers, other):
                one.close()
            return check_blamed(unit, reader, request, number)
        kill_within_a_turn(unit, number, slot)
        unit.start()
    equal(unit.daemon.messages().count(BLAME), 1, "subscribers that are blamed")
    # Of the reader as well: it may have been its turn.
    check(have_ended([reader.client.fd, *(one.socket for one in askers)]), "all still connected")
    program = run(ODD, "exit", "0")
    other.wait_exit(program.pid)
    for one in (*askers, other):
        one.close()
    return reader.wait_exit(program)


@test
def daemon_that_fails_within_the_worst_requests_has_a_successor():
    """By a fault in the program, or since the watchdog ended it (SIGABRT): the next daemon is not asked for the same."""
    with Listener() as listener, Unit(listener, CONFIG) as unit:
        reader = Reader(listener.path)
        reader.wait_exit(run(ODD, "exit", "0"))
        for request, fault in zip(KEPT, (signal.SIGSEGV, signal.SIGABRT)):
            check_blamed(unit, reader, request, fault)
            check_blamed(unit, reader, request, signal.SIGKILL)


@test
def daemon_killed_within_the_worst_requests_has_a_successor():
    """A SIGKILL may come at any time, so who asks stays connected, but not for ever."""
    with Listener() as listener, Unit(listener, CONFIG) as unit:
        reader = Reader(listener.path)
        reader.wait_exit(run(ODD, "exit", "0"))
        for name, request in [*REQUESTS.items(), ("refused", REFUSED[0])]:
            request = request if isinstance(request, str) else json.dumps(request)
            peers = [ask(listener.path, request) for _ in range(4)]
            used = cpu(unit.daemon.process.pid)
            # Nothing may be left of the requests' work; then it is the events that take it.
            until(lambda used=used: run("true").returncode == 0 and cpu(unit.daemon.process.pid) > used, "no turn for", name)
            kill(unit, signal.SIGKILL)
            program = run(ODD, "exit", "0")
            unit.start()
            reader.wait_exit(program)
            for peer in peers:
                peer.close()
        unit.restart()
        reader.wait_exit(run(ODD, "exit", "0"))


def stat(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rpartition(")")[2].split()


def state(pid):
    return stat(pid)[0]


def cpu(pid):
    return sum(map(int, stat(pid)[11:13]))


def damage(data, how):
    """The archive with what a version with a bug, or a hostile one, may have written."""
    chance, data = random.Random(how), bytearray(data)
    for _ in range(1 + how % 4):
        at = chance.randrange(len(data))
        if how % 3 == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif how % 3 == 1:
            data[at:at + 8] = chance.choice([b"\xff" * 8, b"\0" * 8, b"\1" + b"\0" * 7, b"\xff" * 7 + b"\x7f"])
        else:
            del data[at:at + chance.randrange(1, 64)]
    return bytes(data if how != DAMAGES - 1 else data[:len(data) // 2])


def replace(store, end, change):
    """The entry of the store whose name ends so, with other content."""
    found = [i for i, (name, _) in enumerate(store) if name.endswith(end)]
    equal(len(found), 1, "entries", end, "of", [name for name, _ in store])
    name, fd = store[found[0]]
    data = change(os.pread(fd, os.fstat(fd).st_size, 0))
    copy = os.memfd_create("damaged", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(copy, data)
    fcntl.fcntl(copy, F_ADD_SEALS, SEALS)
    os.close(fd)
    store[found[0]] = (name, copy)


def serves(unit, listener):
    client = Client(listener.path)
    client.send({"ppid": os.getpid(), "snapshot": True})
    client.wait(lambda e: e["type"] == "live")
    client.wait_exit(run(ODD, "exit", "0").pid)
    client.close()
    return unit.daemon.messages()


@test
def damaged_archive_does_not_stop_the_next_daemon():
    """With subscriptions of all kinds in it, of which one has a snapshot under way and lines that are not acknowledged."""
    with Listener() as listener, Unit(listener, CONFIG) as unit:
        refused = 0
        for how in range(DAMAGES):
            peers = [ask(listener.path, json.dumps(request)) for request in REQUESTS.values()]
            held = Client(listener.path)
            held.send({"name": "held%d" % how, "ack": 0, "path_search": "fold", "ppid": os.getpid()})
            held.wait(lambda e: e["type"] == "subscribed")
            held.wait_exit(run(ODD, "exit", "0", *["x" * 1000] * 20).pid)
            held.close()
            unit.stop()
            replace(unit.store, ARCHIVES[how % 2], lambda data, how=how: damage(data, how))
            unit.start()
            refused += "cannot be read" in serves(unit, listener)
            for peer in peers:
                peer.close()
        print("#   %d of %d were refused" % (refused, DAMAGES))
        check(0 < refused, "no damage was seen")


def requests_in(fd):
    """Where in a checkpoint they begin."""
    return [at.start() for at in re.finditer(rb'\{"[a-z]', os.pread(fd, os.fstat(fd).st_size, 0))]


def damage_checkpoint(fd, how):
    """16 bytes of what is before each request in it: how long that is, and where its stream was (struct checkpoint_subscriber); 32 of the
    beginning of its page; and some anywhere."""
    chance, page = random.Random(how), page_of(fd)
    places = [at - 16 * (how + 1) for at in requests_in(fd)]
    os.pwrite(fd, b"\xff" * 32, page + 32 * how)
    check(len(places) >= 3, "requests in the checkpoint:", places)
    for at in places:
        os.pwrite(fd, b"\xff" * 16, at)
    for _ in range(64):
        os.pwrite(fd, bytes([chance.randrange(256)]), places[0] + chance.randrange(20000))


@test
def damaged_checkpoint_does_not_stop_the_next_daemon():
    with Listener() as listener, Unit(listener, CONFIG) as unit:
        for how in range(DAMAGES):
            peers = [ask(listener.path, json.dumps(request)) for request in REQUESTS.values()]
            unit.wait_kept(3)
            # A connection is kept also where its request is not read yet.
            until(lambda: len(requests_in(checkpoint_of(unit.daemon.store))) >= 3, "no requests in the checkpoint")
            kill(unit, signal.SIGKILL)
            damage_checkpoint(checkpoint_of(unit.store), how)
            unit.start()
            serves(unit, listener)
            for peer in peers:
                peer.close()


if __name__ == "__main__":
    main()
