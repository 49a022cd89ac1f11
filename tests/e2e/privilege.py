#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon as the user and with the capabilities that the unit gives it: they are enough, and each is needed for
something that has a name."""
import os
import re
import subprocess

from e2e import BUILD, Daemon, check, equal, live, main, run, test

NOBODY = 65534
# tracefs is there, as after a boot with systemd. Its folder is its own, as RuntimeDirectory= makes it; the program is copied there, where anybody may run it.
AS_USER = 'mountpoint -q {0} || mount -t tracefs none {0}; '.format("/sys/kernel/tracing") + \
    'd=${NOTIFY_SOCKET%%/*}; cp "$1" "$d/program"; shift; chmod 755 "$d"; chown -R %d:%d "$d"; exec setpriv %s "$d/program" "$@"'


def of_the_unit():
    with open(os.path.join(BUILD, "systemd", "execsnoopd.service")) as f:
        unit = f.read()
    ambient, bounding = (re.findall("^%s=(.*)$" % key, unit, re.M) for key in ("AmbientCapabilities", "CapabilityBoundingSet"))
    equal(ambient, bounding, "ambient and bounding set")
    return [cap.removeprefix("CAP_").lower() for cap in ambient[0].split()]


def as_user(caps):
    only = "-all," + ",".join("+" + cap for cap in caps)
    options = "--reuid=%d --regid=%d --clear-groups --inh-caps=%s --ambient-caps=%s --bounding-set=%s --no-new-privs" % (
        NOBODY, NOBODY, only, only, only)
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", AS_USER % (NOBODY, NOBODY, options), "sh")


def seen(caps):
    """What it sees with these: of a program of root's that was there before, and of what happens."""
    before = subprocess.Popen(["sleep", "1000"], cwd="/")
    try:
        # The way that takes most.
        with live({"probes": {"errors": "tracepoint"}}, prefix=as_user(caps)) as (daemon, client):
            snapshot = client.wait(lambda e: e.get("pid") == before.pid)
            program = run("sh", "-c", "/nonexistent/program; exit 3", stderr=subprocess.DEVNULL)
            ended = client.wait_exit(program.pid)
            client.close()
            return {"exe": "exe" in snapshot and "cwd" in snapshot, "args": snapshot.get("args") == ["sleep", "1000"],
                    "end": ended["exit_code"] == 3,
                    "errors": any(e["type"] == "error" and e["exe"] == "/nonexistent/program" for e in client.events),
                    "said": daemon.messages()}
    finally:
        before.kill()
        before.wait()


def refused(caps):
    """Its exit status and words, where it does not start."""
    daemon = Daemon(prefix=as_user(caps), wait=False)
    status = daemon.process.wait(60)
    said = daemon.messages()
    daemon.stop()
    return status, said


def without(cap):
    caps = of_the_unit()
    check(cap in caps, cap, "is not in the unit")
    return [c for c in caps if c != cap]


@test
def capabilities_of_the_unit_are_sufficient():
    equal(sorted(of_the_unit()), ["bpf", "dac_read_search", "perfmon", "sys_ptrace"], "the unit's capabilities: test each here")
    got = seen(of_the_unit())
    equal([key for key in got if not got[key]], [], "what is not seen")
    check("CAP_SYS_PTRACE" not in got["said"], got["said"])


@test
def start_fails_without_CAP_BPF():
    equal(refused(without("bpf"))[0], 77)
    check("CAP_BPF missing" in refused(without("bpf"))[1], refused(without("bpf"))[1])


@test
def start_fails_without_CAP_PERFMON():
    equal(refused(without("perfmon"))[0], 77)
    check("CAP_PERFMON missing" in refused(without("perfmon"))[1], refused(without("perfmon"))[1])


@test
def exe_and_cwd_of_older_processes_are_unknown_without_CAP_SYS_PTRACE():
    got = seen(without("sys_ptrace"))
    equal([key for key in got if not got[key]], ["exe"], "what is not seen")
    check("no CAP_SYS_PTRACE: exe, cwd and env of already running processes" in got["said"], got["said"])


@test
def tracepoints_are_not_found_without_CAP_DAC_READ_SEARCH():
    got = seen(without("dac_read_search"))
    equal([key for key in got if not got[key]], ["errors"], "what is not seen")
    check("failed execs cannot be seen: tracepoint: CAP_DAC_READ_SEARCH missing: Permission denied" in got["said"], got["said"])


if __name__ == "__main__":
    main()
