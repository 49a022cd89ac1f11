#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Searches along $PATH: what a stream that folds them has, against what strace(1) and the file system say, and against a
stream of the same daemon that does not fold."""
import collections
import itertools
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time

from e2e import (LONG, ODD, Client, Scratch, at_best, check, equal, live, main, needs, run, seconds, test, tests, until)
from failed import each_way
from units import SHORT, Listener, Unit, again_if_blamed

tests.clear()  # those of the files above

CONTINUES = ("ENOENT", "ENOTDIR", "EACCES", "ESTALE", "ENODEV", "ETIMEDOUT")
HELD_NS = 200 * 10**6
LONGEST_NS = 10**9


def folded(calls):
    """Of the execs of one thread, (time, path, error or None): those that a folding stream has, with how many each represents."""
    result, tries, first = [], 0, 0
    for i, (when, path, error) in enumerate(calls):
        def joins(a, b):
            return (a[2] in CONTINUES and os.path.basename(a[1]) == os.path.basename(b[1]) and b[0] - a[0] < HELD_NS and
                    b[0] - first <= LONGEST_NS)
        if i and joins(calls[i - 1], calls[i]):
            tries += 1
        else:
            tries, first = 1, when
        if i + 1 == len(calls) or not joins(calls[i], calls[i + 1]):
            result.append((path, error, tries))
    return result


def call_of(event):
    return event["filename"], event.get("error"), event.get("path_tries", 1)


def nanoseconds(event):
    return seconds(event["time"])


def calls_of(stream, since=0):
    """{pid: its execs}, as a stream that does not fold has them."""
    calls = collections.defaultdict(list)
    for event in stream.events[since:]:
        if event["type"] in ("started", "error") and not event.get("snapshot"):
            check("path_tries" not in event, "a stream that does not fold:", event)
            calls[event["pid"]].append((nanoseconds(event), event["filename"], event.get("error")))
    return calls


def folds_of(stream, since=0):
    calls = collections.defaultdict(list)
    for event in stream.events[since:]:
        if event["type"] in ("started", "error") and not event.get("snapshot"):
            calls[event["pid"]].append(call_of(event))
    return calls


def folding(path, **request):
    client = Client(path)
    client.wait_live()
    client.send({"path_search": "fold", **request})
    equal(client.wait(lambda e: e["type"] == "subscribed")["path_search"], "fold")
    return client


def all_of(*streams):
    """Up to the end of a process that starts now; errors that are held are sent before."""
    time.sleep(0.4)
    mark = "end-%d" % time.monotonic_ns()
    run(ODD, "exit", "0", mark)
    for stream in streams:
        stream.wait(lambda e: e["type"] == "exited" and mark in e.get("args", []), "end", since=len(stream.events))


def make_folders(path):
    """Folders of a $PATH: programs in some, a file in the place of one, what may not be executed, and a script without a
    first line."""
    for i in range(6):
        os.mkdir(os.path.join(path, "d%d" % i))
    for i in (0, 2, 5):
        shutil.copy("/bin/true", os.path.join(path, "d%d" % i, "in-%d" % i))
    for name, mode in (("d1/in-5", 0o644), ("d3/plain", 0o644), ("d4/noline", 0o755)):
        with open(os.path.join(path, name), "w") as f:
            f.write("exit 0\n")
        os.chmod(os.path.join(path, name), mode)
    with open(os.path.join(path, "file"), "w"):
        pass
    return ":".join([*(os.path.join(path, d) for d in ("d0", "d1", "file", "d2", "d3", "d4", "nowhere", "d5")), "/usr/bin", "/bin"])


# Spawns programs by name, by what programs do that; then fails itself.
SPAWNER = """
import os, random, subprocess, sys
random.seed(int(sys.argv[1]))
names = ["in-0", "in-2", "in-5", "plain", "noline", "no-one", "no-two", "true"]
def execvp(name):
    pid = os.fork()
    if pid == 0:
        try:
            os.execvp(name, [name])
        except OSError:
            os._exit(1)
    os.waitpid(pid, 0)
def spawnp(name):
    try:
        os.waitpid(os.posix_spawnp(name, [name], os.environ), 0)
    except OSError:
        pass
def env(*names):
    subprocess.run(["/usr/bin/env", *names], stderr=subprocess.DEVNULL)
def nested(name):
    env("env", "env", name)
def shell(name):
    subprocess.run(["/bin/sh", "-c", name + "; exec " + name], stderr=subprocess.DEVNULL)
