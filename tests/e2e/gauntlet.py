#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Odd processes, on the running kernel: every key of their events against what /proc, wait4 and stat say of them."""
import collections
import contextlib
import ctypes
import errno
import glob
import os
import re
import resource
import shutil
import signal
import stat
import struct
import subprocess
import sys
import threading
import time
import unicodedata

import e2e
from e2e import (ODD, SLOW, Client, Daemon, Failure, Scratch, check, copy_of, equal, main, needs, odd, run, seconds,
                 start_and_end, test, unescape)

TICKS = os.sysconf("SC_CLK_TCK")
WAYS = ("kprobe-multi", "fexit", "kprobe", "tracepoint")  # to see failed execs


def read(path):
    with open(path, "rb") as f:
        return f.read()


def status_of(pid):
    return dict(re.match(rb"(\w+):\s*(.*)", line).groups() for line in read("/proc/%d/status" % pid).split(b"\n") if b":" in line)


def stat_of(pid):
    """Fields of proc(5), stat; [0] is the third."""
    return read("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()


def comm_of(pid):
    return read("/proc/%d/comm" % pid)[:-1]


def tty_name(number):
    major, minor = os.major(number), os.minor(number)
    if number == 0:
        return None
    return "pts/%d" % (minor + 256 * (major - 136)) if 136 <= major <= 143 else "%d:%d" % (major, minor)


def ancestors_of(pid):
    """The comms above it, as far as /proc shows them (a sandbox may hide its init)."""
    found = []
    parent = int(stat_of(pid)[1])
    while parent:
        try:
            found.append(comm_of(parent))
            parent = int(stat_of(parent)[1])
        except FileNotFoundError:
            break
    return found


def cgroup_of(pid):
    lines = [line.split(":", 2) for line in read("/proc/%d/cgroup" % pid).decode().splitlines()]
    v2 = [path for number, _, path in lines if number == "0"]
    v1 = [path for _, controllers, path in lines if controllers == "name=systemd"]
    return v2[0] if v2 and (v2[0] != "/" or not v1) else v1[0] if v1 else None


def cgroup_roots(kind):
    """Where hierarchies of that kind are mounted, and can be written to."""
    roots = [line.split()[4] for line in read("/proc/self/mountinfo").decode().splitlines() if kind in line]
    return [root for root in roots if os.access(root, os.W_OK)]


def inode_of(path):
    return int(re.search(r"\[(\d+)\]", os.readlink(path)).group(1))


def truth_of(pid):
    """What is known of a live process without the daemon; bytes where the stream has raw twins."""
    status, fields = status_of(pid), stat_of(pid)
    exe = os.readlink(b"/proc/%d/exe" % pid)
    deleted = exe.endswith(b" (deleted)")
    binary = os.stat("/proc/%d/exe" % pid)
    ids, gids = status[b"Uid"].split(), status[b"Gid"].split()
    loginuid, session = (int(read("/proc/%d/%s" % (pid, name))) for name in ("loginuid", "sessionid"))
    truth = {
        "pid": pid, "ppid": int(fields[1]), "uid": int(ids[0]), "gid": int(gids[0]), "euid": int(ids[1]), "egid": int(gids[1]),
        "caps": status[b"CapEff"].decode(), "comm": comm_of(pid), "exe": exe[:-10] if deleted else exe,
        "args": read("/proc/%d/cmdline" % pid).split(b"\0")[:-1], "sid": int(fields[3]), "pgid": int(fields[2]),
        "tty": tty_name(int(fields[4])), "cwd": os.readlink(b"/proc/%d/cwd" % pid), "cgroup": cgroup_of(pid),
        "pid_ns": inode_of("/proc/%d/ns/pid" % pid), "mnt_ns": inode_of("/proc/%d/ns/mnt" % pid),
        "ns_pid": int(status[b"NSpid"].split()[-1]), "exe_inode": binary.st_ino,
        "exe_dev": "%d:%d" % (os.major(binary.st_dev), os.minor(binary.st_dev)),
        "loginuid": None if loginuid == 0xffffffff else loginuid, "session_id": None if session == 0xffffffff else session,
        "exe_deleted": True if deleted else None, "start_ticks": int(fields[19]), "ancestors": ancestors_of(pid),
        "parent_comm": comm_of(int(fields[1])) if os.path.exists("/proc/%s" % fields[1].decode()) else None,
    }
    return truth


RAW = {"comm", "parent_comm", "exe", "filename", "args", "cwd"}


def boot_ticks(event):
    """start_time on the boot clock, in ticks, as field 22 of /proc/PID/stat has it; the id has it exactly."""
    return int(event["id"].rsplit("-", 1)[1], 16) * TICKS // 10**9


def compare(event, truth, **more):
    wanted = {**truth, **more}
    for key, value in wanted.items():
        if key == "start_ticks":
            equal(boot_ticks(event), value, "start")
        elif key == "ancestors":
            got = [name.encode() for name in event["ancestors"]]
            equal(got[:len(value)], value, "ancestors")
        elif key in RAW and value is not None:
            equal(unescape(event, key), value, key)
        else:
            equal(event.get(key), value, key)
    for key in ("kernel_thread", "args_truncated", "argc", "args_size", "incomplete", "snapshot", "source"):
        if key not in wanted:
            check(key not in event, "there is a", key, event.get(key))


class Subject:
    """A process that waits; it is compared and ended by finish()."""

    def __init__(self, *command, status=0, **more):
        self.status = status
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)
        line = self.process.stdout.readline()
        if line != b"ready\n":
            self.process.kill()
            self.process.wait()
            raise Failure("%r is not ready: %r" % (command, line))
        self.pid = self.process.pid

    def finish(self, stream, pid=None, **more):
        pid = pid or self.pid
        truth = truth_of(pid)
        self.process.stdin.close()
        _, wait_status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = 0
        exited = stream.wait_exit(pid)
        started = stream.of(pid, "started")[-1]
        truth.update(more)
        compare(started, truth)
        compare(exited, truth)
        if pid == self.process.pid:
            equal(exited.get("exit_code"), os.WEXITSTATUS(wait_status) if os.WIFEXITED(wait_status) else None, "status")
            equal(exited["exit_code"], self.status)
            equal(exited["max_rss_bytes"], usage.ru_maxrss * 1024, "max_rss_bytes")
        equal(seconds(exited["end_time"]) - seconds(exited["start_time"]), exited["running_time_ns"])
        equal(exited["start_time"], started["start_time"])
        return started, exited


def live(config=None):
    daemon = Daemon(config)
    stream = daemon.connect()
    stream.wait_live()
    return daemon, stream


