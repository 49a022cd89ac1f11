#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who a process is: ids, capabilities, session, terminal, cgroup; and its id in the stream."""
import contextlib
import os
import struct
import subprocess

from e2e import (ODD, Daemon, Scratch, cgroup_roots, check, equal, live, main, needs, odd,
                 seconds, start_and_end, test)
from truth import Subject, cgroup_of, compare, copy_of_odd, truth_of


@test
def ids_and_capabilities_match_proc():
    with live() as (_, stream), Scratch() as folder:
        nobody = {"user": 65534, "group": 65533, "extra_groups": []}
        Subject(copy_of_odd(folder), "wait", "0", **nobody).finish(stream)
        setuid = copy_of_odd(folder, b"setuid")
        os.chown(setuid, 12345, 12346)
        os.chmod(setuid, 0o6755)
        started, _ = Subject(setuid, "wait", "0", **nobody).finish(stream, secureexec=True)
        equal((started["uid"], started["euid"], started["gid"], started["egid"]), (65534, 12345, 65533, 12346))
        capable = copy_of_odd(folder, b"capable")
        # VFS_CAP_REVISION_2, effective; permitted: CAP_NET_RAW (13).
        os.setxattr(capable, "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
        started, _ = Subject(capable, "wait", "0", **nobody).finish(stream, secureexec=True)
        equal(started["caps"], "%016x" % (1 << 13))
        Subject("setpriv", "--bounding-set=-all", "--inh-caps=-all", ODD, "wait", "0").finish(stream, secureexec=None)


@test
def session_group_tty_and_loginuid_match_proc():
    with live() as (_, stream):
        Subject(ODD, "wait", "0", start_new_session=True).finish(stream)
        Subject(ODD, "wait", "0", preexec_fn=os.setpgrp).finish(stream)
        master, slave = os.openpty()

        def take_terminal():
            import fcntl
            import termios
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        started, _ = Subject(ODD, "wait", "0", preexec_fn=take_terminal).finish(stream)
        equal("/dev/" + started["tty"], os.ttyname(slave))
        os.close(master), os.close(slave)
        try:
            def set_login():
                with open("/proc/self/loginuid", "w") as f:
                    f.write("1234")
            started, _ = Subject(ODD, "wait", "0", preexec_fn=set_login).finish(stream)
            equal(started["loginuid"], 1234)
        except (OSError, subprocess.SubprocessError):
            needs(False, "the kernel has no audit")


@test
def cgroup_and_unit_match_proc_also_once_removed():
    with live() as (_, stream):
        for root in cgroup_roots(" - cgroup2 ") + cgroup_roots("name=systemd"):
            path = os.path.join(root, "identity.slice", "identity-%d.service" % os.getpid())
            os.makedirs(path)

            def enter(path=path):
                with open(os.path.join(path, "cgroup.procs"), "w") as f:
                    f.write(str(os.getpid()))
            try:
                started, _ = Subject(ODD, "wait", "0", preexec_fn=enter).finish(
                    stream, unit="identity-%d.service" % os.getpid(), container_id=None)
                # Gone before anybody could have looked.
                process = subprocess.Popen([ODD, "exit", "0"], preexec_fn=enter)
                process.wait()
            finally:
                os.rmdir(path)
                os.rmdir(os.path.dirname(path))
            equal(start_and_end(stream, process)[0]["cgroup"], started["cgroup"])


@contextlib.contextmanager
def cgroups_below(root, names):
    """Makes one below the other, however long the path; a descriptor of the last."""
    made = [os.open(root, os.O_RDONLY)]
    try:
        for name in names:
            os.mkdir(name, dir_fd=made[-1])
            made.append(os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=made[-1]))
        yield made[-1]
    finally:
        for name, above in reversed(list(zip(names, made))):
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(name, dir_fd=above)
        for fd in made:
            os.close(fd)


def enter_cgroup(fd):
    procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=fd)
    os.write(procs, b"%d" % os.getpid())
    os.close(procs)


