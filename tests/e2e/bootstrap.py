#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""./bootstrap run, from its build on: on a terminal it shows execsnoopctl watch, into a pipe lines of JSON."""
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import time

from e2e import BUILD, PATIENCE, SOURCE, check, equal, main, needs, test


class Tree:
    """A checkout whose build is the one under test: nothing is installed or built. script: a daemon in place of it."""

    def __init__(self, script=None):
        self.path = tempfile.mkdtemp(prefix="execsnoopd-test-")
        self.temporary = f"{self.path}/tmp"
        for folder in ("bin", "build/run", "tmp"):
            os.makedirs(f"{self.path}/{folder}")
        shutil.copy(f"{SOURCE}/bootstrap", self.path)
        # In the order of their times, as a build leaves them.
        for age, (name, text) in enumerate((("configure.ac", ""), ("Makefile.am", ""), ("configure", ""), ("build/run/Makefile", "all:\n"))):
            with open(f"{self.path}/{name}", "w", encoding="ascii") as file:
                file.write(text)
            os.utime(f"{self.path}/{name}", (1000 + age, 1000 + age))
        os.mkdir(f"{self.path}/x")
        with open(f"{self.path}/x/Makemodule.am", "w", encoding="ascii"):
            pass
        os.utime(f"{self.path}/x/Makemodule.am", (1000, 1000))
        with open(f"{self.path}/bin/dpkg-query", "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho install ok installed\n")
        os.chmod(f"{self.path}/bin/dpkg-query", 0o755)
        os.mkdir(f"{self.path}/build/run/src")
        for name in ("execsnoopd", "execsnoopctl"):
            if not script or name != "execsnoopd":
                os.symlink(f"{BUILD}/src/{name}", f"{self.path}/build/run/src/{name}")
        if script:
            with open(f"{self.path}/build/run/src/execsnoopd", "w", encoding="ascii") as file:
                file.write(script)
            os.chmod(f"{self.path}/build/run/src/execsnoopd", 0o755)

    def environment(self):
        return {**os.environ, "PATH": f"{self.path}/bin:{os.environ['PATH']}", "TMPDIR": self.temporary, "TERM": "dumb", "COLUMNS": "400"}

    def command(self):
        return [f"{self.path}/bootstrap", "run"]

    def daemons(self):
        """Processes that have its configuration as an argument."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if f"{self.temporary}/".encode() in file.read():
                        found.append(int(pid))
            except OSError:
                pass
        return found

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.daemons():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.path)


class Terminal:
    def __init__(self, tree):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(tree.command()[0], tree.command(), tree.environment())

    def read(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition():
            check(time.monotonic() < end, what, repr(self.text[-2000:]))
            try:
                if select.select([self.fd], [], [], 0.1)[0]:
                    self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:
                break  # it is closed: EIO, pty(7)

    def wait(self):
        self.read(lambda: False, "does not end")
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@test
def terminal_shows_watch_until_interrupted():
    needs(os.path.exists("/etc/debian_version"), "not Debian")
    with Tree() as tree:
        terminal = Terminal(tree)
        terminal.read(lambda: "COMMAND" in terminal.text, "no heading")
        name = f"{tree.path}/of-this-test"
        shutil.copy("/bin/true", name)
        end = time.monotonic() + PATIENCE
        while name not in terminal.text and time.monotonic() < end:
            subprocess.run([name], check=True)
            terminal.read(lambda: name in terminal.text or time.monotonic() % 1 < 0.5, "no line")
        check(name in terminal.text, terminal.text[-2000:])
        check('{"type"' not in terminal.text, terminal.text[-2000:])
        os.write(terminal.fd, b"\x03")
        equal(terminal.wait(), 0, terminal.text[-500:])
        equal(tree.daemons(), [], "left behind")
        equal(os.listdir(tree.temporary), [], "left behind")


@test
def closed_terminal_leaves_no_daemon():
    needs(os.path.exists("/etc/debian_version"), "not Debian")
    with Tree() as tree:
        terminal = Terminal(tree)
        terminal.read(lambda: "COMMAND" in terminal.text, "no heading")
        os.close(terminal.fd)
        os.waitpid(terminal.pid, 0)
        end = time.monotonic() + PATIENCE
        while tree.daemons():
            check(time.monotonic() < end, "left behind", tree.daemons())
            time.sleep(0.05)
        equal(os.listdir(tree.temporary), [], "left behind")


@test
def pipe_gets_lines_of_json():
    needs(os.path.exists("/etc/debian_version"), "not Debian")
    with Tree() as tree, subprocess.Popen(tree.command(), env=tree.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/") as process:
        first = json.loads(process.stdout.readline())
        check(first["type"] == "started", first)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        equal(process.returncode, 0, "status")


@test
def refusal_of_the_daemon_is_shown():
    needs(os.path.exists("/etc/debian_version"), "not Debian")
    with Tree("#!/bin/sh\necho 'no BPF here' >&2\nexit 69\n") as tree:
        terminal = Terminal(tree)
        equal(terminal.wait(), 69, terminal.text)
        check("no BPF here" in terminal.text, terminal.text)
        equal(os.listdir(tree.temporary), [], "left behind")


if __name__ == "__main__":
    main()
