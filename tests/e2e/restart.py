#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon is ended and started again by a test that plays systemd: it holds the listening socket and the descriptors
of the file descriptor store meanwhile."""
import os
import socket
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from e2e import ODD, Client, Daemon, equal, main, run, start_and_end, test  # noqa: E402


class Listener:
    """The socket of a socket unit."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="execsnoopd-test-")
        self.path = os.path.join(self.dir, "passed.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen(16)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.unlink(self.path)
        os.rmdir(self.dir)


@test
def who_connects_while_no_daemon_runs_is_served_by_the_next():
    with Listener() as listener:
        for _ in range(3):
            client = Client(listener.path)
            with Daemon(passed=[("execsnoopd.socket", listener.socket.fileno())]):
                client.wait_live()
                start_and_end(client, run(ODD, "exit", "7"))
            client.close()


@test
def what_another_version_left_in_the_store_is_let_go_and_no_reason_not_to_start():
    with Listener() as listener, tempfile.TemporaryFile() as state, tempfile.TemporaryFile() as ring:
        passed = [("kept-state-77", state.fileno()), ("execsnoopd.socket", listener.socket.fileno()),
                  ("kept-ring-77", ring.fileno())]
        with Daemon(passed=passed, wait=False) as daemon:
            for name in ("kept-state-77", "kept-ring-77"):
                equal(daemon.wait_note("FDNAME=" + name), "FDSTOREREMOVE=1\nFDNAME=" + name, "what systemd is told")
            daemon.wait_note("READY=1")
            client = Client(listener.path)
            client.wait_live()
            start_and_end(client, run(ODD, "exit", "0"))
            held = [os.path.realpath("/proc/%d/fd/%s" % (daemon.process.pid, fd))
                    for fd in os.listdir("/proc/%d/fd" % daemon.process.pid)]
            for left in (state, ring):
                equal(os.path.realpath("/proc/self/fd/%d" % left.fileno()) in held, False, "still open in the daemon")
            client.close()


if __name__ == "__main__":
    main()
