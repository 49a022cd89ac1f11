#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Filters of execsnoopctl: what the daemon leaves out is exactly what execsnoopctl leaves out of an unfiltered recording."""
import json
import signal
import subprocess
import tempfile

from e2e import CTL, ODD, PATIENCE, Daemon, check, equal, main, test, until

# Short and long, with and without CPU time, by a name that is no UTF-8, below a shell that has read a line before.
WORK = """read line
true; /bin/true; /bin/false; sh -c 'exit 3'; sh -c 'kill -9 $$'; /nowhere/at-all
sh -c '(sleep 0.05; sleep 0.06); exec sleep 0.2'
sh -c 'i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done'
sh -c '(sh -c "/bin/true; sh -c /bin/false" &) ; sleep 0.1'
"""
FILTERS = [
    [], ["--failed"], ["--slower=50ms"], ["--cpu=10ms"], ["--failed", "--slower=1ms"], ["--failed", "--cpu=1ms", "--slower=1ms"],
    ["-t", "exited", "--failed"], ["-t", "!exited", "--failed"], ["-t", "started", "--failed"], ["-t", "!error", "--slower=1ms"],
    ["result=success", "--failed"], ["result=s*", "--failed"], ["result=!signal", "--failed"],
    ["min_running_time=1ms", "--slower=50ms"], ["--slower=1ms", "min_running_time=50ms"], ["--cpu=1ms", "min_cpu=10ms"],
    ["error=ENOENT"], ["error=2", "--failed"], ["--failed", "sh"], ["--failed", "-g", "exit 3"], ["comm=s*", "comm=!sleep", "--failed"],
    ["exit_code=3"], ["exe=/bin/*", "exe=/usr/bin/*", "--failed"],
]


def lines_of(path):
    with open(path, "rb") as file:
        return [line for line in file.read().split(b"\n")[:-1] if b'"snapshot":true' not in line]


def in_span(lines, span):
    """What a live stream and the recording both have. The end of a kernel thread that never called exec has no number."""
    return [line for line in lines if json.loads(line).get("seq", 0) in span]


def filtered(daemon):
    """Those whose request the daemon has read and that have a filter of their own, by their pids."""
    subscribers = daemon.stats()["subscribers"]
    # One without a request is among them: who asks.
    least = min(one["filter_bytes"] for one in subscribers)
    return {one["pid"]: one for one in subscribers if one["filter_bytes"] > least}


class Reader:
    """execsnoopctl watch, its output in a file."""

    def __init__(self, daemon, arguments):
        self.arguments = arguments
        self.output = tempfile.NamedTemporaryFile()
        self.process = subprocess.Popen([CTL, "watch", "-o", "json", f"--socket={daemon.path}", *arguments], stdout=self.output)

    def has_begun(self, daemon):
        """The daemon has its filter, or it shows what came after its request. Until then it is sent everything, and shows nothing."""
        return self.process.pid in filtered(daemon) or bool(lines_of(self.output.name))

    def wait_begun(self, daemon, *shown):
        """shown: programs which it shows, if the daemon decides nothing for it."""
        def has_begun():
            for program in shown:
                subprocess.run(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            return self.has_begun(daemon)
        until(has_begun, "it does not begin:", self.arguments, self.process.poll())

    def finish(self, expected, span):
        """Its lines within the span, when there are as many as expected."""
        until(lambda: len(in_span(lines_of(self.output.name), span)) >= len(expected), "too few lines", self.arguments, every=0.1)
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(PATIENCE) in (0, 1, -signal.SIGTERM), self.arguments)
        got = in_span(lines_of(self.output.name), span)
        self.output.close()
        return got


def watch_recording(path, arguments):
    done = subprocess.run([CTL, "watch", "-o", "json", "-i", path, *arguments], stdout=subprocess.PIPE, check=False)
    check(done.returncode in (0, 1), arguments, done.returncode)
    return [line for line in done.stdout.split(b"\n")[:-1] if b'"snapshot":true' not in line]


def record(recorder, path):
    """What the recorder has, as a file, from its first to its last number."""
    recorder.read_some(0)
    with open(path, "wb") as file:
        file.writelines(line + b"\n" for line in recorder.lines)
    numbers = [event["seq"] for event in recorder.events if "seq" in event]
    return range(min(numbers), max(numbers) + 1)


