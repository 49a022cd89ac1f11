# SPDX-License-Identifier: GPL-2.0-or-later
"""Variants of the running kernel's type information (BTF), as files."""
import ctypes
import struct

from e2e import check


def write_other_ids(path):
    """The kernel's types, each with an id that is one more."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    size = ctypes.c_uint32()
    libbpf.btf__load_vmlinux_btf.restype = libbpf.btf__new_empty.restype = ctypes.c_void_p
    libbpf.btf__raw_data.restype = ctypes.POINTER(ctypes.c_char)
    old, new = ctypes.c_void_p(libbpf.btf__load_vmlinux_btf()), ctypes.c_void_p(libbpf.btf__new_empty())
    check(libbpf.btf__add_int(new, b"another_first", ctypes.c_size_t(4), 0) == 1 and libbpf.btf__add_btf(new, old) == 2)
    data = libbpf.btf__raw_data(new, ctypes.byref(size))
    with open(path, "wb") as f:
        f.write(data[:size.value])


def write_without(path, members):
    """The kernel's types, but these members have no names: as in a kernel that was built without them."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    for function, kind in (("load_vmlinux_btf", ctypes.c_void_p), ("name_by_offset", ctypes.c_char_p), ("type_by_id", ctypes.c_void_p),
                           ("raw_data", ctypes.c_void_p)):
        getattr(libbpf, "btf__" + function).restype = kind
    btf, size = ctypes.c_void_p(libbpf.btf__load_vmlinux_btf()), ctypes.c_uint32()
    data = libbpf.btf__raw_data(btf, ctypes.byref(size))
    copy = bytearray(ctypes.string_at(data, size.value))
    for name, gone in members.items():
        # struct btf_type: name_off, info, size; then the members: name_off, type, offset.
        at = libbpf.btf__type_by_id(btf, libbpf.btf__find_by_name_kind(btf, name, 4)) - data
        for member in range(at + 12, at + 12 + 12 * struct.unpack_from("H", copy, at + 4)[0], 12):
            if libbpf.btf__name_by_offset(btf, struct.unpack_from("I", copy, member)[0]) in gone:
                struct.pack_into("I", copy, member, 0)
    with open(path, "wb") as f:
        f.write(copy)
