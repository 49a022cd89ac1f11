#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Many readers, each with what it asked for, none hurting another; on the running kernel."""
import contextlib
import functools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

from e2e import (ODD, PATIENCE, SLOW, Daemon, Scratch, check, check_stream, copy_of,
                 equal, is_sanitized, live, main, needs, odd, run, status, test, until)

# Others may run these tests as well, on the same kernel.
STORM = "storm-of-%d" % os.getpid()
END = "end-of-%d" % os.getpid()
SMALL = ["seq", "pid", "id", "args"]


class Storm:
    """Programs in the background, with a mark among their arguments."""

    def __init__(self, times, mark=STORM):
        self.process = odd("storm", str(times), mark)
        self.times = times

    def wait(self):
        equal(self.process.wait(), 0, "the storm")
        self.end = time.monotonic()


class Collector(threading.Thread):
    """Reads many clients at once, without looking at what comes."""

    def __init__(self, clients):
        super().__init__(daemon=True)
        self.clients = {c.fd: c for c in clients}
        # What a client has read already may end within a line, whose rest comes here.
        self.data = {c.fd: bytearray(c.rest) for c in clients}
        self.open = set(self.data)
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set() and self.open:
            for fd in select.select(list(self.open), [], [], 0.05)[0]:
                try:
                    got = os.read(fd, 1 << 20)
                except ConnectionResetError:
                    got = b""
                self.data[fd] += got
                if not got:
                    self.open.discard(fd)

    def wait_all(self, what):
        """Until all have read that; looks at each byte once."""
        missing = dict.fromkeys(self.data, 0)

        def arrived():
            for fd, begin in list(missing.items()):
                missing[fd] = max(0, len(self.data[fd]) - len(what))
                if self.data[fd].find(what, begin) >= 0:
                    del missing[fd]
            return not missing
        until(arrived, what, "did not come")

    def finish(self):
        self.over.set()
        self.join()
        parsed = functools.cache(json.loads)  # most lines are the same for all
        return [[parsed(line) for line in bytes(data).split(b"\n")[:-1]] for data in self.data.values()]


def marked(events, mark, kind):
    return [e for e in events if e["type"] == kind and not e.get("snapshot") and e.get("args") == ["true", mark]]


@test
def two_hundred_subscribers_connect_during_a_storm():
    with Daemon({"socket": {"fields": "seq,snapshot,id,pid,args"}}) as daemon:
        storm = Storm(400 if SLOW else 1000)
        clients = [daemon.connect(live=False) for _ in range(200)]
        collector = Collector(clients)
        storm.wait()
        last = run(ODD, "exit", "0", END)
        collector.wait_all(b'"%s"' % END.encode())
        collector.wait_all(b'"pid":%d,' % last.pid)
        streams = collector.finish()
        for events in streams:
            check_stream(events)
        # All streams are equal from where the last began, except ends without a number, which only some streams have.
        begins = [next(e["seq"] for e in events if "seq" in e) for events in streams]
        ends = [next(e["seq"] for e in reversed(events) if "seq" in e) for events in streams]
        tails = {tuple((e["seq"], e["type"], e["id"]) for e in events if max(begins) <= e.get("seq", 0) <= min(ends))
                 for events in streams}
        equal(len(tails), 1, "different streams")


def connect_to(daemon, pids):
    """A reader whose snapshot has them all: the daemon reads of a fork some milliseconds later."""
    while True:
        client = daemon.connect()
        if set(pids) <= {e["pid"] for e in client.events if e.get("snapshot")}:
            return client
        client.close()


@test
def seq_has_no_gap_for_any_subscriber():
    """Processes that never call exec: subscribers that connect while one runs have it in their snapshot, and only they get its end."""
    with Daemon() as daemon:
        children, streams = [], []

        def fork():
            pid = os.fork()
            if pid == 0:
                signal.pause()
                os._exit(0)
            return pid

        for _ in range(6):
            children += [fork() for _ in range(6)]
            streams.append((connect_to(daemon, children), set(children)))
            for pid in children[::2]:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            del children[::2]
            run(ODD, "exit", "0")
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        last = run(ODD, "exit", "0")
        for stream, shown in streams:
            stream.wait_exit(last.pid)
            check_stream(stream.events)
            ends = [e for e in stream.events if e["type"] == "exited" and e["pid"] in shown and e["ppid"] == os.getpid()]
            equal({e["pid"] for e in ends}, shown, "ends of those in the snapshot")
            equal([e for e in ends if "seq" in e], [], "with a number")
            stream.close()


