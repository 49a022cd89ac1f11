#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# bpftool as Ubuntu has it before 25.04: no package of its own, and a script that works for some kernels only.
set -eu
cd "${top_srcdir:-.}"
source=$(pwd)
if [ ! -e bootstrap ] || ! grep -qs '^ID=debian' /etc/os-release; then
	echo "1..0 # SKIP not a checkout on Debian"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/build"
number=0 bad=0

# fake NAME TEXT: a program of that name.
fake() {
	printf '#!/bin/sh\n%s\n' "$2" >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

# report NAME FILE: ok if the condition before it held.
report() {
	number=$((number + 1))
	if [ "$held" = 1 ]; then echo "ok $number - $1"; return; fi
	tail -n 20 "$2" | sed 's/^/# /'
	echo "not ok $number - $1"
	bad=1
}

echo "1..2"
fake bpftool 'echo "WARNING: bpftool not found for kernel $(uname -r)" >&2; exit 2'
fake dpkg-query 'exit 1'
fake apt-cache '[ "$*" = "madison bpftool" ] || exit 1'
fake apt-get "echo \"\$*\" >>$work/asked; [ \"\$1\" = update ]"
held=0
! PATH=$work/bin:$PATH ./bootstrap run >"$work/log" 2>&1 || :
! grep -q '^install.* linux-tools-common linux-tools-generic' "$work/asked" || grep -q '^install.* bpftool' "$work/asked" || held=1
report "bootstrap asks for linux-tools where bpftool is no package" "$work/log"

held=0
if (cd "$work/build" && PATH=$work/bin:$PATH "$source/configure" -q) >"$work/log" 2>&1; then
	found=$(sed -n 's/^BPFTOOL = //p' "$work/build/Makefile")
	[ "$found" = "$work/bin/bpftool" ] || ! "$found" version >"$work/log" 2>&1 || held=1
fi
report "configure takes a bpftool that works" "$work/log"
exit $bad
