#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# matrix.sh [RELEASE...]: the daemon on Debian's kernels, in qemu, without KVM: 5.10 6.1 6.12 latest, or those named.
# Fetches kernels through apt the first time. Prints a line for each kernel; with -v all that the guest says.
# Environment: builddir; VMLAB: where kernels are kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) build=$(cd "${builddir:-.}" && pwd)
verbose=
[ "${1:-}" != -v ] || { verbose=1; shift; }
[ $# -gt 0 ] || set -- 5.10 6.1 6.12 latest
for tool in qemu-system-x86_64 cpio python3; do
	command -v $tool >/dev/null || { echo "matrix.sh: there is no $tool" >&2; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A 32-bit program that execs /no/such, and ends with 0.
python3 - "$work/fail32" <<'PYTHON'
import struct, sys
head = bytes.fromhex(
    "7f454c4601010100000000000000000002000300010000005480040834000000000000000000000034002000010000000000000001000000"
    "000000000080040800800408b0000000b00000000500000000100000")
strings, at = b"/no/such\0x32\0", 0x8048054 + 40
code = (b"\xb8\x0b\0\0\0\xbb" + struct.pack("<I", at) + b"\xb9" + struct.pack("<I", at + len(strings)) +
        b"\x31\xd2\xcd\x80\xb8\x01\0\0\0\x31\xdb\xcd\x80")
data = strings + struct.pack("<III", at, at + 9, 0)
open(sys.argv[1], "wb").write((head + code.ljust(40, b"\x90") + data).ljust(0xb0, b"\0"))
PYTHON
chmod +x "$work/fail32"
boot() {
	"$here/boot.sh" -t 300 "$kernel" "$here/inside.sh" "$build/src/execsnoopd:/usr/bin/execsnoopd" \
		"$build/tests/e2e/odd:/odd" "$work/fail32:/fail32" "$build/tests/vm/fields:/fields" \
		"$here/../../bpf/kernel.h:/kernel.h" "$build/bpf:/bpf" >"$work/log" 2>&1
}
failed=0
for release in "$@"; do
	kernel=$("$here/fetch-kernel.sh" "$release" | tail -n 1)
	status=0
	boot || status=$?
	# A guest that ended without a result did so in the emulator, not in a test.
	if [ $status = 125 ]; then
		echo "matrix.sh: $release: once more" >&2
		status=0
		boot || status=$?
	fi
	[ -z "$verbose" ] && [ $status = 0 ] || cat "$work/log"
	printf '%-8s %-28s %-24s %s passed, %s failed\n' "$release" \
		"$(sed -n 's/^ok 1 - \(.*\): it starts/\1/p' "$work/log")" "$(sed -n 's/^# kind //p' "$work/log")" \
		"$(grep -c '^ok ' "$work/log")" "$(grep -c '^not ok ' "$work/log")"
	[ $status = 0 ] || failed=1
done
exit $failed
