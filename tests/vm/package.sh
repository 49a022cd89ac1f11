#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# package.sh [RELEASE]: a Debian with the package in it, booted in qemu with systemd as PID 1 of the machine: what
# tests/e2e/package-inside.sh finds at its second boot. The package is installed where no systemd runs, as image builders
# do it. RELEASE: of the kernel, 6.1 if not given. Environment as matrix.sh; the tree is that of tests/e2e/systemd.sh prepare.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) build=$(cd "${builddir:-.}" && pwd)
VMLAB=${VMLAB:-${XDG_CACHE_HOME:-$HOME/.cache}/execsnoopd-vm}
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
tree=$VMLAB/trees/$suite-service
[ -e "$tree.done" ] || { echo "package.sh: there is no Debian tree: tests/e2e/systemd.sh prepare makes it" >&2; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# tests/e2e/package.sh may have built it just now.
[ "$(find "$build/deb" -name 'execsnoopd_*.deb' -newer "$build/src/execsnoopd" 2>/dev/null)" ] ||
	make -s -C "$build" deb >"$work/log" 2>&1 || { tail -n 40 "$work/log"; exit 1; }
cp -a --reflink=auto "$tree" "$work/tree"
cp "$build"/deb/execsnoopd_*.deb "$work/tree/tmp/execsnoopd.deb"
chroot "$work/tree" dpkg -i /tmp/execsnoopd.deb >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
rm "$work/tree/tmp/execsnoopd.deb"
printf '#!/bin/sh\nBOOT=2 NUMBER=0 bash /pkg/inside; status=$?\necho "1..5"\nexit $status\n' >"$work/script"
kernel=$("$here/fetch-kernel.sh" "${1:-6.1}" | tail -n 1)
"$here/boot-systemd.sh" -t 240 -m 2048 "$kernel" "$work/tree" "$work/script" \
	"$here/../e2e/package-inside.sh:/pkg/inside" "$here/../e2e/inside.sh:/pkg/inside.sh"
