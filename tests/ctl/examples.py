#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each command line of execsnoopctl in its manual page and in README.md is one that it accepts: its options, their values, and its
arguments."""
import os
import re
import shlex
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("top_srcdir", ".")
CTL = os.path.abspath(os.path.join(os.environ.get("builddir", "."), "src", "execsnoopctl"))
USAGE = 2
# They read the journal or a file, and end.
READERS = ("watch", "log", "show", "tree", "stats", "export", "plot", "diff", "verify")


def command_lines():
    with open(os.path.join(SOURCE, "man", "execsnoopctl.1"), encoding="utf-8") as page:
        text = re.sub(r"\\(-|&)", lambda escaped: escaped.group(1).strip("&"), page.read())
    # Displays of one line, and of several.
    yield from re.findall(r"^(?:\.Dl )?[$#] (execsnoopctl\b.*)$", text, re.M)
    with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as page:
        yield from re.findall(r"^(?:\$ )?(?:sudo )?(execsnoopctl(?: .*)?)$", page.read(), re.M)


def words_of(line):
    """Of the one command, without what a shell makes of the rest."""
    words = []
    # A user that each machine has.
    for word in shlex.split(line.replace("--uid=alice", "--uid=root"), comments=True)[1:]:
        if word in ("|", "&&", ">", "&", ";"):
            break
        words.append(word)
    return words


def status(words, folder):
    done = subprocess.run([CTL, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False, timeout=60)
    return done.returncode, done.stderr.decode()


def before_program(words, option):
    """The option where the options of run end, or of another command."""
    if "run" not in words[:1]:
        return [*words, option]
    at = words.index("--") if "--" in words else next((i for i, word in enumerate(words) if word == "make"), len(words))
    return [*words[:at], option, *words[at:]]


def problem(line, folder):
    words = words_of(line)
    # --help ends what comes before it well, if that is right; a wrong option does not.
    code, message = status(before_program(words, "--help"), folder)
    if code != 0:
        return message
    code, _ = status(before_program(before_program(words, "--no-such-option"), "--help"), folder)
    if code != USAGE:
        return f"with an option that is none, the status is {code}"
    if words and words[0] in READERS:
        source = [] if "-i" in words else ["-D", folder]
        code, message = status([*words, *source, "--no-pager"], folder)
        if code == USAGE:
            return message
    return None


def main():
    lines = list(dict.fromkeys(command_lines()))
    print(f"1..{len(lines) + 1}")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for number, line in enumerate(lines, 1):
            wrong = problem(line, folder)
            bad += wrong is not None
            if wrong is not None:
                print("# " + wrong.replace("\n", "\n# "))
            print(f"{'not ' if wrong is not None else ''}ok {number} - {line.replace('#', '')}")
    enough = len(lines) >= 15
    print(f"{'' if enough else 'not '}ok {len(lines) + 1} - there are command lines")
    return bad > 0 or not enough


if __name__ == "__main__":
    sys.exit(main())
