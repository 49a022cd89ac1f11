#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether a stream is complete: marks, lines with a limit of length, and subscriptions that outlive their connection."""
import os
import signal
import time

from e2e import ODD, Client, check, equal, live, main, run, test

# Others may run these tests as well, on the same kernel.
OWN = "durable-of-%d" % os.getpid()


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
        check(mark["time"] >= clients[0].events[-1].get("time", ""))


@test
def marks_of_the_configuration_reach_all_until_a_reload():
    with live({"socket": {"mark": "1"}}) as (daemon, client):
        client.wait(lambda e: e["type"] == "mark")
        own = Client(daemon.path)
        own.send({"mark": 0, "comm": "nobody"})
        own.wait(lambda e: e["type"] == "subscribed")
        client.wait(lambda e: e["type"] == "mark", since=len(client.events))
        check(not any(e["type"] == "mark" for e in own.events[[e["type"] for e in own.events].index("subscribed"):]))
        daemon.write({"socket": {"mark": "0"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        client.read_some(0)
        since = len(client.events)
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


main()