def xargs(name):
    subprocess.run(["xargs", "-n", "1", name], input=b"1 2 3", stderr=subprocess.DEVNULL)
def popen(name):
    try:
        subprocess.run([name])
    except OSError:
        pass
for _ in range(int(sys.argv[2])):
    try:
        random.choice([execvp, spawnp, env, nested, shell, xargs, popen])(random.choice(names))
    except OSError:
        pass # a machine without it
for name in names[3:6]:
    try:
        os.execvp(name, [name])
    except OSError:
        pass
"""


def traced(command, log, env):
    """Runs it; {tid: [(path, error or None)]} as strace has them."""
    subprocess.run(["strace", "-f", "-qq", "-s", "4096", "-e", "trace=execve", "-e", "signal=none", "-o", log, *command], check=True, env=env)
    calls, begun = collections.defaultdict(list), {}
    with open(log) as f:
        for line in f:
            tid, rest = line.split(None, 1)
            path = re.match(r'execve\("([^"]*)"', rest)
            if path:
                begun[tid] = path[1]
            result = re.search(r" = (0|-1 (E[A-Z0-9]+) .*)$", rest)
            if result:
                calls[int(tid)].append((begun.pop(tid), result[2]))
    return calls


@test
def searches_are_folded_as_strace_sees_them():
    if not needs(shutil.which("strace"), "there is no strace"):
        return
    with Scratch() as scratch, live() as (daemon, plain), folding(daemon.path) as fold:
        path = make_folders(scratch)
        for seed in range(6 if LONG else 2):
            begin = len(plain.events), len(fold.events)
            truth = traced([sys.executable, "-c", SPAWNER, str(seed), "40"], os.path.join(scratch, "log"),
                           {**os.environ, "PATH": path})
            all_of(plain, fold)
            whole, folds = calls_of(plain, begin[0]), folds_of(fold, begin[1])
            check(len(truth) > 40, "so few processes:", len(truth))
            saved = 0
            for pid, calls in truth.items():
                equal([call[1:] for call in whole[pid]], calls, "execs of", pid)
                wanted = folded(whole[pid])
                equal(folds[pid], wanted, "folded of", pid, whole[pid])
                saved += len(calls) - len(wanted)
            check(saved > 60, "so few were folded:", saved)
        equal([e for e in fold.events + plain.events if e["type"] == "lost"], [])
        # Every number is that of a line, or one of those that another represents.
        ours = {e["seq"]: e for e in fold.events if e["type"] in ("started", "error") and "seq" in e}
        for event in plain.events:
            if event.get("seq") in ours:
                equal({**event, "path_tries": None}, {**ours[event["seq"]], "path_tries": None}, "the line")


# Each thread searches for names of its own, all at once; then the first finds a program.
THREADS = """
import ctypes, os, sys, threading
execvp = ctypes.CDLL(None).execvp
execvp.argtypes = [ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p)]
def search(name):
    name = name.encode()
    execvp(name, (ctypes.c_char_p * 2)(name, None))
def many(thread):
    for i in range(100):
        search("no-%d-%d" % (thread, i))
