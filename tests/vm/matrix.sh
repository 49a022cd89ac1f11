#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# matrix.sh [-v] [-g GUEST[,GUEST...] | -s SUITE[,SUITE...]] [RELEASE[/ARCH]...]: the daemon on Debian's kernels, in qemu, without KVM: 5.10 6.1 6.12 latest, and the
# same with /arm64 where there are a cross compiler and qemu for it, and with PREEMPT_RT: 5.10-rt, which is to be refused (realtime.sh), 6.1-rt, 6.12-rt, latest-rt; or those named. Fetches kernels through apt the first time,
# and builds for arm64 with cross.sh in cross-arm64. Prints a line for each kernel: what passed, and what a system call takes
# with the daemon ÷ without, by each way to see failed execs; with -v all that the guests say. With -g only those of the guests inside, attack, refusal, bystander. With -s the end-to-end tests of
# these names (tests/e2e/SUITE.py: paths, delivery, ...; paths:NAME: one of them) instead, in guests with Python; on x86-64 if
# no kernel is named.
# Environment: builddir; VMLAB: where kernels are kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) build=$(cd "${builddir:-.}" && pwd)
VMLAB=${VMLAB:-${XDG_CACHE_HOME:-$HOME/.cache}/execsnoopd-vm}
. "$here/apt-private.sh"
verbose='' suites='' guests=inside,attack,refusal,bystander,realtime
while getopts vg:s: o; do
	case $o in v) verbose=1 ;; g) guests=$OPTARG ;; s) suites=$OPTARG ;; *) exit 2 ;; esac
