# SPDX-License-Identifier: GPL-2.0-or-later
"""The figures. Each is a generator of (name, summary); its docstring says what is measured."""
import contextlib
import json
import os
import subprocess
import tempfile
import time

import contest
import journal_figures
from contest import Nothing, Ours, load, ratios, rounds, spawn, summary

ALL = {}


def figure(function):
    ALL[function.__name__.strip("_")] = function
    return function


def one(value, unit, **more):
    return {**summary([value], unit), **more}


def with_and_without(n, run, config=None):
    return rounds(n, {"nothing": Nothing, "execsnoopd": lambda: Ours(config=config)}, lambda _: run())


@figure
def micro(quick):
    """the pipeline alone, fed with recorded records: decoder, table, encoder; with subscribers that write to /dev/null.
    Relative to a line of the same kind by snprintf(3)"""
    samples = {}
    for _ in range(1 if quick else 5):
        for subscribers in 0, 1, 101:
            out = subprocess.run([contest.MICRO, "run", os.path.join(contest.HERE, "records.txt"),
                                  "0" if quick else "0.6", str(subscribers)], check=True, stdout=subprocess.PIPE).stdout
            samples.setdefault(subscribers, []).append(json.loads(out))
    yield "pipeline, an event", summary([s["ns_per_event"] / 1000 for s in samples[0]], "us")
    yield "pipeline, a second", summary([s["events_per_second"] for s in samples[0]], "events")
    yield "pipeline, an event / snprintf", summary([s["ns_per_event"] / s["yardstick_ns"] for s in samples[0]], "times") | {
        "relative": True}
    further = [(b["ns_per_event"] - a["ns_per_event"]) / 100000 for a, b in zip(samples[1], samples[101])]
    yield "pipeline, a further subscriber", summary(further, "us")
    yield "allocations an event", summary([s["allocations_per_event"] for s in samples[1]]) | {"relative": True}


