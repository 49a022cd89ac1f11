#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""When a record wakes the daemon: at once if a reader waits for it, never for anything else. doc/design/wake-ups.md"""
import contextlib
import ctypes
import mmap
import os
import statistics
import struct
import subprocess
import time

from e2e import (ODD, PATIENCE, SLOW, Daemon, Failure, at_best, check, equal, is_sanitized, live, main, needs, run, seconds,
                 start_and_end, test)


def shared_memory(daemon):
    """The page in which the consumer announces that it sleeps: record_shared in bpf/record.h, the one map of 64 bytes."""
    folder = "/proc/%d/fdinfo" % daemon.process.pid
    for fd in os.listdir(folder):
        with open(os.path.join(folder, fd)) as f:
            info = dict(line.rstrip("\n").split(":", 1) for line in f if ":" in line)
        if info.get("value_size", "").strip() == "64":
            number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
            attr = struct.pack("=III", int(info["map_id"]), 0, 0)
            fd = ctypes.CDLL(None, use_errno=True).syscall(number, 14, attr, len(attr))  # BPF_MAP_GET_FD_BY_ID
            check(fd >= 0, os.strerror(ctypes.get_errno()))
            memory = mmap.mmap(fd, 4096)
            os.close(fd)
            return memory
    raise Failure("no map of 64 bytes")


@test
def watchdog_is_fed_and_drains_the_ring():
    with Daemon(env={"WATCHDOG_USEC": "2000000"}) as daemon:
        daemon.wait_note("WATCHDOG=1")
        stream = daemon.connect()
        with shared_memory(daemon) as memory:
            # A consumer that is awake, because of other processes, sets the word again when it goes to sleep.
            end = time.monotonic() + PATIENCE
            while time.monotonic() < end:
                if memory[:4] != struct.pack("=I", 1):
                    time.sleep(0.001)
                    continue
                memory[:4] = struct.pack("=I", 0)
                start_and_end(stream, run(ODD, "exit", "0"))
                if "reading now" in daemon.messages():
                    break
        check("reading now" in daemon.messages(), "it was always woken")
        daemon.noted = len(daemon.notify.notes)
        daemon.wait_note("WATCHDOG=1")
        equal([e for e in stream.events if e["type"] == "lost"], [])


def is_asleep(memory):
    return memory[:4] == struct.pack("=I", 1)


@contextlib.contextmanager
def sleeping_child():
    """A process that was forked and never calls exec."""
    go, end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        os.read(go, 1)
        os._exit(0)
    os.close(go)
    yield pid
    os.close(end)
    os.waitpid(pid, 0)


@test
def fork_and_exit_without_an_exec_wake_nothing():
    with Daemon() as daemon, shared_memory(daemon) as memory:
        def stays_asleep():
            with sleeping_child():
                forked = is_asleep(memory)
            return forked and is_asleep(memory)

        # Other programs may wake it in the meantime, but not each time. A probe writes to the word before fork(2) returns.
        end, slept = time.monotonic() + PATIENCE, 0
        while slept < 5:
            check(time.monotonic() < end, "it slept over a fork %d times only" % slept)
            if is_asleep(memory):
                slept += stays_asleep()
            time.sleep(0.01)
        # They come with the next event.
        stream = daemon.connect()
        with sleeping_child() as pid:
            process = run(ODD, "exit", "0")
            start_and_end(stream, process)
        equal(stream.of(pid), [], "events of a process that only forked")


def start(delay):
    """Forks, waits, and calls exec; the pid."""
    pid = os.fork()
    if pid == 0:
        time.sleep(delay)
        os.execv(ODD, [ODD, "exit", "0"])
    return pid


def lateness(stream, pid):
    """Of its `started`, in seconds. Reads the stream since before the exec."""
    event = stream.wait(lambda e: e["type"] == "started" and e.get("pid") == pid, "start of %d" % pid)
    late = time.time_ns() - seconds(event["time"])
    os.waitpid(pid, 0)
    stream.wait_exit(pid)
    return late / 1e9


def spawn_time():
    began = time.monotonic()
    os.waitpid(os.posix_spawn(ODD, [ODD, "exit", "0"], os.environ), 0)
    return time.monotonic() - began


def others_run():
    with open("/proc/stat") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("procs_running ")) > 1


def is_quiet(memory, duration):
    end = time.monotonic() + duration
    while time.monotonic() < end:
        if not is_asleep(memory) or others_run():
            return False
        time.sleep(0.001)
    return True


@test
def exec_on_a_quiet_machine_is_read_within_a_spawn():
    late, spawn, end = [], [], time.monotonic() + 30
    with live() as (daemon, stream), shared_memory(daemon) as memory:
        while len(late) < 20 and time.monotonic() < end:
            if not is_quiet(memory, 0.06):
                continue
            stream.read_some(0)
            before = len(stream.events)
            # Some time after the fork; then, within the daemon's pause, after the other one.
            pids = [start(0.003)]
            both = [lateness(stream, pids[0])]
            pids.append(start(0.002))
            both.append(lateness(stream, pids[1]))
            if {e.get("pid") for e in stream.events[before:]} == set(pids):
                late.append(max(both))
            is_quiet(memory, 0.02)
            spawn.append(spawn_time())
    if needs(len(late) >= 3 and not is_sanitized(), "the machine was never quiet"):
        # Others may have had the CPU in some.
        late, spawn = sorted(late)[len(late) // 4] * 1e6, statistics.median(spawn) * 1e6
        print("#   %.0f us late; a spawn takes %.0f" % (late, spawn))
        check(late <= 2 * spawn, "%.0f us late, where a spawn takes %.0f" % (late, spawn))


@test
def idle_daemon_uses_little_memory_and_no_cpu():
    def start():
        begin = time.monotonic()
        with Daemon():
            return time.monotonic() - begin
    if not is_sanitized():
        at_best(1, start)
    # With forks, all that wakes the daemon is an event.
    with live({"probes": {"forks": "yes", "ring_buffer": "8M"}, "socket": {"queue": "4M"}}) as (daemon, stream):
        start_and_end(stream, run(ODD, "exit", "0"))
        if not is_sanitized():
            with open("/proc/%d/status" % daemon.process.pid) as f:
                rss = [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
            check(rss < 16 << 10, "%d KiB resident" % rss)
        # No wake-ups while nothing happens. Other programs may run: so until there is a quiet second, and where
        # there never is one, by what an event may cost at most (a wake-up, some turns of the timer).
        seconds = []
        while 0 not in [wakeups for _, wakeups in seconds]:
            seconds.append(events_and_wakeups_in_a_second(stream, daemon.process.pid))
            check(len(seconds) < 20 or min(events for events, _ in seconds) > 0, "woken up for nothing:", seconds)
            if len(seconds) == 20:
                events, wakeups = map(sum, zip(*seconds))
                check(wakeups <= 8 * events, wakeups, "wake-ups for", events, "events")
                print("#   no second was quiet: %d wake-ups for %d events" % (wakeups, events))
                break


def events_and_wakeups_in_a_second(stream, pid):
    def wakeups():
        with open("/proc/%d/status" % pid) as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("voluntary"))

    count, before, end = len(stream.events), wakeups(), time.monotonic() + 1
    while time.monotonic() < end:
        stream.read_some(max(end - time.monotonic(), 0))
    return len(stream.events) - count, wakeups() - before


if __name__ == "__main__":
    main()
