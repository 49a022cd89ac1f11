# SPDX-License-Identifier: GPL-2.0-or-later
"""What a benchmark runs beside a load: nothing, our daemon with readers, or a peer. And what the load itself says."""
import contextlib
import glob
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import e2e  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(e2e.BUILD, "tests", "bench")
LOAD, NOP, READER, MICRO = (os.path.join(PROGRAMS, name) for name in ("load", "nop", "reader", "micro"))
PATIENCE = 120
BPF_STATS = "/proc/sys/kernel/bpf_stats_enabled"


def load(*args, cpu=None):
    """Runs a load; what it says of itself, with each of what it did in ns."""
    pinned = ["taskset", "-c", str(cpu)] if cpu is not None else []
    said = json.loads(subprocess.run([*pinned, LOAD, *map(str, args)], check=True, stdout=subprocess.PIPE).stdout)
    return {**said, "wall": said["wall_ns"] / max(1, said["count"]), "cpu": said["cpu_ns"] / max(1, said["count"])}


def spawn(count, cpu=None):
    return load("spawn", count, NOP, cpu=cpu)


class Readers:
    """Subscribers, all in one process. `request`: what all but the first ask for."""

    def __init__(self, path, count, request=None):
        self.process = subprocess.Popen([READER, path, str(count), *([json.dumps(request)] if request else [])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        json.loads(self.process.stdout.readline())

    def end(self):
        """What came, once all is there: the end of the stream is marked by a program of that name."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.process.stdout.readline()
        subprocess.run(["the-end"], executable=NOP, check=True)
        out, _ = self.process.communicate(timeout=PATIENCE)
        return json.loads(out)

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Ours(contextlib.AbstractContextManager):
    def __init__(self, readers=1, request=None, config=None):
        self.programs = set(bpf_programs())
        config = {"log": {"level": "warning"}, **(config or {})}
        config["socket"] = {"max_subscribers": max(256, readers + 8), **config.get("socket", {})}
        began = time.monotonic()
        self.daemon = e2e.Daemon(config, defaults=True)
        self.ready = time.monotonic() - began
        self.pid = self.daemon.process.pid
        self.programs = set(bpf_programs()) - self.programs
        self.readers = Readers(self.daemon.path, readers, request) if readers else None

    def end(self):
        return self.readers.end()

    def stats(self):
        return self.daemon.stats()

    def cpu(self):
        """CPU time of the daemon so far, in ns: all, and the part in user space."""
        all_ns = 0
        for path in glob.glob("/proc/%d/task/*/schedstat" % self.pid):
            with open(path) as f:
                all_ns += int(f.read().split()[0])
        with open("/proc/%d/stat" % self.pid) as f:
            ticks = f.read().rsplit(")", 1)[1].split()
        user, system = int(ticks[11]), int(ticks[12])
        return all_ns, all_ns * user / max(1, user + system)

    def resident(self):
        with open("/proc/%d/status" % self.pid) as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS:"))

    def wakeups(self):
        """How often its threads went to sleep."""
        n = 0
        for path in glob.glob("/proc/%d/task/*/status" % self.pid):
            with open(path) as f:
                n += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches:"))
        return n

    def __exit__(self, *_):
        if self.readers:
            self.readers.stop()
        self.daemon.stop()


class Nothing(contextlib.AbstractContextManager):
    programs = ()

    def __exit__(self, *_):
        pass


# Where tracefs is not mounted, for the peer alone; all look for it in one of these two places.
TRACEFS = """mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug && mount -t tracefs tracefs /sys/kernel/debug/tracing
exec "$@\""""


def with_tracefs(command):
    if os.path.exists("/sys/kernel/tracing/events"):
        return command
    return ["unshare", "-m", "sh", "-c", TRACEFS, "sh", *command]


class Peer(contextlib.AbstractContextManager):
    """Other programs for the same end, each writing to a file. They are there when a program that we run is told."""

    def __init__(self, *commands):
        before = set(bpf_programs())
        self.dir = tempfile.mkdtemp(prefix="execsnoopd-bench-")
        self.processes, self.files = [], []
        for i, command in enumerate(commands):
            self.files.append(os.path.join(self.dir, "out%d" % i))
            with open(self.files[-1], "wb") as out:
                self.processes.append(subprocess.Popen(with_tracefs(command), stdin=subprocess.DEVNULL, stdout=out, stderr=out))
        try:
            self.wait_all()
        except Exception:
            self.__exit__()
            raise
        self.programs = set(bpf_programs()) - before

    def wait_all(self):
        for path, process in zip(self.files, self.processes):
            size = os.path.getsize(path)
            end = time.monotonic() + 30
            while os.path.getsize(path) < size + 4096:
                if time.monotonic() > end or process.poll() is not None:
                    raise e2e.Failure("%s tells nothing" % process.args[0])
                for _ in range(50):
                    subprocess.run(["true"], check=True)

    def __exit__(self, *_):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def program(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


# The least price of seeing failed execs by a tracepoint: every system call takes the kernel's slow way. All that it
# tells is that it is there.
SYSCALL_TRACEPOINT = """tracepoint:syscalls:sys_exit_execve /comm == "true"/ { printf("%64d\\n", pid) }"""


def syscall_tracepoint():
    """The tracepoint with next to nothing on it, where bpftrace is installed: {name: a function that starts it}."""
    bpftrace = program("bpftrace")
    return {"a syscall tracepoint alone": lambda: Peer([bpftrace, "-e", SYSCALL_TRACEPOINT])} if bpftrace else {}


def peers():
    """Those that are installed, each by a function that starts it."""
    found = {}
    libbpf = [program("execsnoop"), program("exitsnoop")]
    if all(libbpf):
        found["libbpf-tools execsnoop + exitsnoop"] = lambda: Peer([libbpf[0]], [libbpf[1]])
    bpftrace, script = program("bpftrace"), program("execsnoop.bt")
    if bpftrace and script:
        found["bpftrace execsnoop.bt"] = lambda: Peer([bpftrace, script])
    if program("forkstat"):
        found["forkstat"] = lambda: Peer(["stdbuf", "-o4096", program("forkstat"), "-e", "fork,exec,exit"])
    if program("extrace"):
        found["extrace"] = lambda: Peer(["stdbuf", "-o4096", program("extrace")])
    return found


# The kernel's own figures of BPF programs.

def bpf_programs():
    """All that are loaded: {id: (name, run_time_ns, run_cnt)}."""
    bpftool = program("bpftool")
    out = subprocess.run([bpftool, "-j", "prog", "show"], stdout=subprocess.PIPE, check=True).stdout if bpftool else b"[]"
    return {p["id"]: (p.get("name", "?"), p.get("run_time_ns", 0), p.get("run_cnt", 0)) for p in json.loads(out)}


@contextlib.contextmanager
def bpf_stats():
    with open(BPF_STATS) as f:
        before = f.read()
    with open(BPF_STATS, "w") as f:
        f.write("1")
    try:
        yield
    finally:
        with open(BPF_STATS, "w") as f:
            f.write(before)


def probe_time(programs, do):
    """Runs `do`; what these programs took meanwhile: {name: ns}."""
    before = bpf_programs()
    do()
    after = bpf_programs()
    return {after[i][0]: after[i][1] - before[i][1] for i in programs if i in after and i in before}


# Samples.

def summary(samples, unit=""):
    """Median and spread (the middle half)."""
    ordered = sorted(samples)
    n = len(ordered)
    return {"median": statistics.median(ordered), "low": ordered[n // 4], "high": ordered[-1 - n // 4], "n": n, "unit": unit}


def rounds(n, contestants, run):
    """
    n rounds of all contestants: {name: [what run returned]}. Each round in another order, with another one before each: the end
    of one costs the next. One that fails is left out.
    """
    results = {name: [] for name in contestants}
    for i in range(n):
        names = list(results)
        random.Random(i).shuffle(names)
        for name in names:
            try:
                with contestants[name]() as contestant:
                    results[name].append(run(contestant))
            except e2e.Failure as failure:
                print("# %s is left out: %s" % (name, failure), file=sys.stderr)
                del results[name]
    return results


def ratios(results, name, key, base="nothing"):
    return [a[key] / b[key] for a, b in zip(results[name], results[base])]
