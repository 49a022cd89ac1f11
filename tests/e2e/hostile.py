#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Subscribers that ask for as much work as they may, beside programs whose arguments make it cost as much as it can. The daemon has to be on
time for all others. HOSTILE_SECONDS (2) is how long one attack lasts. Where it is set, or LONG, each event has to come within 50 ms; a short
run allows twice as much, for a machine that others share.

What is measured is the daemon, not the machine. With sched_autogroup_enabled (sched(7)) all processes of a session share the CPU time of one group,
whatever their nice values. So the attackers and the reader have sessions of their own here, as they have everywhere else, and the groups have nice values.
The time for which the daemon waited for a CPU (/proc/PID/schedstat, Documentation/scheduler/sched-stats.rst) is not its own delay. The reader is a
process of its own, with a real-time priority, so that its own wait is none either."""
import contextlib
import itertools
import json
import multiprocessing
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import LONG, ODD, PATIENCE, Client, Daemon, at_best, check, equal, is_sanitized, main, seconds, status, test  # noqa: E402
from worst import REFUSED, WORST  # noqa: E402

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "2"))
# Seconds of CPU time in one turn of the loop, and of delay of each event.
LIMIT = 0.5 if is_sanitized() else 0.05 if LONG or "HOSTILE_SECONDS" in os.environ else 0.1
PEERS = 200
MIB = 1 << 20
CONFIG = {"probes": {"table_memory": "32M"}, "socket": {"snapshot": "no", "max_subscribers": "300", "queue": "1M", "snapshot_memory": "16M"}}
# execsnoopd(8), RESOURCES: by how much the daemon may grow.
MEMORY = 32 * MIB + 16 * MIB + 301 * MIB * 3 // 2 + 24 * 2 * MIB + 4 * MIB
# 1.8 MB of bytes with which every pattern below has to be looked for to the end (execve(2): 128 KiB each, 2 MiB in all).
LARGE = ["a" * 131000] * 14
# And what costs most to write: six bytes for each; thirteen bytes for each two, twice in the line, as many as there may be.
LARGEST_LINES = [[b"\x01" * 131000] * 14, [b"\xff"] * 150000]


def be_nice(nice):
    """This process, and all that its session starts from now on."""
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    with contextlib.suppress(OSError):  # no such kernel, or the leader of a session already
        os.setsid()
        with open("/proc/self/autogroup", "w") as f:
            f.write(str(nice))


def waited_for_cpu(pid):
    with open("/proc/%d/schedstat" % pid) as f:
        return int(f.read().split()[1]) / 1e9


def connected(path, request=None):
    peer = socket.socket(socket.AF_UNIX)
    peer.settimeout(1)
    peer.connect(path)
    if request:
        peer.sendall(request.encode() + b"\n")
    return peer


def snapshots(path, over):
    """One after another, each line of which is decided by the worst filter."""
    peer = connected(path)
    request = json.dumps({"args": ["!x", *WORST[:-1]], "snapshot": True}).encode() + b"\n"
    while time.monotonic() < over:
        peer.sendall(request)
        seen = b""
        while b'"live"' not in seen:
            seen = seen[-8:] + peer.recv(1 << 16)


def silent(path, over):
    """Asks, and never reads."""
    peer = connected(path, json.dumps({"args": WORST, "snapshot": True}))
    with contextlib.suppress(TimeoutError):
        while time.monotonic() < over:
            peer.sendall(b'{"snapshot":true}\n')
    time.sleep(max(0, over - time.monotonic()))


def refused(path, over):
    while time.monotonic() < over:
        with connected(path, random.choice(REFUSED)) as peer:
            with contextlib.suppress(OSError):
                while peer.recv(1 << 16):
                    pass


def comers(path, over):
    """They come, and the first thing that they cost is a filter's whole share."""
    while time.monotonic() < over:
        peers = [connected(path, json.dumps({"args": WORST})) for _ in range(20)]
        time.sleep(0.01)
        for peer in peers:
            peer.close()