def deep_cgroups(first):
    """Names of cgroups below those; NAME_MAX does not limit them: many, long ones, paths of 4,095 bytes, 4,096 and 4,097, far longer ones."""
    left = 4096 - len("/" + "/".join(first)) - 100 * 2 - 13 * 251 - 1
    yield ["x"] * 100
    for more in (-1, 0, 1):
        yield ["y" * 250] * 13 + ["z" * (left + more)] + ["x"] * 100
    yield ["y" * 250] * 40
    yield ["v" * 4000, "w" * 3000]


@test
def deep_cgroup_has_its_path_unit_and_container():
    roots = cgroup_roots(" - cgroup2 ") or cgroup_roots("name=systemd")
    if not needs(roots, "there is no hierarchy of cgroups to be written to"):
        return
    unit, container = "identity-%d.service" % os.getpid(), "c0ffee00" * 8
    first = ["identity.slice", unit, "docker-%s.scope" % container]
    with live() as (daemon, stream):
        asked = daemon.connect()
        asked.send({"unit": unit, "cgroup": "/identity.slice/*", "snapshot": False})
        answer = asked.wait(lambda e: e["type"] == "subscribed", "answer")
        for names in deep_cgroups(first):
            path = "/" + "/".join(first + names)
            size = len(path)
            with cgroups_below(roots[0], first + names) as fd:
                subject = Subject(ODD, "wait", "0", preexec_fn=lambda fd=fd: enter_cgroup(fd))
                if size < 4096:  # /proc/PID/cgroup has no longer ones
                    equal(cgroup_of(subject.pid), path, size)
                else:
                    with Daemon() as second:
                        found = [e for e in second.connect().events if e.get("pid") == subject.pid][0]
                    equal((found.get("cgroup"), found.get("incomplete")), (None, ["cgroup"]), size)
                    check(found.get("unit") in (unit, None), found)
                subject.process.stdin.close()
                subject.process.wait()
            started, exited = start_and_end(stream, subject.process)
            wanted = (path, None) if size <= 4096 else (None, ["cgroup"])
            for event in (started, exited):
                equal((event.get("cgroup"), event.get("incomplete")), wanted, size)
                equal((event.get("unit"), event.get("container_id")), (unit, container), size)
            asked.wait_exit(subject.pid)
        equal({e["unit"] for e in asked.events[asked.events.index(answer) + 1:]}, {unit})


@test
def id_is_the_same_for_every_daemon():
    subject = Subject(ODD, "wait", "0")
    ids, times = set(), []
    for _ in range(2):
        with live() as (_, stream):
            event = [e for e in stream.events if e.get("pid") == subject.pid][0]
            ids.add((event["id"], event["parent_id"]))
            times.append(seconds(event["start_time"]))
            compare(event, truth_of(subject.pid), snapshot=True, source="proc")
    subject.process.stdin.close()
    subject.process.wait()
    equal(len(ids), 1, ids)
    # Neither knows of the other, so each read for itself how far the clocks are apart (a restart takes that over: restart.py).
    check(abs(times[0] - times[1]) < 10**6, "start times", times)


@test
def reused_pid_has_two_thousand_ids():
    # It is read only afterwards, with whatever else the machine does meanwhile.
    with live({"socket": {"queue": "64M"}}) as (_, stream):
        times = 2000
        process = odd("reuse", str(times), stdout=subprocess.PIPE)
        pid = int(process.stdout.read().split()[0])
        if not needs(process.wait() == 0, "the same pid again (clone3, set_tid)"):
            return
        stream.wait_exit(process.pid)
        started, exited = stream.of(pid, "started"), stream.of(pid, "exited")
        equal((len(started), len(exited)), (times, times))
        equal(len({e["id"] for e in started}), times)
        for i, (first, last) in enumerate(zip(started, exited)):
            equal((first["id"], first["args"]), (last["id"], last["args"]))
            equal((last["args"][-1], last["exit_code"]), (str(i), i % 90))
            equal(last["ppid"], process.pid)


if __name__ == "__main__":
    main()
