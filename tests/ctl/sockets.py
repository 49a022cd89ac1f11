#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What listens on the socket, or answers by ssh, is not always the daemon, and not always well: no command waits without a word, takes
garbage for an answer, or ends as if all were well."""
import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading

import journal
from journal import CTL, test

READERS = (["status"], ["top", "-b", "-n1"], ["tree"], ["show", "1"], ["metrics"], ["watch"], ["run", "--", "true"])
HOSTS = (["status"], ["top", "-b", "-n1"], ["tree"], ["show", "1"], ["metrics"], ["watch"], ["cat"])
SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
case $2 in
refused*) echo "ssh: connect to host $2 port 22: Connection refused" >&2; exit 255 ;;
old*) echo "sh: execsnoopctl: command not found" >&2; exit 127 ;;
mute*) exec sleep 300 ;;
esac
exec sh -c "$3"
"""
SUBSCRIBED = b'{"type":"subscribed","snapshot":true,"stream":"a","last_seq":2}\n'
STARTED = b'{"type":"started","seq":1,"time":"2026-11-30T10:00:00.000000000Z","snapshot":true,"id":"a-1-1","start_time":"2026-11-30T10:00:00.000000000Z","pid":1,"comm":"init"}\n'
LIVE = b'{"type":"live","time":"2026-11-30T10:00:00.000000000Z","stream":"a","last_seq":2}\n'
STATS = b'{"type":"stats","version":"0.1","uptime_s":5}\n'


@contextlib.contextmanager
def listening(folder, serve):
    """A socket; serve(connection, request) for each connection, until the end of the test."""
    path = tempfile.mktemp(dir=folder)

    def run_one(connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(60)
            serve(connection, connection.recv(65536))

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=run_one, args=(server.accept()[0],), daemon=True).start()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield path
        finally:
            server.shutdown(socket.SHUT_RDWR)


def wait(connection, _=None):
    """Until the other side closes."""
    while connection.recv(65536):
        pass


def daemon(connection, request):
    """A daemon on which nothing happens."""
    if b'"stats"' in request:
        connection.sendall(STATS)
    else:
        connection.sendall(STARTED + SUBSCRIBED + STARTED + LIVE)
    wait(connection)


