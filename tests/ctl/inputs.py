#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What cannot be read: each line is reported with its place, nothing is passed over in silence, and what may not be read names the command
that helps. Some of it as an ordinary user, where the test may become one."""
import bz2
import gzip
import json
import lzma
import os
import pty
import shutil
import socket
import stat
import subprocess

import journal
from journal import CTL, recording, run, test, write

GOOD = '{"type":"exited","seq":1,"time":"2026-11-29T10:00:00.000000000Z","pid":1,"uid":0,"comm":"a","exit_code":0,"later_key":{"a":[1]}}\n'
COMMANDS = (["log"], ["log", "-r", "-n", "2"], ["stats"], ["tree"], ["verify"], ["top", "-b"], ["watch"], ["show", "1"], ["show", "77"], ["cat"], ["plot"],
            ["export", "-o", "csv"], ["export", "-o", "csv", "nothing-of-this-name"], ["log", "nothing-of-this-name"], ["tree", "-S", "2026-11-29"])


def file_of(folder, content):
    path = f"{folder}/input"
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    return path


@test
def line_that_cannot_be_read_is_reported_with_its_place(folder):
    for line in ("\x00\x00\x00\n", "[1,2]\n", '"x"\n', '{"type":5}\n', '{"a":1}\n', '{"type":"exited","seq":1\n', GOOD[:60] + "\n", "\x7fELF\x02\n", '{"type":"exited"}}\n',
                 "\xff\n"):
        path = file_of(folder, (GOOD + line + GOOD).encode("latin-1"))
        for command in COMMANDS:
            out = run(*command, "-i", path, status=65)
            assert f"{path}:2: " in out and f"{path}:1: " not in out and f"{path}:3: " not in out, (command, line, out)
    # Cut at the end, without a newline.
    out = run("log", "-i", file_of(folder, GOOD + GOOD[:-20]), status=65)
    assert f"{folder}/input:2: " in out, out


@test
def file_without_events_is_reported(folder):
    for content in ("", "\n \n\t\r\n"):
        for command in COMMANDS:
            assert "no events" in run(*command, "-i", file_of(folder, content), status=1), (command, content)
    out = run("log", "-i", file_of(folder, GOOD))
    assert "no events" not in out, out
    for content in (os.urandom(200000), bytes(1000), b"\n".join([b"text"] * 5000)):
        out = run("log", "-i", file_of(folder, content), status=65)
        assert "no events" in out and f"{folder}/input:1: " in out, out[:500]
        # A binary file does not fill the screen.
        assert out.count("\n") < 30, out.count("\n")
    assert "4980 more lines" in out, out


@test
def line_that_is_too_long_is_reported(folder):
    path = f"{folder}/input"
    with open(path, "wb") as file:
        file.truncate(68 << 20)
    assert "too long" in run("log", "-i", path, status=65)
    # Where its end is also the end of what was read at once.
    with open(path, "wb") as file:
        file.truncate((64 << 20) + (1 << 16))
    assert run("log", "-i", path, status=65).count(f"{path}:1: ") == 1


@test
def what_is_no_file_is_reported(folder):
    assert "Is a directory" in run("log", "-i", folder, status=71)
    for command in COMMANDS:
        assert "No such file" in run(*command, "-i", f"{folder}/none", status=71), command
    assert "Input/output error" in run("log", "-i", "/proc/self/mem", status=65)


@test
def output_that_cannot_be_written_is_reported(_):
    path = os.path.join(journal.HERE, "recording.json")
    for command in (["log"], ["watch"], ["tree"], ["tree", "-S", "2026-11-28"], ["show", "22041"], ["stats"], ["top", "-b"], ["verify"], ["cat"], ["log", "-o", "json"], ["log", "-o", "csv"],
                    *(["export", "-o", form] for form in ("chrome", "svg", "html", "compile-commands", "folded", "sh", "csv", "dot", "report"))):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([CTL, *command, "-i", path], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
        assert done.returncode == 71 and b"execsnoopctl: standard output: No space left on device\n" in done.stderr, (command, done)
    for option in ("--help", "--version", "--completion-table"):
        with open("/dev/full", "w", encoding="utf-8") as full:
            done = subprocess.run([CTL, option], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
        assert done.returncode == 71 and b"execsnoopctl: standard output: No space left on device\n" == done.stderr, (option, done)


@test
def name_of_a_file_is_escaped(folder):
    path = f"{folder}/a\x1b[31m"
    for content in ("bad\n", None):
        if content:
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        for command in COMMANDS:
            out = run(*command, "-i", path, status=65 if content else 71)
            assert "\x1b" not in out and "a\\x1b[31m: " in out, (command, out)
        if content:
            os.unlink(path)


@test
def name_of_a_journal_file_is_escaped(folder):
    os.mkdir(f"{folder}/j\x1b[31m")
    with open(f"{folder}/j\x1b[31m/a\x1b[32m.journal", "wb") as file:
        file.write(b"no journal\n" * 1000)
    out = run("log", "-D", f"{folder}/j\x1b[31m", status=65)
    assert "\x1b" not in out and r"j\x1b[31m/a\x1b[32m.journal: the file is not read" in out and r"j\x1b[31m: there are no entries" in out, out
    for words in (["show", "a\x1b[31m"], ["log", "a\x1b[31m=b"], ["diff", "a\x1b[31m..b", "boot:x\x1b[31m"]):
        out = run(*words[:1], "-D", folder, *words[1:], status=None)
        assert "\x1b" not in out and r"\x1b[31m" in out, (words, out)


@test
def file_of_another_format_is_named(folder):
    lines = (GOOD * 3).encode()
    write(f"{folder}/a.journal", recording())
    with open(f"{folder}/a.journal", "rb") as file:
        entries = file.read()
    for content, words in ((gzip.compress(lines), "zcat FILE"), (lzma.compress(lines), "xzcat FILE"), (bz2.compress(lines), "bzcat FILE"),
                           (b"\x28\xb5\x2f\xfd" + os.urandom(100), "zstdcat FILE"), (lines.decode().encode("utf-16"), "iconv"), (entries, "--file=FILE")):
        path = file_of(folder, content)
        for command in COMMANDS:
            out = run(*command, "-i", path, status=65)
            assert f"{path}:1: " in out and words in out and f"{path}:2: " not in out and "JSON" not in out, (command, out)


@test
def loss_in_a_place_of_a_later_version_is_a_loss(folder):
    line = '{"type":"lost","seq":2,"time":"2026-11-29T10:00:00.000000000Z","count":5,"where":"elsewhere"}\n'
    assert "── 5 events lost ──\n" in run("log", "-i", file_of(folder, GOOD + line))


@test
def cut_line_is_named_as_that(folder):
    for size in range(1, len(GOOD) - 1):
        out = run("log", "-i", file_of(folder, GOOD + GOOD[:size]), status=65)
        assert f"{folder}/input:2: the line ends within the object\n" in out, (GOOD[:size], out)


@test
def byte_order_mark_and_line_ends_of_windows_are_read(folder):
    plain = run("log", "-i", file_of(folder, GOOD * 3))
    assert run("log", "-i", file_of(folder, b"\xef\xbb\xbf" + (GOOD * 3).replace("\n", "\r\n").encode())) == plain


@test
def deep_nesting_is_shown_as_it_came(folder):
    line = GOOD.replace('{"a":[1]}', "[" * 5000 + "]" * 5000)
    for form in ("json", "json-pretty", "verbose"):
        assert "[" * 5000 in run("log", "-i", file_of(folder, line), "-o", form), form


def unknown(kind, seq):
    return json.dumps({"type": kind, "seq": seq, "time": "2026-11-29T10:00:00.000000000Z", "pid": 1, "id": "a-1-1"}) + "\n"


@test
def unknown_type_is_reported_once_with_a_count(folder):
    path = file_of(folder, GOOD + unknown("renamed\033[31m", 2) + GOOD.replace(":1,", ":3,", 1) + unknown("ptraced", 4) + "".join(unknown("ptraced", i) for i in range(5, 41)))
    for command in COMMANDS:
        # The only program has no id, and is shown by name only.
        nothing = "nothing-of-this-name" in command or command[0] in ("show", "tree", "plot", "export")
        out = run(*command, "-i", path, status=1 if nothing else 0)
        if command == ["cat"]:
            assert "no type" not in out and out.count('"ptraced"') == 37, out
            continue
        assert out.count("is no type of event") == 2 and f'{path}:4: "ptraced" is no type' in out and f"{path}:2: " in out, (command, out)
        assert '36 more events of the type "ptraced"' in out and out.count("more event") == 1 and "\033" not in out, (command, out)


@test
def message_comes_between_whole_lines(folder):
    """Where standard output and standard error are one terminal; buffers end anywhere."""
    lines = [GOOD.replace('"seq":1', f'"seq":{i}').replace('"comm":"a"', f'"comm":"{"a" * (i % 15)}"') for i in range(2000)]
    for place, bad in ((1000, unknown("ptraced", 5)), (1500, "no JSON\n")):
        path = file_of(folder, "".join(lines[:place]) + bad + "".join(lines[place:]))
        expected = [line for line in lines[:place] if '"comm":""' not in line]
        for command in ("log", "watch"):
            done = subprocess.run([CTL, command, "-o", "json", "comm=a*", "-i", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True, timeout=60)
            shown = done.stdout.splitlines(keepends=True)
            assert shown[:len(expected)] == expected and shown[len(expected)].startswith(f"{path}:{place + 1}: "), (command, shown[len(expected) - 1:len(expected) + 2])


def on_terminal(locale, *arguments):
    """What a command writes to a terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(CTL, [CTL, *arguments], {"PATH": os.environ["PATH"], "LC_ALL": locale, "TERM": "dumb"})
    out = b""
    with open(terminal, "rb", buffering=0) as file:
        while True:
            try:
                out += file.read(65536) or b""
            except OSError:  # the other end is closed
                break
    os.waitpid(pid, 0)
    return out.replace(b"\r\n", b"\n")


