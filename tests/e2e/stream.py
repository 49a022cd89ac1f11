#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The whole way, on the running kernel: what processes do, and what a subscriber reads of it."""
import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

from e2e import (DAEMON, LONG, ODD, SLOW, Daemon, Stream, at_best, check, check_seq, check_stream, equal, live, main,
                 odd, run, seconds, shared_stream, start_and_end, test, unescape)

BOLD = ["type", "start_time", "ppid", "parent_comm", "pid", "uid", "gid", "comm", "exe", "args"]


@test
def program_has_started_and_exited_events():
    with shared_stream() as stream:
        before = time.time_ns()
        process = run(ODD, "exit", "3", cwd="/usr")
        after = time.time_ns()
        started, exited = start_and_end(stream, process)
        for key in BOLD:
            check(key in started, "started has no", key)
        equal(started["ppid"], os.getpid(), "ppid")
        with open("/proc/self/comm") as f:
            equal(started["parent_comm"], f.read().rstrip("\n"), "parent_comm")
        equal((started["uid"], started["gid"]), (os.getuid(), os.getgid()), "ids")
        equal(started["comm"], "odd")
        equal(started["exe"], os.path.realpath(ODD))
        equal(started["filename"], ODD)
        equal(started["args"], [ODD, "exit", "3"])
        check("args_truncated" not in started and "snapshot" not in started and "source" not in started)
        check(before <= seconds(started["start_time"]) <= seconds(started["time"]) <= seconds(exited["time"]) <= after,
              "times:", before, started["start_time"], started["time"], exited["time"], after)
        equal(exited["exit_code"], 3)
        check("exit_signal" not in exited)
        equal(seconds(exited["end_time"]) - seconds(exited["start_time"]), exited["running_time_ns"], "running time")
        equal(exited["end_time"], exited["time"])
        check_seq(stream.events)


@test
def parent_id_is_the_id_of_the_parent():
    with shared_stream() as stream:
        process = run(ODD, "fork", "0", stdout=subprocess.DEVNULL)
        started, _ = start_and_end(stream, process)
        own = [e for e in stream.events if e.get("pid") == os.getpid() and e.get("snapshot")]
        equal(len(own), 1, "this test in the snapshot")
        equal(started["parent_id"], own[0]["id"])
        check(started["id"] != own[0]["id"])


@test
def fork_without_exec_is_reported_only_with_forks():
    with shared_stream() as stream:
        process = odd("fork", "0", stdout=subprocess.PIPE)
        child = int(process.stdout.readline())
        process.wait()
        stream.wait_exit(process.pid)
        equal(stream.of(child), [], "events of the silent child")
        check_seq(stream.events)
    with live({"probes": {"forks": "yes"}}) as (_, stream):
        process = odd("fork", "6", stdout=subprocess.PIPE)
        child = int(process.stdout.readline())
        process.wait()
        stream.wait_exit(process.pid)
        events = stream.of(child)
        equal([e["type"] for e in events], ["forked", "exited"])
        for event in events:
            equal((event["exe"], event["args"], event["ppid"]), (os.path.realpath(ODD), [ODD, "fork", "6"], process.pid))
        equal(events[1]["exit_code"], 6)
        equal([e["type"] for e in stream.of(process.pid)], ["forked", "started", "exited"])
        check_seq(stream.events)


@test
def arguments_above_the_limit_are_reported_truncated():
    with live({"probes": {"args_limit": "64K"}}) as (_, stream):
        args = [ODD, "exit", "0"] + ["%07d" % i for i in range(20000)]
        process = run(*args)
        started, _ = start_and_end(stream, process)
        equal(started.get("args_truncated"), True)
        equal(started["argc"], len(args))
        equal(started["args_size"], sum(len(a) + 1 for a in args))
        check(started["args"] == args[: len(started["args"])], "a prefix, whole arguments")
        size = sum(len(a) + 1 for a in started["args"])
        check(65536 - 8 < size <= 65536, "as much as fits: %d" % size)


@test
def non_utf8_bytes_are_exact_in_raw_keys():
    with live() as (daemon, stream):
        nasty = bytes(range(1, 256))
        link = os.path.join(daemon.dir.encode(), b"b\xff\xc3\x28")
        os.symlink(ODD, link)
        process = run(link, b"exit", b"0", nasty, b"plain", b"\xf0\x9f\x98\x80")
        started, _ = start_and_end(stream, process)
        equal(unescape(started, "args"), [link, b"exit", b"0", nasty, b"plain", b"\xf0\x9f\x98\x80"])
        equal(unescape(started, "filename"), link)
        equal(unescape(started, "comm"), b"b\xff\xc3\x28")
        equal(started["comm"], "b\ufffd\ufffd(")
        check("exe_raw" not in started)
        process = run(ODD, "exit", "0", "\u00e4\u20ac\U0001f600\n\"\\\x7f")
        started, _ = start_and_end(stream, process)
        check("args_raw" not in started, "valid UTF-8 has no twin")
        equal(started["args"][3], "\u00e4\u20ac\U0001f600\n\"\\\x7f")