def copy_of_odd(folder, name=b"copy"):
    return copy_of(ODD, folder, name)


# Arguments.

@test
def arguments_of_every_shape():
    daemon, stream = live()
    with daemon:
        everything = bytes(range(1, 256))
        for extra in ([], [b""], [b"", b"", b"x", b""], [b"a" * 131071 ], [everything], [b"%d" % i for i in range(5000)],
                      [b"x" * 100000] * 12, [b"\xff" * 4095, b"y"], [b"\xed\xa0\x80", b"\n", b"\xf0\x9f\x98\x80"]):
            subject = Subject(ODD.encode(), b"wait", b"3", *extra, status=3)
            subject.finish(stream, args=[ODD.encode(), b"wait", b"3", *extra], filename=ODD.encode())


def acts(data):
    """What acts on a terminal in these bytes: all of Unicode's controls and separators of lines, and what turns the direction."""
    return [c for c in data.decode() if c != "\n" and (unicodedata.category(c) in ("Cc", "Zl", "Zp") or
            unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI") or
            c in "\u061c\u200e\u200f")]


@test
def nothing_that_is_written_acts_on_a_terminal():
    everything = "".join(map(chr, [*range(1, 0xa1), 0x61c, *range(0x2000, 0x2070), 0xfeff, 0x1f600]))
    daemon, stream = live({"probes": {"env": "HARM"}})
    with daemon, Scratch() as folder:
        path = os.path.join(folder, "\x9b31m\u202e\u2066")
        shutil.copy(ODD, path)
        process = subprocess.Popen([path, "exit", "0", everything], env={"HARM": everything}, cwd=folder)
        started, _ = start_and_end(stream, process)
        equal((started["args"][3], started["exe"], started["env"]["HARM"]), (everything, path, everything))
        # In answers too, and in what is refused.
        other = daemon.connect(live=False)
        other.send({"comm": ["\x7f\x9b\u2028\u202e\u061cx"]})
        other.wait(lambda e: e["type"] == "subscribed")
        other.send({"\x9b\u202e": 1})
        other.wait(lambda e: e["type"] == "rejected")
        for line in stream.lines + other.lines:
            equal(acts(line), [], line)
        # The configuration's messages.
        conf = os.path.join(folder, "\u202e\x9b.conf")
        with open(conf, "w") as f:
            f.write("[log]\nlevel = \x9b\u2028\u2067\x7f\x1b[31m\n")
        result = subprocess.run([e2e.DAEMON, "-c", conf, "-t"], stderr=subprocess.PIPE)
        equal((result.returncode, acts(result.stderr), result.stderr.count(b"\n")), (78, [], 1), result.stderr)


@test
def no_argument_is_one_empty_one():
    daemon, stream = live()
    with daemon:
        process = odd("no-argument", "/bin/true")
        process.wait()
        stream.wait_exit(process.pid)
        started = stream.of(process.pid, "started")[-1]
        # Since 5.18 (dcd46d897adb); before, there is none.
        check(started["args"] in ([""], []), started["args"])
        equal(started["exe"], os.path.realpath("/bin/true"))


@test
def six_megabytes_of_arguments():
    def large_stack():
        resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20))
    daemon, stream = live({"probes": {"args_limit": "8M", "ring_buffer": "64M"}, "socket": {"queue": "64M"}})
    with daemon:
        extra = [b"%06d" % i + b"z" * 99000 for i in range(60)]
        processes = [subprocess.Popen([ODD, "exit", "4", *extra], preexec_fn=large_stack) for _ in range(2)]
        for process in processes:
            equal(process.wait(), 4)
        for process in processes:
            started, exited = start_and_end(stream, process)
            equal(unescape(started, "args"), [ODD.encode(), b"exit", b"4", *extra])
            check("args_truncated" not in started)


@test
def arguments_at_the_limit():
    daemon, stream = live({"probes": {"args_limit": "4K"}})
    with daemon:
        fixed = [ODD.encode(), b"exit", b"0"]
        taken = sum(len(a) + 1 for a in fixed)
        for beyond in (-1, 0, 1, 5000):
            extra = [b"q" * 1000, b"r" * (4096 - taken - 1001 - 1 + beyond)]
            process = subprocess.Popen([*fixed, *extra])
            process.wait()
            started, _ = start_and_end(stream, process)
            if beyond <= 0:
                compare(started, {"args": [*fixed, *extra]})
            else:
                compare(started, {"args": [*fixed, extra[0]], "args_truncated": True, "argc": 5,
                                  "args_size": taken + sum(len(a) + 1 for a in extra)})


@test
def secrets_are_nowhere():
    secret = b"geheim"
    config = {"redact": {"options": "password, -p", "pattern": "token=([a-z]+)"}, "probes": {"env": "ODD_*"}}
    env = {"ODD_PASSWORD": "geheim", "ODD_URL": "token=geheim", "ODD_PLAIN": "plain"}
    command = [ODD.encode(), b"wait", b"0", b"--password=geheim", b"--password", secret, b"-pgeheim", b"-p", secret,
               b"x token=geheim y", b"\xfftoken=geheim", b"plain",
               b"mysql -h x --password=geheim 'y z'", b"su -c \"a --password 'geheim geheim'\" b", b"a -pgeheim; b"]
    masked = [ODD.encode(), b"wait", b"0", b"--password=[redacted]", b"--password", b"[redacted]", b"-p[redacted]", b"-p",
              b"[redacted]", b"x token=[redacted] y", b"\xfftoken=[redacted]", b"plain",
              b"mysql -h x --password=[redacted] 'y z'", b"su -c \"a --password [redacted]\" b", b"a -p[redacted] b"]
    # One that runs before the daemon, one that is run by it, one that fails.
    first = Subject(*command, env=env)
    daemon, stream = live(config)
    with daemon:
        second = Subject(*command, env=env)
        failed = odd("exec", "/nonexistent", "-p", "geheim")
        failed.wait()
        stream.wait_exit(failed.pid)
        other = daemon.connect()
        other.wait_live()
        for subject in (first, second):
            subject.process.stdin.close()
            subject.process.wait()
            exited = stream.wait_exit(subject.pid)
            equal(unescape(exited, "args"), masked)
            equal(exited["env"], {"ODD_PASSWORD": "[redacted]", "ODD_URL": "token=[redacted]", "ODD_PLAIN": "plain"})
            equal([unescape(e, "args") for e in other.events if e.get("pid") == subject.pid], [masked])
        for line in stream.lines + other.lines:
            check(secret not in line.replace(b"_geheim", b""), line)
            check(b"Z2VoZWlt" not in line, "in base64:", line)


