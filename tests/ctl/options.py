#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line of execsnoopctl: each command takes its own options and refuses those of others, as the completions of shells and the
manual page have it; sources and formats that contradict each other, and values that are none, are refused with one line."""
import os
import re
import subprocess

import journal
from journal import CTL, run, test

SOURCE = os.path.abspath(os.environ.get("top_srcdir", "."))
EXAMPLES = {"PATH": "/nonexistent/x", "FILE": "/nonexistent/x", "DIR": "/nonexistent", "GLOB": "/nonexistent/*", "HOST": "h", "NAMESPACE": "n", "TIME": "today",
            "N": "1", "USER": "0", "PID": "1", "UNIT": "u", "ID": "x", "REGEX": "x", "SPAN": "1s", "BOOL": "no", "WHEN": "never", "TYPE": "exited", "ADDRESS": "unix:/x",
            "NAME": "n", "[=ID]": "0"}
# These are accepted by every command, as by journalctl(1) and systemctl(1).
EVERYWHERE = {"--since", "--until", "--boot", "--lines", "--reverse", "--follow", "--output", "--columns", "--no-pager", "--no-legend", "--full", "--utc", "--quiet",
              "--numeric", "--color", "--help", "--version"}


def table():
    """Commands; options as letter, name, argument, values, commands, help; formats of each command."""
    lines = [line.split("\t") for line in subprocess.check_output([CTL, "--completion-table"], text=True).splitlines()]
    formats = {line[1]: line[2].split() for line in lines if line[0] == "formats"}
    return [line[1] for line in lines if line[0] == "command"], [line[1:] for line in lines if line[0] == "option"], formats


def example(option, command, formats):
    _, name, argument, values, *_ = option
    if argument == "-":
        return [name]
    if name == "--output":
        return [f"--output={formats.get(command, ['short'])[0]}"]
    first = "" if values == "-" or values.startswith("@") else values.split()[0]
    return [f"{name}={first or EXAMPLES[argument]}"]


@test
def command_takes_its_options_and_refuses_others(_):
    commands, options, formats = table()
    for command in commands:
        for option in options:
            name, belongs = option[1], option[4] == "-" or command in option[4].split()
            if name in ("--help", "--version"):
                continue
            # --help: nothing is run, if the option before it is accepted.
            done = subprocess.run([CTL, command, *example(option, command, formats), "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, text=True)
            refused = f"{name} is no option of \"{command}\"" in done.stderr
            assert refused == (not belongs and name not in EVERYWHERE), (command, name, done.stderr)
            assert done.returncode == (2 if refused else 0), (command, name, done.returncode, done.stderr)
            assert done.stderr.count("\n") == refused, done.stderr


@test
def option_without_a_use_is_reported(folder):
    path = f"{folder}/empty"
    with open(path, "w", encoding="utf-8"):
        pass
    for command, option in (("tree", "-r"), ("verify", "-n1"), ("stats", "-f"), ("show", "--columns=pid"), ("plot", "-r")):
        arguments = [command, option, "-i", path, *(["1"] if command == "show" else [])]
        assert f'"{command}" has no use for -' in run(*arguments, status=None), command
        assert "no use" not in run(*arguments, "-q", status=None), command


@test
def help_of_a_command_has_its_options_and_no_others(_):
    commands, options, _ = table()
    for command in commands:
        shown = set(re.findall(r"^  (?:-. |   )(--[a-z-]+)", run(command, "--help"), re.M))
        expected = {option[1] for option in options if option[4] == "-" or command in option[4].split()}
        assert shown == expected, (command, shown ^ expected)
    shown = set(re.findall(r"^  (?:-. |   )(--[a-z-]+)", run("--help"), re.M))
    assert shown == {option[1] for option in options}, shown


@test
def manual_has_the_options_of_the_table_and_no_others(_):
    with open(os.path.join(SOURCE, "man", "execsnoopctl.1"), encoding="utf-8") as page:
        items = [line for line in page.read().replace("\\-", "-").splitlines() if line.startswith(".It ") and " Fl " in line]
    names = set(re.findall(r"Fl -([a-z-]+)", "\n".join(items)))
    letters = set(re.findall(r"Fl ([A-Za-z])\b", "\n".join(items)))
    options = table()[1]
    assert names == {option[1][2:] for option in options}, names ^ {option[1][2:] for option in options}
    assert letters == {option[0] for option in options} - {"-"}, letters ^ {option[0] for option in options}


@test
def two_sources_are_refused(folder):
    sources = [["-i", "/dev/null"], ["-D", folder], ["--file=/nonexistent"], ["--namespace=x"], ["--socket=/nonexistent"], ["-b"], ["-m"]]
    for i, one in enumerate(sources):
        for other in sources[i + 1:]:
            journals = one[0] in ("-D", "--file=/nonexistent", "--namespace=x", "-b") and other[0] in ("-b", "-m")
            out = run("log", *one, *other, status=None)
            assert ("two sources" in out) != journals, (one, other, out)
    for one in sources[:4]:
        if one[0] != "--file=/nonexistent":
            assert "given twice" in run("log", *one, *one, status=2), one
    assert "two sources" in run("watch", "-H", "host", "-D", folder, status=2)


@test
def format_of_another_command_is_refused(_):
    formats = table()[2]
    for command in ("show", "tree", "verify", "diff", "status", "top", "stats"):
        for name in ("csv", "json", "svg", "sh"):
            if name not in formats.get(command, []):
                out = run(command, "-o", name, status=2)
                assert f'"{command}" has: ' in out and out.count("\n") == 1, (command, name, out)


@test
def value_that_is_none_is_refused_in_one_line(_):
    for command, option in [("log", "--since=2026-02-30"), ("log", "--since=Mon 2026-11-29"), ("log", "--since=\x1b[31m"), ("log", "--uid=no-such-user"),
                            ("log", "--boot=yesterday"), ("log", "--lines=-1"), ("log", "--slower=soon"), ("log", "--grep=("), ("log", "--type=born"), ("log", "--columns=a,b"),
                            ("top", "--delay=1ms"), ("top", "--delay=0"), ("log", "--input="), ("log", "--color=red"), ("watch", "--merge=maybe"), ("cat", "--name=a b")]:
        out = run(command, option, "-q", *([] if "--input" in option else ["-i", "/dev/null"]), status=2)
        assert out.count("\n") == 1 and option[2:].split("=")[0] in out and "\x1b" not in out, (option, out)


@test
def follow_of_what_does_not_continue_is_refused(folder):
    path = f"{folder}/lines"
    with open(path, "w", encoding="utf-8"):
        pass
    assert "tail -n +1 -f FILE" in run("log", "-f", "-i", path, status=2)
    assert "contradict" in run("log", "-f", "-r", "-D", folder, status=2)
    done = subprocess.run([CTL, "log", "-f", "-n", "3", "-i", "-"], input=b"", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1 and b"--lines has no use with --follow" in done.stderr, done


@test
def time_that_looks_like_an_option_is_explained(_):
    assert "as in: diff -- -2h..-1h -1h.." in run("diff", "-2h..-1h", "-1h..", status=2)


if __name__ == "__main__":
    journal.main()
