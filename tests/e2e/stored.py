# SPDX-License-Identifier: GPL-2.0-or-later
"""What readers of a subscription have stored, against a workload that is known."""
import json
import os
import subprocess

from e2e import LONG, ODD

# Others may run these tests as well, on the same kernel.
OWN = "durable-of-%d" % os.getpid()
# More of all: DURABLE="1000000 100 10 3".
EVENTS, READER_KILLS, RESTARTS, CRASHES = map(int, os.environ.get("DURABLE", "20000 20 3 2" if LONG else "6000 8 2 1").split())


class Stored:
    """What readers have stored of one subscription, and what it says of itself."""

    def __init__(self, path):
        self.seqs, self.lost, self.ids, self.duplicates, self.begun, self.resumed = set(), [], {}, 0, 0, 0
        with open(path, "rb") as lines:
            for line in lines:
                self.add(json.loads(line))

    def add(self, line):
        if line["type"] == "subscribed":
            self.begun += not line["resumed"]
            self.resumed += line["resumed"]
            if not line["resumed"]:
                self.first = line["last_seq"] + 1
            return
        if "seq" in line:
            self.duplicates += line["seq"] in self.seqs
            self.seqs.add(line["seq"])
        if line["type"] == "lost":
            self.lost.append(line)
        elif OWN in line.get("args", []) and "snapshot" not in line:
            self.ids.setdefault(line["type"], set()).add(line["id"])

    def missing(self):
        """Numbers that are neither stored nor in a loss."""
        reported = {seq for line in self.lost for seq in range(line.get("first_seq", 1), line.get("last_seq", 0) + 1)}
        return set(range(self.first, max(self.seqs | reported) + 1)) - self.seqs - reported

    def lost_count(self):
        return sum(line["count"] for line in self.lost)


class Workload:
    """Programs in the background, each of which makes two events."""

    def __init__(self, events):
        self.times = events // 4
        self.processes = [subprocess.Popen([ODD, "storm", str(self.times), OWN]) for _ in range(2)]
        self.programs = 2 * self.times + 2

    def is_over(self):
        return all(p.poll() is not None for p in self.processes)


def last_stored(path):
    with open(path, "rb") as f:
        f.seek(max(0, os.path.getsize(path) - (1 << 18)))
        return f.read()