@test
def slow_subscribers_report_their_exact_loss_and_delay_no_other():
    times = 5000
    with Daemon({"socket": {"queue": "4M"}}) as daemon:
        slow = [daemon.connect() for _ in range(6)]
        fast = [daemon.connect() for _ in range(44)]
        for client in slow:
            client.wait_live()
        for client in fast:
            client.send({"fields": SMALL})
            client.wait(lambda e: e["type"] == "subscribed")
        dripping = threading.Event()

        def drip():
            while not dripping.wait(1):
                slow[0].rest += os.read(slow[0].fd, 1)
        dripper = threading.Thread(target=drip, daemon=True)
        dripper.start()
        collector = Collector(fast)
        storm = Storm(times)
        storm.wait()
        last = run(ODD, "exit", "0", END)
        # Two seconds on a quiet machine; how long here is said, and only never is wrong.
        collector.wait_all(b'"%s"' % END.encode())
        print("#   all fast ones had it %.2f s after the storm" % (time.monotonic() - storm.end))
        streams = collector.finish()
        for client, events in zip(fast, streams):
            equal((len(marked(events, STORM, "started")), len(marked(events, STORM, "exited"))), (times, times))
            check(not [e for e in events if e["type"] == "lost"], "a fast one lost")
        dripping.set()
        dripper.join()
        stats = daemon.stats()
        check(sum(s["lost"] for s in stats["subscribers"]) > 0, stats["subscribers"])
        for client in slow:
            # Events are lost until the queue has room again, so wait for the reported loss first.
            client.wait(lambda e: e["type"] == "lost")
            client.wait_exit(run(ODD, "exit", "0", "after").pid)
            last_seq, lost = None, 0
            for event in client.events:
                if event["type"] == "lost":
                    equal((event["where"], event["first_seq"]), ("subscriber", last_seq + 1))
                    check(event["last_seq"] - event["first_seq"] + 1 <= event["count"], event)  # some have no number
                    last_seq = event["last_seq"]
                    lost += event["count"]
                elif "seq" in event:
                    check(last_seq is None or event["seq"] == last_seq + 1, "a silent gap:", last_seq, event["seq"])
                    last_seq = event["seq"]
            check(lost > 0, "nothing was lost")


@test
def backlog_is_written_in_portions():
    """The queue of a subscriber that reads stays short whatever waits in the ring: it has its turn after a few records. How short
    depends on how often this reader gets a CPU; the whole backlog is more than the queue of 4 MiB."""
    peaks, limit = [], 1 << 21
    with Daemon() as daemon:
        while len(peaks) < 5 and min(peaks, default=limit) >= limit:
            client = daemon.connect()
            daemon.process.send_signal(signal.SIGSTOP)
            Storm(2000).wait()
            run(ODD, "exit", "0", END)
            collector = Collector([client])
            daemon.process.send_signal(signal.SIGCONT)
            collector.wait_all(b'"%s"' % END.encode())
            equal(len(marked(collector.finish()[0], STORM, "exited")), 2000)
            client.send({"stats": True})
            own = client.wait(lambda e: e["type"] == "stats")["subscribers"]
            peaks.append(next(s["queue_peak"] for s in own if s["events"] >= 4000))
            client.close()
    check(min(peaks) < limit, "the queue had up to", peaks)


@test
def slow_subscriber_is_disconnected_where_configured():
    # The good one's lines are so short that they fit the queue all together, however late it reads; the machine's own
    # events go to neither.
    with Daemon({"socket": {"slow": "disconnect", "queue": "1M", "args": STORM + ", " + END}}) as daemon:
        slow, good = daemon.connect(), daemon.connect()
        good.send({"fields": "pid", "args": [STORM, END]})
        good.wait(lambda e: e["type"] == "subscribed")
        reader = Collector([good])
        Storm(3000).wait()
        marker = run(ODD, "exit", "0", END)
        reader.wait_all(b'"pid":%d}' % marker.pid)
        check(not [e for e in reader.finish()[0] if e["type"] == "lost"], "the good one lost")
        while slow.read_some(PATIENCE):
            pass
        check(slow.ended, "it is still connected")
        check(not slow.rest or slow.events, "nothing came")


