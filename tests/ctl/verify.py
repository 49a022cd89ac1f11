#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl verify over made streams and journals, from which lines are removed at random: what it names as missing is compared with
what was removed."""
import json
import os
import random
import re

import journal
from journal import run, test, write

SEED = int(os.environ.get("VERIFY_SEED", "1"))
STREAM = "6f1d0c52e8b7a943"


def event(seq, kind="exited", **more):
    time = f"2026-11-29T10:{seq // 60000 % 60:02}:{seq // 1000 % 60:02}.{seq % 1000:03}000000Z"
    return {"type": kind, "seq": seq, "time": time, "id": f"00c0ffee00c0ffee-{seq}-1", "pid": seq, "uid": 0, "comm": "true", "exit_code": 0, **more}


def live(last_seq, stream=STREAM):
    return {"type": "live", "time": "2026-11-29T10:00:00.000000000Z", "stream": stream, "last_seq": last_seq, "host": "here"}


def lines(folder, events, name="lines.json"):
    path = f"{folder}/{name}"
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(line) + "\n" for line in events)
    return path


def missing(output):
    """The numbers of each place that is named as missing."""
    return [(int(first), int(last or first)) for first, last in re.findall(r"Missing: .*?seq (\d+)(?: to (\d+))?", output)]


def runs(numbers):
    """Of consecutive numbers, the first and the last."""
    out = []
    for number in sorted(numbers):
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return [tuple(one) for one in out]


@test
def whole_stream_is_complete(folder):
    events = [live(100)] + [event(seq) for seq in range(101, 300)]
    events += [{"type": "lost", "seq": 300, "time": "2026-11-29T10:00:01.000000000Z", "count": 7, "where": "kernel"}]
    events += [{"type": "lost", "time": "2026-11-29T10:00:01.000000000Z", "count": 9, "where": "subscriber", "first_seq": 301, "last_seq": 309}]
    events += [event(seq) for seq in range(310, 400)]
    out = run("verify", "-i", lines(folder, events))
    assert "complete" in out and "Missing: nothing" in out and "7 in the kernel, 9 by a reader" in out and STREAM in out, out


@test
def removed_lines_are_named(folder):
    dice = random.Random(SEED)
    events = [live(0)] + [event(seq) for seq in range(1, 3001)]
    removed = sorted(dice.sample(range(1, 3000), 60))
    out = run("verify", "-i", lines(folder, [one for one in events if one.get("seq") not in removed]), status=1)
    assert missing(out) == runs(removed), (missing(out), runs(removed))


@test
def lines_before_the_first_and_after_a_pause_are_missing(folder):
    events = [live(10), *(event(seq) for seq in range(12, 20)), live(25), *(event(seq) for seq in range(26, 30)), live(31)]
    assert missing(run("verify", "-i", lines(folder, events), status=1)) == [(11, 11), (20, 25), (30, 31)]


@test
def new_series_is_a_stream_of_its_own(folder):
    events = [live(5), event(6), event(7), live(0, "another"), event(1), event(2)]
    out = run("verify", "-i", lines(folder, events))
    assert out.count("complete") == 2 and "another" in out, out


@test
def steps_of_folded_searches_are_not_missing(folder):
    events = [live(0), event(1), event(5, "started", path_tries=4), event(6)]
    assert "complete" in run("verify", "-i", lines(folder, events))
    assert run("verify", "-i", lines(folder, events[:1] + events[2:]), status=1).count("Missing: one or more of") == 1


@test
def filtered_stream_is_proved_by_marks_only(folder):
    subscribed = {"type": "subscribed", "time": "2026-11-29T10:00:00.000000000Z", "types": ["exited"], "stream": STREAM, "last_seq": 0}
    events = [subscribed, event(3), event(9), event(11)]
    out = run("verify", "-i", lines(folder, events))
    assert "cannot be proved" in out and "filter" in out, out
    mark = {"type": "mark", "time": "2026-11-29T10:00:09.000000000Z", "last_seq": 12, "count": 3}
    assert ": complete" in run("verify", "-i", lines(folder, events + [mark]))
    assert "Missing: 1 lines" in run("verify", "-i", lines(folder, events[:2] + events[3:] + [mark]), status=1)


@test
def hosts_in_one_file_are_streams_of_their_own(folder):
    """As of cat -H: their numbers overlap, each line has its host, and its `live` comes when it likes."""
    dice = random.Random(SEED)
    left = {host: [{**live(0, stream), "host": host}] + [event(seq, host=host) for seq in range(1, 500)] for host, stream in (("root@a", "aa"), ("b", "bb"), ("c" * 200, "cc"))}
    del left["b"][300:302]
    del left["c" * 200][499]
    left["c" * 200].append({"type": "mark", "time": event(1)["time"], "last_seq": 499, "count": 499, "host": "c" * 200})
    events = []
    while left:
        host = dice.choice(sorted(left))
        events.append(left[host].pop(0))
        if not left[host]:
            del left[host]
    out = run("verify", "-i", lines(folder, events), status=1)
    parts = {part.split()[0]: part for part in out.split("\u25cf ")[1:]}
    assert ": complete" in parts["root@a"] and "Events: 499" in parts["root@a"], out
    assert missing(parts["b"]) == [(300, 301)] and "Events: 497" in parts["b"], out
    assert missing(parts["c" * 200]) == [(499, 499)] and "Missing: 1 lines" in parts["c" * 200], out
    # The proof of one is not that of another: of b nothing began.
    out = run("verify", "-i", lines(folder, [one for one in events if one["type"] != "live" or one["host"] != "b"]), status=1)
    assert re.search(r"b: cannot be proved complete\n  Events: 497", out) and "root@a stream aa: complete" in out, out


def chained(numbers, after=0):
    """Entries of the journal, each with what it follows, in the order of `numbers`."""
    out = []
    for seq in numbers:
        out.append(event(seq, stream=STREAM, **({} if seq - after == 1 else {"seq_step": seq - after})))
        after = seq
    return out


@test
def whole_journal_with_events_left_out_is_complete(folder):
    dice = random.Random(SEED)
    numbers = sorted(dice.sample(range(1, 2000), 700))
    # An error that was held is written later.
    numbers.insert(300, numbers.pop(280))
    write(f"{folder}/a.journal", chained(numbers))
    out = run("verify", "-D", folder)
    assert "here stream " + STREAM + ": complete" in out and "Events: 700" in out, out


@test
def stream_of_a_machine_that_is_renamed_is_one(folder):
    entries = chained(range(1, 31))
    for one in entries[10:20]:
        one["_HOSTNAME"] = "renamed"
    write(f"{folder}/a.journal", entries)
    out = run("verify", "-D", folder)
    assert "Events: 30" in out and out.count("stream") == 1, out


@test
def removed_entries_of_a_journal_are_named(folder):
    dice = random.Random(SEED)
    numbers = list(range(1, 2001))
    removed = sorted(dice.sample(numbers[1:-1], 40))
    write(f"{folder}/a.journal", [one for one in chained(numbers) if one["seq"] not in removed])
    found = missing(run("verify", "-D", folder, status=1))
    assert found == runs(removed), (found, runs(removed))


@test
def removed_entries_are_named_where_events_were_left_out(folder):
    dice = random.Random(SEED)
    numbers = sorted(dice.sample(range(1, 5000), 1500))
    places = sorted(dice.sample(range(1, 1499), 40))
    removed = [numbers[i] for i in places]
    write(f"{folder}/a.journal", [one for one in chained(numbers) if one["seq"] not in removed])
    found = missing(run("verify", "-D", folder, status=1))
    assert [last for _, last in found] == [numbers[last] for _, last in runs(places)], (found, removed)
    assert all(any(first <= seq <= last for first, last in found) for seq in removed)
    assert not any(first <= seq <= last for first, last in found for seq in numbers if seq not in removed)


@test
def lost_entry_of_a_journal_covers_what_was_lost(folder):
    lost = {"type": "lost", "time": "2026-11-29T10:00:00.008000000Z", "count": 3, "where": "journal", "first_seq": 6, "last_seq": 8, "stream": STREAM}
    entries = chained(range(1, 6)) + [lost] + chained(range(9, 12), after=8)
    write(f"{folder}/a.journal", entries)
    out = run("verify", "-D", folder)
    assert ": complete" in out and "3 by the journal" in out, out
    del entries[4]
    os.unlink(f"{folder}/a.journal")
    write(f"{folder}/a.journal", entries)
    assert missing(run("verify", "-D", folder, status=1)) == [(5, 5)]


@test
def end_of_the_proof_is_named(folder):
    """The last entry has none that follows it: without it the journal is complete up to the one before, as verify says."""
    entries = chained([1, 2, 5, 9])
    write(f"{folder}/a.journal", entries)
    assert "Proved: up to seq 9, 2026-11-29 10:00:00.009; what came after it would not be noticed" in run("verify", "-D", folder)
    os.unlink(f"{folder}/a.journal")
    write(f"{folder}/a.journal", entries[:-1])
    assert "Proved: up to seq 5, 2026-11-29 10:00:00.005" in run("verify", "-D", folder)


def stop(last_seq):
    return {"type": "mark", "time": "2026-11-29T10:01:00.000000000Z", "last_seq": last_seq, "stream": STREAM}


@test
def removed_last_entries_are_named(folder):
    """The mark of the daemon's stop names the last number, whatever is left before it."""
    for name, removed in (("none", 0), ("one", 1), ("many", 17)):
        path = f"{folder}/{name}"
        os.mkdir(path)
        write(f"{path}/a.journal", chained(range(1, 201))[:200 - removed] + [stop(200)])
        out = run("verify", "-D", path, status=1 if removed else 0)
        assert missing(out) == runs(range(201 - removed, 201)), out
        assert "Proved: up to seq 200, 2026-11-29 10:01:00.000, where the daemon stopped" in out, out


