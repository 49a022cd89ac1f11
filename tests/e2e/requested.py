#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Which keys an output has: those that it must ask for by name, and the presets of fields."""
import grp
import json
import os
import pwd
import signal
import socket
import subprocess

from e2e import (CTL, ODD, PATIENCE, Client, Daemon, Scratch, check, copy_of, equal, live, main, odd, run, start_and_end, test,
                 until)
from truth import read

REQUESTED = ["host", "user", "group", "login_user", "parent_exe", "parent_args", "starter_id", "starter_exec_time"]
DERIVED = {"end_time", "ancestors", "cgroup", "egid", "caps", "sid", "pgid", "pid_ns", "ns_pid", "mnt_ns", "net_ns", "user_ns",
           "uts_ns", "ipc_ns", "cgroup_ns", "time_ns", "exe_ctime", "exe_inode", "exe_dev", "session_leader_id"}


def subscribed(daemon, **request):
    client = daemon.connect()
    client.send(request)
    return client, client.wait(lambda e: e["type"] == "subscribed")


def name_of(look_up, number, member):
    try:
        return getattr(look_up(number), member)
    except KeyError:
        return None


def become(uid, gid, loginuid):
    def set_ids():
        if loginuid is not None:
            with open("/proc/self/loginuid", "w") as f:
                f.write(str(loginuid))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    return set_ids


def can_log_in():
    """False where the kernel has no audit."""
    try:
        return subprocess.run(["true"], preexec_fn=become(0, 0, 0), check=False).returncode == 0
    except subprocess.SubprocessError:
        return False


@test
def keys_on_request_match_the_machine():
    with live({"socket": {"fields": ", ".join(["all", *REQUESTED])}}) as (_, stream), Scratch() as folder:
        program = copy_of(ODD, folder, "odd")
        users = [(entry.pw_uid, entry.pw_gid) for entry in pwd.getpwall()][:8] + [(12345, 54321)]
        loginuid = next(uid for uid, _ in reversed(users) if name_of(pwd.getpwuid, uid, "pw_name")) if can_log_in() else None
        for uid, gid in users:
            started, exited = start_and_end(stream, run(program, "exit", "0", preexec_fn=become(uid, gid, loginuid)))
            for event in started, exited:
                equal(event["host"], socket.gethostname())
                equal(event.get("user"), name_of(pwd.getpwuid, uid, "pw_name"), uid)
                equal(event.get("group"), name_of(grp.getgrgid, gid, "gr_name"), gid)
                if loginuid is not None:
                    equal(event["login_user"], pwd.getpwuid(loginuid).pw_name)
                # This process called exec before the daemon started.
                equal((event["starter_id"], event.get("starter_exec_time")), (event["parent_id"], None))
                equal(event["parent_exe"], os.readlink("/proc/self/exe"))
                equal(event["parent_args"], [arg.decode() for arg in read("/proc/self/cmdline").split(b"\0")[:-1]])
        failed = odd("exec", "/nonexistent/x")
        failed.wait()
        error = stream.wait(lambda e: e["type"] == "error" and e["pid"] == failed.pid)
        equal((error.get("user"), error["parent_exe"]), (name_of(pwd.getpwuid, os.getuid(), "pw_name"), os.readlink("/proc/self/exe")))


@test
def keys_on_request_are_only_where_asked_for():
    with Daemon() as daemon:
        plain, answer = subscribed(daemon, snapshot=True)
        equal(answer["fields"], "all")
        plain.wait_live()
        asking, wanted = subscribed(daemon, snapshot=True, fields=["host", "all", "parent_args"])
        equal(wanted["fields"], ["all", "host", "parent_args", "parent_args_truncated"])
        some, answer = subscribed(daemon, fields=["user", "pid"])
        equal(answer["fields"], ["type", "pid", "user"])
        begin = asking.events.index(wanted)
        asking.wait(lambda e: e["type"] == "live", since=begin)
        process = run(ODD, "exit", "0")
        for client in plain, asking, some:
            client.wait_exit(process.pid)
        check(not [e for e in plain.events if e["type"] != "live" and {*REQUESTED} & {*e}], "keys that were not asked for")
        for event in asking.events[begin:]:
            if "pid" in event:
                equal((event["host"], "user" in event), (socket.gethostname(), False))
        own = [e for e in asking.events[begin:] if e["type"] == "started" and e.get("snapshot") and e["ppid"] == os.getpid()]
        check(own and all(e["parent_args"] == [arg.decode() for arg in read("/proc/self/cmdline").split(b"\0")[:-1]] for e in own), own)
        equal(some.of(process.pid, "exited"), [{"type": "exited", "pid": process.pid, "user": pwd.getpwuid(os.getuid()).pw_name}])