@test
def hostile_connections_leak_nothing():
    def figures(pid):
        with open("/proc/%d/statm" % pid) as f:
            return len(os.listdir("/proc/%d/fd" % pid)), int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")
    kinds = [b"", b"\n", b"x\n", b"{", b"{}\n" * 50, b'{"stats":true}\n' * 20, b"[" * 5000 + b"\n", b"\xff" * 100 + b"\n",
             b"y" * 70000, b'{"comm":"' + b"z" * 60000 + b'"}\n', b'{"snapshot":true}\n' * 5, b'{"pid":"x"}\n', b"\0\n"]
    with live() as (daemon, good):
        # It does not read meanwhile: what waits for it is not to look like growth.
        good.send({"ppid": os.getpid()})
        good.wait(lambda e: e["type"] == "subscribed")

        def attack(times):
            kept = []
            for i in range(times):
                peer = socket.socket(socket.AF_UNIX)
                peer.connect(daemon.path)
                try:
                    peer.setblocking(False)
                    peer.send(kinds[i % len(kinds)])
                except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                    pass
                kept.append(peer)
                if len(kept) > 40:
                    kept.pop(0).close()
            for peer in kept:
                peer.close()

        def settle():
            until(lambda: len(daemon.stats()["subscribers"]) <= 2, "peers that are gone stay")
        attack(1000)
        settle()
        fds, memory = figures(daemon.process.pid)
        attack(10000)
        settle()
        fds_after, memory_after = figures(daemon.process.pid)
        check(fds_after <= fds + 1, "descriptors:", fds, fds_after)
        check(is_sanitized() or memory_after <= memory + (4 << 20), "memory:", memory, memory_after)
        marker = run(ODD, "exit", "0")
        good.wait_exit(marker.pid)


@test
def hundred_reloads_during_a_storm_lose_nothing():
    times = 1000 if SLOW else 4000
    with Daemon() as daemon:
        clients = [daemon.connect() for _ in range(5)]
        clients[4].send({"fields": SMALL, "types": ["started", "exited"]})
        clients[4].wait(lambda e: e["type"] == "subscribed")
        collector = Collector(clients)
        storm = Storm(times)
        for i in range(100):
            daemon.write({"log": {"level": "debug" if i % 2 else "info"}, "socket": {"queue": "%dM" % (64 + i % 3)}})
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_note("READY=1")
        storm.wait()
        marker = run(ODD, "exit", "0", END)
        collector.wait_all(b'"pid":%d,' % marker.pid)
        for events in collector.finish():
            equal((len(marked(events, STORM, "started")), len(marked(events, STORM, "exited"))), (times, times))
            seqs = [e["seq"] for e in events if "seq" in e]
            check(len(seqs) == len(set(seqs)) and seqs == sorted(seqs), "seq")
            check(not [e for e in events if e["type"] == "lost"])


@test
def reload_that_waits_for_its_file_stops_no_event():
    """As on a file system that does not answer: strace(1) holds up the thread that opens it."""
    if not needs(shutil.which("strace"), "there is no strace"):
        return
    with Daemon() as daemon:
        client = daemon.connect()
        holds_up = ("-e", "trace=openat", "-P", daemon.file, "-e", "inject=openat:delay_enter=5s:when=1")
        with subprocess.Popen([shutil.which("strace"), "-f", "-o", "/dev/null", *holds_up, "-p", str(daemon.process.pid)], stderr=subprocess.PIPE) as strace:
            check(b"attached" in strace.stderr.readline())
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_note("RELOADING=1")
            client.wait_exit(run(ODD, "exit", "0").pid)

            def is_reported():
                daemon.process.send_signal(signal.SIGHUP)
                return "the last reload has been reading the configuration for" in daemon.messages()
            until(is_reported, "the wait is not reported", every=0.2)
            check("configuration reloaded" not in daemon.messages(), daemon.messages())
            # That one ends, and one for all that were asked for since.
            until(lambda: daemon.messages().count("configuration reloaded") == 2, "the reloads do not end")
            strace.terminate()


