#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Queries: what the journal's index leaves out is what execsnoopctl leaves out of the same events in a file."""
import json

import journal
from journal import recording, run, test, write

TYPES = ["-t", "started,exited,error,lost,forked"]


def events_of(source, *arguments):
    """The numbers of those that are shown, and None for each loss."""
    done = run("log", *TYPES, *source, "-o", "json", "-q", *arguments, status=None)
    return [json.loads(line).get("seq") for line in done.splitlines()]


def both(folder, events):
    """The events in a journal and in a file."""
    write(f"{folder}/a.journal", events)
    with open(f"{folder}/lines.json", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)
    return ["-D", folder], ["-i", f"{folder}/lines.json"]


def texts(value):
    """As the command line has them; * and [ mean themselves."""
    if isinstance(value, dict):
        value = [f"{name}={text}" for name, text in value.items()]
    for item in value if isinstance(value, list) else [value]:
        text = "true" if item is True else str(item)
        yield "".join("\\" + c if c in "*?[\\" else c for c in text)


@test
def every_value_of_every_key_is_found_as_in_a_file(folder):
    extras = {"user": "alice", "result": "success", "pod_uid": "1-2", "container_id": "abc", "secureexec": True, "exit_code": 0,
              "loginuid": 1000, "env": {"A": "b"}, "incomplete": ["exe"]}
    events = recording()
    events[0].update(extras)
    # What a journal cannot have as it was.
    for event in events:
        for key in [key for key in event if key.endswith("_raw") or key == "later_key"]:
            del event[key]
    in_journal, in_file = both(folder, events)
    asked = 0
    # `host` of a journal is that of the machine, also where the event has none.
    for key in sorted({key for event in events for key in event} - {"seq", "host", "_HOSTNAME", "x"}):
        values = {text for event in events if event["type"] != "lost" for text in texts(event.get(key, []))}
        for value in sorted(values):
            pair = f"{key}={value}"
            found = events_of(in_journal, pair)
            assert found == events_of(in_file, pair), pair
            # Losses pass, and what has the value.
            assert len(found) > sum(event["type"] == "lost" for event in events), pair
            asked += 1
    assert asked > 200, asked


@test
def combinations_are_found_as_in_a_file(folder):
    in_journal, in_file = both(folder, recording())
    for arguments in (["--failed"], ["--failed", "--uid=1000"], ["--failed", "-t", "error"], ["--slower=1s"], ["--cpu=1s", "--failed"],
                      ["uid=0", "uid=!0"], ["uid=000", "comm=sh", "comm=cc"], ["comm=sh", "comm=c*"], ["comm=sh", "comm=!cc"], ["loginuid=unset"],
                      ["loginuid=unset", "loginuid=1000"], ["secureexec=no"], ["error=ENOENT"], ["error=2"], ["error=E*"], ["result=s*"],
                      ["result=!success"], ["exit_code=2", "exit_code=1"], ["exit_signal=SIG*", "uid=1000"], ["/usr/bin/dash"], ["/bin/sh"],
                      ["/bin/sh", "cc"], ["sh", "--failed"], ["-g", "f[12]", "uid=1000"], ["args=-c"], ["ancestors=systemd", "uid=1000"],
                      ["ancestors=!systemd"], ["unit=cron.service", "--failed"], ["min_running_time=1s"], ["-S", "2026-11-29 10:00:04 UTC", "--failed"]):
        assert events_of(in_journal, *arguments) == events_of(in_file, *arguments), arguments
    assert len(events_of(in_journal, "host=here")) == len(recording())


@test
def losses_are_shown_whatever_is_asked_for(folder):
    in_journal, in_file = both(folder, recording())
    losses = sum(event["type"] == "lost" for event in recording())
    for source in (in_journal, in_file):
        assert events_of(source, "pid=999999", "comm=none", "--failed") == losses * [None], source


@test
def tree_is_followed_from_parent_to_child(folder):
    in_journal, in_file = both(folder, recording())
    children, found = {}, set()
    for event in recording():
        if "ppid" in event:
            children.setdefault(event["ppid"], set()).add(event["pid"])
    left = [30000]
    while left:
        found.add(left[-1])
        left.extend(children.get(left.pop(), ()))
    expected = [event.get("seq") for event in recording() if event["type"] == "lost" or event["pid"] in found]
    assert len(expected) > 20
    assert events_of(in_file, "--tree=30000") == expected
    assert events_of(in_journal, "--tree=30000") == expected
    late = ["--tree=30000", "-S", "2026-11-29 10:00:04.25 UTC"]
    assert events_of(in_journal, *late) == events_of(in_file, *late) != []
    failed = [event.get("seq") for event in recording() if event["type"] == "lost" or (event["pid"] in found and event.get("exit_signal", event.get("exit_code")))]
    assert events_of(in_journal, "--tree=30000", "--failed") == failed
    assert "not with -n, -r or -f" in run("log", "-D", folder, "--tree=30000", "-r", status=2)


if __name__ == "__main__":
    journal.main()
