#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Subscribers at their worst: what the daemon holds for them is bounded and known, and others do not notice.

BOUNDS_SECONDS is how long the long one lasts; by hand, five minutes."""
import os
import signal
import statistics
import subprocess
import threading
import time

from e2e import (ODD, PATIENCE, Client, Daemon, check, connect_only, equal, is_sanitized, main, needs, odd, run, status, test,
                 until, worst_subscribers)

SECONDS = float(os.environ.get("BOUNDS_SECONDS", 3))
MIB = 1 << 20
CONFIG = {"probes": {"table_memory": "16M", "ring_buffer": "32M"},
          "socket": {"queue": "512K", "max_subscribers": "60", "snapshot_memory": "16M"}}
# execsnoopd(8), RESOURCES: by how much the daemon may grow after its start.
MOST = 16 * MIB + 16 * MIB + 61 * MIB + 24 * 2 * MIB + 4 * MIB


def limit_memory(pid, size):
    """The kernel ends the process beyond that, as MemoryMax= has it; by a limit of its data, where there are no cgroups."""
    for folder, name in ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max"):
        folder = os.path.join(folder, "execsnoopd-test-%d" % pid)
        try:
            os.mkdir(folder)
        except OSError:
            continue
        try:
            with open(os.path.join(folder, name), "w") as f:
                f.write(str(size))
            with open(os.path.join(folder, "cgroup.procs"), "w") as f:
                f.write(str(pid))
            return folder
        except OSError:
            os.rmdir(folder)
    needs(False, "cgroups of memory")
    more = size - status(pid, "VmRSS")
    subprocess.run(["prlimit", "--pid", str(pid), "--data=%d" % (status(pid, "VmData") + more)], check=True)
    return None


class Load:
    """Programs with all the arguments that they may have, of the bytes that take most, and small ones; processes that exec again;
    connections that come and go."""

    def __init__(self, path):
        self.path = path
        self.over = threading.Event()
        self.threads = [threading.Thread(target=t, daemon=True) for t in (self.large, self.small, self.connects)]
        for thread in self.threads:
            thread.start()

    def large(self):
        kinds = [b"\x01", b"\xff", b"x"]
        while not self.over.is_set():
            for byte in kinds:
                run(ODD, "exit", "0", *[byte * 100000] * 18)
                self.over.wait(0.1)

    def small(self):
        while not self.over.is_set():
            odd("storm", "200", "hostile").wait()
            self.over.wait(0.1)

    def connects(self):
        while not self.over.is_set():
            for _ in range(50):
                try:
                    connect_only(self.path, b"{}\n").close()
                except OSError:
                    pass
            self.over.wait(0.05)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def held(stats):
    return sum(stats["memory"].values()) + stats["requests_bytes"]


@test
def worst_subscribers_stay_within_the_documented_memory():
    with Daemon(CONFIG, defaults=True) as daemon:
        pid = daemon.process.pid
        good = daemon.connect()
        good.send({"ppid": os.getpid(), "fields": ["seq", "pid", "args"], "types": ["started", "exited"], "args": "marker"})
        good.wait(lambda e: e["type"] == "subscribed")
        base = status(pid, "RssAnon") - held(good_stats(good))
        group = None if is_sanitized() else limit_memory(pid, status(pid, "VmRSS") + MOST)
        peers = worst_subscribers(daemon.path)
        load = Load(daemon.path)
        peak, delays, end = 0, [], time.monotonic() + SECONDS
        while time.monotonic() < end or len(delays) < 5:
            begin = time.monotonic()
            good.wait_exit(run(ODD, "exit", "0", "marker").pid)
            delays.append(time.monotonic() - begin)
            peak = max(peak, status(pid, "RssAnon"))
        load.stop()
        print("#   held at most %d of %d MiB; a program of the ordinary one after %d ms, %d at most" %
              ((peak - base) / MIB, MOST / MIB, statistics.median(delays) * 1000, max(delays) * 1000))
        equal([e for e in good.events if e["type"] == "lost"], [], "the ordinary one lost something")
        stats = good_stats(good)
        for subscriber in stats["subscribers"]:
            check(subscriber["queue"] <= subscriber["queue_limit"] + 256 * 1024, subscriber)
        check(stats["snapshots"]["memory"] <= stats["snapshots"]["memory_limit"], stats["snapshots"])
        check(sum(s["lost"] for s in stats["subscribers"]) > 0, "no subscriber was slow")
        if not is_sanitized():
            check(peak - base <= MOST, "it holds", peak - base, "of", MOST)
            grown = status(pid, "RssAnon") - base
            check(abs(held(stats) - grown) <= grown / 5 + MIB, "it says", stats["memory"], stats["requests_bytes"], "and has", grown)
        for peer in peers:
            peer.close()
        good.wait_exit(run(ODD, "exit", "0", "marker").pid)
    if group:
        os.rmdir(group)


def good_stats(client):
    since = len(client.events)
    client.send({"stats": True})
    return client.wait(lambda e: e["type"] == "stats", "stats", since=since)


@test
def unread_snapshots_end_with_a_reason():
    with Daemon({"socket": {"snapshot_memory": "4M"}}) as daemon:
        script = os.path.join(daemon.dir, "again")
        with open(script, "w") as f:
            f.write("#!/bin/sh\nread line || exit 0\nexec \"$0\" \"$@\"\n")
        os.chmod(script, 0o755)
        good = daemon.connect()
        programs = [subprocess.Popen([script, "x" * 20000], stdin=subprocess.PIPE, bufsize=0) for _ in range(60)]
        pids = {p.pid for p in programs}

        good.wait_each("started", pids)
        idle = []
        for _ in range(12):
            idle.append(Client(daemon.path))
            daemon.stats()  # it has been accepted
            since = len(good.events)
            for program in programs:
                program.stdin.write(b"\n")
            good.wait_each("started", pids, since)
            snapshots = good_stats(good)["snapshots"]
            check(snapshots["memory"] <= snapshots["memory_limit"] + 65536, snapshots)
        check(snapshots["ended"] > 0, snapshots)
        last = run(ODD, "exit", "0")
        good.wait_exit(last.pid)
        ended = 0
        for client in idle:
            client.wait_exit(last.pid)
            live = [e["type"] for e in client.events].index("live")
            lost = [e for e in client.events[:live] if e["type"] == "lost"]
            begun = {e["id"] for e in client.events if e["type"] == "started"}
            check(all(e["id"] in begun for e in client.events if e["type"] == "exited"), "an end without a beginning")
            if not lost:
                check(pids <= {e.get("pid") for e in client.events[:live]}, "a whole snapshot lacks some")
                continue
            ended += 1
            equal(client.events[live - 1], lost[0], "the place of the loss")
            check(len(lost) == 1 and lost[0]["where"] == "subscriber" and "first_seq" not in lost[0], lost)
            missing = pids - {e.get("pid") for e in client.events[:live]}
            check(len(missing) <= lost[0]["count"], len(missing), "are missing:", lost)
        check(ended >= snapshots["ended"], ended, snapshots)
        for program in programs:
            program.stdin.close()
            program.wait()


@test
def variables_that_programs_choose_are_bounded():
    variables = {"BIG%d" % i: "x" * 120000 for i in range(14)}
    with Daemon({"probes": {"env": "BIG*", "table_memory": "4M"}}) as daemon:
        stream = daemon.connect()
        programs = [odd("wait", "0", env=variables, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) for _ in range(6)]
        stream.wait_each("started", {p.pid for p in programs})
        table = daemon.stats()["table"]
        check(table["args_bytes"] <= (4 << 20) + 4096 * table["processes"], table)
        incomplete = 0
        for program in programs:
            program.communicate()
            exited = stream.wait_exit(program.pid)
            equal(stream.of(program.pid, "started")[0]["env"], variables, "its start has all of them")
            incomplete += "env" in exited.get("incomplete", [])
        equal(incomplete, 4, "of six")


@test
def one_user_has_a_share_of_the_connections_and_root_gets_in():
    with Daemon({"socket": {"mode": "0666", "max_subscribers": "32"}}) as daemon:
        os.chmod(daemon.dir, 0o755)
        taken, refused = [], 0
        for uid in 65534, 65533, 65532, 65531, 65530:
            os.seteuid(uid)
            try:
                clients = [Client(daemon.path) for _ in range(20)]
            finally:
                os.seteuid(0)
            stay = []
            for client in clients:
                first = client.wait(lambda e: True)
                if first["type"] == "rejected":
                    refused += 1
                    check("per_user" in first["reason"] or "max_subscribers" in first["reason"], first)
                    while client.read_some(PATIENCE):
                        pass
                    check(client.ended)
                else:
                    stay.append(client)
            equal(len(stay), 8 if len(taken) < 32 else 0, "places of one user")
            taken += stay
        equal((len(taken), refused), (32, 68))
        root = daemon.connect()
        root.wait_exit(run(ODD, "exit", "0").pid)
        equal(daemon.stats()["refused"], 68)
        equal(daemon.messages().count("refused"), 1, "messages about refusals")


def waits_for(pid):
    """The function of the kernel that it sleeps in."""
    with open("/proc/%d/wchan" % pid) as f:
        return f.read()


@test
def subscribers_leave_the_daemon_the_files_that_it_needs():
    limit = 280
    with Daemon({"socket": {"max_subscribers": "4000", "per_user": "4000"}}, prefix=("prlimit", "--nofile=%d:%d" % (limit, limit)),
                env={"WATCHDOG_USEC": "400000"}, store=[]) as daemon:
        clients = [Client(daemon.path) for _ in range(limit)]
        firsts = [client.wait(lambda e: True) for client in clients]
        stay = [client for client, first in zip(clients, firsts) if first["type"] != "rejected"]
        refused = [first["reason"] for first in firsts if first["type"] == "rejected"]
        check(len(stay) > limit / 3, len(stay), "may connect")
        equal(set(refused), {"there are as many subscribers as the limit of open files allows"})
        equal((good_stats(stay[0])["accept_pauses"], len(stay) + len(refused)), (0, limit))
        # A reload opens files, a watchdog's message needs a socket, large entries and the state for the next daemon are files.
        daemon.write({"socket": {"fields": "pid"}})
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration reloaded" in daemon.messages())
        fed = daemon.notify.notes.count("WATCHDOG=1")
        until(lambda: daemon.notify.notes.count("WATCHDOG=1") > fed)
        marker = run(ODD, "exit", "0")
        stay[-1].wait_exit(marker.pid)

        def is_admitted():
            stay.append(Client(daemon.path))
            return stay[-1].wait(lambda e: True)["type"] != "rejected"
        # A service manager that is slow: each message to it that waits has a descriptor, that of each new subscriber among them.
        daemon.notify.hold()
        for _ in range(100):
            # Its place is free again.
            stay.pop(0).close()
            until(is_admitted, "no place")
        daemon.process.terminate()
        until(lambda: daemon.process.poll() is not None or "nanosleep" in waits_for(daemon.process.pid), "it does not wait", patience=10)
        daemon.notify.release()
    check([name for name, _ in daemon.store if name.endswith("-state")], daemon.store)
    for _, fd in daemon.store:
        os.close(fd)


if __name__ == "__main__":
    main()
