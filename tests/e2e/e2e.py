# SPDX-License-Identifier: GPL-2.0-or-later
"""What the end-to-end tests share: a daemon of their own, readers of its stream, and TAP.

Every test runs the built daemon with real probes on the running kernel. The probes see the whole machine, so a test looks at
the processes that it started itself, by pid and id, and leaves the rest alone. The rest may be a lot: so a reader's queue and
the ring are large here unless a test says otherwise, the daemon has the CPU before others, and no limit of time is one that
others can break.

This is a framework of its own, small, rather than pytest or unittest: it prints TAP, as automake's driver and the guests of
tests/vm read it, needs nothing but Python's standard library, which is all that those guests have, and a failed test shows the
daemon's log. A test is a function with @test; `FILE NAME...` runs some of a file.

Environment: builddir (where src/execsnoopd and tests/e2e/odd are; default "."), top_srcdir, CI (a skip fails),
EXECSNOOP_CHECK=unit (skip), SLOW (an emulated machine), LONG (whole series).
"""
import base64
import contextlib
import datetime
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

BUILD = os.path.abspath(os.environ.get("builddir", "."))
SOURCE = os.path.abspath(os.environ.get("top_srcdir", "."))
DAEMON = os.environ.get("EXECSNOOPD", os.path.join(BUILD, "src", "execsnoopd"))
CTL = os.path.join(BUILD, "src", "execsnoopctl")
ODD = os.path.join(BUILD, "tests", "e2e", "odd")
FAIL = os.path.join(BUILD, "tests", "e2e", "fail")
# Descriptors by their numbers, "--" and a command: gives them to it from 3 on, as sd_listen_fds(3) wants them.
PASS = """
import os, sys
end = sys.argv.index("--")
for i, fd in enumerate(sys.argv[1:end]):
    os.dup2(int(fd), 3 + i)
    os.close(int(fd))
os.environ.update(LISTEN_FDS=str(end - 1), LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[end + 1], sys.argv[end + 1:])
"""
SLOW = bool(os.environ.get("SLOW"))  # an emulated machine: storms are smaller there
LONG = bool(os.environ.get("LONG")) and not SLOW  # make check-long: each case of a long series, larger storms
PATIENCE = 120 * (3 if SLOW else 1)  # seconds until something that must come is given up


def is_sanitized():
    """Whether memory and time are not those of the daemon alone."""
    with open(DAEMON, "rb") as f:
        return b"__asan_init" in f.read()


hidden_btf = None  # the kernel's type information as a file, which daemons are given instead of the kernel's own


def hide_btf(path):
    global hidden_btf
    shutil.copyfile("/sys/kernel/btf/vmlinux", path)
    hidden_btf = path


class Failure(Exception):
    pass


def check(truth, *what):
    if not truth:
        raise Failure(" ".join(str(w) for w in what) or "not true")


def equal(got, wanted, *what):
    if got != wanted:
        raise Failure("%s: got %r, wanted %r" % (" ".join(str(w) for w in what), got, wanted))


def until(condition, *what, every=0.01, patience=None):
    """Waits until it is true."""
    end = time.monotonic() + (patience or PATIENCE)
    while not condition():
        check(time.monotonic() < end, *what)
        time.sleep(every)


class Stream:
    """Lines of JSON from a descriptor: kept in .events, in the order they came; .lines the same as bytes."""

    def __init__(self, fd):
        self.fd = fd
        self.rest = b""
        self.lines = []
        self.events = []
        self.ended = False

    def read_some(self, timeout):
        """Waits for bytes, at most timeout; False if none came."""
        if self.ended or not select.select([self.fd], [], [], timeout)[0]:
            return False
        data = os.read(self.fd, 1 << 20)
        if not data:
            self.ended = True
            check(self.rest == b"", "the stream ends within a line:", self.rest[-200:])
            return False
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.lines.append(line)
            self.events.append(json.loads(line.decode("utf-8")))  # strict: not UTF-8 or not JSON fails
        return True

    def wait(self, wanted, what="an event", since=0, patience=None):
        """The first event from index `since` on that `wanted` is true of."""
        at = since
        end = time.monotonic() + (patience or PATIENCE)
        while True:
            while at < len(self.events):
                if wanted(self.events[at]):
                    return self.events[at]
                at += 1
            left = end - time.monotonic()
            if left <= 0 or self.ended:
                raise Failure("no %s came (%d events)" % (what, len(self.events)))
            self.read_some(left)

    def wait_exit(self, pid):
        return self.wait(lambda e: e["type"] == "exited" and e.get("pid") == pid, "exit of %d" % pid)

    def wait_each(self, kind, pids, since=0):
        """Until each of these has an event of that type."""
        missing = set(pids)

        def is_last(event):
            if event["type"] == kind:
                missing.discard(event.get("pid"))
            return not missing
        self.wait(is_last, kind + " of each", since=since)

    def wait_live(self):
        return self.wait(lambda e: e["type"] == "live", "live line")

    def of(self, pid, *types):
        return [e for e in self.events if e.get("pid") == pid and not e.get("snapshot") and (not types or e["type"] in types)]


