#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs and folders that are hard to name: links, mounts, namespaces, deleted files, long paths; and which file exe_dev and exe_inode name."""
import contextlib
import os
import shutil
import subprocess
import tempfile

from btf import write_without
from e2e import (ODD, Daemon, Scratch, cgroup_roots, check, equal, live, main, needs, odd, shared_stream,
                 start_and_end, test, until)
from truth import Subject, compare, copy_of_odd, in_snapshot, read, truth_of


@test
def links_and_odd_names_have_their_exe_and_filename():
    with shared_stream() as stream, Scratch() as folder:
        for name in (b"new\nline", b"\xff\xfe not utf8", b"a (deleted)", b"q'\"\\", b"fifteen-bytes-and-more"):
            path = copy_of_odd(folder, name)
            os.symlink(path, path + b".link")
            os.symlink(os.path.basename(path) + b".link", path + b".again")
            for by in (path, path + b".link", path + b".again"):
                subject = Subject(by, b"wait", b"0", cwd=folder)
                subject.finish(stream, filename=by, exe=path, exe_deleted=None)
        subject = Subject(b"./new\nline", b"wait", b"0", cwd=folder)
        subject.finish(stream, filename=b"./new\nline")


@test
def deleted_exe_and_moved_cwd_have_their_paths():
    with shared_stream() as stream, Scratch() as folder:
        path = copy_of_odd(folder)
        child = os.path.join(folder, "sub")
        os.mkdir(child)
        # The program unlinks itself and its folder before the exec that is looked at.
        subject = Subject("sh", "-c", "exec 9<%s; cd %s; rmdir %s; rm %s; exec /proc/self/fd/9 wait 0" %
                          (path.decode(), child, child, path.decode()))
        subject.finish(stream, exe=path, exe_deleted=True, cwd=os.fsencode(child))
        moved = os.path.join(folder, "before")
        os.mkdir(moved)
        subject = Subject("sh", "-c", "cd %s; mv %s %s/after; exec %s wait 0" % (moved, moved, folder, ODD))
        subject.finish(stream, cwd=os.fsencode(os.path.join(folder, "after")))


@test
def memfd_and_execveat_have_their_paths():
    with shared_stream() as stream, Scratch() as folder:
        process = odd("memfd")
        equal(process.wait(), 4)
        started = [e for e in stream.of(process.pid, "started") or [stream.wait_exit(process.pid)] and
                   stream.of(process.pid, "started")][-1]
        equal((started["exe"], started["exe_memfd"], started["exe_deleted"]), ("/memfd:odd-memfd", True, True))
        path = copy_of_odd(folder)
        for at, name, flags in ((folder, "copy", 0), (path, "", 0x1000), ("/", path.decode()[1:], 0)):
            subject = Subject(ODD, "at", at, name, str(flags), "argv0", "wait", "0")
            started, _ = subject.finish(stream, exe=path, args=[b"argv0", b"wait", b"0"])
            check(started["filename"].startswith("/dev/fd/"), started["filename"])


@test
def nested_scripts_have_the_last_interpreter_as_exe():
    with shared_stream() as stream, Scratch() as folder:
        previous = ODD
        for depth in range(3):
            script = os.path.join(folder, "script%d" % depth)
            with open(script, "w") as f:
                f.write("#!%s wait\n" % previous)
            os.chmod(script, 0o755)
            # odd wait SCRIPT...: atoi of a path is 0.
            subject = Subject(script, "x")
            started, _ = subject.finish(stream, exe=os.path.realpath(ODD).encode(), filename=script.encode())
            equal(started["args"][-2:], [script, "x"])
            previous = script