@test
def json_on_a_terminal_is_in_its_characters(folder):
    text = "ä\u202e\x9b漢\U0001f600\x7f"
    path = file_of(folder, json.dumps({**json.loads(GOOD), "args": [text]}, ensure_ascii=False) + "\n")
    for form in ("json", "json-pretty", "verbose"):
        for locale, plain in (("C.UTF-8", "ä漢\U0001f600"), ("C", "")):
            out = on_terminal(locale, "log", "--no-pager", "-o", form, "-i", path).decode()
            assert json.loads(out)["args"] == [text], (form, out)
            assert {c for c in out if not " " <= c <= "~"} == {*plain, "\n"}, (form, locale, out)


@test
def many_unknown_types_are_few_lines(folder):
    out = run("stats", "-i", file_of(folder, GOOD + "".join(unknown(f"type{i}", i) for i in range(2, 1000))))
    assert out.count("is no type of event") == 8 and "990 more events of other unknown types" in out, out


@test
def unknown_types_pass_as_json(folder):
    lines = [GOOD, unknown("ptraced", 2), GOOD.replace(":1,", ":3,", 1)]
    path = file_of(folder, "".join(lines))
    for command in (["log"], ["watch"], ["cat"]):
        assert run(*command, "-i", path, "-o", "json") == "".join(lines), command
        # No filter can be asked about it.
        out = run(*command, "-i", path, "-o", "json", "a")
        assert command == ["cat"] or ("ptraced" in out and '"type":"ptraced"' not in out), (command, out)


