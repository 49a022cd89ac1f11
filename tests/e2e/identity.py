#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who a process is: ids, capabilities, session, terminal, cgroup; and its id in the stream."""
import contextlib
import os
import struct
import subprocess
import uuid

from e2e import (LONG, ODD, Daemon, Scratch, cgroup_roots, check, equal, live, main, needs, odd, run, seconds, shared_stream,
                 start_and_end, test)
from truth import (NAMESPACES, Subject, cgroup_of, compare, copy_of_odd, in_snapshot, namespaces_of,
                   read, truth_of)


@test
def ids_and_capabilities_match_proc():
    with shared_stream() as stream, Scratch() as folder:
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
    with shared_stream() as stream:
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


# unshare(1)'s option for each kind of /proc/PID/ns.
SLICE = "identity-%d.slice" % os.getpid()  # the tests of fallback.py may run beside these
KINDS = {"net": "net", "uts": "uts", "ipc": "ipc", "cgroup": "cgroup", "time": "time", "mnt": "mount", "pid": "pid", "user": "user"}


def is_separable(kind):
    return kind in NAMESPACES and subprocess.run(["unshare", "--fork", "--" + KINDS[kind], "true"], stderr=subprocess.DEVNULL).returncode == 0


@test
def process_in_a_namespace_of_its_own_has_its_number():
    script = "readlink /proc/self/ns/* >%s; %s exec /nonexistent; exec %s wait 0"
    own = namespaces_of("self")
    with shared_stream() as stream, Scratch() as folder:
        for kind in KINDS:
            if not needs(is_separable(kind), "no %s namespaces" % kind):
                continue
            links = os.path.join(folder, kind)
            subject = Subject("unshare", "--fork", "--" + KINDS[kind], "sh", "-c", script % (links, ODD, ODD))
            pid = int(read("/proc/%d/task/%d/children" % (subject.pid, subject.pid)))
            # As the process itself saw them.
            truth = {line.split(":")[0] + "_ns": int(line.split("[")[1].split("]")[0])
                     for line in read(links).decode().splitlines() if "_for_children" not in line}
            equal({key for key in truth if truth[key] != own[key]}, {kind + "_ns"}, "what differs")
            found = in_snapshot(pid)
            compare(found, truth_of(pid), snapshot=True, source="proc", **truth)
            subject.finish(stream, pid=pid, **truth)
            error = stream.wait(lambda e, pid=pid: e["type"] == "error" and e["ppid"] == pid, "error")
            equal({key: error.get(key) for key in truth}, truth)