@test
def parent_is_what_it_runs_at_the_time_of_the_event():
    with live({"socket": {"fields": "all, parent_exe, parent_args"}}) as (_, stream):
        # The shell's child outlives it, and so has another parent, of which its events do not speak.
        end, hold = os.pipe()
        script = "%s wait 0 <&%d >/dev/null & echo $!; read line" % (ODD, end)
        process = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[end])
        os.close(end)
        child = int(process.stdout.readline())
        started = stream.wait(lambda e: e["type"] == "started" and e["pid"] == child)
        equal(started["parent_args"], ["sh", "-c", script])
        equal(os.path.realpath("/bin/sh"), started["parent_exe"])
        process.stdin.close()
        process.wait()
        stream.wait_exit(process.pid)
        os.close(hold)
        exited = stream.wait_exit(child)
        equal((exited["ppid"], exited["parent_comm"]), (process.pid, "sh"))
        check("parent_exe" not in exited and "parent_args" not in exited, exited)


@test
def long_arguments_of_a_parent_are_cut():
    with live({"socket": {"fields": "all, parent_args"}}) as (_, stream):
        script = "%s exit 0; true" % ODD
        long = ["sh", "-c", script, *("%05d" % i + "x" * 995 for i in range(200))]
        process = subprocess.Popen(long)
        process.wait()
        exited = stream.wait(lambda e: e["type"] == "exited" and e["ppid"] == process.pid)
        check(exited["parent_args_truncated"])
        kept = exited["parent_args"]
        equal(kept, long[:len(kept)])
        size = sum(len(arg) + 1 for arg in kept)
        check(65536 - 1001 < size <= 65536, size)
        equal(stream.wait_exit(process.pid)["args"], long)


def descriptors(pid):
    names = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            names.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
        except FileNotFoundError:
            pass  # it was closed meanwhile
    return names


@test
def names_are_read_only_where_asked_for():
    with Daemon() as daemon:
        def watched():
            open_files = descriptors(daemon.process.pid)
            return "anon_inode:inotify" in open_files, "/proc/sys/kernel/hostname" in open_files
        equal(watched(), (False, False))
        subscribed(daemon, fields=["all", "parent_exe"])
        equal(watched(), (False, False))
        subscribed(daemon, fields="host")
        equal(watched(), (False, True))
        subscribed(daemon, fields=["all", "login_user"])
        equal(watched(), (True, True))


@test
def names_follow_the_files():
    with Scratch() as folder:
        passwd, program = os.path.join(folder, "passwd"), copy_of(ODD, folder, "odd")

        def write(text, path=passwd):
            with open(path, "w") as f:
                f.write(text)

        def replace(text):
            write(text, passwd + ".new")
            os.rename(passwd + ".new", passwd)
        write("root:x:0:0::/:\nalpha:x:4711:4711::/:\nother:x:4711:4711::/:")
        prefix = ("unshare", "-m", "sh", "-c", "mount --bind %s /etc && exec \"$@\"" % folder, "sh")
        with live({"socket": {"fields": "all, user, group"}}, prefix=prefix) as (daemon, stream):
            def names(uid=4711):
                event = start_and_end(stream, run(program, "exit", "0", user=uid, group=uid, extra_groups=[]))[0]
                return event.get("user"), event.get("group")
            equal(names(), ("alpha", None))
            replace("beta:x:4711:4711::/:\n")
            until(lambda: names() == ("beta", None), "the name of a file that was replaced")
            write("gamma:x:4711:4711::/:\n")
            until(lambda: names() == ("gamma", None), "the name of a file that was written")
            write("crew:x:4711:\n", os.path.join(folder, "group"))
            until(lambda: names() == ("gamma", "crew"), "the name of a group in a new file")
            os.unlink(passwd)
            until(lambda: names() == (None, "crew"), "no name without a file")
            # What is no file that ends is not waited for, and changes nothing.
            replace("delta:x:4711:4711::/:\n")
            until(lambda: names() == ("delta", "crew"), "the name")
            os.mkfifo(passwd + ".new")
            os.rename(passwd + ".new", passwd)
            until(lambda: "not a regular file" in daemon.messages(), "a warning")
            equal(names(), ("delta", "crew"))
            # Of a large one, the first MiB.
            replace("epsilon:x:4711:4711::/:\n" + "filler:x:9:9::/:\n" * 200000 + "last:x:4712:4712::/:\n")
            until(lambda: names() == ("epsilon", "crew"), "the first name of a large file")
            equal(names(4712), (None, None))
            check("only the first 1048576 bytes" in daemon.messages())
            # A change that could not be seen takes a reload.
            outside = os.path.join(folder, "elsewhere")
            os.mkdir(outside)
            write("zeta:x:4711:4711::/:\n", outside + "/passwd")
            os.unlink(passwd)
            os.symlink("elsewhere/passwd", passwd)
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_note("READY=1")
            equal(names(), ("zeta", "crew"))