@test
def unknown_type_has_a_number_for_verify(folder):
    lines = ['{"type":"subscribed"}\n', GOOD.replace("1,", '1,"snapshot":true,', 1), '{"type":"live","stream":"a","last_seq":0}\n', GOOD, unknown("ptraced", 2), GOOD.replace(":1,", ":3,", 1)]
    assert "complete" in run("verify", "-i", file_of(folder, "".join(lines)))
    assert "seq 2" in run("verify", "-i", file_of(folder, "".join(lines[:4] + lines[5:])), status=1)


@test
def unknown_type_of_a_journal_is_reported(folder):
    events = [event for event in recording() if event["type"] == "exited"][:4]
    events[2]["type"] = "ptraced"
    write(f"{folder}/a.journal", events)
    for command in (["log"], ["stats"], ["log", "-r"], ["cat"], ["log", "-o", "json"]):
        out = run(*command, "-D", folder)
        assert f'{folder}: seq {events[2]["seq"]}: "ptraced" is no type' in out, (command, out)


@test
def unknown_keys_pass(folder):
    out = run("log", "-i", file_of(folder, GOOD), "-o", "json")
    assert json.loads(out)["later_key"] == {"a": [1]}, out


def as_nobody(folder, *arguments):
    """The exit status and the output of the program, run as the user "nobody", who has access to its folder."""
    program = f"{folder}/execsnoopctl"
    if not os.path.exists(program):
        shutil.copy(CTL, program)
    os.chmod(folder, 0o755)
    done = subprocess.run([program, *arguments], user="nobody", group=65534, extra_groups=[], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, cwd="/",
                          stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout.decode()


@test
def no_daemon_names_the_command(folder):
    for command in ("watch", "top", "status", "cat"):
        out = run(command, f"--socket={folder}/none", status=69)
        assert "systemctl start execsnoopd" in out, out
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{folder}/dead")
    assert "systemctl start execsnoopd" in run("watch", f"--socket={folder}/dead", status=69)


@test
def socket_without_permission_names_the_command(folder):
    if os.geteuid() != 0:
        return
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/socket")
        server.listen()
        os.chmod(f"{folder}/socket", 0o660)
        for command in ("watch", "top", "status", "cat", "tree"):
            status, out = as_nobody(folder, command, f"--socket={folder}/socket")
            assert status == 77 and ("usermod -aG execsnoopd nobody" in out or "newgrp" in out), (command, status, out)


@test
def journal_without_entries_is_not_one_without_matches(folder):
    write(f"{folder}/a.journal", recording())
    assert "no entries" not in run("log", "-D", folder, "none-of-this-name", "--pid=999999", "-t", "exited", status=1)
    os.mkdir(f"{folder}/empty")
    for command in (["log"], ["log", "-n", "2"], ["stats"], ["verify"], ["show", "1"]):
        assert "no entries of execsnoopd" in run(*command, "-D", f"{folder}/empty", status=1), command


@test
def journal_without_permission_is_not_an_empty_one(folder):
    if os.geteuid() != 0:
        return
    write(f"{folder}/system.journal", recording())
    os.chmod(f"{folder}/system.journal", stat.S_IRUSR | stat.S_IWUSR)
    for command in (["log"], ["stats"], ["export", "-o", "csv"], ["log", "-n", "1"]):
        status, out = as_nobody(folder, *command, "-D", folder)
        assert status == 77 and "Permission denied" in out, (command, status, out)
    status, out = as_nobody(folder, "log", f"--file={folder}/system.journal")
    assert status == 77, (status, out)
    # Those of other users hold no events.
    os.rename(f"{folder}/system.journal", f"{folder}/user-0.journal")
    write(f"{folder}/system.journal", recording())
    os.chmod(f"{folder}/system.journal", 0o644)
    status, out = as_nobody(folder, "log", "-D", folder)
    assert status == 0, (status, out)


if __name__ == "__main__":
    journal.main()
