#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# At home in a real systemd with a real journald: a Debian tree booted by systemd-nspawn on the running kernel, with
# the daemon installed by `make install`, and used as README.md says. Inside, tests/e2e/systemd-inside.sh speaks TAP.
#
# `systemd.sh prepare` makes the tree, for which it needs the network; without it the test is skipped.
# Environment: top_srcdir, builddir; VMLAB: where trees are kept between runs.
set -euo pipefail
top=$(cd "${top_srcdir:-.}" && pwd) build=$(cd "${builddir:-.}" && pwd)
VMLAB=${VMLAB:-${XDG_CACHE_HOME:-$HOME/.cache}/execsnoopd-vm}
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")

skip() {
	if [ -n "${CI:-}" ]; then echo "1..1"; echo "not ok 1 - systemd in a container: $1"; exit 1; fi
	echo "1..0 # SKIP $1"
	exit 0
}
[ "${EXECSNOOP_CHECK:-}" != unit ] || { echo "1..0 # SKIP unit tests only"; exit 0; }
[ "$(id -u)" = 0 ] || skip "not root"
for tool in mmdebstrap systemd-nspawn; do command -v $tool >/dev/null || skip "there is no $tool"; done
[ -n "$suite" ] || skip "no Debian here, whose packages the tree is made of"

tree=$VMLAB/trees/$suite-service
if [ "${1:-}" = prepare ]; then
	. "$top/tests/vm/apt-private.sh"
	made_once "$tree" "$top/tests/vm/mk-rootfs.sh" "$suite" "$tree" libbpf1 libelf1 libyajl2 libinih1 netcat-openbsd jq
	exit
fi
[ -e "$tree.done" ] || skip "there is no Debian tree: tests/e2e/systemd.sh prepare makes it"
if grep -q '__asan_init' "$build/src/execsnoopd"; then skip "the sanitizers' libraries are not in the tree"; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
make -s -C "$build" install DESTDIR="$work/root" >"$work/install.log" 2>&1 || { cat "$work/install.log" >&2; exit 1; }
files=("$top/tests/e2e/inside.sh:/pkg/inside.sh")
while IFS= read -r file; do files+=("$work/root$file:$file"); done < <(cd "$work/root" && find . -type f -printf '/%P\n')
"$top/tests/vm/nspawn-test.sh" -t 1000 -o "$work/out" "$tree" "$top/tests/e2e/systemd-inside.sh" "${files[@]}"
