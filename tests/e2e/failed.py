#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Failed execs: every error, and those that are hard to see, by each way that the running kernel has. What fail.c made is what is
reported, or counted as lost."""
import ctypes
import errno
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import tempfile

import e2e
from btf import write_other_ids
from e2e import FAIL, ODD, Scratch, check, equal, live, main, needs, odd, run, shared_stream, test, unescape
from truth import compare, read, truth_of

WAYS = ("kprobe-multi", "fexit", "kprobe", "tracepoint")
SYS_EXECVEAT = {"x86_64": 322, "aarch64": 281}[os.uname().machine]


def fail(*deed):
    """What fail.c did: {pid: failed execs that it made}, and all that it said."""
    said = subprocess.run([FAIL, *map(str, deed)], stdout=subprocess.PIPE, check=True, encoding="utf-8").stdout
    return {int(pid): int(made) for pid, made in re.findall(r"^pid (\d+) made (\d+)", said, re.M)}, said


def each_way(*ways):
    """A daemon and its stream by each of these ways that the kernel has."""
    for way in ways or WAYS:
        with live({"probes": {"errors": way}}) as (daemon, stream):
            if needs("cannot be seen" not in daemon.messages(), way):
                yield way, stream


def sees_exits_only(way):
    """By the kernel's functions that the probes need for that; kprobes see the entries too."""
    with open("/proc/kallsyms", encoding="ascii") as f:
        return way != "kprobe" and not e2e.hidden_btf and " bpf_preempt_disable\n" in f.read()


def all_events(stream):
    """Up to the end of a process that starts now."""
    stream.wait_exit(run(ODD, "exit", "0").pid)
    return stream.events


@test
def failed_exec_on_userfaultfd_page_does_not_wait():
    """Without the daemon nothing asks for that page; before 6.8 the kernel reads all arguments before it looks for the program."""
    if not needs(" asked 0 " in fail("argument-not-answered")[1], "a kernel that does not ask for it itself"):
        return
    for way, stream in each_way():
        made, said = fail("argument-not-answered")
        (pid, number), = made.items()
        equal(number, 1)
        check(" asked 0 " in said and float(said.split()[-1]) < 2, way, said)
        event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid)
        equal((event["exe"], event["args"], event.get("args_truncated")), ("/no/answer", ["first"], True))


@test
def execs_refused_by_seccomp_are_reported_by_tracepoints():
    # Seccomp refuses a call before its entry is traced; what it was asked for is in the saved registers only.
    for _, stream in each_way("tracepoint"):
        (pid, number), = fail("refused", 5)[0].items()
        events = all_events(stream)
        if e2e.hidden_btf:  # the registers are found by the kernel's own types, except on older kernels
            errors = [e for e in events if e["type"] == "error" and e["pid"] == pid]
            equal([e["error"] for e in errors], number * ["EPROTO"])
            for error in errors:
                check(error.get("exe") == "/no/refused" or {"exe", "filename"} <= set(error.get("incomplete", [])), error)
            continue
        equal([(e["exe"], e["args"], e["error"]) for e in events if e["type"] == "error" and e["pid"] == pid],
              number * [("/no/refused", ["refused"], "EPROTO")])
        equal([e for e in events if e["type"] == "lost"], [])


@test
def threads_killed_before_their_exec_report_no_failure():
    for _, stream in each_way():
        pids = fail("killed-at-entry", 20)[0]
        equal(len(pids), 20)
        events = all_events(stream)
        equal([e for e in events if e["type"] == "lost" or (e["type"] == "error" and e["pid"] in pids)], [])


@test
def forty_sleeping_execs_are_reported_or_counted():
    for way, stream in each_way():
        (pid, number), = fail("sleepers", 40)[0].items()
        equal(number, 40)
        events = all_events(stream)
        reported = [e for e in events if e["type"] == "error" and e["pid"] == pid]
        lost = sum(e["count"] for e in events if e["type"] == "lost")
        equal(len(reported) + lost, 40, way)
        check(way == "kprobe" or lost == 0, way, lost)
        equal({(e["exe"], tuple(e["args"])) for e in reported}, {("/no/sleeper", ("sleeper",))})


