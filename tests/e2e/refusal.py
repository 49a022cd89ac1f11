#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon where something forbids the probes, really: it ends with the status that the cause has, and names it. Kernel
lockdown takes a boot: tests/vm/refusal.sh."""
import ctypes
import os
import resource
import struct
import subprocess
import tempfile

from e2e import DAEMON, ODD, PATIENCE, Stream, check, equal, main, run, start_and_end, status, test

UNSUPPORTED, PRIVILEGE = 69, 77
CAP_SYS_ADMIN, CAP_SYS_RESOURCE, CAP_PERFMON, CAP_BPF = 21, 24, 38, 39
PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 24, 22, 38
SYS_BPF = {"x86_64": 321, "aarch64": 280}.get(os.uname().machine, 0)
SYS_OTHER = 0x7fffffff  # no system call
libc = ctypes.CDLL(None, use_errno=True)


def prctl(*args):
    if libc.prctl(*map(ctypes.c_ulong, args)) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def drop(*caps):
    """Root without these, once it has called exec."""
    for cap in caps:
        prctl(PR_CAPBSET_DROP, cap, 0, 0, 0)


def filtered(error, number=SYS_BPF):
    """That system call fails with `error` from now on (seccomp(2))."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in (
        (0x20, 0, 0, 0),  # load the number
        (0x15, 0, 1, number),  # is it that one?
        (0x06, 0, 0, 0x00050000 | error),
        (0x06, 0, 0, 0x7fff0000)))
    buffer = ctypes.create_string_buffer(code)
    program = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer)))
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(PR_SET_SECCOMP, 2, ctypes.addressof(program), 0, 0)


