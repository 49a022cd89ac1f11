#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Failed execs that are hard to see, by each way that the running kernel has: what fail.c made is what is reported, or counted as lost."""
import ctypes
import os
import re
import subprocess
import tempfile

from e2e import FAIL, ODD, Daemon, check, equal, main, needs, run, test

WAYS = ("kprobe-multi", "fexit", "kprobe", "tracepoint")
SYS_EXECVEAT = {"x86_64": 322, "aarch64": 281}[os.uname().machine]


def live(config=None):
    daemon = Daemon(config)
    stream = daemon.connect()
    stream.wait_live()
    return daemon, stream


def fail(*deed):
    """What fail.c did: {pid: failed execs that it made}, and all that it said."""
    said = subprocess.run([FAIL, *map(str, deed)], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    return {int(pid): int(made) for pid, made in re.findall(r"^pid (\d+) made (\d+)", said, re.M)}, said


def each_way(*ways):
    """A daemon and its stream by each of these ways that the kernel has."""
    for way in ways or WAYS:
        daemon, stream = live({"probes": {"errors": way}})
        with daemon:
            if needs("cannot be seen" not in daemon.messages(), way):
                yield way, stream


def all_events(stream):
    """Up to the end of a process that starts now."""
    stream.wait_exit(run(ODD, "exit", "0").pid)
    return stream.events


@test
def failed_exec_on_userfaultfd_page_does_not_wait():
    """Without the daemon nothing asks for that page; before 6.8 the kernel reads all arguments before it looks for the program."""
    if not needs(" asked 0 " in fail("argument-not-answered")[1], "a kernel that does not ask for it itself"):
        return
    for way, stream in each_way():
        made, said = fail("argument-not-answered")
        (pid, number), = made.items()
        equal(number, 1)
        check(" asked 0 " in said and float(said.split()[-1]) < 2, way, said)
        event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid)
        equal((event["exe"], event["args"], event.get("args_truncated")), ("/no/answer", ["first"], True))


@test
def execs_that_a_filter_refuses_are_seen_by_the_tracepoints():
    for _, stream in each_way("tracepoint"):
        (pid, number), = fail("refused", 5)[0].items()
        events = all_events(stream)
        equal([(e["exe"], e["args"], e["error"]) for e in events if e["type"] == "error" and e["pid"] == pid],
              number * [("/no/refused", ["refused"], "EPROTO")])
        equal([e for e in events if e["type"] == "lost"], [])


@test
def threads_killed_before_their_exec_report_none():
    for _, stream in each_way():
        pids = fail("killed-at-entry", 20)[0]
        equal(len(pids), 20)
        events = all_events(stream)
        equal([e for e in events if e["type"] == "lost" or (e["type"] == "error" and e["pid"] in pids)], [])


@test
def forty_sleeping_execs_are_reported_or_counted():
    for way, stream in each_way():
        (pid, number), = fail("sleepers", 40)[0].items()
        equal(number, 40)
        events = all_events(stream)
        reported = [e for e in events if e["type"] == "error" and e["pid"] == pid]
        lost = sum(e["count"] for e in events if e["type"] == "lost")
        equal(len(reported) + lost, 40, way)
        check(way == "kprobe" or lost == 0, way, lost)
        equal({(e["exe"], tuple(e["args"])) for e in reported}, {("/no/sleeper", ("sleeper",))})


@test
def searches_of_path_are_reported_each():
    for _, stream in each_way():
        _, said = fail("search", 6, 20)
        equal(said, "made 600\n")
        events = all_events(stream)
        equal(len([e for e in events if e["type"] == "error" and e["exe"] == "/no/searched"]), 600)


@test
def failed_exec_by_descriptor_is_named_as_a_success():
    """The kernel names a script that it runs by a descriptor: the script's own argument says how (execveat(2))."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    daemon, stream = live()
    with daemon, tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w") as f:
            f.write("#!/bin/echo\n")
        os.chmod(script, 0o755)

        def exec_at(fd, path, flags):
            """The child's pid, and what the kernel called the script."""
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.dup2(writer, 1)
                os.chdir(folder)
                argv = (ctypes.c_char_p * 2)(b"argv0", None)
                syscall(SYS_EXECVEAT, fd, os.fsencode(path), argv, None, flags)
                os._exit(ctypes.get_errno())
            os.close(writer)
            with os.fdopen(reader) as f:
                said = f.read().strip()
            os.waitpid(pid, 0)
            return pid, said

        top = os.open(folder, os.O_PATH)
        for fd in (os.open(script, os.O_PATH), top):
            os.set_inheritable(fd, True)
            for path, flags in ((("script", 0), ("nothing", 0), ("./nothing/at/all", 0)) if fd == top else (("", 0x1000),)):
                pid, said = exec_at(fd, path, flags)
                if said:
                    # It ran. And now it may not.
                    named = said
                    above = named[:-len("script")]
                    os.chmod(script, 0o644)
                    pid, _ = exec_at(fd, path, flags)
                    os.chmod(script, 0o755)
                else:
                    named = above + path
                event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid, (fd, path))
                equal((event["exe"], event["filename"]), (named, named))
        for fd, path in ((-100, "nothing"), (top, folder + "/nothing"), (-100, "")):
            pid, _ = exec_at(fd, path, 0)
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid, (fd, path))
            equal((event["exe"], event["filename"]), (path, path))


if __name__ == "__main__":
    main()