threads = [threading.Thread(target=many, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
many(4)
for thread in threads:
    thread.join()
thread = threading.Thread(target=search, args=("in-5",))
thread.start()
thread.join()
"""


@test
def threads_of_one_process_search_at_once():
    with Scratch() as scratch, live() as (daemon, plain), folding(daemon.path) as fold:
        path = make_folders(scratch)
        process = run(sys.executable, "-c", THREADS, env={**os.environ, "PATH": path})
        all_of(plain, fold)
        whole = calls_of(plain)[process.pid]
        by_name = collections.defaultdict(list)
        for call in whole:
            by_name[os.path.basename(call[1])].append(call)
        wanted = sorted(fold for name, calls in by_name.items() if name.startswith("no-") for fold in folded(calls))
        got = folds_of(fold)[process.pid]
        equal(len(by_name) - len([n for n in by_name if not n.startswith("no-")]), 500, "names")
        equal(sorted(call for call in got if os.path.basename(call[0]).startswith("no-")), wanted)
        check(len(wanted) < 520 and len(whole) >= 500 * 8, len(wanted), len(whole))
        # d0, d1 (not executable), a file, d2, d3, d4, a folder that is missing, d5; its thread may have had to wait for the CPU in between.
        equal([call[1] for call in by_name["in-5"]], [os.path.join(path.split(":")[i], "in-5") for i in range(8)])
        equal(got[-1], folded(by_name["in-5"])[-1])


@test
def each_method_sees_each_try():
    with Scratch() as scratch:
        path = make_folders(scratch)
        os.environ["PATH"], before = path, os.environ["PATH"]
        try:
            for way, _ in each_way():
                spawn_by(way, path)
        finally:
            os.environ["PATH"] = before


def spawn_by(way, path):
    with live({"probes": {"errors": way}, "socket": {"path_search": "fold"}}) as (_, fold):
        folders = path.split(":")
        for name, tries, error in (("in-0", 1, None), ("in-2", 4, None), ("in-5", 8, None), ("no-one", len(folders), "ENOENT"),
                                   ("plain", len(folders), "ENOENT"), ("noline", 6, "ENOEXEC")):
            try:
                pid = os.posix_spawnp(name, [name], os.environ)
                os.waitpid(pid, 0)
                event = fold.wait(lambda e: e["type"] == "started" and e["pid"] == pid)
            except OSError:
                event = fold.wait(lambda e: e["type"] == "error" and os.path.basename(e["filename"]) == name)
            equal(call_of(event), (os.path.join(folders[tries - 1], name), error, tries), way, name)
            equal([e for e in fold.of(event["pid"], "error") if e is not event], [], way, name)


def searches_in_steps():
    """Does what it reads from a pipe: "path\n" is tried, and answered."""
    return subprocess.Popen([sys.executable, "-uc", """
import os, sys
for line in sys.stdin:
    if line.startswith("fork"):
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    else:
        try:
            os.execv(line[:-1], ["x"])
        except OSError:
            pass
    print("done")
"""], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def step(process, what):
    process.stdin.write(what + "\n")
    process.stdin.flush()
    equal(process.stdout.readline(), "done\n")


@test
def error_is_sent_when_the_process_continues():
    with live({"probes": {"forks": "yes"}}) as (daemon, plain), folding(daemon.path) as fold:
        with searches_in_steps() as process:
            def error(path):
                return lambda e: e["type"] == "error" and e["pid"] == process.pid and e["filename"] == path

            # By time: while the process waits. It may have waited for the CPU between the two.
            for i in range(10):
                since = len(fold.events)
                step(process, "/nonexistent/a/by-time-%d" % i)
                step(process, "/nonexistent/b/by-time-%d" % i)
                first, second = (plain.wait(error("/nonexistent/%s/by-time-%d" % (folder, i))) for folder in "ab")
                came = fold.wait(error("/nonexistent/b/by-time-%d" % i))
                equal(came["seq"], second["seq"])
                late = time.time_ns() - nanoseconds(came)
                check(late >= HELD_NS, "after", late)
                if nanoseconds(second) - nanoseconds(first) < HELD_NS:
                    break
            equal(came["path_tries"], 2)
            equal([e["filename"] for e in fold.events[since:] if e["type"] == "error" and e["pid"] == process.pid], [came["filename"]])
            # By another call, and by a fork: before that, and without the time.
            since = len(fold.events)
            step(process, "/nonexistent/a/one")
            step(process, "/nonexistent/a/two")
            step(process, "fork")
            process.stdin.write("/bin/true\n")
            process.stdin.close()
            plain.wait_exit(process.pid)
            fold.wait_exit(process.pid)
            forked = next(e for e in fold.events if e["type"] == "forked" and e["ppid"] == process.pid and not e.get("snapshot"))
            order = [(e["type"], e.get("filename")) for e in fold.events[since:] if e is forked or
                     (e.get("pid") == process.pid and e["type"] in ("error", "exited"))]
            equal(order, [("error", "/nonexistent/a/one"), ("error", "/nonexistent/a/two"), ("forked", forked.get("filename")),
                              ("exited", "/bin/true")])


@test
def held_error_takes_no_longer_than_its_time():
    with live() as (daemon, _), folding(daemon.path) as fold:
        with searches_in_steps() as process:
            calls = itertools.count()

            def lateness():
                path = "/nonexistent/late/%d" % next(calls)
                step(process, path)
                event = fold.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid and e["filename"] == path)
                late = time.time_ns() - nanoseconds(event)
                check(late >= HELD_NS, "after", late)
                return late / 10**9
            for _ in range(3):
                at_best(HELD_NS / 10**9 + 1, lateness)
            process.stdin.close()


@test
def new_subscription_has_no_error_of_the_old_one_after_it():
    with live() as (daemon, plain), folding(daemon.path) as fold:
        with searches_in_steps() as process:
            step(process, "/nonexistent/a/one")
            step(process, "/nonexistent/b/one")
            plain.wait(lambda e: e["type"] == "error" and e["filename"] == "/nonexistent/b/one")
            fold.send({"pid": 1})
            fold.wait(lambda e: e["type"] == "subscribed" and "pid" in e)
            process.stdin.close()
        at = [e["type"] for e in fold.events].index("subscribed", [e["type"] for e in fold.events].index("subscribed") + 1)
        # Its second step may have waited for the CPU.
        wanted = [path for path, _, _ in folded(calls_of(plain)[process.pid]) if path.endswith("/one")]
        equal([e["filename"] for e in fold.events[:at] if e["type"] == "error" and e["pid"] == process.pid], wanted)
        fold.send({"stats": True})
        fold.wait(lambda e: e["type"] == "stats")
        equal([e for e in fold.events[at:] if e["type"] == "error"], [])


def read_for(duration, *streams):
    end = time.monotonic() + duration
    while time.monotonic() < end:
        for stream in streams:
            stream.read_some(0.01)


class Storm(threading.Thread):
    """Spawns what there is and what there is not, by turns, until it is stopped."""

    def __init__(self, path):
        super().__init__()
        self.path, self.ended = path, threading.Event()

    def run(self):
        while not self.ended.is_set():
            subprocess.run([sys.executable, "-c", """
import os
for i in range(20):
    for name in ("in-5", "in-2", "no-such"):
        try:
            os.waitpid(os.posix_spawnp(name, [name], os.environ), 0)
        except OSError:
            pass
"""], env={**os.environ, "PATH": self.path}, check=True)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


@test
def searches_are_folded_exactly_over_restarts():
    with Scratch() as scratch, Listener() as listener, Unit(listener) as unit, listener.connect() as plain:
        path = make_folders(scratch)
        with folding(listener.path) as fold:
            unit.wait_kept(2)
            with Storm(path):
                for _ in range(4):
                    read_for(0.5, plain, fold)
                    unit.restart()
            all_of(plain, fold)
            equal([e for e in fold.events + plain.events if e["type"] == "lost"], [])
            whole, folds = calls_of(plain), folds_of(fold)
            ours = [pid for pid, calls in whole.items() if any(call[1].startswith(scratch) for call in calls)]
            check(len(ours) > 100, len(ours))
            for pid in ours:
                equal(folds.get(pid, []), folded(whole[pid]), "folded of", pid, whole[pid])


def is_lost_at_a_kill(unit, plain, fold):
    """The error of a search that is open then: it is reported as lost, or it came before."""
    with searches_in_steps() as process:
        since = len(fold.events)
        step(process, "/nonexistent/a/held")
        plain.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
        unit.kill()
        unit.start()
        process.stdin.close()
    fold.wait_exit(process.pid)
    came = [e for e in fold.events[since:] if e["type"] == "error" and e["pid"] == process.pid]
    lost = sum(e["count"] for e in fold.events[since:] if e["type"] == "lost")
    check(came or lost, "an error is missing")
    return not came


@test
@again_if_blamed
def crash_counts_what_is_held():
    """What is missing is not more than what was lost, and of errors that a search would have folded no more came than that."""
    with Scratch() as scratch, Listener() as listener, Unit(listener) as unit, listener.connect(**SHORT) as plain:
        path = make_folders(scratch)
        with folding(listener.path, **SHORT) as fold:
            unit.wait_kept(2)
            with Storm(path):
                for _ in range(4):
                    read_for(0.5, plain, fold)
                    unit.kill()
                    unit.start()
            all_of(plain, fold)
            # On a machine that is busy its time may be over before the kill.
            check(any(is_lost_at_a_kill(unit, plain, fold) for _ in range(10)), "no error was held at a kill")
            all_of(plain, fold)
            whole, folds = calls_of(plain), folds_of(fold)
            lost = sum(e["count"] for e in fold.events if e["type"] == "lost")
            missing = more = 0
            for pid, calls in whole.items():
                wanted = collections.Counter(call[:2] for call in folded(calls))
                got = collections.Counter(call[:2] for call in folds.get(pid, []))
                missing += sum((wanted - got).values())
                more += sum((got - wanted).values())
            print("# %d lost, %d missing, %d more" % (lost, missing, more))
            check(missing <= lost, "missing:", missing, "lost:", lost)
            check(more <= lost, "more:", more, "lost:", lost)


# make(1) and the shell look for programs by stat(2), since GNU make 4.3; gcc and env(1) by execvp(3).
MAKEFILE = """
OBJECTS = a.o b.o c.o d.o
prog: $(OBJECTS)
	gcc -o $@ $(OBJECTS)
%.o: %.c
	-env no-such-lint $<
	env gcc -O1 -c -o $@ $<
	env in-5 $@
	-no-such-of-make $<
all: prog
	-echo prog | xargs no-such-strip
	-sh -c 'no-such-of-the-shell prog'
"""


def make_project(folder):
    for name in "abcd":
        with open(os.path.join(folder, name + ".c"), "w") as f:
            f.write("int %s;\n%s" % (name, "int main(void) { return 0; }\n" if name == "a" else ""))
    with open(os.path.join(folder, "Makefile"), "w") as f:
        f.write(MAKEFILE)


def make(folder, path):
    subprocess.run(["/usr/bin/make", "-j2", "all"], cwd=folder, env={**os.environ, "PATH": path, "LC_ALL": "C"}, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    check(os.path.exists(os.path.join(folder, "prog")))


def check_made(found, failed):
    """Names of what was started, and of what could not be."""
    check(found["gcc"] == 5 and found["in-5"] == 4 and found["as"] == 4, found)
    equal(failed, {"no-such-lint": 4, "no-such-strip": 1}, "errors")


def has_make():
    return needs(shutil.which("make") and shutil.which("gcc"), "there is no make or gcc")


@test
def make_has_one_error_for_each_program_that_was_not_found():
    if not has_make():
        return
    with Scratch() as scratch, live() as (daemon, plain):
        path = make_folders(scratch)
        make_project(scratch)
        with folding(daemon.path, fields=["filename", "path_tries", "error", "cwd", "pid", "args"]) as fold:
            make(scratch, path)
            all_of(plain, fold)

            def names(stream, kind):
                return collections.Counter(os.path.basename(e["filename"]) for e in stream.events
                                           if e["type"] == kind and e.get("cwd") == scratch)

            equal(names(fold, "started"), names(plain, "started"), "programs")
            check_made(names(fold, "started"), names(fold, "error"))
            whole = names(plain, "error")
            check(whole["no-such-lint"] == 4 * len(path.split(":")) and whole["as"] > 0 and whole["in-5"] == 4 * 7, whole)
            print("# %d errors without folding" % sum(whole.values()))


class Journald(threading.Thread):
    """Its socket, in a /run that only the daemon sees: entries as {field: [value]}."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        os.makedirs(os.path.join(folder, "run", "systemd", "journal"))
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(os.path.join(folder, "run", "systemd", "journal", "socket"))
        self.prefix = ("unshare", "-m", "sh", "-c", 'mount --bind "$1/run" /run && shift && exec "$@"', "sh", folder)
        self.entries = []
        self.start()

    def run(self):
        """The native protocol: NAME=VALUE, or NAME, the size and the value where that has a newline."""
        while True:
            data, fields = self.socket.recv(1 << 20), collections.defaultdict(list)
            while data:
                name, _, rest = data.partition(b"\n")
                if b"=" in name:
                    name, _, value = name.partition(b"=")
                else:
                    size = int.from_bytes(rest[:8], "little")
                    value, rest = rest[8:8 + size], rest[8 + size + 1:]
                fields[name.decode()].append(value)
                data = rest
            self.entries.append({name: value[0].decode("utf-8", "replace") for name, value in fields.items()})

    def names(self, kind, cwd):
        return collections.Counter(os.path.basename(e["EXECSNOOP_FILENAME"]) for e in self.entries
                                   if e.get("EXECSNOOP_TYPE") == kind and e.get("EXECSNOOP_CWD") == cwd)


@test
def journal_has_one_error_for_each_program_that_make_did_not_find():
    """By default: nothing asks for it."""
    if not has_make():
        return
    with Scratch() as scratch:
        journald = Journald(scratch)
        with live({"journal": {"enabled": "yes"}}, prefix=journald.prefix) as (_, plain):
            path = make_folders(scratch)
            make_project(scratch)
            make(scratch, path)
            all_of(plain)
        # The last that it writes, at its end.
        until(lambda: any(entry.get("EXECSNOOP_TYPE") == "mark" for entry in list(journald.entries)), "the end of the daemon")
        check_made(journald.names("started", scratch), journald.names("error", scratch))
        tries = [int(e["EXECSNOOP_PATH_TRIES"]) for e in journald.entries if e.get("EXECSNOOP_CWD") == scratch and
                 "EXECSNOOP_PATH_TRIES" in e and e["EXECSNOOP_FILENAME"].endswith(("/in-5", "/no-such-lint"))]
        equal(sorted(tries), 4 * [8] + 4 * [len(path.split(":"))], "tries")


if __name__ == "__main__":
    main()