@test
def secrets_in_the_table_are_masked_by_a_reload():
    config = {"probes": {"env": "ODD_*"}}
    command = [ODD.encode(), b"wait", b"0", b"--password=geheim", b"sh -c 'x --password geheim'"]
    first = Subject(*command, env={"ODD_PASSWORD": "geheim"})
    daemon, stream = live(config)
    with daemon:
        # A fork shares what it runs with its parent.
        second = Subject(*command, env={"ODD_PASSWORD": "geheim"})
        stream.wait(lambda e: e["type"] == "started" and e["pid"] == second.pid)
        equal(unescape(stream.of(second.pid, "started")[0], "args"), command)
        daemon.write({**config, "redact": {"options": "password"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        other = daemon.connect()
        for subject in (first, second):
            subject.process.stdin.close()
            subject.process.wait()
            for event in [stream.wait_exit(subject.pid), *(e for e in other.events if e.get("pid") == subject.pid)]:
                equal(unescape(event, "args"), command[:3] + [b"--password=[redacted]", b"sh -c 'x --password [redacted]'"])
                equal(event["env"], {"ODD_PASSWORD": "[redacted]"})
        for line in other.lines:
            check(b"geheim" not in line, line)


# Paths.

@test
def links_and_odd_names():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        for name in (b"new\nline", b"\xff\xfe not utf8", b"a (deleted)", b"q'\"\\", b"fifteen-bytes-and-more"):
            path = copy_of_odd(folder, name)
            os.symlink(path, path + b".link")
            os.symlink(os.path.basename(path) + b".link", path + b".again")
            for by in (path, path + b".link", path + b".again"):
                subject = Subject(by, b"wait", b"0", cwd=folder)
                subject.finish(stream, filename=by, exe=path, exe_deleted=None)
        subject = Subject(b"./new\nline", b"wait", b"0", cwd=folder)
        subject.finish(stream, filename=b"./new\nline")


@test
def programs_and_folders_that_are_gone():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        path = copy_of_odd(folder)
        child = os.path.join(folder, "sub")
        os.mkdir(child)
        # The program unlinks itself and its folder before the exec that is looked at.
        subject = Subject("sh", "-c", "exec 9<%s; cd %s; rmdir %s; rm %s; exec /proc/self/fd/9 wait 0" %
                          (path.decode(), child, child, path.decode()))
        subject.finish(stream, exe=path, exe_deleted=True, cwd=os.fsencode(child))
        moved = os.path.join(folder, "before")
        os.mkdir(moved)
        subject = Subject("sh", "-c", "cd %s; mv %s %s/after; exec %s wait 0" % (moved, moved, folder, ODD))
        subject.finish(stream, cwd=os.fsencode(os.path.join(folder, "after")))


@test
def a_program_in_memory_and_by_descriptor():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        process = odd("memfd")
        equal(process.wait(), 4)
        started = [e for e in stream.of(process.pid, "started") or [stream.wait_exit(process.pid)] and
                   stream.of(process.pid, "started")][-1]
        equal((started["exe"], started["exe_memfd"], started["exe_deleted"]), ("/memfd:odd-memfd", True, True))
        path = copy_of_odd(folder)
        for at, name, flags in ((folder, "copy", 0), (path, "", 0x1000), ("/", path.decode()[1:], 0)):
            subject = Subject(ODD, "at", at, name, str(flags), "argv0", "wait", "0")
            started, _ = subject.finish(stream, exe=path, args=[b"argv0", b"wait", b"0"])
            check(started["filename"].startswith("/dev/fd/"), started["filename"])


@test
def scripts_of_scripts():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        previous = ODD
        for depth in range(3):
            script = os.path.join(folder, "script%d" % depth)
            with open(script, "w") as f:
                f.write("#!%s wait\n" % previous)
            os.chmod(script, 0o755)
            # odd wait SCRIPT...: atoi of a path is 0.
            subject = Subject(script, "x")
            started, _ = subject.finish(stream, exe=os.path.realpath(ODD).encode(), filename=script.encode())
            equal(started["args"][-2:], [script, "x"])
            previous = script


@test
def mounts_chroots_and_namespaces():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        copy_of_odd(folder)
        inside = os.path.join(folder, "inside")
        os.mkdir(inside)
        overlay = ("mount -t tmpfs x %(i)s; mkdir %(i)s/u %(i)s/w %(i)s/o; mount -t overlay -o "
                   "lowerdir=%(f)s,upperdir=%(i)s/u,workdir=%(i)s/w x %(i)s/o; ")
        pivot = "mount --rbind / %(i)s; cd %(i)s; pivot_root . .%(i)s; "
        has_overlay, has_pivot = (subprocess.run(["unshare", "-m", "sh", "-ec", script % {"f": folder, "i": inside}],
                                                 stderr=subprocess.DEVNULL).returncode == 0 for script in (overlay, pivot))
        for script in (
            "mount --bind %(f)s %(i)s; cd %(i)s; exec %(i)s/copy wait 0",
            "mount -t tmpfs x %(i)s; cp %(f)s/copy %(i)s/c; mkdir %(i)s/d; cd %(i)s/d; exec ../c wait 0",
            "mount --rbind / %(i)s; exec chroot %(i)s sh -c 'cd /usr; exec %(f)s/copy wait 0'",
            *([pivot + "cd /usr; exec %(f)s/copy wait 0"] if needs(has_pivot, "the root is the kernel's first file system") else []),
            # A root above the root.
            "mount --rbind / /; exec nsenter --mount=/proc/self/ns/mnt sh -c 'cd /usr; exec %(f)s/copy wait 0'",
            # A program and a folder that are in another namespace than who runs it there; and in none any more.
            *("mount -t tmpfs x %(i)s; cp %(f)s/copy %(i)s/c; mkdir %(i)s/d; exec " + held + " 9<%(i)s/c; cd %(i)s/d; "
              "exec nsenter --mount=%(n)s --wd=. /proc/self/fd/9 wait 0" for held in ("8</proc/self/ns/mnt", "")),
            *([overlay + "cd %(i)s/o; exec ./copy wait 0"] if needs(has_overlay, "the kernel has no overlayfs") else []),
        ):
            subject = Subject("unshare", "-m", "sh", "-c",
                              script % {"f": folder, "i": inside, "n": "/proc/%d/ns/mnt" % os.getpid()})
            # /proc/PID/exe is by the root of who reads; one in another mount namespace has none in common, and shows
            # the path from its namespace's root, as the stream does.
            subject.finish(stream)
        subject = Subject("unshare", "-p", "-f", "--mount-proc", ODD, "wait", "0")
        child = int(read("/proc/%d/task/%d/children" % (subject.pid, subject.pid)).split()[0])
        started, _ = subject.finish(stream, pid=child)
        equal(started["ns_pid"], 1)
        subject = Subject("unshare", "-U", "-r", ODD, "wait", "0")
        subject.finish(stream)


@contextlib.contextmanager
def mounted(kind, source, folder, *options):
    os.makedirs(folder, exist_ok=True)
    r = subprocess.run(["mount", "-t", kind, *(["-o", ",".join(options)] if options else []), source, folder], stderr=subprocess.PIPE)
    try:
        yield r.returncode == 0
    finally:
        if r.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=True)


def check_identities(stream, paths, config=None, **more):
    """Exe_dev and exe_inode of each are what stat(2) says, in events and, with a config, in the snapshot of another daemon; the events."""
    subjects = [Subject(path, "wait", "0") for path in paths]
    if config is not None:
        with Daemon(config) as second:
            snapshot = {e["pid"]: e for e in second.connect().events if e["type"] == "started"}
            for subject in subjects:
                compare(snapshot[subject.pid], truth_of(subject.pid), snapshot=True, source="proc")
    return [subject.finish(stream, **more)[0] for subject in subjects]


@test
def program_on_btrfs_has_the_device_of_its_subvolume():
    if not needs(shutil.which("mkfs.btrfs") and "\tbtrfs\n" in read("/proc/filesystems").decode(), "there is no btrfs"):
        return
    daemon, stream = live()
    with daemon, Scratch() as folder:
        image, top = os.path.join(folder, "image"), os.path.join(folder, "top")
        with open(image, "wb") as f:
            f.truncate(120 << 20)
        subprocess.run(["mkfs.btrfs", "-q", image], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with mounted("btrfs", image, top, "loop") as good:
            check(good, "mount")
            volumes = [os.path.join(top, name) for name in "ab"]
            for volume in volumes:
                subprocess.run(["btrfs", "subvolume", "create", volume], check=True, stdout=subprocess.DEVNULL)
            programs = [copy_of_odd(path) for path in (*volumes, top)]
            events = check_identities(stream, programs, {})
            # With types that do not tell: the superblock's device, and a key that says so.
            types = os.path.join(folder, "types")
            write_without(types, {b"btrfs_root": {b"anon_dev"}})
            superblock = [line.split()[2] for line in read("/proc/self/mountinfo").decode().splitlines() if line.split()[4] == top][0]
            config = {"probes": {"btf": types}}
            other, unknown = live(config)
            with other:
                superblocks = {e["exe_dev"] for e in check_identities(unknown, programs, config, exe_dev=superblock, incomplete=["exe_dev"])}
            equal(superblocks, {superblock})
        # As found in the field: the same inode, and only the device tells them apart.
        equal(events[0]["exe_inode"], events[1]["exe_inode"], "the first file of each")
        equal(len({e["exe_dev"] for e in events}), 3)


@test
def program_on_overlay_has_the_device_of_its_layer():
    if not needs("\toverlay\n" in read("/proc/filesystems").decode(), "there is no overlayfs"):
        return
    daemon, stream = live()
    with daemon, Scratch() as folder, contextlib.ExitStack() as stack:
        one, other = (os.path.join(folder, name) for name in ("one", "other"))
        check(stack.enter_context(mounted("tmpfs", "none", one)) and stack.enter_context(mounted("tmpfs", "none", other)))
        for case, (upper, lowers, *options) in enumerate((
                (folder, [folder], "xino=off"), (folder, [one, other], "xino=off"), (folder, [one, other], "xino=on"),
                (one, [folder, other], "xino=off"), (one, [folder, folder], "xino=off"), (folder, [folder, one], "index=on", "xino=off"))):
            paths = {}
            for name, top in ("upper", upper), ("lower0", lowers[0]), ("lower1", lowers[-1]), ("work", upper):
                paths[name] = os.path.join(top, "%d-%s" % (case, name))
                os.mkdir(paths[name])
            for name in "upper", "lower0", "lower1":
                copy_of_odd(paths[name], b"only-" + name.encode())
                os.link(copy_of_odd(paths[name], b"linked-" + name.encode()), os.path.join(paths[name], "link-" + name))
            for name in "lower0", "lower1":
                for kind in "changed", "changed-link":
                    copy_of_odd(paths[name], ("%s-%s" % (kind, name)).encode())
                os.link(os.path.join(paths[name], "changed-link-" + name), os.path.join(paths[name], "second-" + name))
            merged = os.path.join(folder, "%d-merged" % case)
            with mounted("overlay", "none", merged, "lowerdir=%s:%s" % (paths["lower0"], paths["lower1"]),
                         "upperdir=" + paths["upper"], "workdir=" + paths["work"], *options) as good:
                check(good, "mount", case)
                names = sorted(os.listdir(merged))
                events = check_identities(stream, [os.path.join(merged, name) for name in names if "changed" not in name], {})
                # In each layer two of them are one file.
                equal(len({(e["exe_dev"], e["exe_inode"]) for e in events}), len(events) - 3, case)
                for name in names:
                    if "changed" in name:
                        os.utime(os.path.join(merged, name))  # which copies it up
                check_identities(stream, [os.path.join(merged, name) for name in names if "changed" in name])


def deep_folder(folder, depth):
    """A folder whose path is longer than any path that can be passed; the descriptor of it."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


@test
def paths_too_long_are_left_out_and_said():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        for depth in (18, 25):
            top = os.path.join(folder, str(depth))
            os.mkdir(top)
            fd = deep_folder(top, depth)
            with open(os.open("copy", os.O_WRONLY | os.O_CREAT, 0o755, dir_fd=fd), "wb") as f:
                f.write(read(ODD))
            process = subprocess.Popen(["./copy", "exit", "0"], preexec_fn=lambda fd=fd: os.fchdir(fd))
            process.wait()
            started, _ = start_and_end(stream, process)
            whole = "/".join([top] + ["d" * 200] * depth)
            if depth == 18:
                equal((started["exe"], started["cwd"]), (whole + "/copy", whole))
                check("incomplete" not in started)
            else:
                check("exe" not in started and "cwd" not in started, "a path that was cut")
                equal(started["incomplete"], ["exe", "cwd"])
            os.close(fd)
        subprocess.run(["rm", "-rf", folder], check=True)


def folder_of_length(top, length, name):
    """Makes folders below top, so that the path of the last has that many bytes."""
    while len(top) < length:
        left = length - len(top) - 1
        # Nothing so short is left over that there is no room for a slash and a name.
        top = os.path.join(top, name * (left if left <= 240 else min(240, left - 2)))
        os.mkdir(top)
    return top


@test
def all_paths_at_their_longest_at_once():
    """The probe's memory has room for them, and nothing overwrites anything."""
    roots = cgroup_roots(" - cgroup2 ")
    if not needs(roots, "there is no cgroup2 to be written to"):
        return
    daemon, stream = live()
    with daemon, Scratch() as folder:
        exe = copy_of_odd(folder_of_length(folder, 4050, "e"))
        cwd = folder_of_length(folder, 4080, "c")
        os.symlink(exe, os.path.join(cwd, "link"))
        filename = "./" * 2040 + "link"
        for length in range(3800, 4030, 16):
            cgroup = folder_of_length(roots[0], len(roots[0]) + length, "g")

            def enter(cgroup=cgroup):
                with open(os.path.join(cgroup, "cgroup.procs"), "w") as f:
                    f.write(str(os.getpid()))
                os.chdir(cwd)
            try:
                Subject(filename, "wait", "0", preexec_fn=enter).finish(stream, filename=filename.encode(), incomplete=None)
            finally:
                while cgroup != roots[0]:
                    os.rmdir(cgroup)
                    cgroup = os.path.dirname(cgroup)


# Who.

@test
def ids_and_capabilities():
    daemon, stream = live()
    with daemon, Scratch() as folder:
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
def sessions_groups_and_terminals():
    daemon, stream = live()
    with daemon:
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
def cgroups_also_short_ones():
    daemon, stream = live()
    with daemon:
        for root in cgroup_roots(" - cgroup2 ") + cgroup_roots("name=systemd"):
            path = os.path.join(root, "gauntlet.slice", "gauntlet-%d.service" % os.getpid())
            os.makedirs(path)

            def enter(path=path):
                with open(os.path.join(path, "cgroup.procs"), "w") as f:
                    f.write(str(os.getpid()))
            try:
                started, _ = Subject(ODD, "wait", "0", preexec_fn=enter).finish(
                    stream, unit="gauntlet-%d.service" % os.getpid(), container_id=None)
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
    unit, container = "gauntlet-%d.service" % os.getpid(), "c0ffee00" * 8
    first = ["gauntlet.slice", unit, "docker-%s.scope" % container]
    daemon, stream = live()
    with daemon:
        asked = daemon.connect()
        asked.send({"unit": unit, "cgroup": "/gauntlet.slice/*", "snapshot": False})
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


# Execs.

@test
def a_thread_that_is_not_the_leader_execs():
    daemon, stream = live()
    with daemon:
        subject = Subject(ODD, "thread-exec", ODD, "wait", "0")
        subject.finish(stream)
        equal(len(stream.of(subject.pid, "exited")), 1)


@test
def fifty_execs_are_one_process():
    daemon, stream = live()
    with daemon:
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
def thirty_two_bit_programs():
    daemon, stream = live()
    with daemon, Scratch() as folder:
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
def forks_of_every_kind():
    daemon, stream = live({"probes": {"forks": "yes"}})
    new = {"CLONE_NEWNS": 0x20000, "CLONE_NEWUTS": 0x4000000, "CLONE_NEWIPC": 0x8000000, "CLONE_NEWPID": 0x20000000,
           "CLONE_VFORK": 0x4000, "CLONE_PARENT": 0x8000, "none": 0}
    with daemon:
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
def an_orphan_has_its_new_parent():
    daemon, stream = live()
    with daemon:
        process = odd("orphan", "14", stdout=subprocess.PIPE)
        child = int(process.stdout.read().split()[0])
        process.wait()
        exited = stream.wait_exit(child)
        equal(exited["exit_code"], 14)
        # The one of the exec, before which the subreaper had become its parent.
        equal(exited["ppid"], process.pid, "not the subreaper")


@test
def names_that_are_changed():
    daemon, stream = live()
    with daemon:
        process = odd("rename", "other-name", stdout=subprocess.DEVNULL)
        process.wait()
        started, exited = start_and_end(stream, process)
        equal((started["comm"], exited["comm"]), ("odd", "odd"))
        script = "printf changed >/proc/$$/comm; exec %s exit 0" % ODD
        process = subprocess.Popen(["sh", "-c", script])
        process.wait()
        stream.wait_exit(process.pid)
        equal([e["comm"] for e in stream.of(process.pid, "started")], ["sh", "odd"])


# Failures.

def failing(stream, command, **more):
    """Runs `odd exec COMMAND...`, which must fail; its error event and errno."""
    process = odd("exec", *command, **more)
    number = process.wait()
    stream.wait_exit(process.pid)
    errors = [e for e in stream.of(process.pid, "error")]
    equal(len(errors), 1, "errors of", command[0], errno.errorcode.get(number))
    equal((errors[0]["error_code"], errors[0]["error"]), (-number, errno.errorcode[number]))
    return errors[0], number


@test
def every_errno_of_execve():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        def make(name, data=b"", mode=0o755):
            path = os.path.join(folder, name)
            with open(path, "wb") as f:
                f.write(data)
            os.chmod(path, mode)
            return path
        elf = read(ODD)
        os.symlink("loop", os.path.join(folder, "loop"))
        busy = make("busy", elf)
        writer = open(busy, "r+b")
        os.mkdir(os.path.join(folder, "folder"))
        interpreter = elf[elf.index(b"/lib"):].split(b"\0")[0]
        cases = [
            (errno.ENOENT, os.path.join(folder, "nothing")),
            (errno.ENOENT, ""),
            (errno.ENOENT, make("no-interpreter", b"#!/no/such/thing\n")),
            (errno.EACCES, make("not-executable", elf, 0o644)),
            (errno.EACCES, os.path.join(folder, "folder")),
            (errno.ENOEXEC, make("nonsense", b"\0\1\2\3")),
            (errno.ENOEXEC, make("empty")),
            (errno.ELOOP, os.path.join(folder, "loop")),
            (errno.ETXTBSY, busy),
            (errno.ENOTDIR, os.path.join(ODD, "x")),
            (errno.ENAMETOOLONG, os.path.join(folder, "n" * 256)),
            (errno.EACCES, make("interpreter-is-a-folder", b"#!%s\n" % folder.encode())),
            (errno.ENOENT, make("elf-no-interpreter", elf.replace(interpreter, b"/no" + interpreter[3:]))),
            (errno.ELIBBAD, make("bad-interpreter", elf.replace(interpreter, os.path.join(folder, "z").encode().ljust(
                len(interpreter), b"\0")[:len(interpreter)])) if len(folder) + 2 < len(interpreter) else None),
        ]
        for wanted, path in cases:
            if path is None:
                continue
            event, number = failing(stream, [path, "one", "", "\udcff"])
            equal(errno.errorcode[number], errno.errorcode[wanted], path)
            equal(unescape(event, "exe"), os.fsencode(path))
            equal(unescape(event, "filename"), os.fsencode(path))
            equal(unescape(event, "args"), [os.fsencode(path), b"one", b"", b"\xff"])
            check("args_truncated" not in event, event)
        writer.close()
        # EACCES by the mount, EPERM by a set-id program of a traced process has no errno; E2BIG:
        process = odd("too-long")
        equal(process.wait(), errno.E2BIG)
        event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
        equal((event["error"], event["exe"], event["args"]), ("E2BIG", "/bin/true", ["x", "y" * 131072]))
        long = "/" + "x" * 5000
        event, number = failing(stream, [long])
        equal((number, event["incomplete"]), (errno.ENAMETOOLONG, ["filename"]))
        check(long.startswith(event["filename"]) and len(event["filename"]) >= 4000)
        process = odd("at", folder, "nothing", "0", "arg")
        equal(process.wait(), errno.ENOENT)
        event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
        equal((event["exe"], event["args"]), ("/dev/fd/3/nothing", ["arg"]))
        process = odd("at", folder, "x", "12345678", "arg")
        equal(process.wait(), errno.EINVAL)
        stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid and e["error"] == "EINVAL")


@test
def who_fails_and_where_is_told_wholly():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        deep = os.path.join(folder, *["deeper"] * 20)
        os.makedirs(deep)
        nested = ["sh", "-c", '"$@"; exit $?', "nested"]
        for who, above, cwd in [(who, above, cwd) for who in ("self", "fork", "vfork", "a-thread", "vfork-thread")
                                for above, cwd in ((0, folder), (14, deep))]:
            process = subprocess.Popen([*nested * above, ODD, "fail-as", who], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            pid = int(process.stdout.readline())
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid, who)
            truth = {key: value for key, value in truth_of(pid).items() if not key.startswith("exe")}
            check(len(truth["ancestors"]) > above)
            process.stdin.close()
            equal(process.wait(), 0)
            compare(event, truth, args=[b"/no/such", b"second"], filename=b"/no/such", error="ENOENT")


@test
def types_that_no_verifier_takes():
    """Failed execs are then seen without types. Here by types that lack what their reading begins with."""
    if not needs(not e2e.hidden_btf, "the kernel's own types are hidden"):
        return
    with Scratch() as folder:
        types, wanted = read("/sys/kernel/btf/vmlinux"), b"\0curr_target\0"
        equal(types.count(wanted), 1)
        path = os.path.join(folder, "types")
        with open(path, "wb") as f:
            f.write(types.replace(wanted, wanted.upper()))
        daemon, stream = live({"probes": {"btf": path}})
        with daemon:
            check("cannot be seen" not in daemon.messages(), daemon.messages())
            process = subprocess.Popen([ODD, "fail-as", "self"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdout.readline()
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
            truth = {key: value for key, value in truth_of(process.pid).items() if not key.startswith("exe")}
            process.stdin.close()
            equal(process.wait(), 0)
            compare(event, truth, args=[b"/no/such", b"second"], filename=b"/no/such", error="ENOENT")


@test
def pointers_that_are_none():
    daemon, stream = live()
    with daemon:
        for what, exe in (("filename", None), ("argv", "/bin/true"), ("argument", "/bin/true")):
            process = odd("bad", what)
            equal(process.wait(), errno.EFAULT)
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
            equal((event.get("exe"), event["error"]), (exe, "EFAULT"))
            if what != "filename":
                check(event["args_truncated"] and "argc" not in event, event)
            if what == "argument":
                equal(event["args"], ["first"])


def has_task_work():
    with open("/proc/kallsyms") as f:
        return not e2e.hidden_btf and " bpf_task_work_schedule_signal" in f.read()


def check_never_touched(probes):
    daemon, stream = live({"probes": probes})
    with daemon, Scratch() as folder:
        if not needs("cannot be seen" not in daemon.messages(), probes.get("errors")):
            return
        path = os.path.join(folder, "strings")
        with open(path, "wb") as f:
            f.write(b"first".ljust(4096, b"\0") + b"".ljust(4096, b"\0") + b"x" * 4000 + b"\0" * 96)
            f.flush()
            os.fsync(f.fileno())
        process = odd("untouched", path)
        equal(process.wait(), errno.ENOENT)
        stream.wait_exit(process.pid)
        events = stream.of(process.pid, "error")
        equal(len(events), 1)
        # A kernel that has task work for BPF lets them be read; else it is told that they could not.
        if "args_truncated" in events[0] and not needs(has_task_work(), "task work for BPF"):
            equal(events[0]["args"], ["first", "", "x" * 4000][:len(events[0]["args"])])
        else:
            equal(events[0]["args"], ["first", "", "x" * 4000])


@test
def arguments_whose_pages_were_never_touched():
    for way in WAYS:
        check_never_touched({"errors": way})


def write_other_ids(path):
    """The kernel's types, each with an id that is one more."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    size = ctypes.c_uint32()
    libbpf.btf__load_vmlinux_btf.restype = libbpf.btf__new_empty.restype = ctypes.c_void_p
    libbpf.btf__raw_data.restype = ctypes.POINTER(ctypes.c_char)
    old, new = ctypes.c_void_p(libbpf.btf__load_vmlinux_btf()), ctypes.c_void_p(libbpf.btf__new_empty())
    check(libbpf.btf__add_int(new, b"another_first", ctypes.c_size_t(4), 0) == 1 and libbpf.btf__add_btf(new, old) == 2)
    data = libbpf.btf__raw_data(new, ctypes.byref(size))
    with open(path, "wb") as f:
        f.write(data[:size.value])


def write_without(path, members):
    """The kernel's types, but these members have no names: as in a kernel that was built without them."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    for function, kind in (("load_vmlinux_btf", ctypes.c_void_p), ("name_by_offset", ctypes.c_char_p), ("type_by_id", ctypes.c_void_p),
                           ("raw_data", ctypes.c_void_p)):
        getattr(libbpf, "btf__" + function).restype = kind
    btf, size = ctypes.c_void_p(libbpf.btf__load_vmlinux_btf()), ctypes.c_uint32()
    data = libbpf.btf__raw_data(btf, ctypes.byref(size))
    copy = bytearray(ctypes.string_at(data, size.value))
    for name, gone in members.items():
        # struct btf_type: name_off, info, size; then the members: name_off, type, offset.
        at = libbpf.btf__type_by_id(btf, libbpf.btf__find_by_name_kind(btf, name, 4)) - data
        for member in range(at + 12, at + 12 + 12 * struct.unpack_from("H", copy, at + 4)[0], 12):
            if libbpf.btf__name_by_offset(btf, struct.unpack_from("I", copy, member)[0]) in gone:
                struct.pack_into("I", copy, member, 0)
    with open(path, "wb") as f:
        f.write(copy)


@test
def kernel_without_optional_parts_has_the_rest():
    """CONFIG_CGROUPS, CONFIG_TTY, CONFIG_AUDIT, CONFIG_MEMCG and CONFIG_TASK_IO_ACCOUNTING are not set."""
    if not needs(not e2e.hidden_btf, "the kernel's own types are hidden"):
        return
    gone = {b"task_struct": {b"cgroups", b"loginuid", b"sessionid"}, b"css_set": {b"dfl_cgrp", b"cgrp_links"},
            b"cgroup": {b"kn", b"root"}, b"cgroup_root": {b"hierarchy_id", b"name"}, b"cgrp_cset_link": {b"cgrp", b"cgrp_link"},
            b"tty_struct": {b"driver", b"index"}, b"tty_driver": {b"major", b"minor_start"},
            b"mm_struct": {b"owner"}, b"task_io_accounting": {b"read_bytes", b"write_bytes"}}
    with Scratch() as folder:
        types = os.path.join(folder, "types")
        write_without(types, gone)
        daemon, stream = live({"probes": {"btf": types}})
        with daemon:
            master, slave = os.openpty()
            process = subprocess.Popen([ODD, "exec", "/nonexistent"], stdin=slave, stdout=slave, start_new_session=True)
            process.wait()
            error = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid, "error")
            equal(error["error"], "ENOENT")
            equal([error.get(key) for key in ("cgroup", "unit", "incomplete")], [None] * 3)
            os.close(slave)
            os.close(master)
            nothing = dict.fromkeys(("cgroup", "unit", "container_id", "tty", "loginuid", "session_id", "incomplete"))
            started, exited = Subject(ODD, "wait", "0").finish(stream, **nothing)
            check("read_bytes" not in exited and exited["cpu_user_ns"] + exited["cpu_system_ns"] > 0, exited)


@test
def a_file_of_types_with_ids_of_its_own():
    """Beside the kernel's own: what the kernel is asked for by an id is to be found there."""
    if not needs(not e2e.hidden_btf, "the kernel's own types are hidden"):
        return
    with Scratch() as folder:
        path = os.path.join(folder, "types")
        write_other_ids(path)
        check_never_touched({"btf": path})


def doomed(folder):
    """A program that fails when the old one is given up already."""
    path = os.path.join(folder, "doomed")
    elf = bytearray(read(ODD))
    phoff, phentsize, phnum = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for i in range(phnum):
        at = phoff + i * phentsize
        if struct.unpack_from("<I", elf, at)[0] == 1:
            # PT_LOAD beyond the address space: no room is found for it.
            struct.pack_into("<Q", elf, at + 16, 0x7fffffffffff0000 + (struct.unpack_from("<Q", elf, at + 8)[0] & 0xfff))
            struct.pack_into("<Q", elf, at + 40, 1 << 40)
    struct.pack_into("<H", elf, 16, 2)  # ET_EXEC
    with open(path, "wb") as f:
        f.write(elf)
    os.chmod(path, 0o755)
    return path


@test
def a_blocked_signal_hides_no_failure():
    """Who fails behind the point of no return is killed by SIGSEGV; who only has it waiting is not."""
    daemon, stream = live()
    with daemon:
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSEGV])
            signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
            try:
                os.execv("/nonexistent/blocked", ["first", "second"])
            except FileNotFoundError:
                os._exit(0)
            os._exit(1)
        equal(os.waitpid(pid, 0)[1], 0)
        error = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid)
        equal((error.get("exe"), error["args"]), ("/nonexistent/blocked", ["first", "second"]))