@test
def every_step_of_a_path_search_is_reported():
    with Scratch() as folder:
        for _, stream in each_way():
            equal(subprocess.run([FAIL, "search", "6", "20"], cwd=folder, stdout=subprocess.PIPE, check=True).stdout, b"made 600\n")
            # The same test may run beside this one.
            errors = [e for e in all_events(stream) if e["type"] == "error" and e["exe"] == "/no/searched" and e["cwd"] == folder]
            equal(len(errors), 600)


@test
def failed_execveat_has_the_filename_of_a_success():
    """The kernel names a script that it runs by a descriptor: the script's own argument says how (execveat(2))."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    with shared_stream() as stream, tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "script")
        with open(script, "w") as f:
            f.write("#!/bin/echo\n")
        os.chmod(script, 0o755)

        def exec_at(fd, path, flags):
            """The child's pid, and what the kernel called the script."""
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.dup2(writer, 1)
                os.chdir(folder)
                argv = (ctypes.c_char_p * 2)(b"argv0", None)
                syscall(SYS_EXECVEAT, fd, os.fsencode(path), argv, None, flags)
                os._exit(ctypes.get_errno())
            os.close(writer)
            with os.fdopen(reader) as f:
                said = f.read().strip()
            os.waitpid(pid, 0)
            return pid, said

        top = os.open(folder, os.O_PATH)
        for fd in (os.open(script, os.O_PATH), top):
            os.set_inheritable(fd, True)
            for path, flags in ((("script", 0), ("nothing", 0), ("./nothing/at/all", 0)) if fd == top else (("", 0x1000),)):
                pid, said = exec_at(fd, path, flags)
                if said:
                    # It ran. And now it may not.
                    named = said
                    above = named[:-len("script")]
                    os.chmod(script, 0o644)
                    pid, _ = exec_at(fd, path, flags)
                    os.chmod(script, 0o755)
                else:
                    named = above + path
                event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid, (fd, path))
                equal((event["exe"], event["filename"]), (named, named))
        for fd, path in ((-100, "nothing"), (top, folder + "/nothing"), (-100, "")):
            pid, _ = exec_at(fd, path, 0)
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid, (fd, path))
            equal((event["exe"], event["filename"]), (path, path))


def failing(stream, command, **more):
    """Runs `odd exec COMMAND...`, which must fail; its error event and errno."""
    process = odd("exec", *command, **more)
    number = process.wait()
    stream.wait_exit(process.pid)
    errors = [e for e in stream.of(process.pid, "error")]
    equal(len(errors), 1, "errors of", command[0], errno.errorcode.get(number))
    equal((errors[0]["error_code"], errors[0]["error"]), (-number, errno.errorcode[number]))
    return errors[0], number