@test
def paths_match_proc_in_mounts_chroots_and_namespaces():
    with live() as (_, stream), Scratch() as folder:
        copy_of_odd(folder)
        inside = os.path.join(folder, "inside")
        os.mkdir(inside)
        overlay = ("mount -t tmpfs x %(i)s; mkdir %(i)s/u %(i)s/w %(i)s/o; mount -t overlay -o "
                   "lowerdir=%(f)s,upperdir=%(i)s/u,workdir=%(i)s/w x %(i)s/o; ")
        pivot = "mount --rbind / %(i)s; cd %(i)s; pivot_root . .%(i)s; "
        has_overlay, has_pivot = (subprocess.run(["unshare", "-m", "sh", "-ec", script % {"f": folder, "i": inside}],
                                                 stderr=subprocess.DEVNULL).returncode == 0 for script in (overlay, pivot))
        for script in (
            "mount --bind %(f)s %(i)s; cd %(i)s; exec %(i)s/copy wait 0",
            "mount -t tmpfs x %(i)s; cp %(f)s/copy %(i)s/c; mkdir %(i)s/d; cd %(i)s/d; exec ../c wait 0",
            "mount --rbind / %(i)s; exec chroot %(i)s sh -c 'cd /usr; exec %(f)s/copy wait 0'",
            *([pivot + "cd /usr; exec %(f)s/copy wait 0"] if needs(has_pivot, "the root is the kernel's first file system") else []),
            # A root above the root.
            "mount --rbind / /; exec nsenter --mount=/proc/self/ns/mnt sh -c 'cd /usr; exec %(f)s/copy wait 0'",
            # A program and a folder that are in another namespace than the process that runs it there; and in none any more.
            *("mount -t tmpfs x %(i)s; cp %(f)s/copy %(i)s/c; mkdir %(i)s/d; exec " + held + " 9<%(i)s/c; cd %(i)s/d; "
              "exec nsenter --mount=%(n)s --wd=. /proc/self/fd/9 wait 0" for held in ("8</proc/self/ns/mnt", "")),
            *([overlay + "cd %(i)s/o; exec ./copy wait 0"] if needs(has_overlay, "the kernel has no overlayfs") else []),
        ):
            subject = Subject("unshare", "-m", "sh", "-c",
                              script % {"f": folder, "i": inside, "n": "/proc/%d/ns/mnt" % os.getpid()})
            # /proc/PID/exe is by the root of the reader; one in another mount namespace has none in common, and shows
            # the path from its namespace's root, as the stream does.
            subject.finish(stream)
        subject = Subject("unshare", "-p", "-f", "--mount-proc", ODD, "wait", "0")
        child = int(read("/proc/%d/task/%d/children" % (subject.pid, subject.pid)).split()[0])
        started, _ = subject.finish(stream, pid=child)
        equal(started["ns_pid"], 1)
        subject = Subject("unshare", "-U", "-r", ODD, "wait", "0")
        subject.finish(stream)


@contextlib.contextmanager
def mounted(kind, source, folder, *options):
    os.makedirs(folder, exist_ok=True)
    r = subprocess.run(["mount", "-t", kind, *(["-o", ",".join(options)] if options else []), source, folder], stderr=subprocess.PIPE)
    try:
        yield r.returncode == 0
    finally:
        if r.returncode == 0:
            subprocess.run(["umount", "-l", folder], check=True)


def check_identities(stream, paths, config=None, upper=lambda path: False, **more):
    """Exe_dev, exe_inode and exe_ctime of each are what stat(2) says, in events and, with a config, in the snapshot of another daemon; the
    events. upper: whether that is in the upper layer of an overlay."""
    subjects = [Subject(path, "wait", "0") for path in paths]
    marks = [{"exe_upper": True} if upper(path) else {} for path in paths]
    if config is not None:
        with Daemon(config) as second:
            snapshot = {e["pid"]: e for e in second.connect().events if e["type"] == "started"}
            for subject, mark in zip(subjects, marks):
                compare(snapshot[subject.pid], truth_of(subject.pid), snapshot=True, source="proc", **mark)
    return [subject.finish(stream, **mark, **more)[0] for subject, mark in zip(subjects, marks)]


def pass_tick(folder):
    """Until a file that is changed has another time than one that was changed before."""
    def touch():
        with open(os.path.join(folder, "tick"), "w") as f:
            return os.fstat(f.fileno()).st_ctime_ns
    before = touch()
    until(lambda: touch() != before, "the clock does not move")


@test
def change_of_the_program_changes_its_exe_ctime():
    with shared_stream() as stream, Scratch() as folder:
        program = copy_of_odd(folder)
        changes = (lambda: os.chmod(program, 0o711), lambda: os.rename(program, program + b"2"), lambda: os.rename(program + b"2", program),
                   lambda: os.link(program, program + b"3"), lambda: os.utime(program, ns=(1, 1)))
        times = []
        for change in changes:
            subject = Subject(program if os.path.exists(program) else program + b"2", "wait", "0")
            truth = truth_of(subject.pid)
            pass_tick(folder)
            change()
            compare(in_snapshot(subject.pid), truth_of(subject.pid), snapshot=True, source="proc")
            # As it was at the exec, at the end too.
            started, _ = subject.finish(stream, exe_ctime=truth["exe_ctime"], exe=truth["exe"])
            times.append(started["exe_ctime"])
        equal(times, sorted(set(times)), "times")


