#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests of what the probes report once more, as on a kernel without type information (BTF) of its own and with a file of it: the
kernel's is hidden from the daemon."""
import importlib
import os
import subprocess
import tempfile

import e2e

LOAD = os.path.join(e2e.BUILD, "tests", "bench", "load")
PID_MAX = "/proc/sys/kernel/pid_max"


def is_roomy():
    with open("/proc/meminfo") as f:
        free = next(int(line.split()[1]) for line in f if line.startswith("MemAvailable"))
    return os.path.exists(LOAD) and free > 8 << 20 and not e2e.SLOW and not e2e.is_sanitized()


def fallback_list_has_54000_processes():
    """make check-long: it takes a minute."""
    if not e2e.needs(is_roomy(), "there is no room for 54,000 processes"):
        return
    with open(PID_MAX) as f:
        pid_max = f.read()
    try:
        with open(PID_MAX, "w") as f:
            f.write("200000")
        with subprocess.Popen([LOAD, "hold", "54000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as hold:
            if e2e.needs(hold.stdout.readline(), "54,000 processes may not be had"):
                with e2e.Daemon() as daemon:
                    processes = daemon.stats()["table"]["processes"]
                e2e.check(processes >= 54000, "known:", processes)
            hold.stdin.close()
    finally:
        with open(PID_MAX, "w") as f:
            f.write(pid_max)


if e2e.LONG:
    e2e.test(fallback_list_has_54000_processes)

if __name__ == "__main__":
    # Their tests are added to the list.
    for name in ("arguments", "paths", "identity", "lifecycle", "failed", "probes"):
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="execsnoopd-btf-") as folder:
        if os.path.exists("/sys/kernel/btf/vmlinux"):
            e2e.hide_btf(os.path.join(folder, "vmlinux.btf"))
        e2e.main()