@test
def host_follows_a_change():
    with live({"socket": {"fields": "all, host"}}, prefix=("unshare", "-u")) as (daemon, stream):
        def host():
            return start_and_end(stream, run(ODD, "exit", "0"))[0].get("host")
        equal(host(), socket.gethostname())
        subprocess.run(["nsenter", "-t", str(daemon.process.pid), "-u", "sh", "-c", "echo another.example >/proc/sys/kernel/hostname"], check=True)
        until(lambda: host() == "another.example", "the new name")


@test
def history_leaves_out_what_can_be_derived():
    with Daemon({"socket": {"fields": "history"}}) as daemon:
        client = daemon.connect()
        with Client(daemon.path) as whole:
            whole.send({"fields": "all"})
            whole.wait(lambda e: e["type"] == "subscribed")
            process = run(ODD, "exit", "3")
            for got, every in zip(start_and_end(client, process), start_and_end(whole, process)):
                derived = {*DERIVED, *(["time"] if every["type"] == "exited" else [])}
                equal(got, {key: value for key, value in every.items() if key not in derived})
        dumped = subprocess.run([*daemon.process.args, "--dump-config"], stdout=subprocess.PIPE, check=True, timeout=PATIENCE).stdout
        check(b"\n[socket]\n" in dumped and b"\nfields = history\n" in dumped, dumped)
        with Client(daemon.path) as again:
            again.send({"fields": ["history", "host"]})
            equal(again.wait(lambda e: e["type"] == "subscribed")["fields"], ["history", "host"])


@test
def views_of_a_history_are_those_of_all_keys():
    with Daemon() as daemon, Scratch() as folder:
        streams = {fields: subscribed(daemon, fields=fields)[0] for fields in ("all", "history")}
        begin = streams["all"].wait_exit(run(ODD, "exit", "0").pid)["seq"]
        parent = subprocess.Popen(["sh", "-c", "%s exit 3; %s kill 9; %s exec /nonexistent/x; exit 0" % (ODD, ODD, ODD)],
                                  cwd="/usr", stderr=subprocess.DEVNULL)
        parent.wait()
        end = streams["all"].wait_exit(parent.pid)["seq"]
        streams["history"].wait_exit(parent.pid)
        for fields, stream in streams.items():
            with open(os.path.join(folder, fields), "w") as f:
                f.writelines(json.dumps(e) + "\n" for e in stream.events if begin < e.get("seq", 0) <= end)
        for view in ["log"], ["log", "-t", "started"], ["log", "--failed"], ["watch"], ["show", str(parent.pid)], ["tree", "-S", "-1h"]:
            shown = [subprocess.run([CTL, *view, "-i", os.path.join(folder, fields)], stdout=subprocess.PIPE, check=True).stdout
                     for fields in streams]
            check(len(shown[0]) > 50 and (b"odd" in shown[0] or view == ["show"]), view, shown[0])
            equal(shown[1], shown[0], view)


if __name__ == "__main__":
    main()