@test
def removed_last_entry_is_named_where_it_has_an_earlier_number(folder):
    """An error that was held for the end of a search is written after later events."""
    entries = chained([1, 2, 4, 5, 3])
    write(f"{folder}/a.journal", entries + [stop(3)])
    out = run("verify", "-D", folder)
    assert ": complete" in out and "Proved: up to seq 5, " in out and "where the daemon stopped" in out, out
    os.unlink(f"{folder}/a.journal")
    write(f"{folder}/a.journal", entries[:-1] + [stop(3)])
    assert missing(run("verify", "-D", folder, status=1)) == [(3, 3)]


@test
def entries_after_a_mark_continue_the_stream(folder):
    entries = chained(range(1, 100))
    write(f"{folder}/a.journal", entries[:50] + [stop(50)] + entries[50:])
    out = run("verify", "-D", folder)
    assert ": complete" in out and "Events: 99" in out and out.count("stream") == 1 and "up to seq 99" in out and "would not be noticed" in out, out
    os.unlink(f"{folder}/a.journal")
    write(f"{folder}/a.journal", entries[:47] + [stop(50)] + entries[50:])
    assert missing(run("verify", "-D", folder, status=1)) == [(48, 50)]


@test
def journal_whose_entries_cannot_be_reached_is_damaged(folder):
    """sd-journal ends there as at the end of the journal. What is damaged without a loss of entries is no matter here."""
    dice, silent = random.Random(SEED), 0
    write(f"{folder}/a.journal", chained(range(1, 101)))
    with open(f"{folder}/a.journal", "rb") as file:
        whole = file.read()
    used = len(whole.rstrip(b"\0"))
    first = max(int.from_bytes(whole[at:at + 8], "little") + int.from_bytes(whole[at + 8:at + 16], "little") for at in (104, 120))
    objects, at = [], first
    while at < used:
        # Arrays of entries, and entries: their type, size and what they begin with.
        objects += [at] * (whole[at] in (3, 6))
        at += int.from_bytes(whole[at + 8:at + 16], "little") + 7 & ~7
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[dice.choice(objects) + dice.choice((0, *range(8, 32)))] ^= 1 << dice.randrange(8)
        with open(f"{folder}/a.journal", "wb") as file:
            file.write(damaged)
        read = len(run("log", "-D", folder, "-o", "json", status=None).splitlines())
        out = run("verify", "-D", folder, status=None)
        assert read == 100 or "damaged" in out or "not read" in out or "an entry cannot be read" in out or "Missing: " in out.replace("Missing: nothing", ""), (read, out)
        silent += read < 100 and "is damaged" in out
    assert silent > 5, silent
    with open(f"{folder}/a.journal", "wb") as file:
        file.write(whole)
    assert "damaged" not in run("verify", "-D", folder)