def start(*arguments, environment=None):
    return subprocess.Popen([CTL, *arguments], env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **(environment or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def finish(process):
    out, error = process.communicate(timeout=60)
    return process.returncode, (out + error).decode()


def ends(folder, serve, readers=READERS):
    with listening(folder, serve) as path:
        for process in [start(command[0], f"--socket={path}", *command[1:]) for command in readers]:
            yield process.args[1], *finish(process)


def check_words(processes, text):
    """Each says it, and waits on."""
    for process in processes:
        line = process.stderr.readline().decode()
        assert text in line, (process.args, line)
        assert process.poll() is None, process.args
        process.kill()
        process.communicate()


@test
def silent_socket_is_reported(folder):
    with listening(folder, wait) as path:
        check_words([start(command[0], f"--socket={path}", *command[1:]) for command in (*READERS, ["cat"])], f"{path}: no reply yet")


@test
def socket_of_another_program_is_reported(folder):
    def http(connection, _):
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n<html>\x1b[31m\r\n")

    def garbage(connection, _):
        while True:
            connection.sendall(os.urandom(4096))

    def endless(connection, _):
        while True:
            connection.sendall(b"x" * 65536)

    def half(connection, _):
        connection.sendall(SUBSCRIBED[:20])

    for serve in (http, garbage, endless, half, lambda connection, _: None):
        for command, status, out in ends(folder, serve):
            assert status == 69 and ("socket" in out or "Connection reset" in out), (serve, command, status, out)
            assert "\x1b" not in out and out.count("\n") < 30, (serve, command, out)


@test
def reason_of_a_daemon_that_closed_at_once_is_printed(folder):
    """The connection may end before the request is sent; then the reason is there to be read all the same."""
    def closes(path):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            server.listen()
            yield
            with server.accept()[0] as connection:
                connection.sendall(b'{"type":"rejected","reason":"too many subscribers"}\n')

    if not shutil.which("strace"):
        return
    for command in (["status"], ["cat"], ["watch"]):
        path = tempfile.mktemp(dir=folder)
        server = closes(path)
        next(server)
        # Held between connect(2) and send(2).
        held = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=sendto", "-e", "inject=sendto:delay_enter=500ms:when=1", CTL, command[0], f"--socket={path}"],
                                env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        next(server, None)
        status, out = finish(held)
        assert status == 2 and "rejects the request: too many subscribers" in out, (command, status, out)


@test
def cat_reports_what_does_not_answer_once(folder):
    """It tries again, for as long as it waits for the daemon; each reason is printed once, and the rest is counted."""
    connections = threading.Semaphore(0)
    answers = [b"garbage\n" * 3, b"", b"garbage\n", b"<html>\n", b"garbage\n", b"", SUBSCRIBED + b"garbage\n", b"", SUBSCRIBED]

    def serve(connection, _):
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        connection.sendall(answer)
        connections.release()
        if answer == SUBSCRIBED:
            wait(connection)

    with listening(folder, serve) as path:
        cat = start("cat", f"--socket={path}", "--name=siem")
        for _ in range(9):
            assert connections.acquire(timeout=30)
        assert cat.stdout.readline() == SUBSCRIBED and cat.stdout.readline() == SUBSCRIBED
        cat.terminate()
        status, out = finish(cat)
    lines = [line.removeprefix(path) for line in out.splitlines() if not line.startswith("{")]
    mute = ": the connection ended without a reply; is it execsnoopd's socket?; trying again until the daemon is back"
    bad = ":%d: not a JSON object, at byte 1"
    assert status == 65 and lines == [bad % 1, mute, ": connected again", ": 5 more lines cannot be read", ": the connection ended; trying again until the daemon is back", mute,
                                      ": connected again", ": 1 more line cannot be read"], (status, lines)


@test
def csv_of_cat_begins_with_its_heading(folder):
    """On standard output, and on each connection to a peer."""
    ended = STARTED.replace(b'"started"', b'"exited"').replace(b'"snapshot":true,', b"")
    with listening(folder, lambda connection, _: (connection.sendall(SUBSCRIBED + LIVE + ended), wait(connection))) as path:
        cat = start("cat", f"--socket={path}", "-o", "csv", "--columns=type,pid")
        lines = [cat.stdout.readline() for _ in range(3)]
        cat.terminate()
        assert finish(cat) == (0, "") and lines[0] == b"type,pid\n" and lines[-1] == b'"exited",1\n', lines
        for headed in (True, False):
            with socket.socket(socket.AF_UNIX) as collector:
                collector.bind(f"{folder}/collector-{headed}")
                collector.listen()
                collector.settimeout(30)
                cat = start("cat", f"--socket={path}", "-q", "-o", "csv", "--columns=type,pid", f"--connect=unix:{folder}/collector-{headed}", *([] if headed else ["--no-legend"]))
                for _ in range(2):
                    with collector.accept()[0] as peer, peer.makefile("rb") as file:
                        assert (file.readline() == b"type,pid\n") == headed
                cat.terminate()
                assert finish(cat) == (0, ""), headed


@test
def closed_descriptors_are_not_taken_for_a_connection(folder):
    """What would be printed is not sent to the daemon."""
    requests = []

    def serve(connection, request):
        requests.append(request)
        connection.sendall(SUBSCRIBED + LIVE + STARTED.replace(b'"snapshot":true,', b"") * 2)
        connection.shutdown(socket.SHUT_WR)
        while more := connection.recv(65536):
            requests.append(more)

    with listening(folder, serve) as path:
        for redirections in ("<&- >&-", "<&- >&- 2>&-", "<&-", "2>&-"):
            for command in ("watch", "log -t started"):
                requests.clear()
                words = f"'{CTL}' {command} --socket={path} {redirections}"
                done = subprocess.run(["sh", "-c", words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
                assert len(requests) == 1 and requests[0].count(b"\n") == 1, (words, requests)
                is_closed = ">&-" in redirections.replace("2>&-", "")
                assert (done.returncode == 71) == is_closed, (words, done)
                assert b"Bad file descriptor" in done.stderr or not is_closed or "2>" in redirections, (words, done)


@test
def cat_without_a_reason_to_wait_ends_where_nothing_answers(folder):
    for command, status, out in ends(folder, lambda connection, _: connection.sendall(b"garbage\n" * 3), [["cat"]]):
        assert status == 69 and "is it execsnoopd's socket?" in out and out.count("garbage") + out.count("not a JSON") == 1, (command, status, out)


@test
def snapshot_that_breaks_off_is_no_answer(folder):
    def breaks(connection, request):
        connection.sendall(STATS[:30] if b'"stats"' in request else SUBSCRIBED + STARTED)

    for command, status, out in ends(folder, breaks):
        if command != "run":
            assert status == 69 and out.count("\n") > 0, (command, status, out)


@test
def daemon_that_goes_away_is_reported(folder):
    def leaves(connection, _):
        connection.sendall(STARTED + SUBSCRIBED + STARTED + LIVE)

    for command, status, out in ends(folder, leaves, (["watch"], ["top", "-b", "-d", "100ms"])):
        assert status == 69 and "the daemon ended the connection" in out, (command, status, out)


@test
def rejection_is_printed(folder):
    for command, status, out in ends(folder, lambda connection, _: connection.sendall(b'{"type":"rejected","reason":"not\\u001b[31m here"}\n')):
        assert status == 2 and "rejects the request: not\\x1b[31m here" in out, (command, status, out)


def remote(folder, hosts, path, command):
    """One that asks hosts by ssh(1), which is a shell here."""
    if not os.path.exists(f"{folder}/ssh"):
        with open(f"{folder}/ssh", "w", encoding="utf-8") as file:
            file.write(SSH)
        os.chmod(f"{folder}/ssh", 0o755)
        os.symlink(os.path.abspath(CTL), f"{folder}/execsnoopctl")
    return start(command[0], "-H", hosts, f"--socket={path}", *command[1:], environment={"PATH": f"{folder}:{os.environ['PATH']}"})


@test
def hosts_answer(folder):
    """One host, with each command that can ask it; several, with those that can; and one of them is not there."""
    with listening(folder, daemon) as path:
        for command in (["status"], ["top", "-b", "-n1"], ["tree"], ["show", "1"], ["metrics"]):
            status, out = finish(remote(folder, "one", path, command))
            assert status == 0 and out, (command, status, out)
        status, out = finish(remote(folder, "one,two", path, ["status"]))
        assert status == 0 and out.index("one:") < out.index("two:"), out
        for missing in ("refused", "old"):
            status, out = finish(remote(folder, f"{missing},one", path, ["status"]))
            assert status == 69 and "one:\n" in out and f"{missing}: the connection ended" in out, out
            status, out = finish(remote(folder, f"one,{missing}", path, ["top", "-b", "-n1", "-d", "100ms"]))
            assert status == 0 and "RUNNING" in out and f"{missing}: the connection ended" in out, out
        for command in (["tree"], ["show", "1"], ["metrics"]):
            assert finish(remote(folder, "one,two", path, command))[0] == 2, command


@test
def lines_of_hosts_name_them(folder):
    """Each line once, whatever the machine calls itself."""
    for name in (b"", b',"host":"box"', b',"host":"b\\"o\\\\"'):
        live = LIVE.replace(b',"last_seq":2', b',"last_seq":2' + name + b',"machine_id":"m"')
        with listening(folder, lambda connection, _, live=live: (connection.sendall(STARTED + SUBSCRIBED + STARTED + live), wait(connection))) as path:
            process = remote(folder, "one,two", path, ["cat"])
            lines = [process.stdout.readline() for _ in range(6)]
            process.kill()
            process.communicate()
            hosts = sorted((json.loads(line)["host"], json.loads(line)["type"]) for line in lines)
            assert hosts == [(host, kind) for host in ("one", "two") for kind in ("live", "started", "subscribed")], lines
            assert all(line.count(b'"host":') == 1 for line in lines) and all(b'"machine_id":"m"' in line for line in lines if b'"live"' in line), lines


@test
def host_that_is_not_there_is_reported(folder):
    for host in ("refused", "old"):
        for command in HOSTS:
            status, out = finish(remote(folder, host, "/nonexistent", command))
            assert status == 69 and f"{host}: the connection ended" in out, (command, status, out)
    check_words([remote(folder, "mute", "/nonexistent", command) for command in HOSTS], "mute: no reply yet")


if __name__ == "__main__":
    journal.main()
