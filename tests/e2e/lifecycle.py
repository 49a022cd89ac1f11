#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Forks, execs and exits of every kind."""
import ctypes
import os
import resource
import signal
import struct
import subprocess

from e2e import LONG, ODD, SLOW, Scratch, check, equal, live, main, needs, odd, run, shared_stream, start_and_end, test
from truth import Subject, ancestors_of, comm_of, read

PR_SET_CHILD_SUBREAPER = 36  # include/uapi/linux/prctl.h


@test
def exec_by_a_thread_has_one_end():
    with shared_stream() as stream:
        subject = Subject(ODD, "thread-exec", ODD, "wait", "0")
        subject.finish(stream)
        events = stream.of(subject.pid)
        equal([(e["type"], e["args"][1]) for e in events], [("started", "thread-exec"), ("started", "wait"), ("exited", "wait")])
        equal(len({(e["id"], e["start_time"]) for e in events}), 1, "ids")


@test
def fifty_execs_have_one_id():
    with shared_stream() as stream:
        process = odd("chain", "50")
        process.wait()
        stream.wait_exit(process.pid)
        started = stream.of(process.pid, "started")
        equal([e["args"][2] for e in started], [str(n) for n in range(50, -1, -1)])
        equal(len({(e["id"], e["start_time"]) for e in started}), 1)


ELF32 = bytes.fromhex(
    "7f454c4601010100000000000000000002000300010000005480040834000000000000000000000034002000010000000000000001000000"
    "000000000080040800800408b0000000b00000000500000000100000")


def program32(code):
    """A 32-bit program of nothing but this code, at 0x8048054."""
    return ELF32 + code


@test
def thirty_two_bit_programs_are_reported():
    with shared_stream() as stream, Scratch() as folder:
        path = os.path.join(folder, "small")
        with open(path, "wb") as f:
            # exit(7): mov $1,%eax; mov $7,%ebx; int $0x80
            f.write(program32(bytes.fromhex("b801000000bb07000000cd80")).ljust(0xb0, b"\0"))
        os.chmod(path, 0o755)
        try:
            process = run(path, "one", "two")
        except OSError as e:
            needs(False, "32-bit programs: %s" % e)
            return
        started, exited = start_and_end(stream, process)
        equal((started["args"], started["exe"], exited["exit_code"]), ([path, "one", "two"], path, 7))
        # execve("/bin/true", {"/bin/true", "32", NULL}, NULL), by int $0x80
        strings = b"/bin/true\0" + b"32\0"
        at = 0x8048054 + 40
        pointers = at + len(strings)
        code = b"\xb8\x0b\0\0\0" + b"\xbb" + struct.pack("<I", at) + b"\xb9" + struct.pack("<I", pointers) + \
            b"\x31\xd2\xcd\x80" + b"\xb8\x01\0\0\0\xcd\x80"
        with open(path, "wb") as f:
            f.write(program32(code.ljust(40, b"\x90") + strings + struct.pack("<III", at, at + 10, 0)).ljust(0xb0, b"\0"))
        process = run(path)
        stream.wait_exit(process.pid)
        started = stream.of(process.pid, "started")
        equal([e["args"] for e in started], [[path], ["/bin/true", "32"]])
        equal(process.returncode, 0)