@test
def marks_of_a_journal_are_no_events(folder):
    write(f"{folder}/a.journal", chained(range(1, 6)) + [stop(5)])
    assert run("log", "-q", "-D", folder, "-t", "exited", "-o", "json").count("\n") == 5
    assert run("log", "-q", "-D", folder).count("true") == 5
    assert "mark" not in run("stats", "-D", folder) + run("tree", "-D", folder, "-S", "2026-11-29 10:00 UTC")


@test
def mark_proves_what_came_before_it(folder):
    events = [live(0), *(event(seq) for seq in range(1, 10))]
    assert "Proved: up to seq 9," in run("verify", "-i", lines(folder, events))
    mark = {"type": "mark", "time": "2026-11-29T10:00:09.000000000Z", "last_seq": 9, "count": 9}
    assert "Proved: up to seq 9, 2026-11-29 10:00:09.000" in run("verify", "-i", lines(folder, events + [mark]))
    assert missing(run("verify", "-i", lines(folder, events[:-1] + [mark]), status=1)) == [(9, 9)]
    filtered = {"type": "subscribed", "time": "2026-11-29T10:00:00.000000000Z", "types": ["exited"], "stream": STREAM, "last_seq": 0}
    assert "Proved" not in run("verify", "-i", lines(folder, [filtered, event(3)]))


@test
def rotated_journal_is_complete_from_its_first_entry_on(folder):
    write(f"{folder}/a.journal", chained(range(1, 50))[20:])
    out = run("verify", "-D", folder)
    assert ": complete" in out and "begins after seq 20" in out, out


if __name__ == "__main__":
    journal.main()
