# SPDX-License-Identifier: GPL-2.0-or-later
"""A test plays systemd: it holds the listening socket and the file descriptor store between one daemon and the next."""
import functools
import os
import shutil
import signal
import socket
import tempfile

from e2e import Client, Daemon, Failure, check, equal, until


# A request for lines that are written at once each, whatever arguments other programs have. A subscriber with a line that may be written in part
# is not resumed after a kill.
SHORT = {"args_bytes": 4096}


class Listener:
    """The socket of a socket unit."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="execsnoopd-test-")
        self.path = os.path.join(self.dir, "passed.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen(16)

    def connect(self, **request):
        """A reader that has had its snapshot and, if there is a request, its reply."""
        client = Client(self.path)
        client.wait_live()
        if request:
            client.send(request)
            client.wait(lambda e: e["type"] == "subscribed")
        return client

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        shutil.rmtree(self.dir)


def subscribers_of(daemon):
    return [name for name, _ in daemon.store if "-subscriber-" in name]


class Blamed(Failure):
    """Two daemons were killed while they worked for one subscriber, which then is not resumed (tests/e2e/restart.py)."""


def again_if_blamed(function):
    """For a test that kills daemons at any moment: where that happens, it begins again."""
    @functools.wraps(function)
    def tries():
        Unit.all_resume = True
        try:
            for left in reversed(range(5)):
                try:
                    return function()
                except Blamed as blamed:
                    check(left, blamed)
                    print("#   again: %s" % blamed)
        finally:
            Unit.all_resume = False
    return tries


class Unit:
    """One daemon after another, with the socket of a socket unit, if there is one, and a descriptor store between them."""
    all_resume = False  # else it is no matter whether a subscriber is blamed

    def __init__(self, listener, config=None):
        self.listener = listener
        self.config = config
        self.store = []
        self.daemon = None
        self.was_killed = False

    def start(self, wait=True, prefix=()):
        sockets = [("execsnoopd.socket", self.listener.socket.fileno())] if self.listener else []
        self.daemon = Daemon(self.config, passed=[*sockets, *self.store], store=self.store, wait=wait, prefix=prefix)
        if wait and self.was_killed and self.all_resume and "died while working for it" in self.daemon.messages():
            raise Blamed("a subscriber is not resumed")
        self.was_killed = False

    def is_ready(self):
        """Waits until it is, or is dead."""
        while self.daemon.process.poll() is None:
            with self.daemon.notify.news:
                if self.daemon.notify.news.wait_for(lambda: "READY=1" in "\n".join(self.daemon.notify.notes), 0.05):
                    return True
        return False

    def gone(self):
        """It has ended, whatever its status. strace(1) kills it at a system call."""
        self.was_killed |= self.daemon.stop() == -signal.SIGKILL
        self.store = self.daemon.store

    def stop(self):
        equal(self.daemon.stop(), 0, "the daemon's exit status")
        self.store = self.daemon.store

    def restart(self):
        self.stop()
        self.start()

    def kill(self):
        self.was_killed = True
        self.daemon.process.kill()
        equal(self.daemon.process.wait(), -signal.SIGKILL, "the daemon's exit status")
        self.gone()

    def wait_kept(self, count):
        """Until so many subscribers are in the store."""
        until(lambda: len(subscribers_of(self.daemon)) >= count, "not kept")

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            for line in self.daemon.messages().splitlines()[-20:]:
                print("# daemon: " + line)
        self.stop()
        for _, fd in self.store:
            os.close(fd)