@test
def snapshot_has_the_running_processes():
    sleepers = [odd("sleep", stdout=subprocess.PIPE) for _ in range(5)]
    for sleeper in sleepers:
        sleeper.stdout.readline()
    try:
        with live() as (_, stream):
            # What came after it is the machine's, which may be busy.
            snapshot = stream.events[: [e["type"] for e in stream.events].index("live")]
            check(all(e["type"] == "started" and e["snapshot"] is True and "seq" not in e for e in snapshot))
            ids = [e["id"] for e in snapshot]
            equal(len(ids), len(set(ids)), "each once")
            for sleeper in sleepers:
                mine = [e for e in snapshot if e["pid"] == sleeper.pid]
                equal(len(mine), 1)
                equal((mine[0]["exe"], mine[0]["args"], mine[0]["source"], mine[0]["ppid"]),
                      (os.path.realpath(ODD), [ODD, "sleep"], "proc", os.getpid()))
                with open("/proc/%d/stat" % sleeper.pid) as f:
                    ticks = int(f.read().rsplit(")", 1)[1].split()[19])
                boot = boot_time()
                check(abs(seconds(mine[0]["start_time"]) - boot - ticks * 10**7) < 3 * 10**7, "start_time")
            threads = [e for e in snapshot if e.get("kernel_thread")]
            kthreadd = [e for e in threads if e["pid"] == 2]
            check(len(kthreadd) == 1 and kthreadd[0]["comm"] == "kthreadd" and "exe" not in kthreadd[0]
                  and "args" not in kthreadd[0] and kthreadd[0].get("sid") == os.getsid(2), "kthreadd:", kthreadd)
            seen = set()
            for event in snapshot:
                check("parent_id" not in event or event["parent_id"] in seen or event["parent_id"] not in ids,
                      "parents first")
                seen.add(event["id"])
            # What the snapshot has, /proc has or had; what /proc has, and what began before the last of those, the snapshot has.
            last = start_ticks(sleepers[-1].pid)
            for pid in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
                if pid not in {e["pid"] for e in snapshot}:
                    check(not alive(pid) or start_ticks(pid) > last, "missing:", pid)
            sleepers[0].kill()
            sleepers[0].wait()
            exited = stream.wait_exit(sleepers[0].pid)
            equal((exited["exit_signal"], exited["source"]), ("SIGKILL", "proc"))
            start = [e for e in snapshot if e["pid"] == sleepers[0].pid][0]
            equal((exited["id"], exited["start_time"]), (start["id"], start["start_time"]))
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()


def boot_time():
    """The time of day at the start of the clock of boot. Between the two readings another program may have had the CPU, but not each time."""
    readings = []
    for _ in range(10):
        begin = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        now = time.time_ns()
        readings.append((time.clock_gettime_ns(time.CLOCK_BOOTTIME) - begin, now - begin))
    return min(readings)[1]


