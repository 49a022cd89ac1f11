#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""That the benchmark works: each figure, small, for what it prints, not for how good it is."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import e2e  # noqa: E402

BENCH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bench.py")
BASELINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "baseline.json")
FIGURES = {
    "micro": "pipeline, an event",
    "wall": "spawn wall, with daemon",
    "loads": "make -j2 wall, with daemon",
    "bystander": "a system call with daemon, errors = off",
    "probes": "probe time a life",
    "cpu": "daemon CPU an event, user, 1 subscriber",
    "rate": "lives a second",
    "latency": "late, 99.9 %",
    "start": "ready after",
    "memory": "resident, each process",
    "scale": "lives a second in the big one",
}


def measure(name, wanted):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        done = subprocess.run([sys.executable, BENCH, "--quick", "--json", out.name, name], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=600)
        e2e.equal(done.returncode, 0, done.stdout.decode(errors="replace"), "status")
        with open(out.name) as f:
            found = json.load(f)
    e2e.check(wanted in found, "no %r in" % wanted, found)
    for key, value in found.items():
        e2e.check(value["low"] <= value["median"] <= value["high"], key, value)


def add(name, wanted):
    def function():
        measure(name, wanted)
    function.__name__ = "bench_" + name
    e2e.test(function)


for item in FIGURES.items():
    add(*item)


@e2e.test
def the_baseline_is_relative():
    with open(BASELINE) as f:
        baseline = json.load(f)
    for name, was in baseline.items():
        e2e.check(was["value"] >= 0 and was["tolerance"] > 0, name, was)


if __name__ == "__main__":
    e2e.main()
