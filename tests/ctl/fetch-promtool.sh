#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Prints the folder of promtool. If there is none, it is taken out of Debian's package prometheus, which is not installed, since
# that would start a server. Status 1: it cannot be had.
set -eu
if found=$(command -v promtool); then dirname "$found"; exit; fi
folder=${XDG_CACHE_HOME:-$HOME/.cache}/execsnoopd-promtool
if [ ! -x "$folder/usr/bin/promtool" ]; then
	command -v apt-get >/dev/null || exit 1
	mkdir -p "$folder"
	work=$(mktemp -d "$folder/work.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	# As root, apt would warn that its own user may not write here.
	(cd "$work" && apt-get -q -o APT::Sandbox::User=root download prometheus) >&2
	dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/promtool
	mkdir -p "$folder/usr/bin"
	mv "$work/usr/bin/promtool" "$folder/usr/bin/"
fi
echo "$folder/usr/bin"
