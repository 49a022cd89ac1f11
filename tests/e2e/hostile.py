#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Subscribers that ask for as much work as they may, beside programs whose arguments make it as dear as it can be. The daemon has to be on
time for all others. HOSTILE_SECONDS (2) is how long one attack lasts."""
import contextlib
import json
import multiprocessing
import os
import random
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import ODD, PATIENCE, Daemon, at_best, check, is_sanitized, main, run, seconds, test  # noqa: E402

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "2"))
LIMIT = 0.5 if is_sanitized() else 0.05  # seconds of CPU time in one turn of the loop
DELAY = 10 * LIMIT  # of an event; where the attackers and the daemon share one CPU, it is some 100 ms
# 1.8 MB of bytes with which every pattern below has to be looked for to the end (execve(2): 128 KiB each, 2 MiB in all).
LARGE = ["a" * 131000] * 14
# As many patterns as a filter may have: by tables, and by going back where an almost whole match ends.
WORST = ["*a" + "?" * 61 + "b*"] * 64 + ["*" + "a" * 60 + "b*"] * 64
# Each is as long as a line may be.
REFUSED = [json.dumps({"args": [part * (4000 // len(part))] * 16}) for part in ("[.", "[", "[\\]", "*[?", "[[:alpha:]")]


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


def attack(kind, path, over):
    os.nice(15)
    while time.monotonic() < over:
        # It may be refused, rejected, or sent away.
        with contextlib.suppress(OSError):
            kind(path, over)


def execs(over):
    os.nice(10)
    while time.monotonic() < over:
        subprocess.run(["true", *LARGE], check=True)
        time.sleep(0.05)


def delays_until(client, over):
    """Of the events of small programs, from the kernel's time to the reader's. An event that the kernel lost has none: the arguments of other
    programs may fill the ring on a busy machine, and that is reported."""
    delays = []
    while time.monotonic() < over:
        since = len(client.events)
        pid = run(ODD, "exit", "0").pid
        event = client.wait(lambda e: e["type"] == "lost" or e["type"] == "started" and e["pid"] == pid, since=since)
        if event["type"] == "started":
            delays.append(time.time() - seconds(event["time"]) / 1e9)
        time.sleep(0.01)
    lost = [e for e in client.events if e["type"] == "lost" and e["where"] == "subscriber"]
    check(not lost, "the ordinary one lost:", lost[:3])
    return sorted(delays)


@test
def hostile_subscribers_delay_no_other():
    # What is measured is the daemon's delay, not how long this reader waits for a CPU.
    os.setpriority(os.PRIO_PROCESS, 0, -10)

    def measure():
        large = [subprocess.Popen(["sh", "-c", "read x", "sh", *LARGE], stdin=subprocess.PIPE) for _ in range(4)]
        config = {"socket": {"snapshot": "no", "max_subscribers": "200"}}
        with Daemon(config, env={"WATCHDOG_USEC": "1000000"}) as daemon:
            client = daemon.connect(live=False)
            client.send({"comm": ["odd"], "fields": ["seq", "time", "pid"]})
            client.wait(lambda e: e["type"] == "subscribed")
            over = time.monotonic() + SECONDS
            kinds = [snapshots] * 4 + [silent] * 3 + [refused] * 2 + [comers]
            attackers = [multiprocessing.Process(target=attack, args=(kind, daemon.path, over), daemon=True) for kind in kinds]
            attackers.append(multiprocessing.Process(target=execs, args=(over,), daemon=True))
            for attacker in attackers:
                attacker.start()
            delays = delays_until(client, over)
            for attacker in attackers:
                attacker.join(PATIENCE)
                check(attacker.exitcode == 0, "an attacker ended with", attacker.exitcode)
            stats = daemon.stats()
            fed = daemon.notify.notes.count("WATCHDOG=1")
        check(delays, "all was lost:", client.events[-3:])
        middle = delays[len(delays) // 2]
        print("#   delay %.1f ms, %.1f at most; longest turn %.1f ms, most CPU in one %.1f ms, %d times fed, %d connections" %
              (middle * 1000, delays[-1] * 1000, stats["turn_max_us"] / 1000, stats["turn_max_cpu_us"] / 1000, fed, stats["accepted"]))
        check(fed >= SECONDS, "the watchdog was fed", fed, "times")
        for process in large:
            process.communicate(b"\n")
        return max(stats["turn_max_cpu_us"] / 1e6, middle / DELAY * LIMIT)
    at_best(LIMIT, measure)


if __name__ == "__main__":
    main()