@test
def forks_of_every_kind_are_reported_once():
    new = {"CLONE_NEWNS": 0x20000, "CLONE_NEWUTS": 0x4000000, "CLONE_NEWIPC": 0x8000000, "CLONE_NEWPID": 0x20000000,
           "CLONE_VFORK": 0x4000, "CLONE_PARENT": 0x8000, "none": 0}
    with live({"probes": {"forks": "yes"}}) as (_, stream):
        for name, flags in new.items():
            process = odd("clone", str(flags), ODD, "exit", "11", stdout=subprocess.PIPE)
            said = int(process.stdout.read().split()[0])
            status = process.wait()
            if flags == 0x8000:
                # Its parent is this test.
                _, wait_status = os.waitpid(-1, 0x40000000)  # __WALL: it gives no signal
                status = os.WEXITSTATUS(wait_status)
            equal(status, 11, name)
            # The clone's pid is another one inside a pid namespace, so by the event.
            exited = stream.wait(lambda e: e["type"] == "exited" and e.get("args") == [ODD, "exit", "11"] and
                                 e["ppid"] == (os.getpid() if flags == 0x8000 else process.pid), name)
            equal(exited["exit_code"], 11, name)
            if flags != 0x20000000:
                equal(exited["pid"], said, name)
            else:
                equal(exited["ns_pid"], 1)
            forked = stream.of(exited["pid"], "forked")
            equal([e["id"] for e in forked], [exited["id"]], name)
            equal(forked[0]["args"], [ODD, "clone", str(flags), ODD, "exit", "11"], "inherited by " + name)
            parent = [e for e in stream.events if e.get("pid") == forked[0]["ppid"]][0]
            equal(forked[0]["parent_id"], parent["id"], name)
        for deed in ("vfork", "traced"):
            process = odd(deed, ODD, "exit", "12", stdout=subprocess.PIPE)
            child = int(process.stdout.read().split()[0])
            equal(process.wait(), 12)
            exited = stream.wait_exit(child)
            # A tracer is no parent in the kernel's eyes, or is it the parent here.
            equal((exited["exit_code"], exited["ppid"]), (12, process.pid), deed)
        process = odd("fork", "13", stdout=subprocess.PIPE)
        child = int(process.stdout.read().split()[0])
        process.wait()
        exited = stream.wait_exit(child)
        equal((exited["exit_code"], exited["args"], exited["exe"]), (13, [ODD, "fork", "13"], os.path.realpath(ODD)))


@test
def orphan_has_its_subreaper_as_parent():
    with shared_stream() as stream:
        process = odd("orphan", "14", stdout=subprocess.PIPE)
        child = int(process.stdout.read().split()[0])
        process.wait()
        exited = stream.wait_exit(child)
        equal(exited["exit_code"], 14)
        # The one of the exec, before which the subreaper had become its parent.
        equal(exited["ppid"], process.pid, "not the subreaper")


def exec_after_all_has_changed(folder):
    """Of four processes, each forked by the one before, the second ends, so that the first becomes parent of the third; the first
    has another comm since, and the folder of all another name, when the last execs. Returns the status."""
    first = os.fork()
    if first == 0:
        os.chdir(folder)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        ready, go = os.pipe()
        second = os.fork()
        if second == 0:
            if os.fork() == 0:  # the third
                if os.fork() == 0:
                    os.read(ready, 1)
                    os.execv(ODD, [ODD, "exit", "0"])
                os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
            os._exit(0)
        os.waitpid(second, 0)
        with open("/proc/self/comm", "w") as f:
            f.write("changed")
        os.rename(folder, folder + "-2")
        os.write(go, b"1")
        os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
    return os.waitpid(first, 0)[1]


@test
def place_of_an_exec_is_that_of_its_moment():
    """Not that of the fork: the daemon's table cannot know of the changes since."""
    with live() as (_, stream), Scratch() as folder:
        status = exec_after_all_has_changed(folder)
        os.rename(folder + "-2", folder)
        equal(status, 0)
        started = stream.wait(lambda e: e["type"] == "started" and e.get("cwd") == folder + "-2")
        equal(started["exe"], ODD)
        wanted = [comm_of(os.getpid()), b"changed", comm_of(os.getpid()), *ancestors_of(os.getpid())]
        equal([name.encode() for name in started["ancestors"]][:len(wanted)], wanted)


@test
def comm_is_that_of_the_last_exec():
    with shared_stream() as stream:
        process = odd("rename", "other-name", stdout=subprocess.DEVNULL)
        process.wait()
        started, exited = start_and_end(stream, process)
        equal((started["comm"], exited["comm"]), ("odd", "odd"))
        script = "printf changed >/proc/$$/comm; exec %s exit 0" % ODD
        process = subprocess.Popen(["sh", "-c", script])
        process.wait()
        stream.wait_exit(process.pid)
        equal([e["comm"] for e in stream.of(process.pid, "started")], ["sh", "odd"])


@test
def exit_codes_and_signals_match_wait():
    with shared_stream() as stream:
        processes = [(run(ODD, "exit", str(code)), code) for code in range(0, 256, 5)]
        for process, code in processes:
            exited = stream.wait_exit(process.pid)
            equal((exited.get("exit_code"), exited["result"]), (process.returncode, "exit-code" if process.returncode else "success"), code)
        for number in range(1, 65):
            if number in (32, 33) or number in (signal.SIGCHLD, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN,
                                                 signal.SIGTTOU, signal.SIGURG, signal.SIGWINCH):
                continue
            process = odd("kill", str(number), restore_signals=True)
            equal(process.wait(), -number)
            exited = stream.wait_exit(process.pid)
            # Python may know a number by a synonym; signal(7) and strace(1) do not.
            name = {signal.SIGIO: "SIGIO", signal.SIGABRT: "SIGABRT"}.get(number) or (
                signal.Signals(number).name if number < 35 else "SIGRTMIN+%d" % (number - 34))
            equal((exited["exit_signal"], exited["result"], exited.get("exit_code")), (name, "signal", None))