@test
def a_failure_behind_the_point_of_no_return():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        path = doomed(folder)
        process = odd("exec", path, "secret")
        status = process.wait()
        exited = stream.wait_exit(process.pid)
        errors = stream.of(process.pid, "error")
        equal(len(errors), 1)
        equal(errors[0]["exe"], path)
        if status < 0:
            equal((exited["exit_signal"], "exit_code" in exited), (signal.Signals(-status).name, False))
            check(errors[0]["args_truncated"] and errors[0]["args"] == [], "arguments of a program that is gone:", errors[0])
        else:
            needs(False, "the kernel refused it before: %d" % status)


@test
def a_thread_fails_behind_the_point_of_no_return():
    """It has another id by then."""
    for way in WAYS:
        daemon, stream = live({"probes": {"errors": way}})
        with daemon, Scratch() as folder:
            if not needs("cannot be seen" not in daemon.messages(), way):
                continue
            path = doomed(folder)
            process = odd("thread-exec", path, "secret")
            status = process.wait()
            exited = stream.wait_exit(process.pid)
            if not needs(status < 0, "the kernel refused it before"):
                return
            equal(exited["exit_signal"], signal.Signals(-status).name)
            errors = stream.of(process.pid, "error")
            equal([(e["exe"], e["args"], e["args_truncated"]) for e in errors], [(path, [], True)])


