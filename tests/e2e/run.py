#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""execsnoopctl run: what a command ran, against strace(1) and wait4(2); and the command is as it is without it."""
import collections
import fcntl
import glob
import grp
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import termios

from e2e import CTL, PATIENCE, SLOW, Daemon, Failure, Scratch, check, equal, main, needs, test, until
from units import Listener, Unit, again_if_blamed

PYTHON = os.path.realpath(sys.executable)
CALL = re.compile(r'execve\((".*?"), \[(.*?)\], .*\) = 0$')
# Processes that never call exec between programs. Several that look alike run at once; each program has the name of the one
# that it came from.
FORKS = """
import os, subprocess, sys
role, n = sys.argv[1], sys.argv[2]
def fork(what):
    pid = os.fork()
    if pid == 0:
        try:
            what()
        finally:
            os._exit(0)
    return pid
def start(name):
    os.waitpid(fork(lambda: os.execv("/bin/true", ["true", "%s-%s-%s" % (name, role, n)])), 0)
def orphan():
    end, hold = os.pipe()
    def wait():
        os.close(hold)
        os.read(end, 1)
        start("orphan")
    fork(wait)
if role == "all":
    workers = [subprocess.Popen([sys.executable, sys.argv[0], "first", str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for i in range(6)]
    for w in workers:
        w.stdout.read(1)
    for w in workers:
        w.stdin.close()
    for w in workers:
        w.stdout.read()
        w.wait()
elif role == "first":
    end, hold = os.pipe()
    def late():
        os.close(hold)
        os.read(end, 1)
        start("late")
    print("x", end="", flush=True)
    sys.stdin.read()
    fork(lambda: start("early"))
    fork(late)
    os.execv(sys.executable, [sys.executable, sys.argv[0], "second", n])
else:
    os.waitpid(fork(lambda: start("early")), 0)
    os.waitpid(fork(orphan), 0)
"""
# Makes a file; when there is another one and the process has ended, it removes the first and ends.
OUTLIVES = """
import os, sys, time
mark, end, pid = sys.argv[1:]
open(mark, "w").close()
while not os.path.exists(end) or os.path.exists("/proc/" + pid):
    time.sleep(0.01)
os.unlink(mark)
"""
MAKEFILE = """
NAMES = $(shell seq 1 8)
OBJECTS = $(NAMES:%%=f%%.o)
prog: $(OBJECTS); %(cc)s -o $@ $(OBJECTS)
f%%.o: f%%.c; @echo CC $<; %(cc)s -O2 -c -o $@ $<
"""


def has(*programs):
    return all(needs(shutil.which(program), "there is no " + program) for program in programs)


def command_line(daemon, *options):
    return [CTL, "run", "--socket=" + daemon.path, *options, "--"]


