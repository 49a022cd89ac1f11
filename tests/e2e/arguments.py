#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Arguments of every shape, and what is kept out of the stream: secrets, and bytes that act on a terminal."""
import base64
import os
import resource
import shutil
import signal
import subprocess
import unicodedata

import e2e
from e2e import ODD, Scratch, check, equal, live, main, odd, shared_stream, start_and_end, test, unescape
from truth import Subject, compare


@test
def arguments_of_every_shape_are_exact():
    with shared_stream() as stream:
        everything = bytes(range(1, 256))
        for extra in ([], [b""], [b"", b"", b"x", b""], [b"a" * 131071 ], [everything], [b"%d" % i for i in range(20000)],
                      [b""] * 3000, [b"a" * 8170], [b"a" * 8171], [b"a" * 16384],
                      [b"x" * 100000] * 12, [b"\xff" * 4095, b"y"], [b"\xed\xa0\x80", b"\n", b"\xf0\x9f\x98\x80"]):
            subject = Subject(ODD.encode(), b"wait", b"3", *extra, status=3)
            subject.finish(stream, args=[ODD.encode(), b"wait", b"3", *extra], filename=ODD.encode())


@test
def empty_argv_has_one_empty_argument():
    with shared_stream() as stream:
        process = odd("no-argument", "/bin/true")
        process.wait()
        stream.wait_exit(process.pid)
        started = stream.of(process.pid, "started")[-1]
        # Since 5.18 (dcd46d897adb); before, there is none.
        check(started["args"] in ([""], []), started["args"])
        equal(started["exe"], os.path.realpath("/bin/true"))


@test
def six_megabytes_of_arguments_are_complete():
    def large_stack():
        resource.setrlimit(resource.RLIMIT_STACK, (64 << 20, 64 << 20))
    with live({"probes": {"args_limit": "8M", "ring_buffer": "64M"}, "socket": {"queue": "64M"}}) as (_, stream):
        extra = [b"%06d" % i + b"z" * 99000 for i in range(60)]
        processes = [subprocess.Popen([ODD, "exit", "4", *extra], preexec_fn=large_stack) for _ in range(2)]
        for process in processes:
            equal(process.wait(), 4)
        for process in processes:
            started, exited = start_and_end(stream, process)
            equal(unescape(started, "args"), [ODD.encode(), b"exit", b"4", *extra])
            check("args_truncated" not in started)


@test
def arguments_above_the_limit_end_between_two():
    with live({"probes": {"args_limit": "4K"}}) as (_, stream):
        fixed = [ODD.encode(), b"exit", b"0"]
        taken = sum(len(a) + 1 for a in fixed)
        for beyond in (-1, 0, 1, 5000):
            extra = [b"q" * 1000, b"r" * (4096 - taken - 1001 - 1 + beyond)]
            process = subprocess.Popen([*fixed, *extra])
            process.wait()
            started, _ = start_and_end(stream, process)
            if beyond <= 0:
                compare(started, {"args": [*fixed, *extra]})
            else:
                compare(started, {"args": [*fixed, extra[0]], "args_truncated": True, "argc": 5,
                                  "args_size": taken + sum(len(a) + 1 for a in extra)})


def acts(data):
    """What acts on a terminal in these bytes: all of Unicode's controls and separators of lines, and what turns the direction."""
    return [c for c in data.decode() if c != "\n" and (unicodedata.category(c) in ("Cc", "Zl", "Zp") or
            unicodedata.bidirectional(c) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI") or
            c in "\u061c\u200e\u200f")]


@test
def output_has_no_terminal_controls():
    everything = "".join(map(chr, [*range(1, 0xa1), 0x61c, *range(0x2000, 0x2070), 0xfeff, 0x1f600]))
    with live({"probes": {"env": "HARM"}}) as (daemon, stream), Scratch() as folder:
        path = os.path.join(folder, "\x9b31m\u202e\u2066")
        shutil.copy(ODD, path)
        process = subprocess.Popen([path, "exit", "0", everything], env={"HARM": everything}, cwd=folder)
        started, _ = start_and_end(stream, process)
        equal((started["args"][3], started["exe"], started["env"]["HARM"]), (everything, path, everything))
        # In answers too, and in what is refused.
        other = daemon.connect(live=False)
        other.send({"comm": ["\x7f\x9b\u2028\u202e\u061cx"]})
        other.wait(lambda e: e["type"] == "subscribed")
        other.send({"\x9b\u202e": 1})
        other.wait(lambda e: e["type"] == "rejected")
        for line in stream.lines + other.lines:
            equal(acts(line), [], line)
        # The configuration's messages.
        conf = os.path.join(folder, "\u202e\x9b.conf")
        with open(conf, "w") as f:
            f.write("[log]\nlevel = \x9b\u2028\u2067\x7f\x1b[31m\n")
        result = subprocess.run([e2e.DAEMON, "-c", conf, "-t"], stderr=subprocess.PIPE)
        equal((result.returncode, acts(result.stderr), result.stderr.count(b"\n")), (78, [], 1), result.stderr)


