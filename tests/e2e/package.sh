#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `make deb`, and the package used: installed, removed and upgraded in a Debian of its own (systemd-nspawn on the running
# kernel), which is then booted again. Inside, tests/e2e/package-inside.sh speaks TAP; it is told which boot it is.
#
# Environment and tree as systemd.sh, whose `prepare` makes it.
set -euo pipefail
top=$(cd "${top_srcdir:-.}" && pwd) build=$(cd "${builddir:-.}" && pwd)
VMLAB=${VMLAB:-${XDG_CACHE_HOME:-$HOME/.cache}/execsnoopd-vm}
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
tree=$VMLAB/trees/$suite-service

skip() {
	if [ -n "${CI:-}" ]; then echo "1..1"; echo "not ok 1 - the package: $1"; exit 1; fi
	echo "1..0 # SKIP $1"
	exit 0
}
[ "${EXECSNOOP_CHECK:-}" != unit ] || { echo "1..0 # SKIP unit tests only"; exit 0; }
[ "$(id -u)" = 0 ] || skip "not root"
for tool in systemd-nspawn dpkg-buildpackage dh lintian; do command -v $tool >/dev/null || skip "there is no $tool"; done
[ -e "$tree.done" ] || skip "there is no Debian tree: tests/e2e/systemd.sh prepare makes it"
if grep -q '__asan_init' "$build/src/execsnoopd"; then skip "the sanitizers' libraries are not in the tree"; fi

number=0
# report NAME: by the status of the last command.
report() {
	local status=$?
	number=$((number + 1))
	if [ $status = 0 ]; then echo "ok $number - $1"; else echo "not ok $number - $1"; fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Nothing is left of `make install`.
mkdir "$work/root"
make -s -C "$build" install DESTDIR="$work/root" >"$work/log" 2>&1 &&
	[ "$(find "$work/root" -type f | wc -l)" -ge 10 ] &&
	make -s -C "$build" uninstall DESTDIR="$work/root" >>"$work/log" 2>&1 && [ -z "$(find "$work/root" ! -type d)" ] ||
	{ sed 's/^/# /' "$work/log"; find "$work/root" ! -type d | sed 's/^/# left: /'; false; }
report "make uninstall removes all that make install added"

make -s -C "$build" deb >"$work/log" 2>&1 || { tail -n 40 "$work/log" | sed 's/^/# /'; false; }
report "make deb builds the package"
deb=$(echo "$build"/deb/execsnoopd_*.deb)
lintian --allow-root --fail-on error "$deb" >"$work/log" 2>&1
status=$?
sed 's/^/# /' "$work/log"
[ $status = 0 ]
report "lintian finds no error"

# The same as a newer version, for an upgrade.
dpkg-deb -R "$deb" "$work/newer"
sed -i 's/^Version: .*/&+newer/' "$work/newer/DEBIAN/control"
dpkg-deb -b --root-owner-group "$work/newer" "$work/newer.deb" >/dev/null

# The recipes of README.md, and the examples of execsnoopd(8), without comments and prompts.
sed -n '/^## Recipes/,/^## /p' "$top/README.md" | sed -n '/^```sh/,/^```$/p' | sed '/^```/d; /^#/d' >"$work/recipes"
sed -n '/^\.Sh EXAMPLES/,/^\.Sh RESTART/p' "$top/man/execsnoopd.8" | sed -n '/^\$ /,/^\.Ed/p' |
	sed '/^\.Ed/d; s/^\$ //; s/\\e/\\/g' >>"$work/recipes"

# The tree as a disk that keeps what is written to it.
cp -a --reflink=auto "$tree" "$work/tree"
for boot in 1 2; do
	rc=0
	VOLATILE=no "$top/tests/vm/nspawn-test.sh" -t 500 -e "BOOT=$boot" -e "NUMBER=$number" -o "$work/out" "$work/tree" \
		"$top/tests/e2e/package-inside.sh" "$top/tests/e2e/inside.sh:/pkg/inside.sh" "$deb:/pkg/execsnoopd.deb" "$work/newer.deb:/pkg/newer.deb" \
		"$work/recipes:/pkg/recipes" >"$work/tap" || rc=$?
	cat "$work/tap"
	number=$(grep -c '^\(not \)\?ok ' "$work/tap" | awk -v n=$number '{ print n + $1 }')
	if [ $rc != 0 ] && ! grep -q '^not ok' "$work/tap"; then
		number=$((number + 1))
		echo "not ok $number - boot $boot came to its end: $rc"
	fi
done
echo "1..$number"
