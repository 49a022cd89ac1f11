#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Entries of journal files that execsnoopctl reads without sd-journal(3): compare_entries compares them with what sd-journal returns, for each
entry in both directions. Files are made by systemd-journal-remote(8); tests/unit/test_journal_file.c has small damaged ones."""
import json
import os
import random
import shutil
import subprocess
import sys

import journal
from journal import BOOTS, CTL, recording, run, test, write

COMPARE = os.path.join(os.environ.get("builddir", "."), "tests", "ctl", "compare_entries")
PASSES = 4  # in both directions, for all keys and for a few


def compare(folder, *matches):
    """The number of entries of a folder, and of those that were left to sd-journal."""
    done = subprocess.run([COMPARE, folder, *matches], check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 0, (done.returncode, done.stderr.decode()[-1000:])
    entries, left = map(int, done.stdout.split())
    return entries // PASSES, left // PASSES


def incompatible_flags(path):
    with open(path, "rb") as file:
        return int.from_bytes(file.read(16)[12:], "little")


def exported(folder):
    """The entries as journalctl(1) has them; bytes that are not for a terminal are numbers there."""
    lines = subprocess.run(["journalctl", "-D", folder, "-o", "json", "--all"], check=True, stdout=subprocess.PIPE, timeout=60).stdout.splitlines()
    for line in lines:
        yield {key: bytes(value).decode() if isinstance(value, list) and isinstance(value[0], int) else value for key, value in json.loads(line).items()}


@test
def compact_and_regular_files(folder):
    for compact in ("0", "1"):
        os.environ["SYSTEMD_JOURNAL_COMPACT"] = compact
        os.mkdir(f"{folder}/{compact}")
        write(f"{folder}/{compact}/a.journal", recording())
        del os.environ["SYSTEMD_JOURNAL_COMPACT"]
        assert incompatible_flags(f"{folder}/{compact}/a.journal") >> 4 & 1 == int(compact)
        assert compare(f"{folder}/{compact}") == (len(recording()), 0)
        assert compare(f"{folder}/{compact}", "EXECSNOOP_TYPE=exited") == (sum(event["type"] == "exited" for event in recording()), 0)


@test
def events_are_those_of_journalctl(folder):
    write(f"{folder}/a.journal", recording())
    shown = [json.loads(line) for line in run("log", "-t", "started,exited,error,lost", "-D", folder, "-o", "json").splitlines()]
    entries = list(exported(folder))
    assert len(shown) == len(entries) > 20
    for event, entry in zip(shown, entries):
        for key in ("type", "id", "exe", "cwd", "unit", "result", "pid", "seq", "cpu_user_ns"):
            assert str(event.get(key, "")) == entry.get("EXECSNOOP_" + key.upper(), ""), (key, event, entry)


@test
def compressed_fields_are_left_to_sd_journal(folder):
    events = [event for event in recording() if event["type"] == "started"]
    for event in events[::3]:
        event["args"] = ["cc"] + [f"-I{'x' * 40}{i}" for i in range(100)]
    write(f"{folder}/a.journal", events)
    assert compare(folder) == (len(events), len(events[::3]))
    shown = [json.loads(line)["args"] for line in run("log", "-t", "started", "-D", folder, "-o", "json").splitlines()]
    assert shown == [event["args"] for event in events]


@test
def rotated_copied_and_mixed_files(folder):
    """Files of three boots and one that continues another; a copy; one with the same numbers and other entries."""
    events = recording()
    quarter = len(events) // 4
    for i, boot in enumerate(BOOTS):
        write(f"{folder}/{i}.journal", events[i * quarter:(i + 1) * quarter], boot, first=i * quarter)
    shutil.copy(f"{folder}/2.journal", f"{folder}/continued.journal")
    write(f"{folder}/continued.journal", events[3 * quarter:], BOOTS[2], first=3 * quarter)
    shutil.copy(f"{folder}/0.journal", f"{folder}/copy.journal")
    assert compare(folder) == (len(events), 0)
    shutil.copy(f"{folder}/1.journal", f"{folder}/other.journal")
    with open(f"{folder}/0.journal", "rb") as first, open(f"{folder}/other.journal", "r+b") as other:
        first.seek(72)
        other.seek(72)
        other.write(first.read(16))  # the id of its sequence of numbers
    entries, left = compare(folder)
    assert entries > len(events) - quarter and left == 0, (entries, left)


@test
def entries_that_come_later_are_left_to_sd_journal(folder):
    """The files are mapped once: what is written after that is read, by whatever."""
    events = [event for event in recording() if event["type"] == "exited"]
    write(f"{folder}/a.journal", events[:-5])
    with subprocess.Popen(["timeout", "30", CTL, "log", "-f", "-n", "3", "-D", folder, "-o", "json"], stdout=subprocess.PIPE) as reader:
        shown = [json.loads(reader.stdout.readline())["time"] for _ in range(3)]
        write(f"{folder}/a.journal", events[-5:], first=len(events))
        shown += [json.loads(reader.stdout.readline())["time"] for _ in range(5)]
        reader.terminate()
    assert shown == [event["time"] for event in events[-8:]], shown


@test
def damaged_files_are_read_as_sd_journal_reads_them(folder):
    """Bits flipped where the objects are, and files that are cut."""
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    chance, path, read = random.Random(seed), f"{folder}/a.journal", 0
    write(path, recording())
    with open(path, "rb") as file:
        whole = file.read()
    used = int.from_bytes(whole[136:144], "little")
    hashes = max(int.from_bytes(whole[at:at + 8], "little") + int.from_bytes(whole[at + 8:at + 16], "little") for at in (104, 120))
    assert hashes < used < len(whole), (hashes, used)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 10, 200))):
            damaged[chance.choice((chance.randrange(88, 240), chance.randrange(hashes, used), chance.randrange(hashes, used)))] ^= 1 << chance.randrange(8)
        with open(path, "wb") as file:
            file.write(damaged if chance.random() < 0.8 else damaged[:chance.randrange(used)])
        try:
            entries, left = compare(folder)
        except AssertionError as error:
            raise AssertionError(f"SEED={seed}") from error
        read += entries - left
    assert read > 0, f"SEED={seed}"


if __name__ == "__main__":
    sys.exit(journal.main())