def run(daemon, *command, options=(), **more):
    done = subprocess.run([*command_line(daemon, *options), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE, check=False, **more)
    done.report = done.stderr.decode()
    return done


def write_project(folder):
    compiler = shutil.which("gcc") or "cc"
    for i in range(1, 9):
        with open(os.path.join(folder, "f%d.c" % i), "w") as f:
            f.write("#include <stdio.h>\n#include <stdlib.h>\n")
            f.writelines("int f%d_%d(int x) { printf(\"%%d\", x); return x * %d; }\n" % (i, j, j) for j in range(300))
            f.write("int main(void) { return 0; }\n" if i == 1 else "")
    with open(os.path.join(folder, "Makefile"), "w") as f:
        f.write(MAKEFILE % {"cc": compiler})


def events_of(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def traced(folder):
    """The successful calls that strace wrote: how often each (file, arguments)."""
    calls = collections.Counter()
    for path in glob.glob(os.path.join(folder, "trace.*")):
        with open(path, encoding="ascii") as f:
            for line in f:
                found = CALL.match(line.rstrip())
                if found:
                    strings = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', found.group(1) + found.group(2))
                    calls[tuple(bytes.fromhex(s.replace("\\x", "")).decode() for s in strings)] += 1
    return calls


@test
def every_program_that_strace_sees_is_recorded():
    if not has("strace", "make", "gcc"):
        return
    with Scratch() as folder, Daemon() as daemon:
        write_project(folder)
        out = os.path.join(folder, "events")
        done = run(daemon, "strace", "-ff", "-o", os.path.join(folder, "trace"), "-e", "trace=execve", "-s", "100000", "-xx",
                   "make", "-s", "-j2", options=["-w", out], cwd=folder)
        equal(done.returncode, 0, done.report)
        recorded = collections.Counter((e["filename"], *e["args"]) for e in events_of(out) if e["type"] == "started")
        strace = [key for key in recorded if key[1:2] == ("strace",)]
        equal(len(strace), 1, "strace itself")
        del recorded[strace[0]]
        wanted = traced(folder)
        check(sum(wanted.values()) > 30, "strace saw little:", wanted)
        equal(recorded, wanted, "programs")


@test
def programs_of_a_fork_without_exec_have_their_place():
    with Daemon() as daemon, Scratch() as folder:
        out, script = os.path.join(folder, "dot"), os.path.join(folder, "forks")
        with open(script, "w") as f:
            f.write(FORKS)
        done = run(daemon, PYTHON, script, "all", "0", options=["--wait", "-o", "dot", "-w", out])
        equal(done.returncode, 0, done.report)
        with open(out, encoding="utf-8") as f:
            text = f.read()
    names = {n: label.split("forks ")[-1].split("true ")[-1] for n, label in re.findall(r'(n\d+) \[.*label="(.*)"\]', text)}
    edges = {names[child]: names[parent] for parent, child in re.findall(r"(n\d+) -> (n\d+)", text)}
    wanted = {f"first {i}": "all 0" for i in range(6)}
    for i in range(6):
        wanted |= {f"second {i}": f"first {i}"} | {f"{name}-{role}-{i}": f"{role} {i}" for name, role in
                                                  (("early", "first"), ("late", "first"), ("early", "second"), ("orphan", "second"))}
    equal(edges, wanted, text)


def check_critical_path(report):
    """Three sleeps, one after the other, take nearly all the time."""
    rows = re.search(r"^ +path  (.*?)^ +longest", report, re.M | re.S).group(1)
    path = re.findall(r"\+([0-9.]+)(us|ms|s) +([0-9.]+)(us|ms|s) +(\d+)%  (.*)", rows)
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1}
    spans = {command: (float(a) * unit[x], float(b) * unit[y], int(share)) for a, x, b, y, share, command in path}
    equal([command for command in spans if command.startswith("sleep")], ["sleep 0.6", "sleep 0.4", "sleep 0.3"], rows)
    whole = float(re.search(r"exit 5 after ([0-9.]+)s", report).group(1))
    at, slack = 0, 5 if SLOW else 0.25
    for command in ("sleep 0.6", "sleep 0.4", "sleep 0.3"):
        start, span, share = spans[command]
        wanted = float(command[6:])
        # sleep(1) itself is exact.
        check(wanted <= span < wanted + slack and at - 0.1 <= start < at + slack, command, rows)
        check(abs(share - 100 * span / whole) <= 3, command, share, whole, rows)
        at = start + span
    check(sum(span for _, span, _ in spans.values()) > (0.5 if SLOW else 0.9) * whole, "time that is in no program", rows)


@test
def critical_path_is_the_chain_that_took_the_time():
    if not has("make"):
        return
    with Daemon() as daemon, Scratch() as folder:
        with open(os.path.join(folder, "Makefile"), "w") as f:
            f.write("all: c; @sleep 0.3\nc: a b; @sleep 0.4\na: ; @sleep 0.25\nb: ; @sh -c 'sleep 0.6; :'\n")
        # Other programs may keep the machine busy in some tries.
        for left in reversed(range(5)):
            # What outlives it is not waited for.
            done = run(daemon, "sh", "-c", "sleep 3 >/dev/null 2>&1 & make -s -j2; exit 5", cwd=folder, options=["--full"])
            equal(done.returncode, 5, done.report)
            try:
                return check_critical_path(done.report)
            except Failure as failure:
                check(left, failure)
                print("#   again: %s" % str(failure).replace("\n", "\n# "))


@test
def cpu_and_memory_are_those_of_wait():
    if not has("make", "gcc"):
        return
    with Scratch() as folder, Daemon() as daemon:
        write_project(folder)
        out = os.path.join(folder, "events")
        code = "import os, subprocess, resource, json\n" \
               "subprocess.run(['make', '-s', '-j2'], check=True)\n" \
               "r = resource.getrusage(resource.RUSAGE_CHILDREN)\n" \
               "print(json.dumps([r.ru_utime, r.ru_stime, r.ru_maxrss << 10]))\n"
        done = run(daemon, PYTHON, "-c", code, options=["-w", out], cwd=folder)
        user, system, rss = json.loads(done.stdout.splitlines()[-1])
        ends = [e for e in events_of(out) if e["type"] == "exited" and e["exe"] != PYTHON]
        sums = [sum(e[key] for e in ends) / 1e9 for key in ("cpu_user_ns", "cpu_system_ns")]
        print("# cpu %.3f + %.3f s by events, %.3f + %.3f s by wait4" % (*sums, user, system))
        # Since Linux 6.16 the event is made before exit_mm() (do_exit(), kernel/exit.c), whose time wait4 has, too.
        check(-0.01 < user + system - sum(sums) < 0.02 + 0.05 * (user + system), "cpu", sums, user, system)
        largest = max(e["max_rss_bytes"] for e in ends)
        check(abs(largest - rss) <= 64 << 10, "memory", largest, rss)


@test
def exit_status_and_signal_are_the_commands():
    with Daemon() as daemon:
        for command, status in ((["true"], 0), (["sh", "-c", "exit 3"], 3), (["/nowhere/program"], 127), (["/etc/passwd"], 126),
                                (["sh", "-c", "kill -TERM $$"], -signal.SIGTERM), (["sh", "-c", "kill -SEGV $$"], -signal.SIGSEGV)):
            done = run(daemon, *command)
            equal(done.returncode, status, command, done.report)
        equal(run(daemon, "cat", input=b"by standard input").stdout, b"by standard input", "stdin")
        check("SIGTERM after" in run(daemon, "sh", "-c", "kill -TERM $$").report, "the report names no signal")
        done = run(daemon, "sh", "-c", "exit 4", options=["-q"])
        equal((done.returncode, done.stderr), (4, b""), "quiet")


@test
def command_does_not_run_without_a_daemon():
    with Scratch() as folder:
        mark = os.path.join(folder, "ran")
        done = subprocess.run([CTL, "run", "--socket=" + folder + "/none", "touch", mark], stderr=subprocess.PIPE, check=False)
        equal(done.returncode, 69, done.stderr)
        check(b"not run" in done.stderr, done.stderr)
        check(not os.path.exists(mark), "it ran")


@test
def member_of_the_group_needs_no_root():
    group = next(g for g in grp.getgrall() if g.gr_gid not in (0, 12346))
    with Daemon({"socket": {"group": group.gr_name, "mode": "0660"}}) as daemon, Scratch() as folder:
        os.chmod(daemon.dir, 0o755)
        copy = shutil.copy(CTL, os.path.join(folder, "ctl"))
        command = [copy, "run", "--socket=" + daemon.path, "sh", "-c", "id -u; false"]
        member = {"user": 12345, "group": 12346, "cwd": "/", "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "check": False}
        done = subprocess.run(command, extra_groups=[group.gr_gid], **member)
        equal((done.returncode, done.stdout), (1, b"12345\n"), done.stderr)
        check(b"exit 1  sh -c" in done.stderr or b"exit 1  false" in done.stderr, done.stderr)
        done = subprocess.run(command, extra_groups=[], **member)
        equal((done.returncode, done.stdout), (77, b""), done.stderr)


def start_held(daemon, folder, trap, **more):
    """A command that creates a file and then sleeps."""
    mark = os.path.join(folder, "ready")
    code = trap + "touch %s; while :; do sleep 0.1; done" % mark
    process = subprocess.Popen([*command_line(daemon), "sh", "-c", code], stderr=subprocess.PIPE, cwd=folder, **more)
    until(lambda: os.path.exists(mark), "the command does not start")
    os.unlink(mark)
    return process


@test
def signals_reach_the_command_and_the_report_comes():
    with Daemon() as daemon, Scratch() as folder:
        # What ignores the end of its children gives that to what it starts.
        done = run(daemon, "sh", "-c", "exit 6", preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        equal(done.returncode, 6, done.report)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = start_held(daemon, folder, "trap 'exit 5' %d; " % number)
            process.send_signal(number)
            report = process.communicate(timeout=PATIENCE)[1].decode()
            equal(process.returncode, 5, number, report)
            check("exit 5 after" in report, report)
        # As the terminal's ^C: to the whole process group.
        process = start_held(daemon, folder, "", start_new_session=True)
        os.killpg(process.pid, signal.SIGINT)
        report = process.communicate(timeout=PATIENCE)[1].decode()
        equal(process.returncode, -signal.SIGINT, report)
        check("SIGINT after" in report, report)


def state_of(pid):
    with open("/proc/%d/stat" % pid) as f:
        return f.read().rsplit(")", 1)[1].split()[0]


@test
def command_that_stops_itself_gives_the_terminal_back():
    with Daemon() as daemon:
        master, slave = os.openpty()
        process = subprocess.Popen([*command_line(daemon), "sh", "-c", "kill -STOP $$; exit 7"], stdin=slave, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        # As a shell sees it.
        until(lambda: os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)[1]), "it does not stop")
        process.send_signal(signal.SIGCONT)
        report = process.communicate(timeout=PATIENCE)[1].decode()
        equal(process.returncode, 7, report)
        check("exit 7 after" in report, report)
        os.close(master)
        os.close(slave)
        # Without a terminal others stop and continue the command.
        with Scratch() as folder:
            process = start_held(daemon, folder, "trap 'exit 5' TERM; ", start_new_session=True)
            with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as f:
                child = int(f.read())
            os.kill(child, signal.SIGSTOP)
            until(lambda: state_of(child) == "T", "it does not stop")
            process.send_signal(signal.SIGTERM)
            # It reads both signals.
            until(lambda: int(re.search(r"^ShdPnd:\t(\w+)", open("/proc/%d/status" % child).read(), re.M).group(1), 16) & 1 << 14, "SIGTERM")
            os.kill(child, signal.SIGCONT)
            report = process.communicate(timeout=PATIENCE)[1].decode()
            equal(process.returncode, 5, report)


@test
def what_outlives_the_command_is_named_and_can_be_waited_for():
    with Daemon() as daemon, Scratch() as folder:
        mark, end, out = (os.path.join(folder, name) for name in ("mark", "end", "events"))
        outlives = os.path.join(folder, "outlives")
        with open(outlives, "w") as f:
            f.write(OUTLIVES)
        # The command ends once the second program runs.
        code = "(%s %s %s %s $$; %s -c 'pass') >/dev/null 2>&1 & while [ ! -e %s ]; do :; done; exit 0" % (PYTHON, outlives, mark, end, PYTHON, mark)
        done = run(daemon, "sh", "-c", code)
        check("still runs" in done.report and outlives in done.report, done.report)
        with open(end, "w"):
            pass
        until(lambda: not os.path.exists(mark), "it does not end")
        done = run(daemon, "sh", "-c", code, options=["--wait", "-w", out])
        check("still runs" not in done.report, done.report)
        ends = [e["args"][0] for e in events_of(out) if e["type"] == "exited" and "args" in e]
        equal(ends, ["sh", PYTHON, PYTHON], "ends")


@test
def command_in_another_pid_namespace_is_the_one_that_is_reported():
    with Daemon() as daemon, Scratch() as folder:
        out = os.path.join(folder, "events")
        # The pid of the command is in the initial namespace that of a kernel thread.
        for mount in (["--mount-proc"], []):
            done = subprocess.run(["unshare", "--pid", "--fork", *mount, *command_line(daemon, "-w", out), "sh", "-c", "env >&2; exit 3"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
            equal(done.returncode, 3, done.stderr)
            check(b"not reported" not in done.stderr and b"2 programs, 1 failed" in done.stderr, done.stderr)
            equal([e["args"][0] for e in events_of(out) if e["type"] == "started"], ["sh", "env"])


@test
def scope_without_a_service_manager_runs_nothing():
    with Daemon({"socket": {"mode": "0666"}}) as daemon, Scratch() as folder:
        os.chmod(daemon.dir, 0o755)
        mark = os.path.join(folder, "ran")
        # It cannot be reached by any path.
        done = run(daemon, "touch", mark, options=["--scope"], preexec_fn=lambda: os.setresuid(0, 12345, 0),
                   env={**os.environ, "XDG_RUNTIME_DIR": folder, "DBUS_SESSION_BUS_ADDRESS": "unix:path=" + folder})
        equal(done.returncode, 69, done.report)
        check("service manager of this user: " in done.report and "not run" in done.report, done.report)
        check(not os.path.exists(mark), "it ran")


@test
def closed_descriptors_are_the_commands_alone():
    with Daemon() as daemon, Scratch() as folder:
        out = os.path.join(folder, "events")
        def run_closed(*command):
            return subprocess.run(["sh", "-c", '"$@" 2>&-', "sh", *command_line(daemon, "-w", out), *command], check=False).returncode
        equal(run_closed("sh", "-c", "[ ! -e /proc/$$/fd/2 ] && exit 4"), 4)
        equal([e["type"] for e in events_of(out) if e["type"] != "error"], ["started", "exited"])
        # Nor does a file that is opened become the standard error of run itself.
        equal(run_closed("/nonexistent/program"), 127)
        with open(out, encoding="utf-8") as f:
            check("execsnoopctl" not in f.read())


@test
def end_of_the_daemon_is_reported():
    with Daemon() as daemon, Scratch() as folder:
        client = daemon.connect()
        process = start_held(daemon, folder, "")
        for _ in range(3):
            client.wait(lambda e: e["type"] == "started" and e["comm"] == "sleep" and e["cwd"] == folder, since=len(client.events))
        daemon.process.terminate()
        daemon.process.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        report = process.communicate(timeout=PATIENCE)[1].decode()
        equal(process.returncode, -signal.SIGINT, report)
        check("the daemon has gone" in report and "end unseen" in report and "still runs" not in report, report)


@test
@again_if_blamed
def restart_of_the_daemon_loses_nothing_and_a_crash_is_reported():
    for how in ("restart", "kill"):
        with Listener() as listener, Unit(listener) as unit, Scratch() as folder:
            mark, out = os.path.join(folder, "mark"), os.path.join(folder, "events")
            code = "i=0; while [ $i -lt 50 ]; do /bin/true $i; i=$((i + 1)); done; touch %s; while [ -e %s ]; do sleep 0.05; done; " \
                   "/bin/true last; exit 4" % (mark, mark)
            process = subprocess.Popen([*command_line(listener, "-w", out), "sh", "-c", code], stderr=subprocess.PIPE)
            until(lambda: os.path.exists(mark), "the command does not start")
            if how == "kill":
                # The ring buffer has what happened since, and what was in it.
                unit.wait_kept(1)
                unit.kill()
                unit.start()
            else:
                unit.restart()
            os.unlink(mark)
            report = process.communicate(timeout=PATIENCE)[1].decode()
            equal(process.returncode, 4, report)
            check("exit 4 after" in report and "still runs" not in report, report)
            events = events_of(out)
            numbers = [e["args"][1] for e in events if e["type"] == "exited" and e.get("args", [""])[0] == "/bin/true"]
            lost = sum(e["count"] for e in events if e["type"] == "lost")
            check(len(numbers) + lost >= 51 and numbers[-1] == "last", how, numbers, lost)
            equal(bool(lost), "not complete" in report, report)
            check(how == "kill" or not lost, report)


@test
def file_is_read_again_with_the_same_report():
    with Daemon() as daemon, Scratch() as folder:
        out = os.path.join(folder, "events")
        run(daemon, "sh", "-c", "ls / >/dev/null; env true; exit 3", options=["-w", out])
        again = subprocess.run([CTL, "export", "-i", out, "-o", "report"], stdout=subprocess.PIPE, check=True).stdout.decode()
        check("programs, 1 failed" in again and "exit 3  sh -c" in again, again)


if __name__ == "__main__":
    # What it starts has the soft limit of this process: no cores are left behind.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