class Client(Stream):
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        super().__init__(self.socket.fileno())

    def send(self, request):
        self.socket.sendall(json.dumps(request).encode() + b"\n")

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Notify:
    """What systemd is for a service's sd_notify(3): reads at once, since a full socket would hold the daemon up, and keeps the
    descriptor store."""

    def __init__(self, path, store):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.path = path
        self.store = list(store or [])  # (name, descriptor); the caller's to close
        self.notes = []
        self.news = threading.Condition()
        self.reads = threading.Event()
        self.reads.set()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while True:
            select.select([self.socket], [], [])
            self.reads.wait()
            data, fds, _, _ = socket.recv_fds(self.socket, 65536, 16)
            if data == b"END":
                return
            with self.news:
                self.take(data.decode(), fds)
                self.news.notify_all()

    def take(self, note, fds):
        self.notes.append(note)
        lines = dict(line.split("=", 1) for line in note.split("\n") if "=" in line)
        name = lines.get("FDNAME")
        if "FDSTORE" in lines:
            self.store += [(name, fd) for fd in fds]
        elif "FDSTOREREMOVE" in lines:
            for kept, fd in self.store:
                if kept == name:
                    os.close(fd)
            self.store = [(kept, fd) for kept, fd in self.store if kept != name]

    def hold(self):
        """Stops reading and fills the socket, so that sending to it fails; until release()."""
        self.reads.clear()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sender.sendto(b"FULL=1", self.path)

    def release(self):
        self.reads.set()

    def end(self):
        """Once the daemon is gone: all that it said is taken."""
        self.release()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"END", self.path)
        self.thread.join()
        self.socket.close()


# What a daemon has here unless a test says otherwise: the rest of the machine may be busy.
ROOMY = {"probes": {"ring_buffer": "32M"}, "socket": {"queue": "64M"}}