def cutters(path, over):
    """Each wants other keys, and another number of bytes of all arguments."""
    poll, peers = select.epoll(), {}
    for i in range(60):
        fields = ["seq", "args", *(["exe"] if i & 1 else []), *(["cwd"] if i & 2 else []), *(["comm"] if i & 4 else [])]
        peer = connected(path, json.dumps({"types": ["started"], "comm": ["true"], "args_bytes": 65536 - i, "fields": fields, "snapshot": False}))
        peers[peer.fileno()] = peer
        poll.register(peer.fileno(), select.EPOLLIN)
    while time.monotonic() < over:
        for fd, _ in poll.poll(0.1):
            if not peers[fd].recv(1 << 18):
                raise BrokenPipeError


# A value of each key that a request may have, execsnoopd(8).
OPTIONS = {
    "snapshot": [True, False], "fields": ["all", "basic", ["seq", "args", "cwd"], ["history", "host", "user", "parent_args"], ["type"]],
    "mark": [0, 1, 3600], "args_bytes": [0, 1, 5000, 65536], "path_search": ["fold", "all"], "types": ["started", ["exited", "!error"]],
    "pid": [1, ["2", "!3"]], "ppid": [1], "tree": [1, ["2", "!1"], os.getpid()], "uid": [0, "!0"], "gid": [[0, "1"]], "comm": ["true", "*[a-z]*"],
    "exe": ["/usr/*"], "filename": ["*a?b*"], "args": [WORST[0], ["!x", *WORST[64:]]], "unit": ["*.service"], "cgroup": ["*/*"], "container_id": ["*"],
    "error": ["ENOENT"], "result": ["exit-code"], "loginuid": [0, "!1000"], "parent_comm": ["sh"], "cwd": ["*/*/*"], "pod_uid": ["?"],
    "secureexec": [True, "no"], "min_running_time": ["1s"], "min_cpu": ["1ms"]}


def any_request():
    kind = random.random()
    if kind < 0.1:
        return {"stats": True}
    if kind < 0.15:
        return {"forget": random.choice("abc")}
    keys = random.sample(list(OPTIONS), random.randint(1, len(OPTIONS)))
    return {key: random.choice(OPTIONS[key]) for key in keys}


def all_options(path, over):
    """Valid requests without a pause, of some connections, some of which have names and acknowledge."""
    requests = [json.dumps(any_request()).encode() + b"\n" for _ in range(300)]
    poll, peers, rest, named = select.epoll(), {}, {}, set()
    for i in range(8):
        peer = connected(path, json.dumps({"name": "ab"[i]}) if i < 2 else None)
        peer.setblocking(False)
        peers[peer.fileno()] = peer
        named |= {peer.fileno()} if i < 2 else set()
        poll.register(peer.fileno(), select.EPOLLIN | select.EPOLLOUT)
    while time.monotonic() < over:
        for fd, events in poll.poll(0.1):
            with contextlib.suppress(BlockingIOError):
                if events & select.EPOLLIN and not peers[fd].recv(1 << 18):
                    raise BrokenPipeError
                if events & select.EPOLLOUT:
                    request = rest.get(fd) or (b'{"ack":1}\n' if fd in named and random.random() < 0.3 else random.choice(requests))
                    rest[fd] = request
                    rest[fd] = request[peers[fd].send(request):]


def crowd(path, over, request, end):
    """Many at once, each of which asks again when it has its answer; end: what the answer ends with."""
    poll, peers = select.epoll(), {}

    def come():
        peer = connected(path, request)
        peer.setblocking(False)
        peers[peer.fileno()] = [peer, b""]
        poll.register(peer.fileno(), select.EPOLLIN)
    while len(peers) < PEERS and time.monotonic() < over:
        come()
    while time.monotonic() < over:
        for fd, _ in poll.poll(0.1):
            peer, seen = peers[fd]
            with contextlib.suppress(OSError):
                got = peer.recv(1 << 18)
                peers[fd][1] = (seen + got)[-32:]
                if end in seen + got:
                    peers[fd][1] = b""
                    peer.sendall(request.encode() + b"\n")
                if got:
                    continue
            poll.unregister(fd)
            peers.pop(fd)[0].close()
            come()