@test
def every_errno_of_execve_is_reported():
    with shared_stream() as stream, Scratch() as folder:
        def make(name, data=b"", mode=0o755):
            path = os.path.join(folder, name)
            with open(path, "wb") as f:
                f.write(data)
            os.chmod(path, mode)
            return path
        elf = read(ODD)
        os.symlink("loop", os.path.join(folder, "loop"))
        busy = make("busy", elf)
        writer = open(busy, "r+b")
        os.mkdir(os.path.join(folder, "folder"))
        interpreter = elf[elf.index(b"/lib"):].split(b"\0")[0]
        cases = [
            (errno.ENOENT, os.path.join(folder, "nothing")),
            (errno.ENOENT, ""),
            (errno.ENOENT, make("no-interpreter", b"#!/no/such/thing\n")),
            (errno.EACCES, make("not-executable", elf, 0o644)),
            (errno.EACCES, os.path.join(folder, "folder")),
            (errno.ENOEXEC, make("nonsense", b"\0\1\2\3")),
            (errno.ENOEXEC, make("empty")),
            (errno.ELOOP, os.path.join(folder, "loop")),
            (errno.ETXTBSY, busy),
            (errno.ENOTDIR, os.path.join(ODD, "x")),
            (errno.ENAMETOOLONG, os.path.join(folder, "n" * 256)),
            (errno.EACCES, make("interpreter-is-a-folder", b"#!%s\n" % folder.encode())),
            (errno.ENOENT, make("elf-no-interpreter", elf.replace(interpreter, b"/no" + interpreter[3:]))),
            (errno.ELIBBAD, make("bad-interpreter", elf.replace(interpreter, os.path.join(folder, "z").encode().ljust(
                len(interpreter), b"\0")[:len(interpreter)])) if len(folder) + 2 < len(interpreter) else None),
        ]
        for wanted, path in cases:
            if path is None:
                continue
            event, number = failing(stream, [path, "one", "", "\udcff"])
            equal(errno.errorcode[number], errno.errorcode[wanted], path)
            equal(unescape(event, "exe"), os.fsencode(path))
            equal(unescape(event, "filename"), os.fsencode(path))
            equal(unescape(event, "args"), [os.fsencode(path), b"one", b"", b"\xff"])
            check("args_truncated" not in event, event)
        writer.close()
        # EACCES by the mount, EPERM by a set-id program of a traced process has no errno; E2BIG:
        process = odd("too-long")
        equal(process.wait(), errno.E2BIG)
        event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
        equal((event["error"], event["exe"], event["args"]), ("E2BIG", "/bin/true", ["x", "y" * 131072]))
        long = "/" + "x" * 5000
        event, number = failing(stream, [long])
        equal((number, event["incomplete"]), (errno.ENAMETOOLONG, ["filename"]))
        check(long.startswith(event["filename"]) and len(event["filename"]) >= 4000)
        process = odd("at", folder, "nothing", "0", "arg")
        equal(process.wait(), errno.ENOENT)
        event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
        equal((event["exe"], event["args"]), ("/dev/fd/3/nothing", ["arg"]))
        process = odd("at", folder, "x", "12345678", "arg")
        equal(process.wait(), errno.EINVAL)
        stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid and e["error"] == "EINVAL")


@test
def failed_exec_has_all_keys_of_its_process():
    with shared_stream() as stream, Scratch() as folder:
        deep = os.path.join(folder, *["deeper"] * 20)
        os.makedirs(deep)
        nested = ["sh", "-c", '"$@"; exit $?', "nested"]
        for who, above, cwd in [(who, above, cwd) for who in ("self", "fork", "vfork", "a-thread", "vfork-thread")
                                for above, cwd in ((0, folder), (14, deep))]:
            process = subprocess.Popen([*nested * above, ODD, "fail-as", who], cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            pid = int(process.stdout.readline())
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid, who)
            truth = {key: value for key, value in truth_of(pid).items() if not key.startswith("exe")}
            check(len(truth["ancestors"]) > above)
            process.stdin.close()
            equal(process.wait(), 0)
            compare(event, truth, args=[b"/no/such", b"second"], filename=b"/no/such", error="ENOENT")


