#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The locale of the user chooses the characters, and nothing else: not the numbers, and not what is found in the journal."""
import os
import shutil
import subprocess
import tempfile

import journal
from golden import HERE, RECORDING, VIEWS
from journal import CTL, recording, test, write
from tap import Skip

# Turkish has a decimal comma, and its "i" is no "I" in small.
LOCALES = {"tr_TR.UTF-8": "C.UTF-8", "de_DE.ISO-8859-1": "C", "POSIX": "C"}
MADE = tempfile.TemporaryDirectory()


def make():
    """The locales, in a folder of their own, once."""
    if not shutil.which("localedef") or not os.path.exists("/usr/share/i18n/locales/tr_TR"):
        raise Skip("no localedef, or no sources of locales")
    for name in LOCALES:
        if "." in name and not os.path.exists(f"{MADE.name}/{name}"):
            language, characters = name.split(".")
            subprocess.run(["localedef", "-f", characters, "-i", language, f"{MADE.name}/{name}"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def shown(locale, *words):
    environment = {"PATH": os.environ["PATH"], "TZ": "UTC", "COLUMNS": "120", "LOCPATH": MADE.name, "LC_ALL": locale}
    done = subprocess.run([CTL, *words], cwd=HERE, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=60)
    return done.returncode, done.stdout


@test
def views_differ_in_characters_only(_):
    make()
    for name in ("watch", "log-reverse", "tree-time", "show", "stats-by", "top", "top-json", "diff", "csv"):
        view = VIEWS[name]
        words = [view[0], *([] if view[0] == "diff" or "-i" in view else ["-i", RECORDING]), "--numeric", *view[1:]]
        expected = {locale: shown(locale, *words) for locale in set(LOCALES.values())}
        for locale, other in LOCALES.items():
            assert shown(locale, *words) == expected[other], (name, locale)


@test
def journal_is_read_in_any_language(folder):
    make()
    write(f"{folder}/a.journal", recording())
    for words in (["show", "30008"], ["show", "00c0ffee00c0ffee-30008-753800"], ["log", "comm=cc", "pid=30008"], ["tree", "-S", "2026-11-29"], ["diff", "2026-11-29..", "2026-11-30..", "cc"]):
        expected = shown("C.UTF-8", *words[:1], "-D", folder, *words[1:])
        assert b"cc" in expected[1], expected
        assert shown("tr_TR.UTF-8", *words[:1], "-D", folder, *words[1:]) == expected, words


if __name__ == "__main__":
    journal.main()
