#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""
Journal files of a machine that compiles without end: entries with the fields that the daemon and journald write, made by
systemd-journal-remote(8).

  journal_file.py FOLDER COUNT
"""
import datetime
import os
import subprocess
import sys

REMOTE = "/lib/systemd/systemd-journal-remote"
BEGIN = int(datetime.datetime(2026, 11, 29, 10, tzinfo=datetime.timezone.utc).timestamp()) * 1000000000
STEP = 250000  # ns between two events
BOOT = "00c0ffee00c0ffee"
CONSTANT = """SYSLOG_IDENTIFIER=execsnoopd
_BOOT_ID=00c0ffee00c0ffee00c0ffee00c0ffee
_MACHINE_ID=dddddddddddddddddddddddddddddddd
_HOSTNAME=here
_RUNTIME_SCOPE=system
_TRANSPORT=journal
_PID=812
_UID=0
_GID=0
_COMM=execsnoopd
_EXE=/usr/sbin/execsnoopd
_CMDLINE=/usr/sbin/execsnoopd
_CAP_EFFECTIVE=c000002004
_SYSTEMD_CGROUP=/system.slice/execsnoopd.service
_SYSTEMD_UNIT=execsnoopd.service
_SYSTEMD_SLICE=system.slice
_SYSTEMD_INVOCATION_ID=4f6ffa6e8b7a43c2b2a5f5c4c9e6a5d1
EXECSNOOP_STREAM=6f1d0c52e8b7a9436f1d0c52e8b7a943
EXECSNOOP_UID=1000
EXECSNOOP_GID=1000
EXECSNOOP_EUID=1000
EXECSNOOP_EGID=1000
EXECSNOOP_CAPS=0000000000000000
EXECSNOOP_LOGINUID=1000
EXECSNOOP_SESSION_ID=3
EXECSNOOP_SID=1200
EXECSNOOP_PGID=1200
EXECSNOOP_TTY=pts/0
EXECSNOOP_CGROUP=/user.slice/user-1000.slice/session-3.scope
EXECSNOOP_UNIT=session-3.scope
EXECSNOOP_PID_NS=4026531836
EXECSNOOP_MNT_NS=4026531832
EXECSNOOP_NET_NS=4026531833
EXECSNOOP_USER_NS=4026531837
EXECSNOOP_UTS_NS=4026531838
EXECSNOOP_IPC_NS=4026531839
EXECSNOOP_CGROUP_NS=4026531835
EXECSNOOP_TIME_NS=4026531834
EXECSNOOP_EXE_DEV=254:0
EXECSNOOP_SESSION_LEADER_ID=00c0ffee00c0ffee-1200-1200
EXECSNOOP_ANCESTOR=make
EXECSNOOP_ANCESTOR=bash
EXECSNOOP_ANCESTOR=sshd
EXECSNOOP_ANCESTOR=systemd
"""
ENTRY = """__REALTIME_TIMESTAMP=%(us)d
__MONOTONIC_TIMESTAMP=%(monotonic)d
_SOURCE_REALTIME_TIMESTAMP=%(us)d
MESSAGE=%(message)s
MESSAGE_ID=%(message_id)s
PRIORITY=6
EXECSNOOP_TYPE=%(type)s
EXECSNOOP_SEQ=%(seq)d
EXECSNOOP_TIME=%(time)s
EXECSNOOP_ID=%(id)s
EXECSNOOP_PARENT_ID=%(parent_id)s
EXECSNOOP_START_TIME=%(start_time)s
EXECSNOOP_PPID=%(ppid)d
EXECSNOOP_PARENT_COMM=%(parent_comm)s
EXECSNOOP_PID=%(pid)d
EXECSNOOP_NS_PID=%(pid)d
EXECSNOOP_COMM=%(comm)s
EXECSNOOP_EXE=%(exe)s
EXECSNOOP_FILENAME=%(exe)s
EXECSNOOP_EXE_CTIME=2022-09-20T15:27:27.000000000Z
EXECSNOOP_EXE_INODE=%(inode)d
EXECSNOOP_CWD=/srv/project/module%(module)d
EXECSNOOP_ARGS=%(args)s
"""
END = """EXECSNOOP_END_TIME=%(time)s
EXECSNOOP_RUNNING_TIME_NS=%(running)d
EXECSNOOP_RESULT=%(result)s
EXECSNOOP_EXIT_CODE=%(code)d
EXECSNOOP_CPU_USER_NS=%(user)d
EXECSNOOP_CPU_SYSTEM_NS=%(system)d
EXECSNOOP_MAX_RSS_BYTES=%(rss)d
EXECSNOOP_READ_BYTES=0
EXECSNOOP_WRITE_BYTES=%(written)d
"""
MESSAGE_IDS = {"started": "fd0c4982606542ae946d8ba43544d481", "exited": "fd0c4982606542ae946d8ba43544d482"}
# What one step of the build runs: each by the shell, but for the last one, which cc runs.
PROGRAMS = [("sh", "/usr/bin/dash", "sh -c 'cc -O2 -Wall -Iinclude -c file%d.c -o file%d.o'"),
            ("cc", "/usr/bin/x86_64-linux-gnu-gcc-12", "cc -O2 -Wall -Iinclude -c file%d.c -o file%d.o"),
            ("cc1", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1 -quiet -I include file%d.c -O2 -Wall -o /tmp/cc%d.s")]
JOBS_OF_MAKE = 500


def text_time(ns):
    seconds, fraction = divmod(ns, 1000000000)
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}.{fraction:09}Z"


class Process:
    def __init__(self, number, start, parent, parent_comm):
        self.pid = 2000 + number % 60000
        self.id = f"{BOOT}-{self.pid}-{start - BEGIN + 1000000:x}"
        self.start = start
        self.parent, self.parent_comm = parent, parent_comm


class Writer:
    """Counts what is written, and gives each event its number and its time."""

    def __init__(self, file, count, after=0):
        self.file, self.left, self.seq, self.processes = file, count, after, 0

    def now(self):
        return BEGIN + self.seq * STEP

    def process(self, parent, parent_comm):
        self.processes += 1
        return Process(self.processes, self.now(), parent, parent_comm)

    def event(self, kind, process, comm, exe, args):
        if self.left == 0:
            return
        self.left -= 1
        self.seq += 1
        now = self.now()
        parent = process.parent
        failed = self.seq % 97 == 0
        values = {
            "us": now // 1000, "monotonic": (now - BEGIN) // 1000 + 1, "message": f"{kind} {process.pid} {args}", "message_id": MESSAGE_IDS[kind],
            "type": kind, "seq": self.seq, "time": text_time(now), "id": process.id, "parent_id": parent.id if parent else f"{BOOT}-1200-1200",
            "start_time": text_time(process.start), "ppid": parent.pid if parent else 1200, "parent_comm": process.parent_comm, "pid": process.pid,
            "comm": comm, "exe": exe, "inode": 247000 + len(exe), "module": self.processes // JOBS_OF_MAKE % 50, "args": args,
            "running": now - process.start, "result": "exit_code" if failed else "success", "code": int(failed), "user": (now - process.start) // 2,
            "system": self.seq * 7919 % 900000, "rss": 4096 * (500 + self.seq * 7919 % 5000), "written": 4096 * (self.seq % 5)}
        text = ENTRY % values + (END % values if kind == "exited" else "") + CONSTANT
        words = args.replace("'", "").split(" ")
        self.file.write((text + "".join(f"EXECSNOOP_ARG={word}\n" for word in words) + "\n").encode())


def build(writer):
    """One make(1) and what it runs."""
    make = writer.process(None, "bash")
    writer.event("started", make, "make", "/usr/bin/make", "make -j8 all")
    for _ in range(JOBS_OF_MAKE):
        if writer.left == 0:
            return
        number, stack, parent_comm = writer.processes, [make], "make"
        for comm, exe, args in PROGRAMS:
            stack.append(writer.process(stack[-1], parent_comm))
            writer.event("started", stack[-1], comm, exe, args % (number, number))
            parent_comm = comm
        for comm, exe, args in reversed(PROGRAMS):
            writer.event("exited", stack.pop(), comm, exe, args % (number, number))
    writer.event("exited", make, "make", "/usr/bin/make", "make -j8 all")


def make_journal(folder, count):
    """COUNT entries in FOLDER, in as many files as systemd makes of them."""
    with subprocess.Popen([REMOTE, "-o", os.path.join(folder, "events.journal"), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as remote:
        writer = Writer(remote.stdin, count)
        while writer.left > 0:
            build(writer)
        remote.stdin.close()
        if remote.wait() != 0:
            raise RuntimeError("systemd-journal-remote failed")
    return writer


if __name__ == "__main__":
    make_journal(sys.argv[1], int(sys.argv[2]))