def listeners(path, over):
    """With the subscription of the configuration."""
    poll, peers = select.epoll(), {}
    for _ in range(PEERS // 2):
        peer = connected(path)
        peers[peer.fileno()] = peer
        poll.register(peer.fileno(), select.EPOLLIN)
    while time.monotonic() < over:
        for fd, _ in poll.poll(0.1):
            if not peers[fd].recv(1 << 18):
                raise BrokenPipeError


def reload(daemon, over, config, more=""):
    """The daemon has it, or has refused it."""
    daemon.write(config)
    with open(daemon.file, "a") as f:
        f.write(more)
    before = daemon.messages().count("reloaded")
    os.kill(daemon.process.pid, signal.SIGHUP)
    while daemon.messages().count("reloaded") == before and time.monotonic() < over:
        time.sleep(0.002)


def reloads(daemon, over):
    """One configuration after another: rules that mask the table again, filters for all who have none of their own, and a file as large as it may
    be, with a problem in each line."""
    masking = {"options": "password, token, -p", "pattern": "(a|aa)+$\npattern = a+\npattern = [a-z]{1,60}="}
    for i in itertools.count():
        # Each of them once, however long they take.
        ends = over if i else over + PATIENCE / 2
        if time.monotonic() > ends:
            break
        filters = {"args": ", ".join(["!x", *WORST[i % 2:63 + i % 2]])}
        reload(daemon, ends, {**CONFIG, "redact": masking, "socket": {**CONFIG["socket"], **filters}})
        reload(daemon, ends, CONFIG)
        reload(daemon, ends, CONFIG, "x\n" * 500000)


def attack(kind, path, over, *more):
    be_nice(15)
    while time.monotonic() < over:
        # It may be refused, rejected, or sent away.
        with contextlib.suppress(OSError):
            kind(path, over, *more)


def execs(over):
    be_nice(10)
    for args in itertools.cycle([LARGE, LARGE, LARGE, *LARGEST_LINES]):
        if time.monotonic() > over:
            break
        subprocess.run(["true", *args], check=True)
        time.sleep(0.05)


def reader(path, pid, results):
    """An ordinary subscriber: for each of its events when it was made, when it arrived, and how long the daemon had waited for a CPU until then.
    It reads as soon as there is something to read: its own wait for a CPU is not the daemon's delay either."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    client = Client(path)
    client.send({"comm": ["odd"], "fields": ["seq", "time", "pid"], "types": ["started"]})
    client.wait(lambda e: e["type"] == "subscribed")
    results.send(None)
    while True:
        at = len(client.events)
        client.wait(lambda e: True, since=at, patience=3600)
        now, waited = time.time(), waited_for_cpu(pid)
        for event in client.events[at:]:
            results.send((event, now, waited))


def exec_odd(pid):
    """Makes an event; the process, when it was about to make it, and how long the daemon had waited for a CPU until then."""
    ends = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # Its own wait for a CPU would be counted as the daemon's delay.
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            os.write(ends[1], struct.pack("dd", time.time(), waited_for_cpu(pid)))
            os.execv(ODD, [ODD, "exit", "0"])
        finally:
            os._exit(127)
    os.waitpid(child, 0)
    sample = struct.unpack("dd", os.read(ends[0], 16))
    for end in ends:
        os.close(end)
    return child, *sample


def delays_until(daemon, results, over):
    """Of the events of small programs, from the kernel's time to the reader's: as they were, and without the time for which the daemon
    waited for a CPU. An event that the kernel lost has none: the arguments of other programs may fill the ring on a busy machine, and that is reported."""
    delays, own, peak, pid = [], [], 0, daemon.process.pid
    while time.monotonic() < over:
        program, began, before = exec_odd(pid)
        event = None
        while not event or event["type"] != "lost" and event["pid"] != program:
            check(results.poll(PATIENCE), "no event of", program)
            event, now, after = results.recv()
            check(event["type"] != "lost" or event["where"] != "subscriber", "the ordinary one lost:", event)
        if event["type"] == "started":
            made = seconds(event["time"]) / 1e9
            delays.append(now - made)
            # At least so much of that time was after the event was made.
            waited = max(0, after - before - max(0, made - began))
            own.append(max(0, delays[-1] - waited))
        peak = max(peak, status(pid, "RssAnon"))
        time.sleep(0.01)
    check(delays, "all was lost")
    return sorted(delays), sorted(own), peak


def of(delays, part):
    return delays[min(int(len(delays) * part), len(delays) - 1)] * 1000


def measure(kinds, with_reloads=False):
    """What an ordinary subscriber gets beside these: the worst of a turn's CPU time, and of the delay of its events, in seconds."""
    large = [subprocess.Popen(["sh", "-c", "read x", "sh", *LARGE], stdin=subprocess.PIPE) for _ in range(14 if with_reloads else 4)]
    with Daemon(CONFIG, env={"WATCHDOG_USEC": "1000000"}) as daemon:
        pid = daemon.process.pid
        results, far = multiprocessing.Pipe(duplex=False)
        ordinary = multiprocessing.Process(target=reader, args=(daemon.path, pid, far), daemon=True)
        ordinary.start()
        results.recv()
        base = status(pid, "RssAnon")
        over = time.monotonic() + SECONDS
        attackers = [multiprocessing.Process(target=attack, args=(kind[0], daemon.path, over, *kind[1:]), daemon=True) for kind in kinds]
        attackers.append(multiprocessing.Process(target=execs, args=(over,), daemon=True))
        if with_reloads:
            attackers.append(multiprocessing.Process(target=attack, args=(reloads, daemon, over), daemon=True))
        for attacker in attackers:
            attacker.start()
        waited = waited_for_cpu(pid)
        delays, own, peak = delays_until(daemon, results, over)
        waited = waited_for_cpu(pid) - waited
        ordinary.kill()
        for attacker in attackers:
            attacker.join(PATIENCE)
            check(attacker.exitcode == 0, "an attacker ended with", attacker.exitcode)
        stats, messages = daemon.stats(), daemon.messages()
        fed = daemon.notify.notes.count("WATCHDOG=1")
    for process in large:
        process.communicate(b"\n")
    print("#   delay of %d: %.1f ms, 99 in 100 %.1f, at most %.1f; the daemon's own %.1f, %.1f, %.1f; it waited for a CPU for %.0f %%" %
          (len(delays), of(delays, 0.5), of(delays, 0.99), of(delays, 1), of(own, 0.5), of(own, 0.99), of(own, 1), waited / SECONDS * 100))
    if with_reloads:
        print("#   %d reloads" % messages.count("reloaded"))
        check("configuration reloaded" in messages and "more problems" in messages, messages[-2000:])
    print("#   longest turn %.1f ms, most CPU in one %.1f; grown by %.1f of %d MiB at most; %d connections" %
          (stats["turn_max_us"] / 1000, stats["turn_max_cpu_us"] / 1000, (peak - base) / MIB, MEMORY / MIB, stats["accepted"]))
    sys.stdout.flush()
    check(fed >= SECONDS, "the watchdog was fed", fed, "times")
    if not is_sanitized():
        check(peak - base <= MEMORY, "it has grown by", peak - base, "of", MEMORY)
    return max(stats["turn_max_cpu_us"] / 1e6, own[-1])


def measure_alone(kinds, **more):
    """In a session of its own, which takes precedence."""
    def child(result):
        be_nice(-10)
        result.put(measure(kinds, **more))
    result = multiprocessing.Queue()
    process = multiprocessing.Process(target=child, args=(result,))
    process.start()
    process.join()
    equal(process.exitcode, 0, "the exit status")
    return result.get()


@test
def hostile_subscribers_delay_no_other():
    at_best(LIMIT, lambda: measure_alone([[snapshots]] * 4 + [[silent]] * 3 + [[refused]] * 2 + [[comers], [cutters], [all_options]]))


@test
def crowds_of_subscribers_delay_no_other():
    worst = {"args": ["!x", *WORST[:-1]]}
    for request, end in (
            (worst, b"no end"),  # they only wait, each with its filter
            ({**worst, "snapshot": True}, b'"live"'),
            ({**worst, "tree": [str(i) for i in range(1, 60)]}, b"}\n"),
            ({"stats": True}, b"}\n"),
            (REFUSED[0], b"no end")):
        print("# %d that ask for %.60s" % (PEERS, request))
        request = request if isinstance(request, str) else json.dumps(request)
        at_best(LIMIT, lambda: measure_alone([[crowd, request, end]]))


@test
def reloads_delay_no_other():
    at_best(LIMIT, lambda: measure_alone([[listeners], [snapshots], [comers]], with_reloads=True))


if __name__ == "__main__":
    main()