def refused(status, *words, prefix=(), before=None, unless=None, config="/dev/null"):
    """The daemon ends with this status and these words in its one message; nothing comes out of it but that."""
    daemon = subprocess.run([*prefix, DAEMON, "-c", config, "--stdout"], preexec_fn=before, timeout=PATIENCE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    print("# %d: %s" % (daemon.returncode, daemon.stderr.strip()))
    equal((daemon.returncode, daemon.stdout), (status, ""), "status and output")
    equal(len(daemon.stderr.splitlines()), 1, "messages:", daemon.stderr)
    for word in words:
        check(word in daemon.stderr, "it does not say", word, ":", daemon.stderr)
    check(unless is None or unless not in daemon.stderr, daemon.stderr)


def runs(*words, prefix=(), before=None, config="/dev/null"):
    """The daemon starts, says these words, and reports a program."""
    daemon = subprocess.Popen([*prefix, DAEMON, "-c", config, "--stdout"], preexec_fn=before,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    stream = Stream(daemon.stdout.fileno())
    try:
        stream.wait_live()
        start_and_end(stream, run(ODD, "exit", "0"))
    finally:
        daemon.terminate()
        said = daemon.stderr.read()
        equal(daemon.wait(PATIENCE), 0, "status; it said", said)
    for word in words:
        check(word in said, "it does not say", word, ":", said)


def in_a_mount_namespace(commands):
    return ("unshare", "--mount", "--propagation", "private", "sh", "-ec", commands + '\nexec "$@"', "sh")


@test
def missing_capabilities_are_named():
    refused(PRIVILEGE, ": CAP_BPF and CAP_PERFMON missing", before=lambda: drop(CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON))
    refused(PRIVILEGE, ": CAP_PERFMON missing", before=lambda: drop(CAP_SYS_ADMIN, CAP_PERFMON))
    refused(PRIVILEGE, ": CAP_BPF missing", before=lambda: drop(CAP_SYS_ADMIN, CAP_BPF))


@test
def sysctl_that_forbids_unprivileged_bpf_is_named():
    with open("/proc/sys/kernel/unprivileged_bpf_disabled") as f:
        value = f.read().strip()
    words = "kernel.unprivileged_bpf_disabled = %s" % value
    without = lambda: drop(CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON)  # noqa: E731
    if value == "0":
        refused(PRIVILEGE, unless="unprivileged_bpf_disabled", before=without)
    else:
        refused(PRIVILEGE, words, before=without)
    # The privileged are not concerned.
    runs()


@test
def seccomp_filter_that_forbids_bpf_is_named():
    for error, name in ((1, "Operation not permitted"), (13, "Permission denied"), (38, "Function not implemented")):
        refused(PRIVILEGE, "a seccomp filter forbids bpf(2)", name, before=lambda error=error: filtered(error))


@test
def seccomp_filter_of_other_calls_does_not_prevent_the_start():
    runs(before=lambda: filtered(1, SYS_OTHER))
    # ... and is not blamed.
    refused(PRIVILEGE, ": CAP_PERFMON missing", unless="seccomp",
            before=lambda: (drop(CAP_SYS_ADMIN, CAP_PERFMON), filtered(1, SYS_OTHER)))


@test
def container_without_bpf_is_named():
    # As container engines make them: few capabilities, and a filter that depends on them.
    refused(PRIVILEGE, "CAP_BPF and CAP_PERFMON missing",
            before=lambda: (drop(CAP_SYS_ADMIN, CAP_BPF, CAP_PERFMON), filtered(1)))


@test
def user_namespace_is_named():
    refused(PRIVILEGE, "user namespace", prefix=("unshare", "--user"))
    refused(PRIVILEGE, "user namespace", prefix=("unshare", "--user", "--map-root-user"))


@test
def missing_sysfs_is_named():
    refused(UNSUPPORTED, "/sys, which has it, is not mounted", prefix=in_a_mount_namespace("umount -l /sys"))


@test
def missing_btf_is_named():
    refused(UNSUPPORTED, "CONFIG_DEBUG_INFO_BTF", "btf = in [probes]",
            prefix=in_a_mount_namespace("mount -t tmpfs none /sys/kernel/btf"))


@test
def file_that_is_not_btf_is_named():
    with tempfile.NamedTemporaryFile("w") as config:
        for path, why in ("/nonexistent/btf", "No such file"), ("/etc/passwd", "neither BTF nor"), ("/bin/sh", "neither BTF nor"):
            config.seek(0)
            config.truncate()
            config.write("[probes]\nbtf = %s\n" % path)
            config.flush()
            refused(UNSUPPORTED, "no type information (BTF) in %s: %s" % (path, why), config=config.name)


class Member(ctypes.Structure):
    """struct btf_member, include/uapi/linux/btf.h"""
    _fields_ = [("name", ctypes.c_uint32), ("type", ctypes.c_uint32), ("offset", ctypes.c_uint32)]


def write_moved(path, name):
    """The kernel's types, but a member of task_struct is a word further back, as in another kernel."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    for function, kind in (("load_vmlinux_btf", ctypes.c_void_p), ("name_by_offset", ctypes.c_char_p), ("type_by_id", ctypes.c_void_p),
                           ("raw_data", ctypes.POINTER(ctypes.c_char))):
        getattr(libbpf, "btf__" + function).restype = kind
    btf, size = ctypes.c_void_p(libbpf.btf__load_vmlinux_btf()), ctypes.c_uint32()
    # Of struct btf_type: name_off, info, size; then the members.
    at = libbpf.btf__type_by_id(btf, libbpf.btf__find_by_name_kind(btf, b"task_struct", 4))
    count = ctypes.c_uint32.from_address(at + 4).value & 0xffff
    members = (Member * count).from_address(at + 12)
    names = [libbpf.btf__name_by_offset(btf, member.name) for member in members]
    data = libbpf.btf__raw_data(btf, ctypes.byref(size))
    # Of a copy: since 1.6 libbpf's own is a mapping of the kernel's file, for reading only.
    copy = (ctypes.c_char * size.value).from_buffer_copy(data[:size.value])
    member = ctypes.addressof(members[names.index(name)]) - ctypes.cast(data, ctypes.c_void_p).value
    Member.from_buffer(copy, member).offset += 64
    with open(path, "wb") as f:
        f.write(copy.raw)


@test
def btf_of_another_kernel_is_named():
    for name, differs in ((b"comm", "another comm"), (b"start_boottime", "another start"), (b"nsproxy", "another mount namespace"),
                          (b"thread_pid", "another pid")):
        with tempfile.NamedTemporaryFile() as types, tempfile.NamedTemporaryFile("w") as config:
            write_moved(types.name, name)
            config.write("[probes]\nbtf = %s\n" % types.name)
            config.flush()
            refused(UNSUPPORTED, "in %s is not that of this kernel, Linux %s" % (types.name, os.uname().release), differs,
                    config=config.name)


@test
def btf_of_no_kernel_is_named():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "types")
        libbpf = ctypes.CDLL("libbpf.so.1")
        size = ctypes.c_uint32()
        libbpf.btf__new_empty.restype = ctypes.c_void_p
        libbpf.btf__raw_data.restype = ctypes.POINTER(ctypes.c_char)
        btf = ctypes.c_void_p(libbpf.btf__new_empty())
        check(libbpf.btf__add_int(btf, b"int", ctypes.c_size_t(4), 0) == 1)
        with open(path, "wb") as f:
            f.write(libbpf.btf__raw_data(btf, ctypes.byref(size))[:size.value])
        with open(os.path.join(folder, "config"), "w") as f:
            f.write("[probes]\nbtf = %s\n" % path)
        refused(UNSUPPORTED, "loading the probes with the types in " + path, config=f.name)


BARE = "for f in /sys/kernel/debug /sys/kernel/tracing /sys/kernel/security; do ! mountpoint -q $f || umount -R $f; done"


@test
def missing_tracefs_and_securityfs_do_not_prevent_the_start():
    runs("failed execs are seen", prefix=in_a_mount_namespace(BARE))
    # The tracepoints of a tracefs that the daemon mounts; where it cannot, the log says so.
    with tempfile.NamedTemporaryFile("w") as config:
        config.write("[probes]\nerrors = tracepoint\n")
        config.flush()
        runs("failed execs are seen by the syscall tracepoints", prefix=in_a_mount_namespace(BARE), config=config.name)
        runs("failed execs cannot be seen: tracepoint: no tracefs: Operation not permitted", config=config.name,
             prefix=in_a_mount_namespace(BARE + "\nset -- setpriv --bounding-set=-sys_admin \"$@\""))


@test
def limit_of_locked_memory_is_named():
    def limited():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
        drop(CAP_SYS_RESOURCE)
    # Newer kernels charge maps to the memory cgroup.
    if tuple(int(n) for n in os.uname().release.split(".")[:2]) < (5, 11):
        refused(PRIVILEGE, "LimitMEMLOCK=infinity (ulimit -l), not 65536 bytes", before=limited)
    else:
        runs(before=limited)


@test
def limit_of_descriptors_is_not_taken_for_missing_bpf():
    refused(1, "Too many open files", before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)))


if __name__ == "__main__":
    main()
