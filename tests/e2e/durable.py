#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a stream is complete: marks, lines with a limit of length, and subscriptions that outlive their connection."""
import json
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time

from e2e import ODD, PATIENCE, Client, Daemon, Scratch, check, equal, live, main, needs, run, test, until
from stored import CRASHES, EVENTS, OWN, READER_KILLS, RESTARTS, Stored, Workload, last_stored
from units import SHORT, Listener, Unit

READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "durable_reader.py")

def is_event(line):
    return line["type"] in ("started", "exited", "error", "forked", "lost") and not line.get("snapshot")


@test
def marks_count_the_lines_that_were_sent():
    """Of a stream without a filter, of one whose filter passes a few events, and of one whose filter passes none."""
    with live() as (daemon, _):
        clients = [Client(daemon.path) for _ in range(3)]
        for client, request in zip(clients, ({}, {"args": OWN, "fields": ["type"]}, {"comm": "nobody"})):
            client.wait_live()
            client.send({**request, "mark": 1})
            client.wait(lambda e: e["type"] == "subscribed")
        for _ in range(50):
            run(ODD, "exit", "0", OWN)
        last = clients[0].wait_exit(run(ODD, "exit", "0").pid)["seq"]
        counts = []
        for client in clients:
            begin = [e["type"] for e in client.events].index("subscribed")
            client.wait(lambda e: e["type"] == "mark" and e["last_seq"] >= last)
            at = 0
            for i, event in enumerate(client.events):
                if event["type"] == "mark":
                    at = i
                    equal(event["count"], sum(map(is_event, client.events[begin:i])), "lines before a mark")
                    earlier = [e["seq"] for e in client.events[:i] if "seq" in e]
                    check(event["last_seq"] >= max(earlier, default=0), "last_seq", event)
            counts.append(client.events[at]["count"])
            equal(set(client.events[at]), {"type", "time", "last_seq", "count"})
        check(counts[0] >= 100)
        equal(counts[1:], [100, 0], "marks")
        # All that was sent by now is in the next mark of the unfiltered stream.
        last = max(e["seq"] for e in clients[0].events if "seq" in e)
        mark = clients[0].wait(lambda e: e["type"] == "mark" and e["last_seq"] >= last)
        # Later ones may have come with it.
        at = next(i for i, e in enumerate(clients[0].events) if e is mark)
        check(mark["time"] >= next(e["time"] for e in reversed(clients[0].events[:at]) if "time" in e), "time of", mark)