@figure
def wall(quick):
    """programs started one after the other, with the daemon and one subscriber / without; what of it is not the way that failed
    execs are seen, and what the tracepoint costs with nothing on it; the same with peers"""
    count = 300 if quick else 5000
    off = {"probes": {"errors": "off"}}
    ours = {"daemon": Ours, "daemon, errors = off": lambda: Ours(config=off), **contest.syscall_tracepoint()}

    def warm(_):
        # What went before is still being freed.
        spawn(count // 10)
        return spawn(count)

    for n, contestants in [(1, ours)] if quick else [(21, ours), (9, contest.peers())]:
        results = rounds(n, {"nothing": Nothing, **contestants}, warm)
        if contestants is ours:
            yield "spawn, alone", summary([r["wall"] / 1000 for r in results["nothing"]], "us")
        for name in contestants:
            if name in results:
                yield "spawn wall, with " + name, summary(ratios(results, name, "wall"), "times")
                yield "spawn CPU, with " + name, summary(ratios(results, name, "cpu"), "times")


@contextlib.contextmanager
def project(targets):
    """A folder with a Makefile: programs to be compiled, and text that goes through the usual tools."""
    with tempfile.TemporaryDirectory(prefix="execsnoopd-bench-") as folder:
        with open(os.path.join(folder, "Makefile"), "w") as f:
            f.write("all: %s\n" % " ".join("code%d.o text%d" % (i, i) for i in range(targets)))
            f.write("code%.o: ; echo 'int f(int x) { return x + $*; }' | cc -O1 -x c -c - -o $@\n")
            f.write("text%: ; ls -l / | sed s/a/b/ | sort | grep -c . > $@; date +%s >> $@; test -s $@\n")
        yield folder


@figure
def loads(quick):
    """other loads: a tree of forks, failed execs (with the way to see them that was chosen), a parallel make; with / without"""
    n = 1 if quick else 5
    depth, count, targets = (4, 100, 2) if quick else (11, 200000, 40)
    for name, run in (("fork tree", lambda: load("tree", depth)), ("failed execs", lambda: load("search", count))):
        results = with_and_without(n, run)
        yield name + ", alone", summary([r["wall"] / 1000 for r in results["nothing"]], "us")
        yield name + " wall, with daemon", summary(ratios(results, "execsnoopd", "wall"), "times")
    with project(targets) as folder:
        def make():
            began = time.monotonic()
            subprocess.run(["make", "-s", "-B", "-j2", "-C", folder], check=True, stdout=subprocess.DEVNULL,
                           env={k: v for k, v in os.environ.items() if k != "MAKEFLAGS"})
            return {"wall": time.monotonic() - began}
        make()
        results = with_and_without(n, make)
    yield "make -j2 wall, with daemon", summary(ratios(results, "execsnoopd", "wall"), "times")


@figure
def bystander(quick):
    """getppid(2) in a loop, with / without: failed execs by the way that was chosen, and not seen at all"""
    count = 10000 if quick else 3000000
    for name, errors in (("auto", "auto"), ("off", "off")):
        results = with_and_without(1 if quick else 5, lambda: load("calls", count), {"probes": {"errors": errors}})
        yield "a system call with daemon, errors = " + name, summary(ratios(results, "execsnoopd", "wall"), "times")


@figure
def probes(quick):
    """what the programs in the kernel take for a process life (fork, exec, exit), by the kernel's own count; the same for
    libbpf-tools' execsnoop and exitsnoop"""
    count = 300 if quick else 5000
    peers = {} if quick else {k: v for k, v in contest.peers().items() if k.startswith("libbpf")}
    with contest.bpf_stats():
        results = rounds(1 if quick else 7, {"execsnoopd": Ours, **peers}, lambda c: contest.probe_time(c.programs, lambda: spawn(count)))
    ours = [sum(r.values()) / count / 1000 for r in results["execsnoopd"]]
    yield "probe time a life", summary(ours, "us")
    for name in results["execsnoopd"][0]:
        took = summary([r[name] / count / 1000 for r in results["execsnoopd"]], "us")
        if took["median"] > 0:
            yield "  " + name, took
    for name in peers:
        if name in results:
            theirs = [sum(r.values()) / count / 1000 for r in results[name]]
            yield "probe time a life, " + name, summary(theirs, "us")
            yield "probe time / libbpf-tools", summary([a / b for a, b in zip(ours, theirs)], "times") | {"relative": True}


@figure
def cpu(quick):
    """CPU time of the daemon for an event (started and exited of a short program; all fields), by subscribers"""
    count = 300 if quick else 5000
    medians = {}
    for subscribers in (0, 1) if quick else (0, 1, 10, 100):
        def run(ours):
            before, began = ours.stats()["seq"], ours.cpu()
            spawn(count)
            if ours.readers:
                ours.end()
            else:
                time.sleep(0.2)
            took = [b - a for a, b in zip(began, ours.cpu())]
            events = ours.stats()["seq"] - before
            return {"all": took[0] / events / 1000, "user": took[1] / events / 1000}
        results = rounds(1 if quick else 5, {"execsnoopd": lambda: Ours(readers=subscribers)}, run)["execsnoopd"]
        for key in "user", "all":
            medians[key, subscribers] = summary([r[key] for r in results], "us")
            yield "daemon CPU an event, %s, %d subscriber%s" % (key, subscribers, "s" * (subscribers != 1)), medians[key, subscribers]
    if not quick:
        for key in "user", "all":
            yield "a further subscriber, " + key, one((medians[key, 100]["median"] - medians[key, 1]["median"]) / 99, "us")


def losses(count, seen, lost):
    """By three ways to know: programs that were started and not seen; what was reported to the first subscriber, or had no number
    of; what the daemon counted."""
    counted = sum(v for k, v in lost.items() if k in ("fork", "exec", "exit", "error", "skipped"))
    reported = seen["lost"] + seen["gaps"]
    missed = max(0, count - seen["of_load"])
    if counted or reported or missed:
        print("# lost: %d programs not seen, %d reported or without a number, %d counted in the kernel" % (missed, reported, counted))
    return max(missed, reported, counted)


@figure
def rate(quick):
    """as many programs as two cores can start, default settings, one subscriber: what is lost, and how late events come"""
    seconds = 1 if quick else 10
    with Ours() as ours:
        loads_ = [subprocess.Popen([contest.LOAD, "pace", "0", str(seconds), contest.NOP], stdout=subprocess.PIPE) for _ in range(2)]
        count = sum(json.loads(p.communicate()[0])["count"] for p in loads_)
        seen = ours.end()
        lost = ours.stats()["lost"]
    yield "lives a second", one(count / seconds, "lives")
    yield "lost at the highest rate", one(losses(count, seen, lost), "events")
    yield "late under load, median", one(seen["late_median_us"] / 1000, "ms")
    yield "late under load, 99.9 %", one(seen["late_999_us"] / 1000, "ms")


@figure
def latency(quick):
    """from the exec to the subscriber on a quiet machine: a program each 50 ms; relative to the time from its spawn to its
    end. (Where other programs run, this is how late events are among theirs.)"""
    with Ours() as ours:
        spawned = load("pace", 20, 0.5 if quick else 20, contest.NOP)["spawn_ns"] / 1000
        seen = ours.end()
    yield "late, median", one(seen["late_median_us"] / 1000, "ms")
    yield "late, 99.9 %", one(seen["late_999_us"] / 1000, "ms")
    for name, key in ("median", "late_exec_median_us"), ("99.9 %", "late_exec_999_us"):
        yield "late, an exec, " + name, one(seen[key] / 1000, "ms")
        yield "late, an exec, %s / a spawn" % name, one(seen[key] / spawned, "times")


@figure
def start(quick):
    """from exec of the daemon until it says READY=1; its memory then; how often it wakes up where nothing happens (the
    quietest of some seconds)"""
    ready, resident, wakeups = [], [], []
    for _ in range(1 if quick else 7):
        with Ours(readers=0) as ours:
            ready.append(ours.ready * 1000)
            time.sleep(0.2)
            resident.append(ours.resident() / 2**20)
            for _ in range(1 if quick else 3):
                before = ours.wakeups()
                time.sleep(0.3 if quick else 2)
                wakeups.append((ours.wakeups() - before) / 2)
    yield "ready after", summary(ready, "ms")
    yield "resident, idle", summary(resident, "MiB")
    yield "wake-ups, idle", one(min(wakeups), "a second")


@contextlib.contextmanager
def held(count):
    """So many processes that live and do nothing."""
    process = subprocess.Popen([contest.LOAD, "hold", str(count), contest.LOAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if not process.stdout.readline():
            raise contest.e2e.Failure("the machine does not take %d processes" % count)
        yield
    finally:
        process.communicate()


def room_for(count):
    """Whether so many pids are free."""
    with open("/proc/sys/kernel/pid_max") as f:
        return count + 2000 < int(f.read())


@figure
def memory(quick):
    """resident memory with so many live processes, and after they are gone"""
    with Ours() as ours:
        idle = ours.resident()
        for count in (100,) if quick else (100, 1000, 10000, 30000):
            if not room_for(count):
                continue
            with held(count):
                time.sleep(0.5)
                resident = ours.resident()
            yield "resident, %d processes" % count, one(resident / 2**20, "MiB")
            if count >= 10000 or quick:
                each = (resident - idle) / count / 1024
        time.sleep(1)
        yield "resident, each process", one(each, "KiB")
        yield "resident, afterwards", one(ours.resident() / 2**20, "MiB")


@figure
def scale(quick):
    """the big one: 30,000 live processes, 1,000 subscribers (the first has all, each other the programs of a user), and
    10,000 programs a second or as many as the machine can start"""
    processes, subscribers, seconds = (200, 20, 1) if quick else (30000, 1000, 60)
    if not room_for(processes):
        return
    with held(processes), Ours(readers=subscribers, request={"uid": 12345}) as ours:
        began, cpu_began = ours.resident(), ours.cpu()[0]
        count = load("pace", 10000, seconds, contest.NOP)["count"]
        peak, cpu_took = ours.resident(), ours.cpu()[0] - cpu_began
        seen = ours.end()
        lost = ours.stats()["lost"]
        time.sleep(1)
        after = ours.resident()
    yield "lives a second in the big one", one(count / seconds, "lives")
    yield "lost in the big one", one(losses(count, seen, lost), "events")
    yield "daemon's CPU in the big one", one(cpu_took / seconds / 1e9, "CPUs")
    yield "resident, big one: before", one(began / 2**20, "MiB")
    yield "resident, big one: in it", one(peak / 2**20, "MiB")
    yield "resident, big one: after", one(after / 2**20, "MiB")


figure(journal_figures.ctl)
