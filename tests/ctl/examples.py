#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Each command line of execsnoopctl in its manual page and in README.md is one that it accepts: its options, their values, and its
arguments."""
import os
import re
import shlex
import subprocess
import tempfile

import tap
from tap import CTL

SOURCE = os.environ.get("top_srcdir", ".")
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


def check(line, folder):
    words = words_of(line)
    # --help ends what comes before it well, if that is right; a wrong option does not.
    code, message = status(before_program(words, "--help"), folder)
    assert code == 0, message
    code, _ = status(before_program(before_program(words, "--no-such-option"), "--help"), folder)
    assert code == USAGE, f"with an option that is none, the status is {code}"
    if words and words[0] in READERS:
        source = [] if "-i" in words else ["-D", folder]
        code, message = status([*words, *source, "--no-pager"], folder)
        assert code != USAGE, message


def there_are_command_lines():
    assert len(lines) >= 15, lines


if __name__ == "__main__":
    lines = list(dict.fromkeys(command_lines()))
    with tempfile.TemporaryDirectory() as where:
        tap.main([(line, lambda line=line: check(line, where)) for line in lines] + [("there are command lines", there_are_command_lines)])
