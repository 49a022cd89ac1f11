#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The gauntlet once more, as on a kernel without type information (BTF) of its own and with a file of it: the kernel's is hidden from the
daemon."""
import os
import tempfile

import e2e

if __name__ == "__main__":
    import gauntlet  # noqa: F401  its tests
    with tempfile.TemporaryDirectory(prefix="execsnoopd-btf-") as folder:
        if os.path.exists("/sys/kernel/btf/vmlinux"):
            e2e.hide_btf(os.path.join(folder, "vmlinux.btf"))
        e2e.main()