# Of letters, and only here: other tests may run beside these, with other rules.
SECRET = "geheim" + "".join(chr(ord("a") + int(digit)) for digit in str(os.getpid()))


@test
def secrets_are_in_no_line():
    secret = SECRET.encode()
    config = {"redact": {"options": "password, -p", "pattern": "token=([a-z]+)"}, "probes": {"env": "ODD_*"}}
    env = {"ODD_PASSWORD": SECRET, "ODD_URL": "token=" + SECRET, "ODD_PLAIN": "plain"}
    command = [ODD.encode(), b"wait", b"0", b"--password=" + secret, b"--password", secret, b"-p" + secret, b"-p", secret,
               b"x token=%b y" % secret, b"\xfftoken=" + secret, b"plain",
               b"mysql -h x --password=%b 'y z'" % secret, b"su -c \"a --password '%b %b'\" b" % (secret, secret), b"a -p%b; b" % secret]
    masked = [ODD.encode(), b"wait", b"0", b"--password=[redacted]", b"--password", b"[redacted]", b"-p[redacted]", b"-p",
              b"[redacted]", b"x token=[redacted] y", b"\xfftoken=[redacted]", b"plain",
              b"mysql -h x --password=[redacted] 'y z'", b"su -c \"a --password [redacted]\" b", b"a -p[redacted] b"]
    # One that runs before the daemon, one that is run by it, one that fails.
    first = Subject(*command, env=env)
    with live(config) as (daemon, stream):
        second = Subject(*command, env=env)
        failed = odd("exec", "/nonexistent", "-p", SECRET)
        failed.wait()
        stream.wait_exit(failed.pid)
        other = daemon.connect()
        for subject in (first, second):
            subject.process.stdin.close()
            subject.process.wait()
            exited = stream.wait_exit(subject.pid)
            equal(unescape(exited, "args"), masked)
            equal(exited["env"], {"ODD_PASSWORD": "[redacted]", "ODD_URL": "token=[redacted]", "ODD_PLAIN": "plain"})
            equal([unescape(e, "args") for e in other.events if e.get("pid") == subject.pid], [masked])
        for line in stream.lines + other.lines:
            check(secret not in line, line)
            check(base64.b64encode(secret[:9]) not in line, "in base64:", line)


@test
def reload_redacts_processes_already_in_the_table():
    config = {"probes": {"env": "ODD_*"}}
    command = [ODD.encode(), b"wait", b"0", b"--password=" + SECRET.encode(), b"sh -c 'x --password %b'" % SECRET.encode()]
    first = Subject(*command, env={"ODD_PASSWORD": SECRET})
    with live(config) as (daemon, stream):
        # A fork shares what it runs with its parent.
        second = Subject(*command, env={"ODD_PASSWORD": SECRET})
        stream.wait(lambda e: e["type"] == "started" and e["pid"] == second.pid)
        equal(unescape(stream.of(second.pid, "started")[0], "args"), command)
        daemon.write({**config, "redact": {"options": "password"}})
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_note("READY=1")
        other = daemon.connect()
        for subject in (first, second):
            subject.process.stdin.close()
            subject.process.wait()
            for event in [stream.wait_exit(subject.pid), *(e for e in other.events if e.get("pid") == subject.pid)]:
                equal(unescape(event, "args"), command[:3] + [b"--password=[redacted]", b"sh -c 'x --password [redacted]'"])
                equal(event["env"], {"ODD_PASSWORD": "[redacted]"})
        for line in other.lines:
            check(SECRET.encode() not in line, line)


if __name__ == "__main__":
    main()
