#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl verify on what a journald has of a daemon: over restarts, a crash, a loss, and a new series of numbers as after a boot. Entries
are then removed from a copy, and what it names as missing is compared with them. In a mount namespace of its own, with a journald of its
own."""
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import e2e
from e2e import CTL, Scratch, check, equal, run, test, until
from units import Unit

JOURNALD, REMOTE = "/lib/systemd/systemd-journald", "/lib/systemd/systemd-journal-remote"
JOURNAL = "/run/log/journal"
SETTINGS = "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nRateLimitIntervalSec=0\n"
NANOSLEEP = {"x86_64": "230", "aarch64": "115"}[os.uname().machine]  # clock_nanosleep(2)
MARK = "of-the-journal-of-%d" % os.getpid()
CONFIG = {"journal": {"enabled": "yes", "args": "*%s*" % MARK, "queue": "64K"}}


@contextlib.contextmanager
def journald():
    shutil.rmtree(JOURNAL, ignore_errors=True)
    for folder in JOURNAL, "/run/systemd/journald.conf.d":
        os.makedirs(folder, exist_ok=True)
    with open("/run/systemd/journald.conf.d/test.conf", "w") as file:
        file.write(SETTINGS)
    with subprocess.Popen([JOURNALD], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: os.path.exists("/run/systemd/journal/socket") and os.listdir(JOURNAL), "journald's socket")
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


def journalctl(*args):
    return subprocess.run(["journalctl", "-q", "-D", JOURNAL, *args], check=True, stdout=subprocess.PIPE).stdout


def programs(count, more=""):
    for i in range(count):
        run("/bin/true", "%s-%d%s" % (MARK, i, more))


def wait_written(name):
    """One more program, whose end is the last entry; again, since the journal may lose that as well until its queue is empty."""
    def is_written():
        run("/bin/true", "%s-%s" % (MARK, name))
        return ("%s-%s" % (MARK, name)).encode() in journalctl("EXECSNOOP_TYPE=exited", "-o", "export", "-n", "5")
    until(is_written, "the entry of " + name)


def record(writer):
    """Two series of numbers; the first one over restarts, a crash, and a time in which journald takes nothing."""
    unit = Unit(None, CONFIG)
    unit.start()
    programs(30)
    unit.restart()
    programs(30)
    wait_written("before-the-crash")
    unit.kill()
    programs(30)
    unit.start()
    programs(30)
    wait_written("before-the-loss")
    writer.send_signal(signal.SIGSTOP)
    programs(200, "x" * 2000)
    until(lambda: unit.daemon.stats()["journal"]["lost"] > 0, "the loss")
    writer.send_signal(signal.SIGCONT)
    wait_written("after-the-loss")
    programs(30)
    wait_written("at-the-end")
    unit.stop()
    unit = Unit(None, CONFIG)
    unit.start()
    programs(30)
    wait_written("of-the-second")
    unit.stop()


class Entry:
    def __init__(self, text):
        self.text = text
        fields = dict(line.split("=", 1) for line in text.decode().split("\n") if "=" in line)
        self.seq = int(fields.get("EXECSNOOP_SEQ", 0))
        self.last = self.seq or int(fields.get("EXECSNOOP_LAST_SEQ", 0))
        self.is_mark = fields.get("EXECSNOOP_TYPE") == "mark"
        self.stream = fields.get("EXECSNOOP_STREAM")


def write_journal(path, entries):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    subprocess.run([REMOTE, "-o", path, "-"], input=b"".join(entry.text + b"\n\n" for entry in entries), check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def verify(folder, status, *args):
    done = subprocess.run([CTL, "verify", *(["-D", folder] if folder else []), "--utc", *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    out = done.stdout.decode()
    equal(done.returncode, status, "verify:", out)
    return out


@test
def verify_names_what_was_removed_from_a_real_journal():
    with journald() as writer, Scratch() as folder:
        record(writer)
        whole = verify(JOURNAL, 0)
        export = journalctl("-t", "execsnoopd", "-o", "export")
        equal(whole.count(": complete"), 2, "complete series in", whole)
        check(int(re.search(r"(\d+) by the journal", whole)[1]) > 0, "nothing was lost by the journal:", whole)
        entries = [entry for entry in map(Entry, export.split(b"\n\n")) if entry.stream]
        first = [entry for entry in entries if entry.stream == entries[0].stream and not entry.is_mark]
        marks = [entry for entry in entries if entry.stream == entries[0].stream and entry.is_mark]
        until_loss = next(i for i, entry in enumerate(first) if entry.seq == 0)
        check(until_loss > 100, "entries before the loss:", until_loss)
        places = sorted(random.Random(1).sample(range(2, until_loss - 2), 12))
        removed = {first[i] for i in [*places, 0, len(first) - 1]}
        sets = {"all": entries, "less": [entry for entry in entries if entry not in removed | {marks[-1]}],
                "shorter": [entry for entry in entries if entry not in first[-5:]]}
        for name, kept in sets.items():
            write_journal("%s/%s/a.journal" % (folder, name), kept)
        equal(verify(folder + "/all", 0).count(": complete"), 2, "complete series of a copy")
        less = verify(folder + "/less", 1)
        found = [int(last or only) for only, last in re.findall(r"Missing: .*?seq (\d+)(?: to (\d+))?", less)]
        equal(found, [first[i].seq for i in places if i + 1 not in places], "the last of each gap")
        check("begins after seq %d," % first[0].seq in less, "the first one is not named:", less)
        check(re.search(r"Proved: up to seq %d, .*would not be noticed" % first[-2].seq, less), "what is proved without the last one:", less)
        check(": complete" in less, "the other series is complete:", less)
        equal(whole.count(", where the daemon stopped"), 2, "ends that are proved in", whole)
        shorter = verify(folder + "/shorter", 1)
        found = [tuple(map(int, hole)) for hole in re.findall(r"Missing: .*?seq (\d+) to (\d+)", shorter)]
        equal(found, [(first[-6].seq + 1, first[-1].seq)], "what is missing at the end")


ROUNDS, AT_ONCE = 12, 40


def workload():
    """Rounds of programs that run at once. Of each round: what waitpid(2) says of each pid; and what could not be executed."""
    rounds = []
    for number in range(ROUNDS):
        mark, pids, ends = "%s-%d" % (MARK, number), [], {}
        for i in range(AT_ONCE):
            if i % 5 == 4:
                words = ["/nonexistent/%s" % mark]
            else:
                words = [["/bin/sh", "-c", script, mark] for script in ("exit %d" % (number * AT_ONCE + i), "kill -%d $$" % (9 if i % 2 else 15), "exec /bin/true $0",
                                                                       "/bin/false $0 & wait $!")][i % 5]
            pid = os.fork()
            if pid == 0:
                try:
                    os.execv(words[0], words)
                finally:
                    os._exit(77)
            pids.append(pid)
        for pid in pids:
            ends[pid] = os.waitpid(pid, 0)[1]
        rounds.append(ends)
    return rounds


def status_of(line):
    return line["exit_code"] if "exit_code" in line else -signal.Signals[line["exit_signal"]]


@test
def log_lists_every_program_of_a_workload_once_in_order_with_its_status():
    with journald(), Unit(None, {**CONFIG, "journal": {"enabled": "yes"}}) as unit:
        begun = time.time()
        rounds = workload()
        run("/bin/true", MARK + "-end")
        until(lambda: journalctl("-o", "cat", "EXECSNOOP_TYPE=exited", "EXECSNOOP_ARG=%s-end" % MARK), "the last entry")
        out = subprocess.run([CTL, "log", "-q", "-D", JOURNAL, "-S", "@%d" % begun, "-o", "json"], check=True, stdout=subprocess.PIPE).stdout
        lines = [json.loads(line) for line in out.splitlines()]
        own = [line for line in lines if any(re.fullmatch(r"(/nonexistent/)?%s-\d+" % MARK, arg) for arg in line.get("args", []))]
        ended = [line for line in own if line["type"] == "exited" and line["ppid"] == os.getpid()]
        wanted = {pid: os.waitstatus_to_exitcode(status) for ends in rounds for pid, status in ends.items() if os.waitstatus_to_exitcode(status) != 77}
        equal(len(wanted), ROUNDS * AT_ONCE * 4 // 5, "pids are not used twice, and programs that ran")
        got = sorted((line["pid"], status_of(line)) for line in ended)
        equal((sorted(set(got) - set(wanted.items())), sorted(set(wanted.items()) - set(got)), len(got)), ([], [], len(wanted)), "each program, with its status")
        order = [next(number for number, ends in enumerate(rounds) if line["pid"] in ends) for line in ended]
        equal(order, sorted(order), "rounds, in order")
        ends = [line["seq"] for line in lines if line["type"] == "exited"]
        equal(ends, sorted(set(ends)), "numbers of all that ended")
        failed = {line["pid"]: line for line in own if line["type"] == "error"}
        equal(sorted(failed), sorted(pid for ends in rounds for pid, status in ends.items() if os.waitstatus_to_exitcode(status) == 77), "what could not be executed")
        equal({(line["error"], line["filename"][:13]) for line in failed.values()}, {("ENOENT", "/nonexistent/")})
        equal(len([line for line in own if line["type"] == "error"]), len(failed), "each once")
        grandchildren = [line for line in own if line["comm"] == "false" and line["ppid"] in wanted]
        equal((len(grandchildren), {status_of(line) for line in grandchildren}), (ROUNDS * AT_ONCE // 5, {1}), "children of children")
        shown = subprocess.run([CTL, "log", "-q", "-D", JOURNAL, "-S", "@%d" % begun, "--no-legend", "--columns=pid,status"], check=True, stdout=subprocess.PIPE).stdout
        statuses = {int(pid): status for pid, status in re.findall(r"^ *(\d+) +(.*?) *$", shown.decode(), re.M)}
        equal({pid: statuses[pid] for pid in wanted},
              {pid: "SIG" + ("KILL" if status == -9 else "TERM") if status < 0 else "exit %d" % status if status else "0" for pid, status in wanted.items()}, "as shown")
        check(not unit.was_killed)


def journal_stats():
    return json.loads(subprocess.run([CTL, "status", "--json"], check=True, stdout=subprocess.PIPE).stdout)["journal"]


def of_daemon(out):
    """What verify prints of the stream of the daemon that runs."""
    return next((part for part in re.split(r"^(?=●|\*)", out, flags=re.M) if "the daemon had written" in part), out)


def missing_of(entries, status, *args):
    """What verify names as missing in a journal of this machine with these entries."""
    for folder in os.listdir(JOURNAL):
        shutil.rmtree("%s/%s" % (JOURNAL, folder))
    write_journal("%s/%s/system.journal" % (JOURNAL, open("/etc/machine-id", encoding="ascii").read().strip()), entries)
    return re.findall(r"Missing: (.*?)(?:, after .*)?$", of_daemon(verify(None, status, *args)), re.M)


@test
def end_of_a_daemon_that_runs_is_proved():
    """The daemon knows what it wrote last. It is in the journal shortly after, and it is named when it was removed."""
    config = {**CONFIG, "socket": {"path": "/run/execsnoopd/events.sock"}}
    os.makedirs("/run/execsnoopd", exist_ok=True)
    with journald() as writer:
        with Unit(None, config) as unit:
            programs(10)
            wait_written("before")
            # journald has it and does not write it yet.
            writer.send_signal(signal.SIGSTOP)
            written = journal_stats()["written"]
            run("/bin/true", MARK + "-on-the-way")
            until(lambda: journal_stats()["written"] == written + 2, "sent to journald")
            waiting = subprocess.Popen([CTL, "verify"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            with open("/proc/%d/syscall" % waiting.pid, encoding="ascii") as call:
                until(lambda: call.seek(0) == 0 and call.read().split()[0] == NANOSLEEP, "verify waits")
            writer.send_signal(signal.SIGCONT)
            out = of_daemon(waiting.communicate()[0].decode())
            check(waiting.returncode == 0 and ": complete" in out and "Missing: nothing" in out, out)
            entries = [entry for entry in map(Entry, journalctl("-t", "execsnoopd", "-o", "export").split(b"\n\n")) if entry.stream]
            writer.terminate()
            writer.wait()
            last, stats = entries[-1].last, journal_stats()
            check("the daemon had written up to seq %d when it was asked\n" % last in out, last, out)
            equal((stats["last_seq"], {entry.stream for entry in entries}), (last, {stats["stream"]}), "the last number, and streams")
            equal(missing_of(entries, 0), ["nothing"], "of all entries")
            equal(missing_of(entries[:-1], 1), ["seq %d" % last] if entries[-2].last == last - 1 else ["one or more of seq %d to %d" % (entries[-2].last + 1, last)],
                  "without the last")
            equal(missing_of(entries[:-4], 1), ["one or more of seq %d to %d" % (entries[-5].last + 1, last)], "without the last four")
            equal(missing_of(entries[:5] + entries[6:], 1)[0].split()[-1], str(entries[5].last), "without one in the middle")
            equal(missing_of([], 1), ["seq %d" % last], "without any")
            equal(missing_of([], 1, "-S", "-1h"), [], "of a part of the time, without any")
            unit.daemon.process.send_signal(signal.SIGSTOP)
            out = verify(None, 1)
            check("did not report what it has written last: Connection timed out" in out, out)
            unit.daemon.process.send_signal(signal.SIGCONT)
        equal("when it was asked" in verify(None, 1), False, "of a daemon that has stopped")


if __name__ == "__main__":
    if not os.path.exists(JOURNALD) or not os.path.exists(REMOTE):
        print("1..0 # SKIP there is no %s or %s" % (JOURNALD, REMOTE))
    elif os.geteuid() == 0 and "EXECSNOOP_PRIVATE" not in os.environ:
        os.execvpe("unshare", ["unshare", "-m", "--propagation", "private", "sh", "-c", "mount -t tmpfs tmpfs /run && { [ ! -d /var/log/journal ] || mount -t tmpfs tmpfs /var/log/journal; } && exec \"$@\"", "sh", sys.executable,
                               *sys.argv], {**os.environ, "EXECSNOOP_PRIVATE": "1"})
    else:
        e2e.main()
