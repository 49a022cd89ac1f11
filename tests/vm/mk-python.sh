#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# mk-python.sh SUITE DIR [ARCH] : what the end-to-end tests need of Debian, in a tree for boot.sh -r: Python, coreutils, util-linux and
# the daemon's libraries; only unpacked, without any script of the packages.
set -euo pipefail
. "$(dirname "$0")/apt-private.sh"
suite=${1:?usage: mk-python.sh SUITE DIR [ARCH]} dir=${2:?} arch=${3:-amd64}
mirror=$(debian_mirror)
[ -n "$mirror" ] || { echo "mk-python.sh: no Debian mirror in apt's configuration" >&2; exit 1; }
rm -rf "$dir" "$dir.cpio"; mkdir -p "$(dirname "$dir")"
mmdebstrap --quiet --mode=root --architectures="$arch" --variant=extract \
    --include=busybox-static,coreutils,dash,grep,mount,python3,sed,util-linux,libbpf1,libelf1,libinih1,libsystemd0,libyajl2 \
    --setup-hook='mkdir -p "$1"/usr/bin "$1"/usr/sbin "$1"/usr/lib; for d in bin sbin lib; do ln -s usr/$d "$1"/$d; done' \
    --dpkgopt='path-exclude=/usr/share/*' \
    --customize-hook='rm -rf "$1"/var/lib "$1"/var/cache/* "$1"/etc/apt "$1"/usr/share "$1"/usr/lib/*-linux-gnu/perl-base "$1"/usr/lib/*-linux-gnu/gconv "$1"/usr/bin/perl*' \
    --customize-hook='echo root:x:0:0:root:/root:/bin/sh >"$1"/etc/passwd; echo root:x:0: >"$1"/etc/group; ln -sf dash "$1"/usr/bin/sh' \
    "$suite" "$dir" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >&2
mkdir -p "$dir"/{dev,proc,sys,tmp,run,root,vm/out}
echo "$dir: $(du -sm "$dir" | cut -f1) MiB"