@test
def program_on_btrfs_has_the_device_of_its_subvolume():
    if not needs(shutil.which("mkfs.btrfs") and "\tbtrfs\n" in read("/proc/filesystems").decode(), "there is no btrfs"):
        return
    with live() as (_, stream), Scratch() as folder:
        image, top = os.path.join(folder, "image"), os.path.join(folder, "top")
        with open(image, "wb") as f:
            f.truncate(120 << 20)
        subprocess.run(["mkfs.btrfs", "-q", image], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with mounted("btrfs", image, top, "loop") as good:
            check(good, "mount")
            volumes = [os.path.join(top, name) for name in "ab"]
            for volume in volumes:
                subprocess.run(["btrfs", "subvolume", "create", volume], check=True, stdout=subprocess.DEVNULL)
            programs = [copy_of_odd(path) for path in (*volumes, top)]
            events = check_identities(stream, programs, {})
            # With types that do not tell: the superblock's device, and a key that says so.
            types = os.path.join(folder, "types")
            write_without(types, {b"btrfs_root": {b"anon_dev"}})
            superblock = [line.split()[2] for line in read("/proc/self/mountinfo").decode().splitlines() if line.split()[4] == top][0]
            config = {"probes": {"btf": types}}
            with live(config) as (_, unknown):
                superblocks = {e["exe_dev"] for e in check_identities(unknown, programs, config, exe_dev=superblock, incomplete=["exe_dev"])}
            equal(superblocks, {superblock})
        # As found in the field: the same inode, and only the device tells them apart.
        equal(events[0]["exe_inode"], events[1]["exe_inode"], "the first file of each")
        equal(len({e["exe_dev"] for e in events}), 3)


@test
def program_on_overlay_has_the_device_of_its_layer():
    if not needs("\toverlay\n" in read("/proc/filesystems").decode(), "there is no overlayfs"):
        return
    with live() as (_, stream), Scratch() as folder, contextlib.ExitStack() as stack:
        one, other = (os.path.join(folder, name) for name in ("one", "other"))
        check(stack.enter_context(mounted("tmpfs", "none", one)) and stack.enter_context(mounted("tmpfs", "none", other)))
        for case, (upper, lowers, *options) in enumerate((
                (folder, [folder], "xino=off"), (folder, [one, other], "xino=off"), (folder, [one, other], "xino=on"),
                (one, [folder, other], "xino=off"), (one, [folder, folder], "xino=off"), (folder, [folder, one], "index=on", "xino=off"))):
            paths = {}
            for name, top in ("upper", upper), ("lower0", lowers[0]), ("lower1", lowers[-1]), ("work", upper):
                paths[name] = os.path.join(top, "%d-%s" % (case, name))
                os.mkdir(paths[name])
            for name in "upper", "lower0", "lower1":
                copy_of_odd(paths[name], b"only-" + name.encode())
                os.link(copy_of_odd(paths[name], b"linked-" + name.encode()), os.path.join(paths[name], "link-" + name))
            for name in "lower0", "lower1":
                for kind in "changed", "changed-link":
                    copy_of_odd(paths[name], ("%s-%s" % (kind, name)).encode())
                os.link(os.path.join(paths[name], "changed-link-" + name), os.path.join(paths[name], "second-" + name))
            merged = os.path.join(folder, "%d-merged" % case)
            with mounted("overlay", "none", merged, "lowerdir=%s:%s" % (paths["lower0"], paths["lower1"]),
                         "upperdir=" + paths["upper"], "workdir=" + paths["work"], *options) as good:
                check(good, "mount", case)
                names = sorted(os.listdir(merged))
                events = check_identities(stream, [os.path.join(merged, name) for name in names if "changed" not in name], {},
                                          lambda path: path.endswith("-upper"))
                # In each layer two of them are one file.
                equal(len({(e["exe_dev"], e["exe_inode"]) for e in events}), len(events) - 3, case)
                for name in names:
                    if "changed" in name:
                        os.utime(os.path.join(merged, name))  # which copies it up
                check_identities(stream, [os.path.join(merged, name) for name in names if "changed" in name], upper=lambda path: True)


@test
def program_that_is_not_of_the_image_is_marked():
    """As in a container: the lower layer is its image."""
    if not needs("\toverlay\n" in read("/proc/filesystems").decode(), "there is no overlayfs"):
        return
    with live() as (_, stream), Scratch() as folder:
        for options in [], ["metacopy=on"], ["index=on"]:
            with tempfile.TemporaryDirectory(dir=folder) as top:
                os.chmod(top, 0o755)
                lower, upper, work, merged = (os.path.join(top, name) for name in ("lower", "upper", "work", "merged"))
                for path in lower, upper, work:
                    os.mkdir(path)
                for name in b"image", b"opened", b"written", b"attributes":
                    copy_of_odd(lower, name)
                with mounted("overlay", "none", merged, "lowerdir=" + lower, "upperdir=" + upper, "workdir=" + work, *options) as good:
                    check(good, "mount", options)
                    paths = [os.path.join(merged, name) for name in ("image", "opened", "written", "attributes")]
                    check_identities(stream, paths, {})
                    pass_tick(top)
                    os.close(os.open(paths[1], os.O_WRONLY))
                    with open(paths[2], "ab") as f:
                        f.write(b"x")
                    os.chmod(paths[3], 0o711)
                    new = os.fsdecode(copy_of_odd(merged, b"new"))
                    # Of a change below stat(2) has the time, and the overlay's own inode has not.
                    os.link(os.path.join(lower, "image"), os.path.join(top, "link"))
                    # With metacopy a change of attributes leaves the data where they are.
                    kept = [paths[0]] + paths[3:] * ("metacopy=on" in options)
                    check_identities(stream, paths + [new], {}, lambda path, kept=kept: path not in kept)


def deep_folder(folder, depth):
    """A folder whose path is longer than any path that can be passed; the descriptor of it."""
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 200, dir_fd=fd)
        below = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    return fd


