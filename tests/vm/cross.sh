#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cross.sh ARCH FOLDER: builds the daemon and the programs of the tests for another architecture (arm64) in FOLDER, with
# Debian's cross compiler (apt install gcc-aarch64-linux-gnu) and a sysroot of Debian's packages, which is kept in
# $VMLAB and whose path is the last line printed. The first time it needs the network.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/apt-private.sh"
arch=${1:?usage: cross.sh ARCH FOLDER} folder=${2:?}
case $arch in
arm64) triplet=aarch64-linux-gnu ;;
*) die "no cross build for $arch" ;;
esac
command -v $triplet-gcc >/dev/null || die "there is no $triplet-gcc: apt-get install gcc-$triplet libc6-dev-$arch-cross"
sysroot=$VMLAB/sysroot-$arch-3 # the number changes with the packages
source=$(cd "$HERE/../.." && pwd)
make_sysroot() {
    local mirror
    mirror=$(debian_mirror)
    rm -rf "$sysroot"
    # Only unpacked: nothing of the other architecture runs here.
    mmdebstrap --quiet --mode=root --architectures="$arch" --variant=extract \
        --include=libc6-dev,libgcc-12-dev,libbpf-dev,libelf-dev,libsystemd-dev,libyajl-dev,libinih-dev,libsmartcols-dev \
        --setup-hook='mkdir -p "$1"/usr/bin "$1"/usr/sbin "$1"/usr/lib; for d in bin sbin lib; do ln -s usr/$d "$1"/$d; done' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        bookworm "$sysroot" "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm main"
}
made_once "$sysroot" make_sysroot
mkdir -p "$folder"; cd "$folder"
export PKG_CONFIG_SYSROOT_DIR=$sysroot PKG_CONFIG_LIBDIR=$sysroot/usr/lib/$triplet/pkgconfig:$sysroot/usr/share/pkgconfig
{
    [ Makefile -nt "$source/configure" ] || "$source/configure" -q --host=$triplet CC="$triplet-gcc --sysroot=$sysroot"
    make -s -j"$(nproc)" all # first: it alone makes the skeletons before what includes them
    make -s -j"$(nproc)" tests/e2e/odd tests/e2e/stuck tests/e2e/storm tests/e2e/slow.so tests/e2e/fail tests/e2e/fields tests/bench/load
} >&2
echo "$sysroot"