@test
def killed_while_its_exec_fails():
    """A signal that waits takes nothing from what is told."""
    path = "/proc/self/root" * 15 + "/nonexistent/killed"  # takes the kernel long, so that the signal mostly comes meanwhile
    for way in WAYS:
        daemon, stream = live({"probes": {"errors": way}})
        with daemon:
            if not needs("cannot be seen" not in daemon.messages(), way):
                continue
            started = []
            for i in range(100):
                process = odd("exec-again", path, stdout=subprocess.PIPE)
                process.stdout.read(1)
                process.kill()
                process.wait()
                process.stdout.close()
                started.append(process.pid)
            stream.wait_exit(started[-1])
            for error in [e for e in stream.events if e["type"] == "error" and e["pid"] in started]:
                equal((error.get("exe"), error["args"], error.get("args_truncated")),
                      (path, [path, "second"], None))


# Ends.

@test
def every_exit_code_and_signal():
    daemon, stream = live()
    with daemon:
        processes = [(run(ODD, "exit", str(code)), code) for code in range(0, 256, 5)]
        for process, code in processes:
            equal(stream.wait_exit(process.pid).get("exit_code"), code)
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
            equal(exited["exit_signal"], name)


@test
def core_dumps_are_as_wait_has_them():
    daemon, stream = live()
    with daemon, Scratch() as folder:
        def cores():
            resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
        for core in ("core", None):
            process = odd("kill", "11", *([core] if core else []), cwd=folder, preexec_fn=cores)
            _, status = os.waitpid(process.pid, 0)
            process.returncode = 0
            exited = stream.wait_exit(process.pid)
            equal(exited["exit_signal"], "SIGSEGV")
            equal(exited.get("core_dumped", False), os.WCOREDUMP(status), "core dumped")


