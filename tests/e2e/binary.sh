#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a machine that runs the daemon has to have: its size without symbols, and the libraries that it names.
set -eu
daemon=${builddir:-.}/src/execsnoopd
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if nm "$daemon" | grep -q __asan_init; then
	echo "1..0 # SKIP sanitizers are part of it"
	exit 0
fi
echo "1..2"
bad=0
"${STRIP:-strip}" -o "$work/stripped" "$daemon"
size=$(stat -c %s "$work/stripped")
echo "# $size bytes"
# Where relocations cannot be packed (configure.ac), they take 16 KiB.
limit=715000
readelf -d "$daemon" | grep -q RELR || limit=735000
if [ "$size" -lt $limit ]; then echo "ok 1 - it has less than $limit bytes"; else
	bad=1
	echo "not ok 1 - it has less than $limit bytes"
fi
others=$(readelf -d "$daemon" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
	grep -Ev '^lib(bpf|elf|systemd|yajl|inih|c)\.so|^ld-linux' || true)
if [ -z "$others" ]; then echo "ok 2 - it needs its five libraries and libc alone"; else
	bad=1
	echo "# $others" | tr '\n' ' '
	echo
	echo "not ok 2 - it needs its five libraries and libc alone"
fi
exit $bad