class Daemon:
    """A daemon with a socket of its own; config: {section: {key: value}}."""

    def __init__(self, config=None, args=(), stdout=None, wait=True, prefix=(), env=None, passed=(), store=None, defaults=False):
        """passed: (name, descriptor) of what systemd would pass to it; store: what was in its descriptor store before, None
        if it has none. defaults: as an administrator has it, with the default ring and queue, and no priority."""
        self.base = {} if defaults else ROOMY
        self.dir = tempfile.mkdtemp(prefix="execsnoopd-test-")
        self.path, self.file, self.log, notify = (
            os.path.join(self.dir, name) for name in ("events.sock", "execsnoopd.conf", "log", "notify"))
        self.write(config or {})
        self.notify = Notify(notify, store)
        self.noted = 0  # how many of its notes were waited for
        env = {**os.environ, "NOTIFY_SOCKET": notify, **({} if store is None else {"FDSTORE": "512"}), **(env or {})}
        if hidden_btf:
            prefix = (*prefix, "unshare", "-m", "sh", "-c", "mount -t tmpfs none /sys/kernel/btf && exec \"$@\"", "sh")
        # High numbers, so that none is overwritten before it was moved to its place.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 100) for _, fd in passed]
        if passed:
            env["LISTEN_FDNAMES"] = ":".join(name for name, _ in passed)
            prefix = (sys.executable, "-c", PASS, *map(str, high), "--", *prefix)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([*prefix, DAEMON, "-c", self.file, *args], stdout=stdout, stderr=log, env=env,
                                            pass_fds=high)
        for fd in high:
            os.close(fd)
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.process.pid, 0 if defaults else -10)
        if wait:
            self.wait_note("READY=1")

    def write(self, config):
        """The configuration: what the tests need, what they have by default, and what this one asks for."""
        own = {"socket": {"path": self.path, "group": ""}, "journal": {"enabled": "no"},
               "probes": {"btf": hidden_btf} if hidden_btf else {}}
        with open(self.file, "w") as f:
            for section in dict.fromkeys((*own, *config)):
                keys = {**own.get(section, {}), **self.base.get(section, {}), **config.get(section, {})}
                f.write("[%s]\n" % section + "".join("%s = %s\n" % pair for pair in keys.items()))

    def wait_note(self, text):
        """Waits until the daemon says so, after what was waited for last; the note."""
        end = time.monotonic() + PATIENCE
        with self.notify.news:
            while True:
                for i, note in enumerate(self.notify.notes[self.noted:], self.noted):
                    if text in note.split("\n"):
                        self.noted = i + 1
                        return note
                if time.monotonic() > end or self.process.poll() is not None:
                    raise Failure("the daemon did not say %s; it says:\n%s" % (text, self.messages()))
                self.notify.news.wait(0.2)

    @property
    def store(self):
        with self.notify.news:
            return list(self.notify.store)

    def messages(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def connect(self, live=True):
        """A reader; live: it has its snapshot, so what begins now is no part of that."""
        client = Client(self.path)
        if live:
            client.wait_live()
        return client

    def stats(self):
        with self.connect(live=False) as client:
            client.send({"stats": True})
            return client.wait(lambda e: e["type"] == "stats", "stats")

    def stop(self):
        """Ends it; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure("the daemon did not stop")
        finally:
            self.notify.end()
        messages = self.messages()
        shutil.rmtree(self.dir, ignore_errors=True)
        check("AddressSanitizer" not in messages and "runtime error" not in messages, messages)
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            for line in self.messages().splitlines()[-20:]:
                print("# daemon: " + line)
        status = self.stop()
        if kind is None:
            equal(status, 0, "the daemon's exit status")


@contextlib.contextmanager
def live(config=None, **more):
    """A daemon, and a reader of it that has had its snapshot."""
    with Daemon(config, **more) as daemon:
        yield daemon, daemon.connect()


shared = None  # what shared_stream() is of


@contextlib.contextmanager
def shared_stream():
    """A reader, without what happened before, of a daemon that the tests before had too; a start takes longer than most of them."""
    global shared
    if shared is None:
        shared = Daemon()
    try:
        with shared.connect() as stream:
            yield stream
    except BaseException:
        broken, shared = shared, None
        with broken:
            raise


class Scratch:
    """A temporary folder that every user can reach, unlike a checkout below /root; removed at the end."""

    def __enter__(self):
        self.path = os.path.realpath(tempfile.mkdtemp(prefix="execsnoopd-test-"))
        os.chmod(self.path, 0o755)
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)


def copy_of(program, folder, name):
    """A copy that every user can execute."""
    path = os.path.join(os.fsencode(folder), os.fsencode(name))
    shutil.copy(program, path)
    os.chmod(path, 0o755)
    return path


def cgroup_roots(kind):
    """Where hierarchies of that kind are mounted, and can be written to."""
    with open("/proc/self/mountinfo") as f:
        roots = [line.split()[4] for line in f if kind in line]
    return [root for root in roots if os.access(root, os.W_OK)]


def odd(*args, **more):
    """Starts the helper program of odd.c; arguments may be bytes."""
    return subprocess.Popen([ODD, *args], **more)


def run(*args, **more):
    """Runs a program to its end; the Popen, with pid and returncode."""
    process = subprocess.Popen(args, **more)
    process.wait()
    return process


def needs(truth, why):
    """Part of a test that a machine can do without."""
    if not truth:
        print("#   left out here: " + why)
    return truth


def unescape(event, key):
    """The exact bytes of a value."""
    raw = event.get(key + "_raw")
    if raw is None:
        value = event[key]
        return [v.encode() for v in value] if isinstance(value, list) else value.encode()
    return [base64.b64decode(v) for v in raw] if isinstance(raw, list) else base64.b64decode(raw)


def seconds(text):
    """A time of the stream as (whole seconds, nanoseconds)."""
    check(len(text) == 30 and text[19] == "." and text[29] == "Z", "not a time:", text)
    whole = datetime.datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return int(whole.timestamp()) * 10**9 + int(text[20:29])


def start_and_end(stream, process):
    """The one started and the one exited of a program that was run to its end."""
    stream.wait_exit(process.pid)
    started, exited = stream.of(process.pid, "started"), stream.of(process.pid, "exited")
    equal((len(started), len(exited)), (1, 1), "started and exited of", process.pid)
    for key, value in started[0].items():
        if key not in ("type", "seq", "time"):
            equal(exited[0].get(key), value, "exited repeats", key)
    return started[0], exited[0]


def status(pid, key):
    """Bytes, of /proc/PID/status."""
    with open("/proc/%d/status" % pid) as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith(key + ":"))


def connect_only(path, request=b""):
    """One that does not read."""
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(path)
    peer.setblocking(False)
    try:
        peer.send(request)
    except (BlockingIOError, BrokenPipeError):
        pass
    return peer


def worst_subscribers(path):
    """Each kind of what a subscriber can have the daemon hold."""
    keys = ["seq", "time", "pid", "ppid", "uid", "gid", "comm", "exe", "cwd", "cgroup", "sid", "pgid"]
    peers = []
    for i in range(20):
        fields = ["args"] + [key for n, key in enumerate(keys) if i + 1 >> n % 5 & 1 or n == i % len(keys)]
        peers.append(connect_only(path, json.dumps({"fields": fields}).encode() + b"\n"))
    for _ in range(10):
        peers.append(connect_only(path, b'{"fields":["type"]}\n'))
    for _ in range(5):
        peers.append(connect_only(path, b'{"stats":true}\n' * 5000))
    for _ in range(5):
        peers.append(connect_only(path, b'{"comm":"' + b"x" * 60000))
        peers[-1].shutdown(socket.SHUT_WR)
    for _ in range(10):
        peers.append(connect_only(path))
    for _ in range(4):
        peers.append(connect_only(path, b'{"snapshot":true}\n' * 3000))
    return peers


def check_seq(events):
    """No number is missing. Without one is only the end of a process that never called exec and that only snapshots had."""
    announced = {e["id"] for e in events if e["type"] in ("started", "forked") and not e.get("snapshot")}
    last = None
    for event in events:
        if event["type"] == "exited" and "seq" not in event:
            check(event["id"] not in announced, "an end without a number:", event)
        if "seq" in event:
            check(last is None or event["seq"] == last + 1, "seq", last, "is followed by", event["seq"])
            last = event["seq"]


def check_stream(events):
    """Snapshot, live, events: nothing twice, no gap, no end without a beginning."""
    live = [i for i, e in enumerate(events) if e["type"] == "live"]
    equal(len(live), 1, "live lines")
    check(all(e.get("snapshot") for e in events[:live[0]]), "an event within the snapshot")
    check(not any(e.get("snapshot") for e in events[live[0]:]), "a snapshot line after live")
    known = [e["id"] for e in events[:live[0]]]
    equal(len(known), len(set(known)), "ids in the snapshot")
    known, ended = set(known), set()
    for event in events[live[0] + 1:]:
        check(event["type"] != "lost", "loss:", event)
        if event["type"] == "started":
            check(event["id"] not in ended, "started after its end")
            known.add(event["id"])
        elif event["type"] == "exited":
            check(event["id"] in known and event["id"] not in ended, "an end without a beginning, or a second one:", event)
            ended.add(event["id"])
    check_seq(events)


def at_best(limit, measure, times=5):
    """One of a few tries takes less than `limit` seconds: others may be in the way of some, but not of all."""
    took = []
    limit *= 10 if SLOW else 1
    for _ in range(times):
        took.append(measure())
        if took[-1] < limit:
            return
    raise Failure("never within %s s: %s" % (limit, ", ".join("%.2f" % t for t in took)))


tests = []


def test(function):
    tests.append(function)
    return function


def why_not():
    """What keeps BPF tests from running here; None if nothing does."""
    if os.geteuid() != 0:
        return "not root"
    if not os.path.exists(DAEMON):
        return "no %s" % DAEMON
    if os.environ.get("EXECSNOOP_CHECK") == "unit":
        return "unit tests only"
    daemon = subprocess.Popen([DAEMON, "--stdout"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    daemon.stdout.readline()
    daemon.stdout.close()
    said = daemon.stderr.read().decode(errors="replace").strip()
    if daemon.wait() in (69, 77):
        return "no BPF here: " + said.replace("\n", " ")
    return None


def kill_children():
    """Children of a failed test would keep the output open, and make its reader wait."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid, "rb") as f:
                ppid = int(f.read().rsplit(b")", 1)[1].split()[1])
            if ppid == os.getpid() and not (shared and int(pid) == shared.process.pid):
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass  # it is gone


def main():
    wanted = sys.argv[1:]
    # nohup(1) and a shell's `&` ignore these, and programs inherit that: execve(2), signal(7).
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    chosen = [t for t in tests if not wanted or t.__name__ in wanted]
    print("1..%d" % len(chosen), flush=True)
    reason = why_not()
    unit = os.environ.get("EXECSNOOP_CHECK") == "unit"
    failed = 0
    for number, function in enumerate(chosen, 1):
        name = function.__name__.replace("_", " ")
        if reason:
            if os.environ.get("CI") and not unit:
                failed += 1
                print("not ok %d - %s: %s" % (number, name, reason), flush=True)
            else:
                print("ok %d - %s # SKIP %s" % (number, name, reason), flush=True)
            continue
        began = time.monotonic()
        try:
            function()
            print("# took %.1f s" % (time.monotonic() - began))
            print("ok %d - %s" % (number, name), flush=True)
        except Exception as error:
            failed += 1
            if not isinstance(error, Failure):
                for line in traceback.format_exc().splitlines():
                    print("# " + line)
            else:
                frame = traceback.extract_tb(error.__traceback__)
                where = [f for f in frame if f.name == function.__name__]
                print("# line %s: %s" % (where[-1].lineno if where else "?", str(error).replace("\n", "\n# ")[:3000]))
            print("not ok %d - %s" % (number, name), flush=True)
            kill_children()
    if shared and shared.stop() != 0:
        print("Bail out! the shared daemon failed")
        failed += 1
    sys.exit(failed > 0)