def start_ticks(pid):
    """When it began; for one that has ended, after all others."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return int(f.read().rsplit(")", 1)[1].split()[19])
    except OSError:
        return sys.maxsize


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@test
def snapshot_during_a_storm_has_every_process():
    stop = threading.Event()

    def storm():
        while not stop.is_set():
            run(ODD, "chain", "2")

    runner = threading.Thread(target=storm)
    runner.start()
    try:
        for _ in range(5):
            with Daemon() as daemon:
                streams = [daemon.connect() for _ in range(4)]
                for stream in streams:
                    for _ in range(20):
                        stream.read_some(0.02)
                for stream in streams:
                    check_stream(stream.events)
    finally:
        stop.set()
        runner.join()


@test
def thousands_of_programs_lose_nothing():
    times = 20000 if LONG else 2000 if SLOW else 5000
    with live({"socket": {"queue": "64M"}}, defaults=True) as (_, stream):
        loop = subprocess.Popen(["sh", "-c", "for i in $(seq %d); do /bin/true; done" % times])
        while loop.poll() is None:
            stream.read_some(0.1)
        stream.wait_exit(loop.pid)
        mine = [e for e in stream.events if e.get("ppid") == loop.pid and e.get("filename") == "/bin/true"]
        equal(len([e for e in mine if e["type"] == "started"]), times)
        equal(len([e for e in mine if e["type"] == "exited"]), times)
        check(not [e for e in stream.events if e["type"] == "lost"], "lost")
        check_stream(stream.events)


@test
def loss_is_counted_and_the_table_compared():
    with live({"probes": {"ring_buffer": "64K", "forks": "yes"}}) as (daemon, client):
        before = subprocess.Popen(["sleep", "1000"])
        client.wait(lambda e: e["type"] == "started" and e["pid"] == before.pid)
        short = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        client.wait(lambda e: e["type"] == "started" and e["pid"] == short.pid)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        for _ in range(300):
            subprocess.run(["/bin/true"])
        # What starts and what ends now is lost.
        # It says when it runs: Popen comes back before the exec is at its end.
        after = subprocess.Popen([ODD, "sleep", "1001"], stdout=subprocess.PIPE)
        after.stdout.readline()
        short.stdin.close()
        short.wait()
        os.kill(daemon.process.pid, signal.SIGCONT)
        found = client.wait(lambda e: e["type"] == "started" and e["pid"] == after.pid, "the missed process")
        equal((found["source"], found["args"]), ("resync", [ODD, "sleep", "1001"]))
        gone = client.wait_exit(short.pid)
        equal(gone["source"], "resync")
        check("exit_code" not in gone and "exit_signal" not in gone and "result" not in gone, gone)
        lost = [e for e in client.events if e["type"] == "lost"]
        check(lost and all(e["where"] == "kernel" and e["count"] > 0 for e in lost), lost)
        # Both live through it, and end as they should.
        before.terminate()
        after.kill()
        before.wait(), after.wait()
        equal(client.wait_exit(before.pid)["exit_signal"], "SIGTERM")
        equal(client.wait_exit(after.pid)["exit_signal"], "SIGKILL")
        equal(len(client.of(before.pid, "exited") + client.of(after.pid, "exited")), 2)
        again = daemon.connect()
        for event in again.events:
            if event.get("snapshot") and not os.path.exists("/proc/%d" % event["pid"]):
                again.wait(lambda e, i=event["id"]: e["type"] == "exited" and e["id"] == i, "end of %s" % event)


@test
def chosen_environment_variables_are_reported():
    with live({"probes": {"env": "LC_*, ODD"}}) as (_, client):
        environment = {"LC_ALL": "C", "ODD": "a=b\n", "SECRET": "x", "BIG": "y" * 100000, "LC_": ""}
        child = subprocess.Popen(["/bin/true"], env=environment)
        child.wait()
        client.wait_exit(child.pid)
        for event in client.of(child.pid, "started", "exited"):
            equal(event["env"], {"LC_ALL": "C", "ODD": "a=b\n", "LC_": ""})
        other = subprocess.Popen(["/bin/true"], env={"PATH": "/bin"})
        other.wait()
        client.wait_exit(other.pid)
        check("env" not in client.of(other.pid, "started")[0])


@test
def stdout_has_the_same_events():
    process = subprocess.Popen([DAEMON, "-c", "/dev/null", "--stdout"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    stream = Stream(process.stdout.fileno())
    stream.wait_live()
    child = run(ODD, "exit", "0")
    start_and_end(stream, child)
    process.terminate()
    equal(process.wait(), 0)
    while stream.read_some(1):
        pass
    check(stream.ended)
    check_stream(stream.events)


@test
def reload_changes_the_filter_of_stdout():
    with Daemon(args=("--stdout",), stdout=subprocess.PIPE) as daemon:
        stream = Stream(daemon.process.stdout.fileno())
        stream.wait_live()
        check("cwd" in stream.wait_exit(run(ODD, "exit", "0").pid))
        daemon.write({"stdout": {"fields": "pid,exit_code", "types": "exited"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        child = run(ODD, "exit", "9")
        equal(stream.wait_exit(child.pid), {"type": "exited", "pid": child.pid, "exit_code": 9})
        equal(len(stream.of(child.pid)), 1)
        daemon.process.stdout.close()


@test
def daemon_exits_with_success_when_stdout_closes():
    shell = subprocess.run(["sh", "-c", '{ "$0" -c /dev/null --stdout; echo $? >&3; } 3>&2 2>/dev/null | head -3', DAEMON],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
    equal(shell.stderr, b"0\n")
    equal(len(shell.stdout.splitlines()), 3)
    for line in shell.stdout.splitlines():
        json.loads(line)


@test
def stop_does_not_wait_for_a_stuck_stdout():
    at_best(1, stop_does_not_wait_for_a_stuck_subscriber)


def stop_does_not_wait_for_a_stuck_subscriber():
    read, write = os.pipe()
    process = subprocess.Popen([DAEMON, "-c", "/dev/null", "--stdout"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    while "ready" not in process.stderr.readline():
        pass
    for _ in range(200):
        run(ODD, "exit", "0", "z" * 2000)
    begin = time.monotonic()
    process.terminate()
    process.wait()
    os.close(read)
    return time.monotonic() - begin


@test
def unread_log_does_not_block_the_daemon():
    def pipe():
        read, write = os.pipe()
        fcntl.fcntl(write, 1031, 4096)  # F_SETPIPE_SZ
        return read, write

    def pair():
        read, write = (end.detach() for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
        with socket.socket(fileno=os.dup(write)) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        return read, write

    for read, write in pipe(), pair():
        process = subprocess.Popen([DAEMON, "-c", "/dev/null", "--stdout"], stdout=subprocess.PIPE, stderr=write)
        os.close(write)
        stream = Stream(process.stdout.fileno())
        stream.wait_live()
        # Each makes a line of some hundred bytes; the messages of what is ended in between say that the last was taken.
        for _ in range(40):
            process.send_signal(signal.SIGUSR1)
            child = run(ODD, "exit", "0")
            stream.wait(lambda e: e["type"] == "exited" and e["pid"] == child.pid, patience=20)
        os.set_blocking(read, False)
        text = b""
        while b"messages were dropped" not in text:
            try:
                text += os.read(read, 65536)
            except BlockingIOError:
                process.send_signal(signal.SIGUSR1)
                child = run(ODD, "exit", "0")
                stream.wait(lambda e: e["type"] == "exited" and e["pid"] == child.pid, patience=20)
        for line in text.split(b"\n")[:-1]:
            check(line[:1].isalnum() or line[:1] in b"{[", "a whole line:", line)
        process.terminate()
        equal(process.wait(), 0)
        process.stdout.close()
        os.close(read)


@test
def daemon_stops_within_a_second():
    def stop(number):
        with live() as (daemon, stuck):
            begin = time.monotonic()
            daemon.process.send_signal(number)
            equal(daemon.process.wait(), 0)
            took = time.monotonic() - begin
            check(not os.path.exists(daemon.path), "the socket is gone")
            stuck.close()
            return took
    for number in (signal.SIGTERM, signal.SIGINT):
        at_best(1, lambda number=number: stop(number))


@test
def invalid_configuration_is_refused_with_file_and_line():
    with Daemon() as daemon:
        daemon.write({"probes": {"forks": "maybe", "nonsense": "1"}, "socket": {"mode": "9"}})
        result = subprocess.run([DAEMON, "-c", daemon.file, "--test-config"], stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                                text=True)
        equal((result.returncode, result.stdout), (78, ""))
        lines = [line for line in result.stderr.splitlines() if line.startswith(daemon.file + ":")]
        equal(len(lines), 3, result.stderr)
        equal(subprocess.run([DAEMON, "-c", daemon.file], stderr=subprocess.DEVNULL).returncode, 78)
        # A FIFO without a writer as a drop-in: the daemon does not wait for it, at a reload neither.
        os.mkdir(daemon.file + ".d")
        fifo = os.path.join(daemon.file + ".d", "1.conf")
        os.mkfifo(fifo)
        result = subprocess.run([DAEMON, "-c", daemon.file, "-t"], stderr=subprocess.PIPE, text=True, timeout=20)
        equal(result.returncode, 78)
        check(fifo + ": not a regular file" in result.stderr, result.stderr)
        equal(subprocess.run([DAEMON, "--what"], stderr=subprocess.DEVNULL).returncode, 2)
        with open("/dev/full", "w") as full:
            for option in "--dump-config", "--version", "--help":
                result = subprocess.run([DAEMON, "-c", "/dev/null", option], stdout=full, stderr=subprocess.PIPE, text=True)
                equal((result.returncode, result.stderr), (1, "standard output: %s\n" % os.strerror(errno.ENOSPC)), option)
        # A reload refuses it too, and the daemon continues.
        stream = daemon.connect()
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        check("nonsense" in daemon.messages())
        check(fifo + ": not a regular file" in daemon.messages())
        start_and_end(stream, run(ODD, "exit", "0"))


@test
def suspicious_configuration_values_are_warned_about():
    with Daemon({"socket": {"comm": "odd, wget # of ours"}}) as daemon:
        place = "%s:%d: warning: comm = odd, wget # of ours: " % (
            daemon.file, [line.startswith("comm") for line in open(daemon.file)].index(True) + 1)
        check(place in daemon.messages(), daemon.messages())
        result = subprocess.run([DAEMON, "-c", daemon.file, "-t"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        equal((result.returncode, result.stdout, result.stderr.count("\n")), (0, "", 1), result.stderr)
        check(result.stderr.startswith(place), result.stderr)


if __name__ == "__main__":
    main()
