# SPDX-License-Identifier: GPL-2.0-or-later
"""What /proc, wait4(2) and stat(2) have of a process, to compare its events with."""
import glob
import os
import re
import subprocess
import time

from e2e import ODD, Failure, check, copy_of, equal, live, seconds, status, unescape


TICKS = os.sysconf("SC_CLK_TCK")


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


def inode_of(path):
    return int(re.search(r"\[(\d+)\]", os.readlink(path)).group(1))


NAMESPACES = [os.path.basename(path) for path in glob.glob("/proc/self/ns/*") if not path.endswith("_for_children")]


def namespaces_of(pid):
    """As keys; a kernel without one kind has no such file."""
    return {name + "_ns": inode_of("/proc/%s/ns/%s" % (pid, name)) for name in NAMESPACES}


def time_text(ns):
    """RFC 3339 with nine decimals."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + ".%09dZ" % (ns % 10**9)


def leader_of(sid):
    """The process with that pid: its pid and its start in ticks."""
    try:
        return sid, int(stat_of(sid)[19])
    except FileNotFoundError:
        return None


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
        **namespaces_of(pid), "session_leader": leader_of(int(fields[3])), "exe_ctime": time_text(binary.st_ctime_ns), "ns_pid": int(status[b"NSpid"].split()[-1]), "exe_inode": binary.st_ino,
        "exe_dev": "%d:%d" % (os.major(binary.st_dev), os.minor(binary.st_dev)),
        "loginuid": None if loginuid == 0xffffffff else loginuid, "session_id": None if session == 0xffffffff else session,
        "exe_deleted": True if deleted else None, "start_ticks": int(fields[19]), "ancestors": ancestors_of(pid),
        "parent_comm": comm_of(int(fields[1])) if os.path.exists("/proc/%s" % fields[1].decode()) else None,
    }
    return truth


RAW = {"comm", "parent_comm", "exe", "filename", "args", "cwd"}


def ticks_of(process_id):
    """When it began on the boot clock, in ticks, as field 22 of /proc/PID/stat has it; the id has it exactly."""
    return int(process_id.rsplit("-", 1)[1], 16) * TICKS // 10**9


def session_leader(event):
    """As leader_of()."""
    leader = event.get("session_leader_id")
    return leader and (int(leader.split("-")[1]), ticks_of(leader))


def compare(event, truth, **more):
    wanted = {**truth, **more}
    for key, value in wanted.items():
        if key == "start_ticks":
            equal(ticks_of(event["id"]), value, "start")
        elif key == "session_leader":
            equal(session_leader(event), value, key)
        elif key == "ancestors":
            got = [name.encode() for name in event["ancestors"]]
            equal(got[:len(value)], value, "ancestors")
        elif key in RAW and value is not None:
            equal(unescape(event, key), value, key)
        else:
            equal(event.get(key), value, key)
    for key in ("kernel_thread", "exe_upper", "args_truncated", "argc", "args_size", "incomplete", "snapshot", "source"):
        if key not in wanted:
            check(key not in event, "there is a", key, event.get(key))


def in_snapshot(pid):
    """What a daemon that starts now has of it."""
    with live() as (_, stream):
        return [e for e in stream.events if e.get("pid") == pid][0]


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


def copy_of_odd(folder, name=b"copy"):
    return copy_of(ODD, folder, name)
