#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mk-python.sh SUITE DIR [ARCH] : what the end-to-end tests need of Debian, in a tree for boot.sh -r: Python, coreutils, util-linux, make, nc, strace
# and the daemon's libraries; only unpacked, without any script of the packages.
set -euo pipefail
. "$(dirname "$0")/apt-private.sh"
suite=${1:?usage: mk-python.sh SUITE DIR [ARCH]} dir=${2:?} arch=${3:-amd64}
mirror=$(debian_mirror)
[ -n "$mirror" ] || { echo "mk-python.sh: no Debian mirror in apt's configuration" >&2; exit 1; }
rm -rf "$dir" "$dir.cpio"; mkdir -p "$(dirname "$dir")"
mmdebstrap --quiet --mode=root --architectures="$arch" --variant=extract \
    --include=busybox-static,coreutils,dash,grep,make,mount,netcat-openbsd,python3,sed,strace,util-linux,libbpf1,libelf1,libinih1,libsystemd0,libyajl2 \
    --setup-hook='mkdir -p "$1"/usr/bin "$1"/usr/sbin "$1"/usr/lib; for d in bin sbin lib; do ln -s usr/$d "$1"/$d; done' \
    --dpkgopt='path-exclude=/usr/share/*' \
    "$suite" "$dir" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >&2
# mmdebstrap runs no customize hooks where it only extracts.
rm -rf "$dir"/var/lib "$dir"/var/cache/* "$dir"/etc/apt "$dir"/usr/share "$dir"/usr/lib/*-linux-gnu/{perl-base,gconv} "$dir"/usr/bin/perl*
echo root:x:0:0:root:/root:/bin/sh >"$dir/etc/passwd"
printf 'root:x:0:\ntests:x:99:\n' >"$dir/etc/group"
ln -sf dash "$dir/usr/bin/sh"
ln -sf nc.openbsd "$dir/usr/bin/nc"
mkdir -p "$dir"/{dev,proc,sys,tmp,run,root,vm/out}
echo "$dir: $(du -sm "$dir" | cut -f1) MiB"