def compare(filters, config=None):
    """Each filter live, and of the recording. The lines that the daemon sent to each reader, and that passed."""
    with Daemon(config) as daemon, tempfile.NamedTemporaryFile() as file:
        shell = subprocess.Popen(["sh", "-c", WORK], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        arguments = [[word.replace("SHELL", str(shell.pid)) for word in one] for one in filters]
        readers = [Reader(daemon, one) for one in arguments]
        for reader in readers:
            reader.wait_begun(daemon, ["sh", "-c", "exit 3"])
        # The snapshot of the recorder is taken when each reader has its filter.
        recorder = daemon.connect()
        first = recorder.wait_live()["last_seq"]
        shell.communicate(b"\n")
        recorder.wait_exit(shell.pid)
        span = record(recorder, file.name)
        check(span[0] > first, span, first)
        for reader in readers:
            expected = in_span(watch_recording(file.name, reader.arguments), span)
            equal(reader.finish(expected, span), expected, reader.arguments)
            yield reader.arguments, expected


@test
def filters_at_the_source_and_here_are_equal():
    passed = {" ".join(arguments): len(lines) for arguments, lines in compare(FILTERS)}
    # Not equal because nothing passes.
    check(passed[""] > 30 and passed["--failed"] >= 6 and passed["--slower=50ms"] >= 4 and passed["--cpu=10ms"] >= 1, passed)
    check(passed["-t started --failed"] == passed["result=success --failed"] == 0, passed)


@test
def tree_of_the_daemon_and_of_a_recording_are_equal():
    forks = {"socket": {"types": "started, exited, error, forked"}, "probes": {"forks": "yes"}}
    passed = dict((" ".join(arguments[1:]), lines) for arguments, lines in
                  compare([["--tree=SHELL"], ["--tree=SHELL", "--failed"], ["--tree=SHELL", "-t", "exited"]], forks))
    check(len(passed[""]) > 30 and len(passed["--failed"]) >= 6, {key: len(lines) for key, lines in passed.items()})


def has_failed(event):
    """Or may have: how it ended is not known."""
    return event["type"] in ("error", "lost") or (event["type"] == "exited" and event.get("result") != "success")


@test
def events_that_do_not_pass_are_not_sent():
    with Daemon() as daemon:
        readers = {one: Reader(daemon, [one]) for one in ("--failed", "--slower=1d", "--cpu=1d")}

        def sent():
            by_pid = filtered(daemon)
            return {one: by_pid[reader.process.pid]["events"] for one, reader in readers.items() if reader.process.pid in by_pid}
        for reader in readers.values():
            reader.wait_begun(daemon)
        with daemon.connect() as client:
            early = sent()
            for _ in range(50):
                subprocess.run(["/bin/true"], check=True)
            last = subprocess.Popen(["sh", "-c", "exit 1"])
            last.wait()
            client.wait_exit(last.pid)
            more = {one: count - early[one] for one, count in sent().items()}
            # All that was sent by then.
            marker = subprocess.Popen(["/bin/true"])
            marker.wait()
            client.wait_exit(marker.pid)
            events = [event for event in client.events if not event.get("snapshot")]
        for reader in readers.values():
            reader.process.kill()
            reader.process.wait()
        losses = sum(event["type"] == "lost" for event in events)
        check(0 < more["--failed"] <= sum(map(has_failed, events)), more, sum(map(has_failed, events)), len(events))
        check(more["--slower=1d"] <= losses and more["--cpu=1d"] <= losses, more, losses)


@test
def end_of_what_ran_before_is_shown():
    with Daemon() as daemon:
        running = subprocess.Popen(["sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE)
        with daemon.connect() as client:
            client.wait(lambda event: event.get("pid") == running.pid, "the shell")
        reader = Reader(daemon, ["--failed", f"pid={running.pid}"])
        reader.wait_begun(daemon)
        running.communicate(b"\n")
        until(lambda: any(b'"exit_code":7' in line for line in lines_of(reader.output.name)), "the end is not shown")
        reader.process.kill()
        reader.process.wait()


@test
def request_that_would_be_too_large_is_decided_here():
    """Patterns that are a longer line of JSON than the daemon takes, and a name that JSON cannot hold."""
    with Daemon() as daemon:
        many = ["exe=/nowhere/%d/%s" % (number, 400 * '"') for number in range(100)] + ["exe=*/odd"]
        readers = [Reader(daemon, many), Reader(daemon, [b"exe=!/\xff", "comm=odd"])]
        for reader in readers:
            reader.wait_begun(daemon, [ODD])
        subprocess.run([ODD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        for reader in readers:
            until(lambda: any(b"/odd\"" in line for line in lines_of(reader.output.name)), "no line", reader.process.poll())
            reader.process.kill()
            reader.process.wait()


if __name__ == "__main__":
    main()