@test
def core_dumped_matches_wait():
    with shared_stream() as stream, Scratch() as folder:
        def cores():
            resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
        for core in ("core", None):
            process = odd("kill", "11", *([core] if core else []), cwd=folder, preexec_fn=cores)
            _, status = os.waitpid(process.pid, 0)
            process.returncode = 0
            exited = stream.wait_exit(process.pid)
            equal(exited["exit_signal"], "SIGSEGV")
            equal(exited.get("core_dumped", False), os.WCOREDUMP(status), "core dumped")
            equal(exited["result"], "core-dump" if os.WCOREDUMP(status) else "signal")


@test
def process_with_threads_has_one_end():
    with shared_stream() as stream:
        for deed, status in ((["leader-first"], None), (["thread-exit"], 7), (["threads", "200"], 5)):
            process = odd(*deed)
            code = process.wait()
            exited = stream.wait_exit(process.pid)
            # Whose status counts has changed with kernels (synchronize_group_exit() since 6.0): wait() knows.
            equal(exited["exit_code"], code if status is None else status, deed)
            check(deed != ["leader-first"] or exited["running_time_ns"] >= 50_000_000, "it ends with its last thread")
            equal([e["type"] for e in stream.of(process.pid)], ["started", "exited"], deed)


def usage_of_burn(stream, folder, *more):
    """What the event and wait4(2) say of the CPU time of one that burns some; all else is compared."""
    process = odd("burn", "8", folder, *more)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    # A zombie's /proc/PID/io has all of it.
    io = dict(line.split(b": ") for line in read("/proc/%d/io" % process.pid).split(b"\n") if line)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.WEXITSTATUS(status)
    equal(process.returncode, 6)
    exited = stream.wait_exit(process.pid)
    equal(exited["max_rss_bytes"], usage.ru_maxrss * 1024)
    equal((exited["read_bytes"], exited["write_bytes"]), (int(io[b"read_bytes"]), int(io[b"write_bytes"])), "io")
    if needs(io[b"write_bytes"] != b"0", "the file system does not count what is written to it"):
        check(exited["write_bytes"] >= 9 * 65536, exited["write_bytes"])
    check(usage.ru_utime + usage.ru_stime > 9 * 0.04, "it did not burn:", usage)
    return (exited["cpu_user_ns"] / 1e9, exited["cpu_system_ns"] / 1e9), (usage.ru_utime, usage.ru_stime)


@test
def usage_includes_all_threads():
    def is_near(ours, truth):
        return (abs(sum(ours) - sum(truth)) <= (0.04 if SLOW else 0.008) and
                all(abs(a - b) <= 0.02 + b * 0.05 for a, b in zip(ours, truth)))

    with shared_stream() as stream, Scratch() as folder:
        for together in ([], ["together"]):
            for left in reversed(range(3)):
                # The exit continues after the probe has run; where a machine is slow or busy, that is CPU time too.
                ours, truth = usage_of_burn(stream, folder, *together)
                if is_near(ours, truth):
                    break
                check(left, "user and system:", ours, truth)


@test
def thread_released_during_the_exit_is_counted_once():
    """Of two threads that end together one is being released while the probe adds up what both used."""
    with live({"probes": {"forks": "yes"}}) as (_, stream), Scratch() as folder:
        process = odd("release", "4000" if LONG else "1000", folder, stdout=subprocess.PIPE)
        truth = [tuple(map(int, line.split())) for line in process.stdout]
        equal(process.wait(), 0)
        stream.wait_exit(process.pid)
    if needs(any(written for _, written in truth), "the file system does not count what is written to it"):
        events = [(e["pid"], e["write_bytes"]) for e in stream.events if e["type"] == "exited" and e["ppid"] == process.pid]
        equal([written for written in events if written not in truth], [], "other than rusage has it")
        equal(events, truth)


if __name__ == "__main__":
    main()
