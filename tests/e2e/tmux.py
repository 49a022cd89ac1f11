# SPDX-License-Identifier: GPL-2.0-or-later
"""A real terminal for tests: tmux(1), whose screen is read as text."""
import os
import re
import subprocess

from e2e import CTL, SOURCE, until

RECORDING = os.path.join(SOURCE, "tests", "ctl", "recording.json")
# What a user may have set, which execsnoopctl and less(1) heed.
OF_USER = ("COLUMNS", "LINES", "NO_COLOR", "SYSTEMD_COLORS", "PAGER", "SYSTEMD_PAGER", "SYSTEMD_LESS", "LESSSECURE", "LESSOPEN", "LESSKEY", "ENV")


class Tmux:
    """A terminal with a shell in it, 100 columns and 20 lines unless resized."""

    def __init__(self, folder):
        self.folder = folder
        self.base = ["tmux", "-f", "/dev/null", "-S", os.path.join(folder, "tmux")]
        self.run("start-server", ";", "set", "-g", "history-limit", "100000", ";",
                 "new-session", "-d", "-x", "100", "-y", "20", "env", *(word for name in OF_USER for word in ("-u", name)), "PS1=% ", "LC_ALL=C.UTF-8", "TZ=UTC", "sh")
        self.run("set", "-g", "window-size", "manual")
        self.asked = 0

    def run(self, *words):
        return subprocess.run([*self.base, *words], stdout=subprocess.PIPE, check=True).stdout.decode()

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def type(self, *words):
        """A command line in an empty terminal."""
        self.run("send-keys", "-R", ";", "clear-history")
        self.keys(" ".join(words), "Enter")

    def text(self, *options):
        return self.run("capture-pane", "-p", *options)

    def wait(self, pattern):
        """Until a line of the screen matches; the match."""
        until(lambda: re.search(pattern, self.text(), re.M), f"no {pattern} on the screen:\n" + self.text(), every=0.05)
        return re.search(pattern, self.text(), re.M)

    def resize(self, columns, lines=20):
        """Until programs see it: tmux delays what follows another resize."""
        self.run("resize-window", "-x", str(columns), "-y", str(lines))
        with open(self.run("display", "-p", "#{pane_tty}").strip(), "rb") as terminal:
            until(lambda: tuple(os.get_terminal_size(terminal.fileno())) == (columns, lines), "not resized", every=0.05)

    def status(self):
        """The exit status of the last command, which has ended or is about to."""
        self.asked += 1
        self.keys(f"echo status-{self.asked}-$?", "Enter")
        return int(self.wait(rf"^status-{self.asked}-(\d+)$").group(1))

    def settings(self):
        """Of the terminal, as stty(1) and tmux have them."""
        path = os.path.join(self.folder, f"stty-{self.asked}")
        self.asked += 1
        self.keys(f"stty -a >{path}.new; mv {path}.new {path}", "Enter")
        until(lambda: os.path.exists(path), "no stty:\n" + self.text(), every=0.05)
        with open(path, encoding="utf-8") as file:
            lines = [line for line in file if not line.startswith("speed")]
        return lines, self.run("display", "-p", "#{cursor_flag} #{alternate_on} #{wrap_flag} #{pane_title}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run([*self.base, "kill-server"], check=False)