@test
def marks_of_the_configuration_reach_all_until_a_reload():
    with live({"socket": {"mark": "1"}}) as (daemon, client):
        client.wait(lambda e: e["type"] == "mark")
        own = Client(daemon.path)
        own.send({"mark": 0, "comm": "nobody"})
        own.wait(lambda e: e["type"] == "subscribed")
        for _ in range(2):
            client.wait(lambda e: e["type"] == "mark", since=len(client.events))
        while own.read_some(0):
            pass
        check(not any(e["type"] == "mark" for e in own.events[[e["type"] for e in own.events].index("subscribed"):]))
        daemon.write({"socket": {"mark": "0"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        # What comes after this reply was written after the reload.
        since = len(client.events)
        client.send({"stats": True})
        since = client.events.index(client.wait(lambda e: e["type"] == "stats", "stats", since=since))
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            client.read_some(end - time.monotonic())
        equal([e for e in client.events[since:] if e["type"] == "mark"], [], "marks")


@test
def args_bytes_cuts_for_one_subscriber_only():
    with live() as (daemon, whole):
        short = Client(daemon.path)
        short.send({"args": OWN, "args_bytes": 1000, "snapshot": False})
        short.wait(lambda e: e["type"] == "subscribed")
        args = [OWN, "", *("%d" % i for i in range(2000)), "\udcff"]
        program = run("/bin/true", *args)
        for kind in "started", "exited":
            event = whole.wait(lambda e, kind=kind: e["type"] == kind and e.get("pid") == program.pid)
            cut = short.wait(lambda e, kind=kind: e["type"] == kind and e.get("pid") == program.pid)
            equal(event["args"][:-1], ["/bin/true", *args[:-1]], "the whole")
            check("args_truncated" not in event)
            size = sum(len(os.fsencode(a)) + 1 for a in ["/bin/true", *args])
            equal((cut["args_truncated"], cut["argc"], cut["args_size"]), (True, len(args) + 1, size), "what there was")
            kept = cut["args"]
            equal(kept, event["args"][:len(kept)], "the beginning")
            held = sum(len(a) + 1 for a in kept)
            check(held <= 1000 < held + len(event["args"][len(kept)]) + 1, "cut at", held)
            check("args_raw" in event and "args_raw" not in cut, "the raw twin is of what is there")


def durable(path, **more):
    """A connection with a durable subscription, and the reply."""
    client = Client(path)
    client.send({"name": "siem", "args": OWN, **more})
    return client, client.wait(lambda e: e["type"] == "subscribed")


@test
def name_without_a_connection_is_fed_over_restarts_and_crashes():
    with Listener() as listener, Unit(listener, {"socket": {"snapshot": "no"}}) as unit:
        client, reply = durable(listener.path, ack=0)
        equal(reply["resumed"], False)
        stream = reply["stream"]
        programs = [run(ODD, "exit", "0", OWN).pid]
        client.wait_exit(programs[0])
        client.close()
        programs.append(run(ODD, "exit", "0", OWN).pid)
        unit.stop()
        programs.append(run(ODD, "exit", "0", OWN).pid)
        unit.start()
        programs.append(run(ODD, "exit", "0", OWN).pid)
        client, reply = durable(listener.path)
        equal((reply["resumed"], reply["stream"]), (True, stream))
        client.wait_exit(programs[-1])
        events = [e for e in client.events if e["type"] != "subscribed" and not e.get("snapshot")]
        equal([(e["type"], e["pid"]) for e in events], [(kind, pid) for pid in programs for kind in ("started", "exited")])
        # What is in a queue is lost by a crash, and reported in its place; nothing else is.
        client.send({"ack": events[3]["seq"]})
        client.send({"stats": True})
        stats = client.wait(lambda e: e["type"] == "stats")
        equal([(n["name"], n["connected"], n["unacknowledged"]) for n in stats["named"]], [("siem", True, 4)], "statistics")
        client.close()
        unit.kill()
        after = run(ODD, "exit", "0", OWN).pid
        unit.start()
        client, reply = durable(listener.path)
        equal((reply["resumed"], reply["last_seq"]), (True, events[3]["seq"]))
        client.wait_exit(after)
        lost, *rest = [e for e in client.events[client.events.index(reply) + 1:]]
        equal((lost["type"], lost["where"], lost["count"], lost["first_seq"], lost["last_seq"]),
              ("lost", "subscriber", 4, events[4]["seq"], events[7]["seq"]))
        equal([(e["type"], e["pid"]) for e in rest if e["type"] != "lost"], [("started", after), ("exited", after)])
        # A reader that is still connected has what was sent to it, so it gets no loss of that.
        unit.wait_kept(1)
        unit.kill()
        unit.start()
        last = run(ODD, "exit", "0", OWN).pid
        exited = client.wait_exit(last)
        equal([e for e in client.events[client.events.index(rest[-1]) + 1:] if e["type"] == "lost" and e["where"] == "subscriber"], [])
        client.close()
        # But if it has not stored it, it does.
        client, reply = durable(listener.path)
        client.wait_exit(last)
        again = [e for e in client.events[client.events.index(reply) + 1:] if "seq" not in e]
        equal([(e["first_seq"], e["last_seq"]) for e in again], [(lost["first_seq"], rest[-1]["seq"])], "lost")
        client.send({"ack": exited["seq"]})
        client.close()
        client, reply = durable(listener.path)
        equal(reply["last_seq"], exited["seq"])
        client.close()


@test
def name_that_no_crash_keeps_takes_no_place_of_others():
    """Its request is longer than a checkpoint has room for. Other subscribers are kept over a crash, whatever becomes of it."""
    with Listener() as listener, Unit(listener, {"socket": {"snapshot": "no"}}) as unit:
        client, _ = durable(listener.path, args=["!" + "x" * 1000 + str(i) for i in range(8)])
        client.close()
        unit.restart()
        others = [Client(listener.path) for _ in range(2)]
        for other in others:
            other.send({**SHORT, "args": OWN})
            other.wait(lambda e: e["type"] == "subscribed")
        unit.wait_kept(2)
        others[0].send({"stats": True})
        equal([n["connected"] for n in others[0].wait(lambda e: e["type"] == "stats")["named"]], [False], "names")
        client = Client(listener.path)
        client.send({"forget": "siem"})
        client.wait(lambda e: e["type"] == "forgotten")
        client.close()
        unit.kill()
        unit.start()
        pid = run(ODD, "exit", "0", OWN).pid
        for other in others:
            other.wait_exit(pid)
            other.close()


@test
def name_belongs_to_its_user():
    if not needs(os.getuid() == 0, "not root"):
        return
    with Scratch() as folder, Daemon({"socket": {"path": folder + "/sock", "mode": "0666", "snapshot": "no"}}):
        owner, reply = durable(folder + "/sock")
        equal(reply["resumed"], False)
        os.seteuid(65534)
        try:
            other, reply = durable(folder + "/sock")
        finally:
            os.seteuid(0)
        equal(reply["resumed"], False, "that of another user")
        other.send({"forget": "siem"})
        other.wait(lambda e: e["type"] == "forgotten")
        other.send({"stats": True})
        named = other.wait(lambda e: e["type"] == "stats")["named"]
        equal([(n["uid"], n["connected"]) for n in named], [(0, True)], "what is left")
        owner.close(), other.close()


@test
def reader_killed_at_random_stores_every_event():
    """The daemon too: it is restarted, and killed. What is missing is in a `lost`, and only a crash loses anything."""
    seed = random.randrange(1 << 32)
    print("# seed %d" % seed)
    chance = random.Random(seed)
    with Listener() as listener, Unit(listener, {"socket": {"queue": "16M", "snapshot": "no"}}) as unit, \
            tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "stored")

        def begin():
            reader = subprocess.Popen([sys.executable, READER, listener.path, "siem", path], stdout=subprocess.PIPE)
            check(select.select([reader.stdout], [], [], PATIENCE)[0], "no subscription")
            return reader

        reader = begin()
        workload = Workload(EVENTS)
        ends = [1] * RESTARTS + [2] * CRASHES + [0] * READER_KILLS
        chance.shuffle(ends)
        began = time.monotonic()
        for end in ends:
            # Spread over the work, as far as its rate is known.
            time.sleep(chance.uniform(0, 2 * (EVENTS / 4000) / len(ends)))
            if end == 0:
                reader.send_signal(signal.SIGKILL)
                reader.communicate()
                time.sleep(chance.uniform(0, 0.1))
                reader = begin()
            else:
                unit.stop() if end == 1 else unit.kill()
                unit.start()
        until(workload.is_over, "the work is not over", patience=PATIENCE * 10)
        after = run("/bin/true", "after-" + OWN)
        until(lambda: b"after-" + OWN.encode() in last_stored(path), "the last event did not come", every=0.1)

        def came_again():
            """That the kills until now left nothing to come again is not likely, and not impossible."""
            nonlocal reader
            reader.kill()
            reader.communicate()
            if Stored(path).duplicates > 0:
                return True
            reader = begin()
            for i in range(5):
                mark = "again-%d-%d-%s" % (time.monotonic_ns(), i, OWN)
                run("/bin/true", mark)
                until(lambda mark=mark: mark.encode() in last_stored(path), "the event did not come")
            return False
        until(came_again, "nothing came again")
        stored = Stored(path)
        print("#   %d events stored in %.0f s, %d twice, %d lost in %d lines; %d connections continued" %
              (len(stored.seqs), time.monotonic() - began, stored.duplicates, stored.lost_count(), len(stored.lost), stored.resumed))
        equal(stored.begun, 1, "subscriptions that began")
        check(stored.resumed >= READER_KILLS, "continued:", stored.resumed)
        equal(stored.missing(), set(), "numbers that are missing")
        for kind in "started", "exited":
            missing = workload.programs - len(stored.ids[kind])
            check(0 <= missing <= stored.lost_count(), kind, "missing:", missing, "lost:", stored.lost_count())
        if CRASHES == 0:
            equal([line for line in stored.lost if line["where"] == "subscriber"], [], "lost without a crash")


if __name__ == "__main__":
    main()