@test
def reload_applies_what_needs_no_restart():
    with Daemon() as daemon:
        client, own = daemon.connect(), daemon.connect()
        client.wait_live(), own.wait_live()
        own.send({"fields": SMALL})
        own.wait(lambda e: e["type"] == "subscribed")
        inode = os.stat(daemon.path).st_ino
        # A bad file changes nothing.
        daemon.write({"socket": {"fields": "nonsense"}, "log": {"level": "loud"}})
        daemon.process.send_signal(signal.SIGHUP)
        note = daemon.wait_note("READY=1")
        messages = daemon.messages()
        with open(daemon.file) as f:
            for number, line in enumerate(f, 1):
                if "nonsense" in line or "loud" in line:
                    check("execsnoopd.conf:%d: " % number in messages, number, messages)
        check("the previous one remains in effect" in messages, messages)
        marker = run(ODD, "exit", "0")
        check("cwd" in client.wait_exit(marker.pid))
        # Nor one that asks for what is not there: the log stays as loud as it was, too.
        daemon.write({"socket": {"group": "no-such-group-here", "fields": "pid"}, "log": {"level": "error"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        check("[socket]: group no-such-group-here does not exist" in daemon.messages(), daemon.messages())
        connected = daemon.messages().count("connected")
        daemon.connect().close()
        equal(daemon.messages().count("connected"), connected + 1)
        # A good one: at once.
        daemon.write({"socket": {"fields": "pid,exit_code", "mode": "0600", "max_subscribers": "2", "types": "exited"},
                      "probes": {"forks": "yes"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        check('[probes] forks: the change from "no" to "yes" takes effect after a restart' in daemon.messages(), daemon.messages())
        equal((os.stat(daemon.path).st_mode & 0o777, os.stat(daemon.path).st_ino), (0o600, inode))
        marker = run(ODD, "exit", "9")
        equal(client.wait_exit(marker.pid), {"type": "exited", "pid": marker.pid, "exit_code": 9})
        equal(len(client.of(marker.pid)), 1)
        own.wait_exit(marker.pid)
        equal(len(own.of(marker.pid)), 2, "a subscription of its own stays")
        third = daemon.connect(live=False)
        rejected = third.wait(lambda e: e["type"] == "rejected")
        check("max_subscribers" in rejected["reason"], rejected)
        check(not third.read_some(PATIENCE) and third.ended, "it is not closed")
        # What takes a restart is compared with what is in force, not with what was asked for last.
        def warnings():
            return daemon.messages().count("takes effect after a restart")
        for config, more in (({"probes": {"forks": "yes"}, "log": {"level": "info"}}, 1),
                             ({"probes": {"forks": "no"}, "log": {"level": "info"}}, 0)):
            before = warnings()
            daemon.write(config)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_note("READY=1")
            equal(warnings() - before, more, config)


@test
def max_subscribers_may_exceed_the_soft_limit_of_files():
    def prefix(soft, hard):
        return "prlimit", "--nofile=%d:%d" % (soft, hard)

    with Daemon(prefix=prefix(64, 4096)) as daemon:
        readers = [daemon.connect() for _ in range(250)]
        check("RLIMIT_NOFILE" not in daemon.messages(), daemon.messages())
        # And what a reload asks for.
        daemon.write({"socket": {"max_subscribers": "600"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        readers += [daemon.connect() for _ in range(300)]
        equal(len(daemon.stats()["subscribers"]), 551)
        # A limit above the hard limit is logged, and the daemon continues.
        daemon.write({"socket": {"max_subscribers": "60000"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        check("needs 60128 open files, but the limit is 4096 (RLIMIT_NOFILE" in daemon.messages(), daemon.messages())
        readers.append(daemon.connect())
        for reader in readers:
            reader.close()


def log_in():
    """A kernel without audit has no login uid."""
    with contextlib.suppress(OSError), open("/proc/self/loginuid", "w") as f:
        f.write("1234")


def ends_of_every_kind(folder):
    setuid = copy_of(ODD, folder, "setuid")
    os.chmod(setuid, 0o4755)
    subprocess.Popen([setuid, "exit", "0"], user=12345, group=12346, extra_groups=[]).wait()
    odd("kill", "9").wait()
    run("sh", "-c", "sleep 0.2", cwd="/usr/share")
    run(ODD, "burn", "1", folder)
    subprocess.run([ODD, "exit", "1"], preexec_fn=log_in, check=False)


@test
def every_filter_key_selects_its_events():
    with Daemon() as daemon, Scratch() as folder:
        copy = copy_of(ODD, folder, "odd")
        client = daemon.connect()
        with open("/proc/self/comm") as f:
            own_comm = f.read().strip()
        a = subprocess.Popen([copy, "exit", "3", "first arg"], user=12345, group=12346, extra_groups=[])
        a.wait()
        b = run("/bin/true", "second")
        c = odd("exec", "/nonexistent/x")
        c.wait()
        client.wait_exit(c.pid)
        whole = [e for e in client.events if not e.get("snapshot") and e["type"] in ("started", "exited", "error")]
        cgroup = [e for e in whole if e["pid"] == b.pid][0]["cgroup"]
        cases = [
            ({"types": "started"}, lambda e: e["type"] == "started"),
            ({"types": ["exited", "error"]}, lambda e: e["type"] in ("exited", "error")),
            ({"types": "!started"}, lambda e: e["type"] != "started"),
            ({"ppid": os.getpid()}, lambda e: e["ppid"] == os.getpid()),
            ({"uid": 12345}, lambda e: e["uid"] == 12345),
            ({"gid": ["!12346", "!7"]}, lambda e: e["gid"] != 12346),
            ({"comm": "od*"}, lambda e: e["comm"].startswith("od")),
            ({"exe": ["/usr/*", "!*/true"]}, lambda e: e.get("exe", "").startswith("/usr/") and not e["exe"].endswith("/true")),
            ({"filename": "/bin/tru?"}, lambda e: e.get("filename") == "/bin/true"),
            ({"args": "*st arg"}, lambda e: any(x.endswith("st arg") for x in e["args"])),
            ({"error": "ENOENT"}, lambda e: e.get("error") == "ENOENT"),
            ({"error": "!ENOENT"}, lambda e: e.get("error") != "ENOENT"),
            ({"cgroup": cgroup}, lambda e: e.get("cgroup") == cgroup),
            ({"unit": "no-such.service"}, lambda e: False),
            ({"container_id": "*"}, lambda e: "container_id" in e),
            ({"pod_uid": "!*"}, lambda e: "pod_uid" not in e),
            ({"result": "!success", "types": ["exited", "error"]}, lambda e: e.get("result") != "success" and e["type"] != "started"),
            ({"result": ["exit-*"]}, lambda e: e.get("exit_code", 0) != 0),
            ({"loginuid": ["unset"]}, lambda e: "loginuid" not in e),
            ({"loginuid": ["!unset"], "types": "started"}, lambda e: "loginuid" in e and e["type"] == "started"),
            ({"parent_comm": own_comm}, lambda e: e["parent_comm"] == own_comm),
            ({"cwd": "/usr/*"}, lambda e: e["cwd"].startswith("/usr/")),
            ({"secureexec": True}, lambda e: "secureexec" in e),
            ({"secureexec": "no", "types": "exited"}, lambda e: "secureexec" not in e and e["type"] == "exited"),
            ({"min_running_time": "150ms"}, lambda e: e.get("running_time_ns", 0) >= 150000000),
            ({"min_cpu": 0.02}, lambda e: e.get("cpu_user_ns", 0) + e.get("cpu_system_ns", 0) >= 20000000),
            ({"tree": os.getpid()}, lambda e: own_comm in e["ancestors"]),
            ({"tree": "!%d" % os.getpid(), "types": "started"}, None),
            ({"uid": 12345, "types": "exited"}, lambda e: e["uid"] == 12345 and e["type"] == "exited"),
        ]

        # Another test on the machine may have the same comm, not the same process group.
        with contextlib.suppress(PermissionError):
            os.setpgid(0, 0)

        def is_own(e):
            return e.get("pgid") == os.getpgid(0)
        readers = []
        for request, _ in cases:
            reader = daemon.connect()
            reader.send(request)
            answer = reader.wait(lambda e: e["type"] == "subscribed")
            for key, value in request.items():
                wanted = [str(v) if v is not True else "true" for v in (value if isinstance(value, list) else [value])]
                equal(answer[key], wanted, "the answer's", key)
            reader.begin = len(reader.events)
            readers.append(reader)
        # All have their filters before this ends.
        begin = client.wait_exit(run(ODD, "exit", "0").pid)["seq"]
        subprocess.Popen([copy, "exit", "3", "first arg"], user=12345, group=12346, extra_groups=[]).wait()
        run("/bin/true", "second")
        run("sh", "-c", "(/bin/true grandchild; %s exec /nonexistent/x); true" % ODD)
        ends_of_every_kind(folder)
        marker = run(ODD, "exit", "0")
        client.wait_exit(marker.pid)
        happened = [e for e in client.events if "seq" in e]
        for reader, (request, passes) in zip(readers, cases):
            # A statistics line says that all before it is here.
            reader.send({"stats": True})
            reader.wait(lambda e: e["type"] == "stats", since=reader.begin)
            # Others on this machine go on.
            got = [e for e in reader.events[reader.begin:] if begin < e.get("seq", 0) <= happened[-1]["seq"] and is_own(e)]
            if passes is None:
                check(not [e for e in got if own_comm in e["ancestors"] and e["ppid"] == os.getpid()], got)
                continue
            wanted = [e for e in happened if e["seq"] > begin and is_own(e) and passes(e)]
            equal([(e["seq"], e["type"]) for e in got], [(e["seq"], e["type"]) for e in wanted], request)
            check(got or {"unit", "container_id", "loginuid"} & {*request}, "nothing passed", request)


@test
def fragmented_and_pipelined_requests_are_answered():
    with live() as (daemon, client):
        for byte in b'{"comm":"odd","fields":["pid"],"snapshot":false}\n':
            client.socket.sendall(bytes([byte]))
        answer = client.wait(lambda e: e["type"] == "subscribed")
        equal((answer["comm"], answer["fields"], answer["snapshot"]), (["odd"], ["type", "pid"], False))
        marker = run(ODD, "exit", "0")
        equal(set(client.wait_exit(marker.pid)), {"type", "pid"})
        client.socket.sendall(b'{"stats":true}\n' * 100)
        client.wait(lambda e: len([x for x in client.events if x["type"] == "stats"]) == 100)
        # A snapshot of what the filter lets pass, right after the answer.
        since = len(client.events)
        client.send({"pid": os.getpid(), "snapshot": True})
        client.wait(lambda e: e["type"] == "live", since=since)
        # Programs of others may be before the answer.
        events = client.events[since:]
        answer, *lines, last = events[[e["type"] for e in events].index("subscribed"):]
        equal((answer["type"], [e["pid"] for e in lines], last["type"]), ("subscribed", [os.getpid()], "live"))
        # Half-closed: no more requests, but the stream continues.
        since = len(client.events)
        client.send({})
        client.socket.shutdown(socket.SHUT_WR)
        client.wait(lambda e: e["type"] == "subscribed", since=since)
        marker = run(ODD, "exit", "0")
        client.wait_exit(marker.pid)
        for length, fits in ((65536, True), (65537, False)):
            peer = daemon.connect()
            head, tail = b'{"comm":["', b'"]}\n'
            entries = b'","'.join([b"x" * 4000] * 16)
            peer.socket.sendall(head + entries + b'","' + b"y" * (length - len(head) - len(entries) - len(tail) - 3) + tail)
            answer = peer.wait(lambda e: e["type"] in ("subscribed", "rejected"))
            equal(answer["type"], "subscribed" if fits else "rejected", length)


@test
def invalid_requests_are_rejected_and_the_connection_closed():
    with Daemon() as daemon:
        for nonsense in (b"hello\n", b"\n", b"[]\n", b'{"pid":"x"}\n', b'{"nonsense":1}\n', b"[" * 1000 + b"\n", b"\xff\n", b"{}{}\n",
                         b'{"stats":true,"pid":1}\n', b'{"comm":"a\\u0000b"}\n', b"x" * 66000):
            peer = daemon.connect()
            try:
                peer.socket.sendall(nonsense)
            except (BrokenPipeError, ConnectionResetError):
                pass
            answer = peer.wait(lambda e: e["type"] == "rejected", repr(nonsense[:20]))
            check(isinstance(answer["reason"], str) and answer["reason"], answer)
            while peer.read_some(PATIENCE):
                pass
            check(peer.ended)
            equal(peer.events[-1]["type"], "rejected")


def check_machine(machine, events, unseen):
    """What the machine did, by the events that the client received; at most `unseen` more were before it was there."""
    ended = [e for e in events if e["type"] == "exited"]
    for result, count in machine["results"].items():
        check(0 <= count - len([e for e in ended if e.get("result", "unknown") == result]) <= unseen, result, count)
    for error in {e["error"] for e in events if e["type"] == "error"}:
        seen = len([e for e in events if e.get("error") == error])
        check(seen <= machine["exec_errors"][error] <= seen + unseen, error, machine["exec_errors"])
    above = 0
    for one in machine["lifetimes"]:
        upto = one.get("up_to_ns", 1 << 64)
        seen = len([e for e in ended if above < e["running_time_ns"] <= upto])
        check(seen <= one["processes"] <= seen + unseen, one, seen)
        above = upto
    used = sum(e["cpu_user_ns"] + e["cpu_system_ns"] for e in ended if e["running_time_ns"] <= 100000000)
    check(machine["cpu"][0]["cpu_ns"] >= used and (unseen or machine["cpu"][0]["cpu_ns"] == used), machine["cpu"], used)
    check(machine["memfd_execs"] >= len([e for e in events if e["type"] == "started" and e.get("exe_memfd")]) > 0, machine)


@test
def statistics_add_up():
    with live() as (daemon, client):
        odd("exec", "/nonexistent/signals").wait()
        run(ODD, "exit", "3")
        odd("memfd").wait()
        for _ in range(20):
            run(ODD, "exit", "0")
        odd("exec", "/nonexistent/x").wait()
        marker = run(ODD, "exit", "0")
        client.wait_exit(marker.pid)
        client.send({"stats": True})
        stats = client.wait(lambda e: e["type"] == "stats")
        # Also ends without a number: of processes that only the snapshot had.
        before = [e for e in client.events[:client.events.index(stats)] if not e.get("snapshot") and e["type"] != "live"]
        # What others on this machine did before the client was there is in the figures, too.
        first, last = ([e["seq"] for e in before if "seq" in e][i] for i in (0, -1))
        unseen = first - 1
        for kind in ("started", "exited", "error"):
            missing = stats["events"][kind] - len([e for e in before if e["type"] == kind])
            check(0 <= missing <= unseen, kind, missing, unseen)
            unseen -= missing
        equal(stats["seq"], last)
        check_machine(stats["machine"], before, first - 1)
        own = stats["subscribers"][0]
        equal((own["pid"], own["uid"], own["gid"], own["lost"], own["events"]), (os.getpid(), os.getuid(), os.getgid(), 0, len(before)))
        check(stats["memory_bytes"] > 0 and stats["table"]["processes"] > 0 and stats["probes"]["records"] >= len(before))
        equal({k: v for k, v in stats["lost"].items() if v}, {})
        daemon.process.send_signal(signal.SIGUSR1)
        until(lambda: '"events":{' in daemon.messages(), "no statistics in the log")


@test
def memory_is_returned_after_a_storm():
    """Once many processes are gone: what the kernel says is resident."""
    if is_sanitized():
        return
    with Daemon() as daemon:
        def resident():
            return status(daemon.process.pid, "VmRSS") >> 10

        # Else the kernel takes it again, some time later, where huge pages are for all.
        equal(status(daemon.process.pid, "THP_enabled"), 0)

        client = daemon.connect()
        client.send({"pid": os.getpid()})  # nothing queued but what is read here
        client.wait(lambda e: e["type"] == "subscribed")
        before = resident()
        ours, theirs = os.pipe()
        processes = [odd("wait", "0", "x" * 6000, stdin=ours, stdout=subprocess.DEVNULL) for _ in range(2000)]
        os.close(ours)
        until(lambda: resident() >= before + 8000, "it does not grow, from %d KiB" % before)
        os.close(theirs)
        for process in processes:
            process.wait()
        until(lambda: resident() <= before + 4000, "it stays grown, from %d KiB" % before)
        print("# resident before and after: %d, %d KiB" % (before, resident()))


if __name__ == "__main__":
    main()