@test
def failed_execs_are_reported_without_typed_reads():
    """Failed execs are then seen without types. Here by types that lack what their reading begins with."""
    if not needs(not e2e.hidden_btf, "the kernel's own types are hidden"):
        return
    with Scratch() as folder:
        types, wanted = read("/sys/kernel/btf/vmlinux"), b"\0curr_target\0"
        equal(types.count(wanted), 1)
        path = os.path.join(folder, "types")
        with open(path, "wb") as f:
            f.write(types.replace(wanted, wanted.upper()))
        with live({"probes": {"btf": path}}) as (daemon, stream):
            check("cannot be seen" not in daemon.messages(), daemon.messages())
            process = subprocess.Popen([ODD, "fail-as", "self"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            process.stdout.readline()
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
            truth = {key: value for key, value in truth_of(process.pid).items() if not key.startswith("exe")}
            process.stdin.close()
            equal(process.wait(), 0)
            compare(event, truth, args=[b"/no/such", b"second"], filename=b"/no/such", error="ENOENT")


@test
def invalid_argv_pointers_are_reported_truncated():
    with shared_stream() as stream:
        for what, exe in (("filename", None), ("argv", "/bin/true"), ("argument", "/bin/true")):
            process = odd("bad", what)
            equal(process.wait(), errno.EFAULT)
            event = stream.wait(lambda e: e["type"] == "error" and e["pid"] == process.pid)
            equal((event.get("exe"), event["error"]), (exe, "EFAULT"))
            if what != "filename":
                check(event["args_truncated"] and "argc" not in event, event)
            if what == "argument":
                equal(event["args"], ["first"])


def has_task_work():
    with open("/proc/kallsyms") as f:
        return not e2e.hidden_btf and " bpf_task_work_schedule_signal" in f.read()


def check_never_touched(stream):
    with Scratch() as folder:
        path = os.path.join(folder, "strings")
        with open(path, "wb") as f:
            f.write(b"first".ljust(4096, b"\0") + b"".ljust(4096, b"\0") + b"x" * 4000 + b"\0" * 96)
            f.flush()
            os.fsync(f.fileno())
        process = odd("untouched", path)
        equal(process.wait(), errno.ENOENT)
        stream.wait_exit(process.pid)
        events = stream.of(process.pid, "error")
        equal(len(events), 1)
        # They can be read where the kernel has task work for BPF; else the event is marked truncated.
        if "args_truncated" in events[0] and not needs(has_task_work(), "task work for BPF"):
            equal(events[0]["args"], ["first", "", "x" * 4000][:len(events[0]["args"])])
        else:
            equal(events[0]["args"], ["first", "", "x" * 4000])


@test
def untouched_arguments_are_read_or_reported_truncated():
    for _, stream in each_way():
        check_never_touched(stream)


@test
def btf_file_with_other_type_ids_works():
    """Beside the kernel's own: what the kernel is asked for by an id is to be found there."""
    if not needs(not e2e.hidden_btf, "the kernel's own types are hidden"):
        return
    with Scratch() as folder:
        path = os.path.join(folder, "types")
        write_other_ids(path)
        with live({"probes": {"btf": path}}) as (_, stream):
            check_never_touched(stream)


def doomed(folder):
    """A program that fails when the old one is given up already."""
    path = os.path.join(folder, "doomed")
    elf = bytearray(read(ODD))
    phoff, phentsize, phnum = struct.unpack_from("<Q", elf, 32)[0], *struct.unpack_from("<HH", elf, 54)
    for i in range(phnum):
        at = phoff + i * phentsize
        if struct.unpack_from("<I", elf, at)[0] == 1:
            # PT_LOAD beyond the address space: no room is found for it.
            struct.pack_into("<Q", elf, at + 16, 0x7fffffffffff0000 + (struct.unpack_from("<Q", elf, at + 8)[0] & 0xfff))
            struct.pack_into("<Q", elf, at + 40, 1 << 40)
    struct.pack_into("<H", elf, 16, 2)  # ET_EXEC
    with open(path, "wb") as f:
        f.write(elf)
    os.chmod(path, 0o755)
    return path


@test
def blocked_sigsegv_hides_no_failed_exec():
    """An exec that fails after the point of no return ends in SIGSEGV; a pending, blocked SIGSEGV is no such failure."""
    with shared_stream() as stream:
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGSEGV])
            signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
            try:
                os.execv("/nonexistent/blocked", ["first", "second"])
            except FileNotFoundError:
                os._exit(0)
            os._exit(1)
        equal(os.waitpid(pid, 0)[1], 0)
        error = stream.wait(lambda e: e["type"] == "error" and e["pid"] == pid)
        equal((error.get("exe"), error["args"]), ("/nonexistent/blocked", ["first", "second"]))


@test
def exec_that_fails_after_the_point_of_no_return_is_reported():
    with shared_stream() as stream, Scratch() as folder:
        path = doomed(folder)
        process = odd("exec", path, "secret")
        status = process.wait()
        exited = stream.wait_exit(process.pid)
        errors = stream.of(process.pid, "error")
        equal(len(errors), 1)
        equal(errors[0]["exe"], path)
        if status < 0:
            equal((exited["exit_signal"], "exit_code" in exited), (signal.Signals(-status).name, False))
            check(errors[0]["args_truncated"] and errors[0]["args"] == [], "arguments of a program that is gone:", errors[0])
        else:
            needs(False, "the kernel refused it before: %d" % status)


