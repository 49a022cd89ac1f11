#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes that /proc cannot say everything of: stuck for ever with their memory locked, on a file system that does not answer; without
their leader; with a title over their arguments."""
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time

from e2e import BUILD, ODD, Daemon, at_best, check, copy_of, equal, live, main, needs, odd, test

STUCK = os.path.join(BUILD, "tests", "e2e", "stuck")
NOBODY = 65534
NAME = "x (deleted)"  # as the kernel marks files that are deleted
READ = "import sys; print(len(open('/proc/%s/cmdline' % sys.argv[1]).read()))"


def has_fuse():
    """Debian has it as a module."""
    with open("/proc/filesystems", encoding="ascii") as f:
        return needs("\tfuse\n" in f.read(), "FUSE")


class Stuck:
    """Processes of an unprivileged user, each on a dead file system of its own; .pids."""

    def __init__(self, how, count=1):
        self.how = how
        self.count = count
        self.servers = []
        self.pids = []
        self.dir = tempfile.mkdtemp(prefix="execsnoopd-stuck-")
        os.chmod(self.dir, 0o755)
        self.device = os.path.join(self.dir, "fuse")
        os.mknod(self.device, 0o600 | 0o020000, os.makedev(10, 229))
        os.chmod(self.device, 0o666)
        self.program = copy_of(STUCK, self.dir, "stuck")

    def folder(self, i):
        return os.path.join(self.dir, "%s-%d" % (self.how, i))

    def args(self, i):
        return [NAME, "an argument", str(i)]

    def start(self):
        for i in range(self.count):
            os.mkdir(self.folder(i), 0o755)
            self.servers.append(subprocess.Popen([self.program, self.device, self.folder(i), NAME, self.how, *self.args(i)[1:]],
                                                 stdout=subprocess.PIPE, user=NOBODY, group=NOBODY, extra_groups=[]))
        return self

    def wait(self):
        self.pids = [int(server.stdout.readline()) for server in self.servers]
        return self

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        for server in self.servers:
            server.kill()
            server.wait()
        shutil.rmtree(self.dir)


def is_readable(pid):
    """Does another process that reads its arguments come back?"""
    reader = subprocess.Popen(["python3", "-c", READ, str(pid)], stdout=subprocess.DEVNULL)
    try:
        return reader.wait(1) == 0
    except subprocess.TimeoutExpired:
        reader.kill()
        reader.wait()
        return False


def check_stuck(event, stuck, i, source):
    equal(event["source"], source)
    equal((event["exe"], event["cwd"]), (os.path.join(stuck.folder(i), NAME), stuck.folder(i)))
    check("exe_deleted" not in event, event)
    equal((event["uid"], event["gid"], event["euid"], event["comm"]), (NOBODY, NOBODY, NOBODY, NAME))
    equal(event["mnt_ns"], os.stat("/proc/%d/ns/mnt" % event["pid"]).st_ino)
    if stuck.how == "lock":
        check("args" not in event, event)
        equal(event["incomplete"], ["args"])
    else:
        equal(event["args"], stuck.args(i))
        check("incomplete" not in event, event)


@contextlib.contextmanager
def ended(*processes):
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def stop(daemon):
    begin = time.monotonic()
    daemon.process.terminate()
    equal(daemon.process.wait(), 0)
    return time.monotonic() - begin


@test
def stuck_processes_do_not_delay_the_start():
    if not has_fuse():
        return
    with Stuck("lock", 10) as locked, Stuck("sit", 2) as sitting, ended(odd("sleep", "a", "", stdout=subprocess.PIPE)) as (plain,):
        locked.start().wait(), sitting.start().wait()
        plain.stdout.readline()
        check(not is_readable(locked.pids[0]), "it does not hold its mmap_lock")
        took = []

        def start():
            begin = time.monotonic()
            with Daemon() as daemon:
                took.append(time.monotonic() - begin)
                client = daemon.connect()
                snapshot = {e["pid"]: e for e in client.events if e.get("snapshot")}
                for stuck in (locked, sitting):
                    for i, pid in enumerate(stuck.pids):
                        check_stuck(snapshot[pid], stuck, i, "proc")
                equal(snapshot[plain.pid]["args"], [ODD, "sleep", "a", ""])
                daemon.stats()
                took.append(stop(daemon))
            return max(took[-2:])
        at_best(1, start)


@test
def stuck_processes_do_not_delay_a_resync():
    if not has_fuse():
        return
    with Stuck("lock", 10) as locked, Stuck("sit", 2) as sitting:
        with live({"probes": {"ring_buffer": "64K"}}) as (daemon, client):
            os.kill(daemon.process.pid, signal.SIGSTOP)
            for _ in range(300):
                subprocess.run(["/bin/true"])
            # What starts now is lost.
            locked.start().wait(), sitting.start().wait()
            plain = odd("sleep", "a", "", stdout=subprocess.PIPE)
            plain.stdout.readline()
            with ended(plain):
                check(not is_readable(locked.pids[0]), "it does not hold its mmap_lock")
                os.kill(daemon.process.pid, signal.SIGCONT)
                for stuck in (locked, sitting):
                    for i, pid in enumerate(stuck.pids):
                        found = client.wait(lambda e, pid=pid: e["type"] == "started" and e["pid"] == pid, "a stuck one")
                        check_stuck(found, stuck, i, "resync")
                found = client.wait(lambda e: e["type"] == "started" and e["pid"] == plain.pid, "the plain one")
                equal((found["source"], found["args"]), ("resync", [ODD, "sleep", "a", ""]))
                # Events go on.
                run = subprocess.Popen(["/bin/true"])
                run.wait()
                client.wait_exit(run.pid)
                daemon.stats()
            check(stop(daemon) < 5)


@test
def stop_during_a_resync_is_prompt():
    def once():
        with Stuck("lock", 10) as locked, Daemon({"probes": {"ring_buffer": "64K"}}) as daemon:
            client = daemon.connect()
            os.kill(daemon.process.pid, signal.SIGSTOP)
            for _ in range(300):
                subprocess.run(["/bin/true"])
            locked.start().wait()
            os.kill(daemon.process.pid, signal.SIGCONT)
            # The first of them, so others are being looked up.
            client.wait(lambda e: e["type"] == "started" and e["pid"] in locked.pids, "a stuck one")
            return stop(daemon)
    if has_fuse():
        at_best(1, once)


def of_snapshot(client, pid):
    return client.wait(lambda e: e.get("snapshot") and e["pid"] == pid, "it in the snapshot")


@test
def process_with_an_ended_leader_is_read_by_its_threads():
    folder = tempfile.mkdtemp(prefix="execsnoopd-leader-")
    with ended(odd("outlive-leader", "x", "", cwd=folder, stdout=subprocess.PIPE)) as (process,):
        tid = int(process.stdout.readline())
        thread = "/proc/%d/task/%d/" % (process.pid, tid)
        file = os.stat(ODD)
        with live() as (_, client):
            event = of_snapshot(client, process.pid)
            equal(event["args"], [ODD, "outlive-leader", "x", ""])
            equal(event["exe"], os.readlink(thread + "exe"))
            equal(event["cwd"], os.readlink(thread + "cwd"))
            equal(event["exe_inode"], file.st_ino)
            equal(event["mnt_ns"], os.stat(thread + "ns/mnt").st_ino)
            equal(event["pid_ns"], os.stat(thread + "ns/pid").st_ino)
            with open(thread + "cgroup", encoding="utf-8") as f:
                check(any(line.rstrip("\n").endswith(":" + event["cgroup"]) for line in f), event["cgroup"])
            check("incomplete" not in event and "kernel_thread" not in event, event)
            process.kill()
            gone = client.wait_exit(process.pid)
            for key in ("exe", "args", "cwd", "mnt_ns", "exe_inode"):
                equal(gone[key], event[key], key)
    os.rmdir(folder)


@test
def deleted_file_differs_from_one_with_that_name():
    folder = tempfile.mkdtemp(prefix="execsnoopd-deleted-")
    started = []
    try:
        for name, delete in (("x (deleted)", False), ("x (deleted)", True), ("y", True), ("z", False), ("z (deleted) (deleted)", True)):
            place = os.path.join(folder, str(len(started)))
            os.mkdir(place)
            path = os.path.join(place, name)
            shutil.copy(ODD, path)
            process = subprocess.Popen([path, "sleep"], stdout=subprocess.PIPE, cwd=place)
            process.stdout.readline()
            if delete:
                shutil.rmtree(place)
            started.append((process, path, place, delete))
        with live() as (_, client):
            for process, path, place, delete in started:
                event = of_snapshot(client, process.pid)
                equal((event["exe"], event.get("exe_deleted", False), event["cwd"]), (path, delete, place))
    finally:
        for process, *_ in started:
            process.kill()
            process.wait()
        shutil.rmtree(folder)


@test
def padding_of_a_title_is_not_in_args():
    def area(*args):
        return sum(len(arg) + 1 for arg in (ODD, *args))
    real = (["sleep", ""], ["sleep", "", "", ""], ["sleep", "", "x"])
    # The size of the title: short, of one byte, and so that there are as many strings as there were arguments, or one more or less.
    titles = [["title", "%03d" % size, *more] for more in ([], ["x"] * 20)
              for size in (1, 20, *(area("title", "000", *more) - 3 - len(more) + n for n in (-1, 0, 1)))]
    processes = [(args, odd(*args, stdout=subprocess.PIPE)) for args in (*real, *titles)]
    with ended(*(process for _, process in processes)):
        for _, process in processes:
            process.stdout.readline()
        with live() as (_, client):
            for args, process in processes:
                event = of_snapshot(client, process.pid)
                equal(event["args"], ["t" * int(args[1])] if args[0] == "title" else [ODD, *args])
                check("argc" not in event and "args_truncated" not in event, event)


if __name__ == "__main__":
    main()