@test
def paths_that_are_too_long_are_marked_incomplete():
    with shared_stream() as stream, Scratch() as folder:
        for depth in (18, 25):
            top = os.path.join(folder, str(depth))
            os.mkdir(top)
            fd = deep_folder(top, depth)
            with open(os.open("copy", os.O_WRONLY | os.O_CREAT, 0o755, dir_fd=fd), "wb") as f:
                f.write(read(ODD))
            process = subprocess.Popen(["./copy", "exit", "0"], preexec_fn=lambda fd=fd: os.fchdir(fd))
            process.wait()
            started, _ = start_and_end(stream, process)
            whole = "/".join([top] + ["d" * 200] * depth)
            if depth == 18:
                equal((started["exe"], started["cwd"]), (whole + "/copy", whole))
                check("incomplete" not in started)
            else:
                check("exe" not in started and "cwd" not in started, "a path that was cut")
                equal(started["incomplete"], ["exe", "cwd"])
            os.close(fd)
        subprocess.run(["rm", "-rf", folder], check=True)


def folder_of_length(top, length, name):
    """Makes folders below top, so that the path of the last has that many bytes."""
    while len(top) < length:
        left = length - len(top) - 1
        # Nothing so short is left over that there is no room for a slash and a name.
        top = os.path.join(top, name * (left if left <= 240 else min(240, left - 2)))
        os.mkdir(top)
    return top


@test
def longest_paths_fit_in_one_record():
    """The probe's memory has room for them, and nothing overwrites anything."""
    roots = cgroup_roots(" - cgroup2 ")
    if not needs(roots, "there is no cgroup2 to be written to"):
        return
    with shared_stream() as stream, Scratch() as folder:
        exe = copy_of_odd(folder_of_length(folder, 4050, "e"))
        cwd = folder_of_length(folder, 4080, "c")
        os.symlink(exe, os.path.join(cwd, "link"))
        filename = "./" * 2040 + "link"
        for length in range(3800, 4030, 16):
            cgroup = folder_of_length(roots[0], len(roots[0]) + length, "g")

            def enter(cgroup=cgroup):
                with open(os.path.join(cgroup, "cgroup.procs"), "w") as f:
                    f.write(str(os.getpid()))
                os.chdir(cwd)
            try:
                Subject(filename, "wait", "0", preexec_fn=enter).finish(stream, filename=filename.encode(), incomplete=None)
            finally:
                while cgroup != roots[0]:
                    os.rmdir(cgroup)
                    cgroup = os.path.dirname(cgroup)


if __name__ == "__main__":
    main()