@test
def threads_and_the_end():
    daemon, stream = live()
    with daemon:
        for deed, status in ((["leader-first"], None), (["thread-exit"], 7), (["threads", "200"], 5)):
            process = odd(*deed)
            code = process.wait()
            exited = stream.wait_exit(process.pid)
            equal(exited["exit_code"], code if status is None else status, deed)
            equal(len(stream.of(process.pid, "exited")), 1, deed)


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
def usage_is_that_of_all_threads():
    def is_near(ours, truth):
        return (abs(sum(ours) - sum(truth)) <= (0.04 if SLOW else 0.008) and
                all(abs(a - b) <= 0.02 + b * 0.05 for a, b in zip(ours, truth)))

    daemon, stream = live()
    with daemon, Scratch() as folder:
        for together in ([], ["together"]):
            for left in reversed(range(3 if SLOW else 1)):
                # Behind the probe the end goes on; what an emulator does not let run there counts as CPU time.
                ours, truth = usage_of_burn(stream, folder, *together)
                if is_near(ours, truth):
                    break
                check(left, "user and system:", ours, truth)


@test
def thread_released_during_the_exit_counts_once():
    """Of two threads that end together one is being released while the probe adds up what both used."""
    daemon, stream = live({"probes": {"forks": "yes"}})
    with daemon, Scratch() as folder:
        process = odd("release", "1000" if SLOW else "4000", folder, stdout=subprocess.PIPE)
        truth = [tuple(map(int, line.split())) for line in process.stdout]
        equal(process.wait(), 0)
        stream.wait_exit(process.pid)
    if needs(any(written for _, written in truth), "the file system does not count what is written to it"):
        events = [(e["pid"], e["write_bytes"]) for e in stream.events if e["type"] == "exited" and e["ppid"] == process.pid]
        equal([written for written in events if written not in truth], [], "other than rusage has it")
        equal(events, truth)