@test
def execs_that_fail_after_the_point_of_no_return_at_once_have_their_own_paths():
    """On all CPUs. One has a path of more bytes than are kept of a call whose entry is seen (EARLY_PATH_SIZE): there it is
    incomplete. One by descriptor has the filename of a success."""
    for way, stream in each_way():
        with Scratch() as folder:
            path, paths, processes = doomed(folder), [], []
            for i in range(40):
                paths.append("%s-%d" % (path, i))
            paths.append(os.path.join(folder, "y" * 240))
            for named in paths:
                os.link(path, named)
                processes.append(odd("exec", named))
            if not needs(processes[0].wait() < 0, "the kernel refused it before"):
                continue
            for named, process in zip(paths, processes):
                process.wait()
                stream.wait_exit(process.pid)
                error, = stream.of(process.pid, "error")
                if named == paths[-1] and not needs(sees_exits_only(way), "the path of a call whose entry is not seen"):
                    check(named.startswith(error["exe"]) and error["incomplete"] == ["filename"], error)
                else:
                    equal((error.get("exe"), error.get("incomplete")), (named, None))
            lives = [odd("at", path, "", str(0x1000), "argv0", "exit", "0") for path in (path, ODD)]
            for process in lives:
                process.wait()
                stream.wait_exit(process.pid)
            wanted = stream.of(lives[1].pid, "started")[-1]["filename"]
            check(wanted.startswith("/dev/fd/"), wanted)
            equal([(e["exe"], e["filename"]) for e in stream.of(lives[0].pid, "error")], [(wanted, wanted)])


LOSE_EARLY = """
import os, resource, subprocess, sys
folder, program, doomed = sys.argv[1:]
if subprocess.run(["mount", "-t", "binfmt_misc", "none", folder]).returncode:
    sys.exit(77)
with open(folder + "/register", "w") as f:
    f.write(":execsnoopd:M::%s::%s:O" % (open(doomed).read(), program))
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
os.execv(doomed, [doomed, "second"])
"""


@test
def exec_that_fails_before_its_stack_is_in_place_has_its_path():
    """The new memory is there, and the stack not moved to its place yet (fs/exec.c, setup_arg_pages()): there is no descriptor
    for the file that binfmt_misc opens for its interpreter (begin_new_exec())."""
    for _, stream in each_way():
        with Scratch() as folder:
            path = os.path.join(folder, "not an ELF file")
            with open(path, "w") as f:
                f.write("execsnoopd-test")
            os.chmod(path, 0o755)
            os.mkdir(os.path.join(folder, "misc"))
            # Since 6.7 a user namespace has a binfmt_misc of its own.
            process = subprocess.Popen(["unshare", "-Urm", sys.executable, "-c", LOSE_EARLY, os.path.join(folder, "misc"), ODD, path],
                                       stderr=subprocess.DEVNULL)
            if not needs(process.wait() < 0, "binfmt_misc in a user namespace"):
                continue
            stream.wait_exit(process.pid)
            error = stream.of(process.pid, "error")[-1]
            equal((error.get("exe"), error["error"], error.get("incomplete")), (path, "EMFILE", None))


@test
def exec_by_a_thread_that_fails_after_the_point_of_no_return_is_reported():
    """It has another id by then."""
    for _, stream in each_way():
        with Scratch() as folder:
            path = doomed(folder)
            process = odd("thread-exec", path, "secret")
            status = process.wait()
            exited = stream.wait_exit(process.pid)
            if not needs(status < 0, "the kernel refused it before"):
                continue
            equal(exited["exit_signal"], signal.Signals(-status).name)
            errors = stream.of(process.pid, "error")
            equal([(e["exe"], e["args"], e["args_truncated"]) for e in errors], [(path, [], True)])


@test
def failed_exec_of_a_killed_process_is_complete():
    """A pending SIGKILL does not make the event incomplete."""
    path = "/proc/self/root" * 15 + "/nonexistent/killed"  # takes the kernel long, so that the signal mostly comes meanwhile
    for _, stream in each_way():
        started = []
        for _ in range(100):
            process = odd("exec-again", path, stdout=subprocess.PIPE)
            process.stdout.read(1)
            process.kill()
            process.wait()
            process.stdout.close()
            started.append(process.pid)
        stream.wait_exit(started[-1])
        for error in [e for e in stream.events if e["type"] == "error" and e["pid"] in started]:
            equal((error.get("exe"), error["args"], error.get("args_truncated")),
                  (path, [path, "second"], None))


if __name__ == "__main__":
    main()