done
shift $((OPTIND - 1))
if [ $# = 0 ]; then
	set -- 5.10 6.1 6.12 latest
	# One by one: command -v is content with any of several.
	if [ -z "$suites" ] && command -v aarch64-linux-gnu-gcc && command -v qemu-system-aarch64 && command -v mmdebstrap; then
		set -- "$@" 5.10/arm64 6.1/arm64 6.12/arm64 latest/arm64
	fi >/dev/null
	[ -n "$suites" ] || set -- "$@" 5.10-rt 6.1-rt 6.12-rt latest-rt
fi
for tool in qemu-system-x86_64 cpio python3; do
	command -v $tool >/dev/null || { echo "matrix.sh: there is no $tool" >&2; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# fail32 ARCH: a 32-bit program that execs /no/such, and ends with 0; and far32, that execs /no/far, whose path, arguments and pointers to
# them are so far from each other that they were never touched.
fail32() {
	python3 - "$1" "$work/fail32" 0 <<<"$fail32"
	python3 - "$1" "$work/far32" 0x10000 <<<"$fail32"
	chmod +x "$work/fail32" "$work/far32"
}
fail32=$(cat <<'PYTHON'
import struct, sys
base, far = 0x8048000, int(sys.argv[3], 0)
at = 0x54 + 40  # behind the headers and the code
path, args, second = (far, 2 * far, 3 * far) if far else (at, at + 13, at + 9)
parts = {path: b"/no/far\0" if far else b"/no/such\0", second: b"x32\0", args: struct.pack("<III", base + path, base + second, 0)}
size = max(at + len(part) for at, part in parts.items())
path, args = base + path, base + args
machine, flags, code = {
    "amd64": (3, 0, b"\xb8\x0b\0\0\0\xbb" + struct.pack("<I", path) + b"\xb9" + struct.pack("<I", args) +
              b"\x31\xd2\xcd\x80\xb8\x01\0\0\0\x31\xdb\xcd\x80"),
    # ldr r0, path; ldr r1, args; mov r2, #0; mov r7, #11; svc 0; mov r0, #0; mov r7, #1; svc 0
    "arm64": (40, 0x05000000, struct.pack("<10I", 0xe59f0018, 0xe59f1018, 0xe3a02000, 0xe3a0700b, 0xef000000,
                                          0xe3a00000, 0xe3a07001, 0xef000000, path, args)),
}[sys.argv[1]]
head = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
head += struct.pack("<HHIIIIIHHHHHH", 2, machine, 1, base + 0x54, 0x34, 0, flags, 0x34, 0x20, 1, 0, 0, 0)
head += struct.pack("<8I", 1, 0, base, base, size, size, 5, 0x1000)
image = bytearray((head + code.ljust(40, b"\x90")).ljust(size, b"\0"))
for at, part in parts.items():
    image[at:at + len(part)] = part
open(sys.argv[2], "wb").write(image)
PYTHON
)
# boot SCRIPT [OPTION...]: one guest; its output goes to the log.
boot() {
	local script=$1 status=0
	shift
	case ,$guests, in *,"${script%.sh}",*) ;; *) return ;; esac
	# A guest that ended without a result (125) did so in the emulator, not in a test: once more.
	for _ in 1 2; do
		status=0
		"$here/boot.sh" -t 900 "$@" "$kernel" "$here/$script" "$here/tap.sh:/vm/tap" \
			${overlay:+"$overlay:/overlay.ko"} \
			"$programs/src/execsnoopd:/usr/bin/execsnoopd" "$programs/tests/e2e/odd:/odd" "$programs/tests/e2e/fail:/fail" "$work/fail32:/fail32" "$work/far32:/far32" \
			"$programs/tests/bench/load:/load" "$programs/tests/e2e/fields:/fields" "$here/../../bpf/vmlinux_min.h:/vmlinux_min.h" "$programs/bpf:/bpf" \
			>"$work/one" 2>&1 || status=$?
		[ $status = 125 ] || break
		echo "matrix.sh: $release, $script: no result" >&2
	done
	cat "$work/one" >>"$work/log"
	[ $status = 0 ] || bad=1
}
# run_suites ARCH: one guest with Python and all the suites.
run_suites() {
	local tree status=0 helper helpers=()
	for helper in odd stuck fail storm slow.so; do
		helpers+=("$programs/tests/e2e/$helper:/root/build/tests/e2e/$helper")
	done
	tree=$VMLAB/trees/bookworm-python-$1-$(cksum <"$here/mk-python.sh" | cut -d ' ' -f 1)
	made_once "$tree" "$here/mk-python.sh" bookworm "$tree" "$1"
	for _ in 1 2; do
		status=0
		"$here/boot.sh" -t 3600 -m 2048 -c 2 -r "$tree" -a "vm_tests=$suites" "$kernel" "$here/e2e.sh" "$here/../e2e:/root/tests/e2e" \
			"$programs/src/execsnoopd:/root/build/src/execsnoopd" "$programs/src/execsnoopctl:/root/build/src/execsnoopctl" "${helpers[@]}" \
			"$build/systemd/execsnoopd.service:/root/build/systemd/execsnoopd.service" >"$work/log" 2>&1 || status=$?
		[ $status = 125 ] || break
		echo "matrix.sh: $release: no result" >&2
	done
	[ $status = 0 ] || bad=1
}
failed=0 overlay=''
for release in "$@"; do
	arch=amd64 programs=$build
	unset SYSROOT
	case $release in
	*/*)
		arch=${release#*/} programs=$build/cross-${release#*/}
		SYSROOT=$("$here/cross.sh" "$arch" "$programs" 2>"$work/log" | tail -n 1) || { cat "$work/log"; exit 1; }
		export SYSROOT
		;;
	esac
	fail32 "$arch"
	flavour=cloud version=${release%/*} modules=1
	case $version in *-rt) flavour=linux-image-rt-$arch modules='' ;; esac
	kernel=$(WITH_MODULES=$modules "$here/fetch-kernel.sh" "${version%-rt}" "$arch" "$flavour" | tail -n 1)
	bad=0
	: >"$work/log"
	if [ -n "$suites" ]; then
		run_suites "$arch"
		[ -z "$verbose" ] && [ $bad = 0 ] || cat "$work/log"
		printf '%-11s %-28s %s: %s passed, %s failed\n' "$release" "${kernel##*/}" "$suites" \
			"$(grep -c '^ok ' "$work/log")" "$(grep -c '^not ok ' "$work/log")"
		[ $bad = 0 ] || failed=1
		continue
	fi
	if [ "$version" = 5.10-rt ]; then
		boot realtime.sh
	else
		overlay=''
		[ -z "$modules" ] || overlay=$(find "$kernel/modules" -name 'overlay.ko*' | head -n 1)
		case $overlay in
		*.xz) xz -dc "$overlay" >"$work/overlay.ko" && overlay=$work/overlay.ko ;;
		esac
		boot inside.sh
		overlay=''
		boot attack.sh
	fi
	case $version in
	*-rt) ;;
	*)
		boot refusal.sh -a "vm_bare lockdown=integrity"
		boot refusal.sh -a "vm_bare lockdown=confidentiality"
		ACCEL=tcg,thread=single QEMU_ARGS="-icount shift=0,sleep=off" boot bystander.sh
		;;
	esac
	[ -z "$verbose" ] && [ $bad = 0 ] || cat "$work/log"
	printf '%-11s %-28s %-24s %s passed, %s failed; getppid %s\n' "$release" \
		"$(sed -n 's/^ok 1 - \(.*\): the daemon starts/\1/p' "$work/log")" "$(sed -n 's/^# kind //p' "$work/log")" \
		"$(grep -c '^ok ' "$work/log")" "$(grep -c '^not ok ' "$work/log")" \
		"$(sed -n 's/^# price \(.*\) \(.*\)/\1 \2/p' "$work/log" | paste -sd , | sed 's/,/, /g')"
	[ $bad = 0 ] || failed=1
done
exit $failed