# Identity.

@test
def the_id_outlives_the_daemon():
    subject = Subject(ODD, "wait", "0")
    ids, times = set(), []
    for _ in range(2):
        daemon, stream = live()
        with daemon:
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
def one_pid_two_thousand_times():
    # It is read only afterwards, with whatever else the machine does meanwhile.
    daemon, stream = live({"socket": {"queue": "64M"}})
    with daemon:
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


def fdinfos(daemon, key):
    """What the kernel says of each of the daemon's programs."""
    found = []
    for path in glob.glob("/proc/%d/fdinfo/*" % daemon.process.pid):
        # What else it has open may be closed meanwhile.
        with contextlib.suppress(FileNotFoundError):
            found += [int(n) for n in re.findall(rb"^%s:\s*(\d+)$" % key.encode(), read(path), re.M)]
    return found


@test
def the_verifier_is_soon_done():
    """Loading is most of the start, and the verifier most of that. (The number is there since 5.16.)"""
    with Daemon() as daemon:
        steps = fdinfos(daemon, "verified_insns")
    if needs(steps, "the kernel does not tell"):
        print("# instructions verified: %s" % sorted(steps))
        check(max(steps) < 150000, "it had to look at so many instructions:", steps)


@test
def who_comes_while_another_is_preempted_is_seen():
    """Since 7.0 a probe may be preempted, and the kernel leaves it out for whoever comes then: slow machines show it."""
    if not needs(int(os.uname().release.split(".")[0]) >= 7, "probes are not preempted here"):
        return
    with Daemon({"probes": {"errors": "off"}}) as daemon:
        loops = [subprocess.Popen(["sh", "-c", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"]) for _ in range(6)]
        for loop in loops:
            equal(loop.wait(), 0)
        lost = daemon.stats()["events"]["lost"]
        misses = sum(fdinfos(daemon, "recursion_misses"))
    print("# left out by the kernel: %d; lost: %d" % (misses, lost))
    check(lost <= misses / 4 + 2, "lost:", lost, "of so many left out:", misses)


@test
def a_small_ring_loses_and_tells_exactly():
    """What a second daemon with a large ring sees is what happened."""
    def told(events):
        """What a probe told: not what was found missing, or gone, by comparing the table."""
        return [e for e in events if "seq" in e and e["type"] != "lost" and (
            ("exit_code" in e or "exit_signal" in e) if e["type"] == "exited" else e.get("source") != "resync")]

    def counted(events):
        # An end has the arguments of the last exec that was told. Where the ring was nearly full, the exec did not fit, and the
        # end, which is smaller, did: it came, with what the fork had.
        return collections.Counter((e["type"], e["id"], e.get("error"), e["type"] != "exited" and tuple(e.get("args", ())))
                                   for e in told(events))
    small, stream = live({"probes": {"forks": "yes", "ring_buffer": "64K"}, "socket": {"queue": "64M"}})
    with small:
        large, whole = live({"probes": {"forks": "yes", "ring_buffer": "64M"}, "socket": {"queue": "64M"}})
        with large:
            first = run(ODD, "exit", "0")
            stream.wait_exit(first.pid), whole.wait_exit(first.pid)
            os.kill(small.process.pid, signal.SIGSTOP)
            for _ in range(400):
                run(ODD, "exit", "0")
            os.kill(small.process.pid, signal.SIGCONT)
            # An end that both see; what the small one lost before stands before it.
            last = None
            while not last:
                marker = run(ODD, "exit", "1")
                whole.wait_exit(marker.pid)
                try:
                    stream.wait(lambda e, pid=marker.pid: e["type"] == "exited" and e.get("pid") == pid and "exit_code" in e,
                                patience=1)
                    last = marker
                except Failure:
                    check(not stream.ended, "the stream ended")

            def between(events):
                at = [i for i, e in enumerate(events) if e["type"] == "exited" and "exit_code" in e and
                      e.get("pid") in (first.pid, last.pid)]
                return events[at[0] + 1:at[-1] + 1]
            happened, got = between(whole.events), between(stream.events)
            equal([e for e in happened if e["type"] == "lost"], [])
            lost = sum(e["count"] for e in got if e["type"] == "lost")
            check(lost > 0, "nothing was lost")
            # Two rings may have the events of two CPUs in another order, so one that stands at either end of the time in
            # question may be within it here and outside it there: it counts where the large ring has it.
            received = counted(happened) & counted(stream.events)
            equal(sum(received.values()) + lost, len(told(happened)), "received and lost")


if __name__ == "__main__":
    main()
