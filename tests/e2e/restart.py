#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is ended and started again by a test that plays systemd: it holds the listening socket and the descriptors
of the file descriptor store meanwhile."""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from e2e import (LONG, ODD, PATIENCE, Client, Daemon, check, check_seq, equal, is_sanitized, live,
                 main, needs, run, start_and_end, status, test, until, worst_subscribers)
from units import SHORT, Listener, Unit, again_if_blamed, subscribers_of


# Others may run these tests as well, on the same kernel.
STORM = "storm-of-%d" % os.getpid()
MISSING = "/nonexistent/of-%d" % os.getpid()
# A daemon is killed at each third message, from one of the first on; at each of them in long.
STEP = 1 if LONG else 3


@test
def connection_made_without_a_daemon_is_served_by_the_next():
    with Listener() as listener:
        for _ in range(3):
            client = Client(listener.path)
            with Daemon(passed=[("execsnoopd.socket", listener.socket.fileno())]):
                client.wait_live()
                start_and_end(client, run(ODD, "exit", "7"))
            client.close()


@test
def fdstore_entries_of_another_version_are_discarded():
    with Listener() as listener, tempfile.TemporaryFile() as state, tempfile.TemporaryFile() as ring:
        passed = [("kept-state-77", state.fileno()), ("execsnoopd.socket", listener.socket.fileno()),
                  ("kept-ring-77", ring.fileno())]
        with Daemon(passed=passed, wait=False) as daemon:
            for name in ("kept-state-77", "kept-ring-77"):
                equal(daemon.wait_note("FDNAME=" + name), "FDSTOREREMOVE=1\nFDNAME=" + name, "what systemd gets")
            daemon.wait_note("READY=1")
            client = listener.connect()
            start_and_end(client, run(ODD, "exit", "0"))
            held = [os.path.realpath("/proc/%d/fd/%s" % (daemon.process.pid, fd))
                    for fd in os.listdir("/proc/%d/fd" % daemon.process.pid)]
            for left in (state, ring):
                equal(os.path.realpath("/proc/self/fd/%d" % left.fileno()) in held, False, "still open in the daemon")
            client.close()


def killed_at(message, *more):
    """A command by which a process dies when it comes to send that message, the first of which is 1."""
    return (shutil.which("strace"), "-o", "/dev/null", "-e", "trace=sendmsg", "-e", "inject=sendmsg:signal=SIGKILL:when=%d" % message, *more)


def whole(stream):
    """Every number once, in order, and nothing lost."""
    check_seq(stream.events)
    equal([e for e in stream.events if e["type"] == "lost"], [], "lost")


@test
def restart_is_invisible_to_subscribers():
    with Listener() as listener, Unit(listener) as unit, listener.connect() as client:
        before = start_and_end(client, run(ODD, "exit", "1"))
        lives = subprocess.Popen(["sleep", "1000"])
        client.wait(lambda e: e["type"] == "started" and e.get("pid") == lives.pid)
        unit.stop()
        while_none = run(ODD, "exit", "2")
        unit.start()
        started, exited = start_and_end(client, while_none)
        equal(exited["exit_code"], 2)
        after = start_and_end(client, run(ODD, "exit", "3"))
        lives.kill()
        lives.wait()
        begun, ended = start_and_end(client, lives)
        equal(ended["exit_signal"], "SIGKILL")
        equal(sum(e["type"] == "live" for e in client.events), 1, "snapshots")
        check(before[0]["seq"] < started["seq"] < after[0]["seq"] and begun["id"] == ended["id"])
        whole(client)


def identity(path):
    """Of a stream that begins now: its `live`, after which the next event has the next number."""
    with Client(path) as client:
        live = client.wait_live()
        run(ODD, "exit", "0")
        after = client.wait(lambda e: "seq" in e and not e.get("snapshot"))
        equal(after["seq"], live["last_seq"] + 1, "the first event")
        client.send({"pid": 1})
        subscribed = client.wait(lambda e: e["type"] == "subscribed")
        equal(subscribed["stream"], live["stream"], "the same stream")
        equal(subscribed["last_seq"], max(e.get("seq", 0) for e in client.events), "the last event before")
        return live


@test
def stream_is_another_only_where_seq_begins_again():
    with Listener() as listener:
        with Unit(listener) as unit:
            first = identity(listener.path)
            equal(first["host"], os.uname().nodename, "host")
            with open("/proc/sys/kernel/random/boot_id") as boot:
                equal(first["boot_id"], boot.read().strip().replace("-", ""), "boot_id")
            if os.path.exists("/etc/machine-id"):
                with open("/etc/machine-id") as machine:
                    equal(first["machine_id"], machine.read().strip(), "machine_id")
            # More than a daemon sees of others while it starts.
            equal(run(ODD, "storm", "1000", STORM).returncode, 0)
            last = first
            for end in (unit.stop, unit.kill):
                end()
                unit.start()
                again = identity(listener.path)
                equal(again["stream"], first["stream"], "the stream continues")
                check(again["last_seq"] > last["last_seq"])
                last = again
        with Unit(listener):
            fresh = identity(listener.path)
            check(fresh["stream"] != first["stream"], "seq began again in the same stream")
            check(fresh["last_seq"] < last["last_seq"])


@test
def restarts_in_a_storm_lose_and_repeat_nothing():
    times = 3000 if LONG else 1500
    with Listener() as listener, Unit(listener) as unit, listener.connect() as client:
        storm = subprocess.Popen(["sh", "-c", "for i in $(seq %d); do /bin/true %s $i; %s/x 2>/dev/null; done; true" %
                                  (times, STORM, MISSING)])
        for _ in range(3):
            unit.restart()
        equal(storm.wait(), 0)
        client.wait_exit(storm.pid)
        args = [e["args"][2] for e in client.events if e["type"] == "started" and e.get("args", [])[1:2] == [STORM]]
        equal(sorted(args, key=int), [str(i + 1) for i in range(times)], "started")
        ends = [e["args"][2] for e in client.events if e["type"] == "exited" and e.get("args", [])[1:2] == [STORM]]
        equal(sorted(ends, key=int), [str(i + 1) for i in range(times)], "exited")
        failed = [e for e in client.events if e["type"] == "error" and e["exe"] == MISSING + "/x"]
        equal(len(failed), times, "failed")
        whole(client)


class Reader:
    """Another process, which reads while the test does other things."""

    def __init__(self, path, request):
        self.file = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen(["nc", "-U", path], stdin=subprocess.PIPE, stdout=self.file, bufsize=0)
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        self.wait(lambda e: e["type"] == "subscribed")

    def events(self):
        with open(self.file.name, "rb") as f:
            return [json.loads(line) for line in f.read().split(b"\n")[:-1]]

    def wait(self, wanted):
        until(lambda: any(map(wanted, self.events())), "it did not come")

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.file.close()


@test
def restart_delivers_more_than_a_queue_holds():
    with Listener() as listener, Unit(listener, {"socket": {"queue": "256K"}}) as unit:
        reader = Reader(listener.path, {"args": STORM})
        unit.wait_kept(1)
        for end in (unit.stop, unit.kill):
            end()
            storm = run("sh", "-c", "for i in $(seq 600); do /bin/true %s $i %s; done" % (STORM, "x" * 2000))
            unit.start()
            marker = run("/bin/true", STORM)
            reader.wait(lambda e, pid=marker.pid: e["type"] == "exited" and e["pid"] == pid)
            events = reader.events()
            equal(len([e for e in events if e["type"] == "exited" and e["ppid"] == storm.pid and len(e["args"]) == 4]), 600, "reported")
            equal([e for e in events if e["type"] == "lost" and e["where"] == "subscriber"], [], "lost")
        reader.close()


@test
def subscription_queue_and_snapshot_survive_a_restart():
    with Listener() as listener, Unit(listener) as unit:
        # Its request, with a tree whose root is gone by the time of the restart.
        tree = subprocess.Popen(["sh", "-c", "read go; exec 3<&0; sh -c 'read go; /bin/true in-the-tree; true' <&3 &"],
                                stdin=subprocess.PIPE, bufsize=0)
        asks = listener.connect()
        asks.send({"tree": [tree.pid], "types": ["started"], "fields": ["type", "seq", "pid", "args"]})
        asks.wait(lambda e: e["type"] == "subscribed")
        tree.stdin.write(b"\n")
        tree.wait()
        # One that reads nothing: its snapshot is under way, and events wait after it.
        reader = listener.connect()
        many = [subprocess.Popen([ODD, "sleep", "x" * 100000], stdout=subprocess.DEVNULL) for _ in range(30)]
        reader.wait_each("started", [p.pid for p in many])
        slow = Client(listener.path)
        slow.read_some(10)
        program = run(ODD, "exit", "5")
        reader.wait_exit(program.pid)
        unit.restart()
        slow.wait_live()
        started, _ = start_and_end(slow, program)
        snapshot = [e["pid"] for e in slow.events if e.get("snapshot")]
        equal(len(snapshot), len(set(snapshot)), "no process twice in a snapshot")
        equal(set(p.pid for p in many) - set(snapshot), set(), "not in the snapshot")
        check(program.pid not in snapshot)
        whole(slow)
        since = len(asks.events)
        tree.stdin.write(b"\n")
        tree.stdin.close()
        equal(asks.wait(lambda e: "in-the-tree" in e.get("args", []), since=since)["type"], "started")
        start_and_end(reader, run(ODD, "exit", "0"))
        whole(reader)
        subscribed = [e["type"] for e in asks.events].index("subscribed")
        equal([e for e in asks.events[subscribed + 1:] if e["type"] != "started"], [], "other events than those asked for")
        for process in many:
            process.kill()
            process.wait()
        for client in (asks, slow, reader):
            client.close()


@test
def worst_subscribers_do_not_prevent_a_restart():
    """What they have it hold is no more after a restart, and after a crash."""
    config = {"probes": {"table_memory": "16M"}, "socket": {"queue": "512K", "max_subscribers": "60", "snapshot_memory": "16M"}}
    with Listener() as listener, Unit(listener, config) as unit:
        base = status(unit.daemon.process.pid, "RssAnon")
        good = listener.connect()
        good.send({"ppid": os.getpid(), "fields": ["seq", "type", "pid"]})
        good.wait(lambda e: e["type"] == "subscribed")
        peers = worst_subscribers(listener.path)
        for _ in range(3):
            good.wait_exit(run(ODD, "exit", "0", *["x" * 100000] * 4).pid)
        equal(run(ODD, "storm", "1000", STORM).returncode, 0)
        unit.wait_kept(40)
        for end in unit.stop, unit.kill:
            end()
            unit.start()
            good.wait_exit(run(ODD, "exit", "0").pid)
            since = len(good.events)
            good.send({"stats": True})
            stats = good.wait(lambda e: e["type"] == "stats", "stats", since=since)
            grown = status(unit.daemon.process.pid, "RssAnon") - base
            print("#   %d subscribers, %d MiB more than at the start" % (len(stats["subscribers"]), grown >> 20))
            # A subscriber with part of a long line can't be kept over a crash.
            check(len(stats["subscribers"]) >= (40 if end == unit.stop else 1), "they are gone:", len(stats["subscribers"]))
            for subscriber in stats["subscribers"]:
                check(subscriber["queue"] <= subscriber["queue_limit"] + 256 * 1024, subscriber)
            # A share of what execsnoopd(8) allows: table_memory, snapshot_memory, queues.
            check(is_sanitized() or grown <= (16 + 16 + 60 + 48) << 20, "it has grown by", grown)
            # The work for its request is over: one that a daemon dies at is not resumed.
            good.wait_exit(run(ODD, "exit", "0").pid)
        for peer in peers:
            peer.close()
        good.wait_exit(run(ODD, "exit", "0").pid)
        good.close()


@test
def short_connections_send_nothing_to_systemd():
    with Listener() as listener, Unit(listener) as unit:
        def said():
            since = len(unit.daemon.notify.notes)
            for _ in range(50):
                listener.connect().close()
            return [n for n in unit.daemon.notify.notes[since:] if "FDNAME" in n]
        # On a machine that is busy one may last for the quarter of a second after which it is kept; then what is said of its end comes later.
        notes = []
        for _ in range(5):
            notes = said()
            if not notes:
                break
            until(lambda: not subscribers_of(unit.daemon), "subscribers in the store")
        equal(notes, [], "said of descriptors")


def accounted(stream):
    """Every number came once, in order, or was reported lost; no process began or ended twice. Returns how many were lost."""
    reported, lost, last = set(), 0, 0
    for event in stream.events:
        if event["type"] == "lost":
            lost += event["count"]
            reported.update(range(event.get("first_seq", 1), event.get("last_seq", 0) + 1))
        if "seq" in event:
            check(event["seq"] > last, "seq", last, "is followed by", event["seq"])
            last = event["seq"]
            reported.add(last)
    missing = set(range(min(reported), last + 1)) - reported if reported else set()
    check(not missing, "missing:", missing)
    for kind in ("started", "exited"):
        execs = [(e["id"], e["time"]) for e in stream.events if e["type"] == kind and not e.get("snapshot")]
        equal(len(execs), len(set(execs)), kind, "reported twice")
    return lost


def check_programs(client, programs):
    """No more of their events are missing than were lost; how many that were."""
    lost = accounted(client)
    for kind in ("started", "exited"):
        missing = [p.pid for p in programs if not client.of(p.pid, kind)]
        check(len(missing) <= lost, kind, "missing:", missing, "lost:", lost)
    return lost


def forks():
    """On this machine, since its boot."""
    with open("/proc/stat") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("processes "))


@test
@again_if_blamed
def kill_keeps_connections_and_reports_what_happened_meanwhile():
    with Listener() as listener, Unit(listener) as unit, listener.connect(**SHORT) as client:
        before = start_and_end(client, run(ODD, "exit", "1"))
        lives = subprocess.Popen(["sleep", "1000"])
        client.wait(lambda e: e["type"] == "started" and e.get("pid") == lives.pid)
        dies = subprocess.Popen(["sh", "-c", "read go; exec %s exit 3" % ODD], stdin=subprocess.PIPE)
        client.wait(lambda e: e["type"] == "started" and e.get("pid") == dies.pid)
        unit.wait_kept(1)
        unit.kill()
        while_none = run(ODD, "exit", "2")
        # A process from before that execs and ends now: both are reported.
        dies.communicate(b"\n")
        unit.start()
        _, exited = start_and_end(client, while_none)
        equal(exited["exit_code"], 2)
        after = start_and_end(client, run(ODD, "exit", "4"))
        check(before[1]["seq"] < exited["seq"] < after[0]["seq"])
        lives.kill()
        lives.wait()
        # What the kernel and /proc can't say of it any more is not there: `filename` alone.
        ended, begun = client.wait_exit(lives.pid), client.of(lives.pid, "started")[0]
        equal(ended["exit_signal"], "SIGKILL")
        equal({key for key in begun if begun[key] != ended.get(key)}, {"type", "seq", "time", "filename"}, "what differs")
        equal([e["exe"] for e in client.of(dies.pid, "started")][1:], [ODD], "what it ran while there was no daemon")
        equal([e["exit_code"] for e in client.of(dies.pid, "exited")], [3], "how that ended")
        equal(sum(e["type"] == "live" for e in client.events), 1, "snapshots")
        accounted(client)


@test
@again_if_blamed
def kills_in_a_storm_report_their_exact_loss():
    with Listener() as listener, Unit(listener) as unit, listener.connect(**SHORT) as client:
        unit.wait_kept(1)
        go_on = os.path.join(listener.dir, "go-on")
        open(go_on, "w").close()
        storm = subprocess.Popen(["sh", "-c", "n=0; while [ -e %s ] && [ $n -lt 100000 ]; do /bin/true %s $n; n=$((n + 1)); done; "
                                  "echo $n" % (go_on, STORM)], stdout=subprocess.PIPE)
        first = client.wait(lambda e: STORM in e.get("args", []) and e["type"] == "started")
        for _ in range(4):
            unit.kill()
            unit.start()
            client.wait(lambda e: STORM in e.get("args", []) and e["type"] == "started", since=len(client.events))
        check(first and storm.poll() is None, "the storm was over too soon")
        os.unlink(go_on)
        count = int(storm.communicate()[0])
        client.wait_exit(storm.pid)
        lost = accounted(client)
        for kind in ("started", "exited"):
            args = [e["args"][2] for e in client.events if e["type"] == kind and e.get("args", [])[1:2] == [STORM]]
            equal(len(args), len(set(args)), kind, "reported twice")
            check(count - len(args) <= lost, kind, count - len(args), "are missing, and", lost, "are reported as lost")
        equal(sum(e["type"] == "live" for e in client.events), 1, "snapshots")


@test
def own_listening_socket_survives_a_kill():
    with tempfile.TemporaryDirectory() as folder, Unit(None, {"socket": {"path": folder + "/first"}}) as unit:
        before = Client(folder + "/first")
        before.wait_live()
        unit.wait_kept(1)
        made = os.stat(folder + "/first").st_ino
        unit.kill()
        while_none = Client(folder + "/first")
        unit.start()
        while_none.wait_live()
        for client in (before, while_none):
            start_and_end(client, run(ODD, "exit", "3"))
        equal(os.stat(folder + "/first").st_ino, made, "the file")
        # Another path: the old one goes.
        unit.kill()
        unit.config["socket"]["path"] = folder + "/second"
        unit.start()
        equal(os.listdir(folder), ["second"], "files")
        before.wait_exit(run(ODD, "exit", "4").pid)
        # A file that was replaced meanwhile stays.
        unit.kill()
        os.unlink(folder + "/second")
        with open(folder + "/second", "w"):
            pass
        unit.config["socket"]["path"] = folder + "/third"
        unit.start()
        equal(sorted(os.listdir(folder)), ["second", "third"], "files")
        # None at all.
        unit.kill()
        unit.config["socket"]["enabled"] = "no"
        unit.start()
        equal(os.listdir(folder), ["second"], "files")
        equal([name for name, _ in unit.daemon.store if "listener" in name], [], "in the store")
        for client in (before, while_none):
            client.close()


@test
@again_if_blamed
def kill_during_a_takeover_reports_the_loss():
    with Listener() as listener, Unit(listener) as unit, listener.connect(**SHORT) as client:
        unit.wait_kept(1)
        programs = []
        for i, delay in enumerate((0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)[::1 if LONG else 3]):
            # After an end in order, and after a kill.
            unit.stop() if i % 2 else unit.kill()
            programs.append(run(ODD, "exit", "0", "while-none"))
            unit.start(wait=False)
            # Any moment is a good one to be killed at.
            time.sleep(delay)
            unit.kill()
            programs.append(run(ODD, "exit", "0", "while-none"))
            unit.start()
            client.wait_exit(run(ODD, "exit", "0").pid)
        # A daemon may die between the start and the end of a process; what it ran is then unknown.
        check_programs(client, programs)
        equal(sum(e["type"] == "live" for e in client.events), 1, "snapshots")


@test
@again_if_blamed
def kill_at_any_message_reports_the_loss():
    """At each sendmsg(2), and what it says to systemd is one, of its start and of its end. What its probes had lost before is
    reported once."""
    if not needs(shutil.which("strace"), "there is no strace"):
        return
    # A second daemon sees how much happens on this machine, which others may use.
    with Daemon() as other, Listener() as listener, Unit(listener, {"probes": {"ring_buffer": "64K"}}) as unit:
        client = listener.connect(**SHORT)
        unit.wait_kept(1)

        def happened():
            """Forks, which are no events here but may be lost, and events."""
            events = other.stats()["events"]
            return forks() + sum(events[kind] for kind in ("started", "exited", "error", "lost"))
        programs, before = [], happened()

        def loses():
            """Some of two events of each program, to a ring that has no room for them."""
            since = len(client.events)
            unit.daemon.process.send_signal(signal.SIGSTOP)
            equal(run(ODD, "storm", "200", STORM).returncode, 0)
            unit.daemon.process.send_signal(signal.SIGCONT)
            client.wait(lambda e: e["type"] == "lost" and e["where"] == "kernel", since=since)
            # All is written: a subscriber that two daemons die at work for is not resumed.
            client.wait_exit(run(ODD, "exit", "0").pid)

        def comes_back():
            unit.start()
            client.wait_exit(run(ODD, "exit", "0").pid)
            lost = check_programs(client, programs)
            # Some more than since `before`, when its ring was there already.
            until(lambda: lost <= 300 + happened() - before, "so many were not:", lost, patience=5)

        def starts(message):
            unit.start(wait=False, prefix=killed_at(message, "-D", "-qq"))
            return unit.is_ready()

        def ends(message):
            with subprocess.Popen(killed_at(message, "-p", str(unit.daemon.process.pid)), stderr=subprocess.PIPE) as tracer:
                tracer.stderr.readline()
                unit.daemon.process.terminate()
                return unit.daemon.process.wait() == 0

        for end in (unit.stop, unit.kill):
            message, whole = random.randrange(STEP) if STEP > 1 else 0, False
            while not whole:
                message += STEP
                loses()
                end()
                programs.append(run(ODD, "exit", "0", "while-none"))
                whole = starts(message)
                unit.kill()
                comes_back()
            print("# killed at each of %d messages, in steps of %d" % (message, STEP))
            check(message > 15, "so few are not all")
        message, whole = 0, False
        while not whole:
            message += 1
            whole = ends(message)
            unit.gone()
            programs.append(run(ODD, "exit", "0", "while-none"))
            comes_back()
        print("# and at each of the last %d" % message)
        check(message > 3, "so few are not all")
        equal(sum(e["type"] == "live" for e in client.events), 1, "snapshots")
        client.close()


@test
def failed_start_keeps_the_subscribers():
    if not needs(shutil.which("strace"), "there is no strace"):
        return
    forbids_bpf = (shutil.which("strace"), "-D", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e", "inject=bpf:error=EPERM")
    with Listener() as listener, Unit(listener) as unit, listener.connect(**SHORT) as client:
        unit.wait_kept(1)
        unit.kill()
        unit.start(wait=False, prefix=forbids_bpf)
        equal(unit.daemon.process.wait(PATIENCE), 77, "the exit status of a daemon that may not call bpf(2)")
        unit.gone()
        unit.start()
        equal(start_and_end(client, run(ODD, "exit", "3"))[1]["exit_code"], 3)
        equal(sum(e["type"] == "live" for e in client.events), 1, "snapshots")


@test
def checkpoint_is_abandoned_after_4_failed_starts():
    if not needs(shutil.which("strace"), "there is no strace"):
        return
    # So that it does not come to the end of its start before it is killed: the first bpf(2) is about what the last one left.
    loads_nothing = (shutil.which("strace"), "-D", "-qq", "-o", "/dev/null", "-e", "trace=bpf",
                     "-e", "inject=bpf:delay_enter=%ds:when=2+" % PATIENCE)
    with Listener() as listener, Unit(listener) as unit, listener.connect() as client:
        unit.wait_kept(1)
        unit.kill()
        for _ in range(4):
            unit.start(wait=False, prefix=loads_nothing)
            until(lambda: "resuming after event" in unit.daemon.messages(), "it does not resume")
            unit.kill()
        unit.start()
        while client.read_some(PATIENCE):
            pass
        check(client.ended, "the connection is still there")
        with listener.connect() as another:
            equal(start_and_end(another, run(ODD, "exit", "0"))[1]["exit_code"], 0)


@test
@again_if_blamed
def subscription_survives_a_kill():
    with Listener() as listener, Unit(listener) as unit:
        asks, slow, gone = (Client(listener.path) for _ in range(3))
        asks.wait_live()
        gone.wait_live()
        tree = subprocess.Popen(["sh", "-c", "read go; /bin/true in-the-tree; read go; exec /bin/true the-root"], stdin=subprocess.PIPE, bufsize=0)
        asks.wait(lambda e: e["type"] == "started" and e["pid"] == tree.pid)
        asks.send({"tree": [tree.pid], "types": ["started"], "fields": ["type", "seq", "pid", "args"]})
        asks.wait(lambda e: e["type"] == "subscribed")
        # A reader that reads nothing: its snapshot is under way.
        many = [subprocess.Popen([ODD, "sleep", "x" * 20000], stdout=subprocess.DEVNULL) for _ in range(60)]
        gone.wait_each("started", [p.pid for p in many])
        late = Client(listener.path)
        late.read_some(10)
        unit.wait_kept(4)
        unit.kill()
        gone.close()
        unit.start()
        since = len(asks.events)
        run(ODD, "exit", "0")
        tree.communicate(b"\n\n")
        asks.wait(lambda e: "the-root" in e.get("args", []), since=since)
        equal([e["args"] for e in asks.events[since:] if e["type"] != "lost"],
              [["/bin/true", "in-the-tree"], ["/bin/true", "the-root"]], "all that was asked for")
        # The snapshot starts again, and is complete.
        late.wait_live()
        snapshot = {e["pid"] for e in late.events if e.get("snapshot")}
        equal(set(p.pid for p in many) - snapshot, set(), "not in the snapshot")
        for process in many:
            process.kill()
            process.wait()
            late.wait_exit(process.pid)
        accounted(late)
        # A subscriber that went while there was no daemon is forgotten.
        client = listener.connect()
        until(lambda: len(subscribers_of(unit.daemon)) == 4, "subscribers in the store")
        for client in (client, asks, slow, late):
            client.close()


def what_is_left_of(unit, listener, size):
    """The stream of a client that reads nothing, of programs with so many bytes of arguments, until the daemon is killed."""
    # No short lines of others, after which the socket would be full.
    client, reader = listener.connect(ppid=os.getpid()), listener.connect(**SHORT)
    unit.wait_kept(2)
    # More than the socket buffers.
    for _ in range(480000 // size):
        reader.wait_exit(run(ODD, "exit", "0", "x" * size).pid)
    unit.kill()
    unit.start()
    data = client.rest
    client.socket.settimeout(PATIENCE)
    while more := client.socket.recv(1 << 20):
        data += more
        check(len(data) < 64 << 20, "the connection is still there")
    client.close()
    reader.close()
    return data.split(b"\n")


@test
def partial_line_disconnects_the_subscriber():
    with Listener() as listener, Unit(listener) as unit:
        cut = 0
        # What the socket takes may end with a line.
        for size in 120000, 70000, 110000, 90000, 100000:
            lines = what_is_left_of(unit, listener, size)
            for line in lines[:-1]:
                json.loads(line)
            cut += len(lines[-1]) > 0
            if cut:
                break
        check(cut, "no line is cut: this test shows nothing")
        with listener.connect() as client:
            start_and_end(client, run(ODD, "exit", "5"))


@test
def blocked_service_manager_delays_no_subscriber():
    with live(store=[], env={"WATCHDOG_USEC": "1000000"}) as (daemon, reader):
        until(lambda: len(subscribers_of(daemon)) == 1, "subscribers in the store")
        daemon.notify.hold()
        clients = [daemon.connect() for _ in range(64)]
        # For longer than both a message of the watchdog and a connection's place in the store take; and beyond what waits.
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            child = run(ODD, "exit", "0")
            reader.wait(lambda e: e["type"] == "exited" and e["pid"] == child.pid, patience=20)
        for client in clients[1:]:
            client.close()
        # A reload is no less one.
        daemon.process.send_signal(signal.SIGHUP)
        start_and_end(reader, run(ODD, "exit", "0"))
        daemon.notify.release()
        daemon.wait_note("READY=1")
        notes = daemon.notify.notes
        last = len(notes) - 1 - notes[::-1].index("FULL=1")
        equal(notes[last + 1], "WATCHDOG=1", "what comes first, of", notes[last + 1:])
        # Only the two that stay connected are in the store.
        until(lambda: len(subscribers_of(daemon)) == 2, "subscribers in the store")
        clients[0].close()
        until(lambda: len(subscribers_of(daemon)) == 1, "subscribers in the store")


if __name__ == "__main__":
    main()