@test
def process_that_is_cloned_into_a_namespace_has_its_number():
    if not needs(is_separable("net") and is_separable("time"), "no net or time namespaces"):
        return
    own = namespaces_of("self")
    with live({"probes": {"forks": "yes"}}) as (_, stream):
        links = "readlink /proc/self/ns/net >&2; exec %s exit 0" % ODD
        process = odd("clone", "0x40000000", "/bin/sh", "-c", links, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # CLONE_NEWNET
        out, err = process.communicate()
        child, number = int(out), int(err.split(b"[")[1].split(b"]")[0])
        exited = stream.wait_exit(child)
        events = [*stream.of(child, "forked"), *stream.of(child, "started"), exited]
        equal({e["net_ns"] for e in events}, {number})
        check(number != own["net_ns"] and len(events) == 4, events)
        # Since 6.1 an exec enters what unshare(2) made for children (2b5f9dad32ed).
        Subject("unshare", "--time", ODD, "wait", "0").finish(stream)


@test
def namespace_entered_later_is_that_of_the_next_exec():
    if not needs(is_separable("net"), "no net namespaces"):
        return
    own = namespaces_of("self")
    with shared_stream() as stream:
        other = Subject("unshare", "--net", ODD, "wait", "0")
        truth = namespaces_of(other.pid)
        check(truth["net_ns"] != own["net_ns"], truth)
        entered = run("sh", "-c", "exec nsenter --net=/proc/%d/ns/net %s exit 0" % (other.pid, ODD))
        other.process.stdin.close()
        other.process.wait()
        exited = stream.wait_exit(entered.pid)
        # sh, nsenter, odd: of the last, which was born elsewhere, and of its end.
        equal([e["net_ns"] for e in stream.of(entered.pid, "started")], [own["net_ns"]] * 2 + [truth["net_ns"]])
        equal(exited["net_ns"], truth["net_ns"])


@test
def session_leader_is_the_process_with_that_pid():
    with live({"probes": {"forks": "yes"}}) as (_, stream):
        # Itself, its parent, one further up.
        for script in "exec %s wait 0", "%s wait 0; true", "sh -c '%s wait 0; true'; true":
            subject = Subject("sh", "-c", script % ODD, start_new_session=True)
            pid = subject.pid
            while stream.wait(lambda e, pid=pid: e["type"] == "started" and e["pid"] == pid)["exe"] != ODD:
                children = read("/proc/%d/task/%d/children" % (pid, pid)).split()
                if not children:
                    break
                pid = int(children[0])
            leader = stream.of(subject.pid, "started")[-1]["id"]
            compare(in_snapshot(pid), truth_of(pid), snapshot=True, source="proc")
            started, exited = subject.finish(stream, pid=pid)
            forked = stream.of(pid, "forked")[0] if pid != subject.pid else started
            equal([e["session_leader_id"] for e in (started, exited, forked)], [leader] * 3)
        failed = run("sh", "-c", "sh -c '%s exec /nonexistent; true'; true" % ODD, start_new_session=True)
        # Before its "started", the leader itself fails to find "sh" in the first directories of $PATH.
        error = stream.wait(lambda e: e["type"] == "error" and e.get("sid") == failed.pid and e["pid"] != failed.pid)
        equal(error["session_leader_id"], stream.of(failed.pid, "started")[0]["id"])


@test
def session_whose_leader_is_gone_has_none():
    """One process that execs before its leader's end, and one that execs after it."""
    with shared_stream() as stream:
        early, late = os.pipe(), os.pipe()
        script = "%s wait 4 <&%d & sh -c 'read go; exec %s exit 5' <&%d & read end" % (ODD, early[0], ODD, late[0])
        leader = subprocess.Popen(["sh", "-c", script], start_new_session=True, pass_fds=[early[0], late[0]],
                                  stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        first = stream.wait(lambda e: e["type"] == "started" and e.get("exe") == ODD and e["sid"] == leader.pid, "early")
        equal(first["session_leader_id"], stream.of(leader.pid, "started")[0]["id"])
        leader.communicate()
        check("session_leader_id" not in in_snapshot(first["pid"]))
        os.write(late[1], b"\n")
        last = stream.wait(lambda e: e["type"] == "exited" and e.get("exit_code") == 5 and e["sid"] == leader.pid, "late")
        check("session_leader_id" not in last and "session_leader_id" not in stream.of(last["pid"], "started")[-1], last)
        for fd in early + late:
            os.close(fd)
        equal(stream.wait_exit(first["pid"])["session_leader_id"], first["session_leader_id"])


@test
def cgroup_and_unit_match_proc_also_once_removed():
    with shared_stream() as stream:
        for root in cgroup_roots(" - cgroup2 ") + cgroup_roots("name=systemd"):
            path = os.path.join(root, SLICE, "identity-%d.service" % os.getpid())
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
@test
def cgroup_that_is_renamed_or_removed_is_that_of_each_exec():
    """Those of v1 may be renamed, and keep their number; each of the others lives as long as one program."""
    with live() as (_, stream):
        for root in cgroup_roots(" - cgroup2 ") + cgroup_roots("name=systemd"):
            base = os.path.join(root, "execsnoopd-test-%s" % uuid.uuid4().hex[:8])
            paths, processes = ["%s-%d" % (base, i) for i in range(50)], []
            for path in paths:
                try:
                    os.mkdir(path)
                except OSError as e:
                    needs(False, "cgroups: %s" % e)
                    return
                script = "echo $$ >%s/cgroup.procs && exec %s exit 0" % (path, ODD)
                processes.append(subprocess.Popen(["sh", "-c", script]))
                processes[-1].wait()
                os.rmdir(path)
            for path, process in zip(paths, processes):
                stream.wait_exit(process.pid)
                equal(stream.of(process.pid, "started")[-1]["cgroup"], "/" + os.path.basename(path))
            if not os.path.exists(os.path.join(root, "notify_on_release")):
                continue  # v2 has no rename
            os.mkdir(base)
            script = "echo $$ >%s/cgroup.procs && %s exit 0; mv %s %s-2; exec %s exit 0" % (base, ODD, base, base, ODD)
            process = subprocess.Popen(["sh", "-c", script])
            process.wait()
            os.rmdir(base + "-2")
            stream.wait_exit(process.pid)
            first, = [e for e in stream.events if e["type"] == "started" and e["ppid"] == process.pid and e["exe"] == ODD]
            second = stream.of(process.pid, "started")[-1]
            name = "/" + os.path.basename(base)
            equal((first["cgroup"], second["cgroup"]), (name, name + "-2"))


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
    first = [SLICE, unit, "docker-%s.scope" % container]
    with live() as (daemon, stream):
        asked = daemon.connect()
        asked.send({"unit": unit, "cgroup": "/%s/*" % SLICE, "snapshot": False})
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
def process_of_a_pod_has_its_uid():
    roots = cgroup_roots(" - cgroup2 ") or cgroup_roots("name=systemd")
    if not needs(roots, "there is no hierarchy of cgroups to be written to"):
        return
    uid, container = str(uuid.uuid4()), "c0ffee00" * 8
    pod = "kubepods-burstable-pod%s.slice" % uid.replace("-", "_")
    with shared_stream() as stream:
        for names in (["kubepods.slice", "kubepods-burstable.slice", pod, "cri-containerd-%s.scope" % container],
                      ["kubepods", "besteffort", "pod" + uid, container]):
            with cgroups_below(roots[0], ["identity-%d" % os.getpid(), *names]) as fd:
                subject = Subject("sh", "-c", "%s exec /nonexistent; exec %s wait 0" % (ODD, ODD), preexec_fn=lambda fd=fd: enter_cgroup(fd))
                compare(in_snapshot(subject.pid), truth_of(subject.pid), snapshot=True, source="proc", pod_uid=uid)
                subject.finish(stream, pod_uid=uid, container_id=container)
            error = stream.wait(lambda e, pid=subject.pid: e["type"] == "error" and e["ppid"] == pid, "error")
            equal((error["pod_uid"], error["container_id"]), (uid, container))
        started, _ = start_and_end(stream, run(ODD, "exit", "0"))
        check("pod_uid" not in started, started)


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
def reused_pid_has_an_id_each_time():
    # It is read only afterwards, with whatever else the machine does meanwhile.
    with live({"socket": {"queue": "64M"}}) as (_, stream):
        times = 2000 if LONG else 300
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
