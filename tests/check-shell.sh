#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
set -eu
cd "${top_srcdir:-.}"
echo "1..1"
if ! command -v shellcheck >/dev/null; then echo "ok 1 - shellcheck # SKIP there is none"; exit 0; fi
scripts="tests/check-*.sh"
[ ! -e bootstrap ] || scripts="$scripts bootstrap"
[ ! -e tests/check-all ] || scripts="$scripts tests/check-all"
[ ! -e .ci/run ] || scripts="$scripts .ci/run"
# shellcheck disable=SC2086
if out=$(shellcheck -S warning -e SC1091 $scripts conf/shell-completion/bash/execsnoopctl 2>&1 && shellcheck -s bash -S error -e SC1091 tests/vm/*.sh 2>&1); then echo "ok 1 - shellcheck reports nothing"; exit 0; fi
printf '%s\n' "$out" | head -n 60 | sed 's/^/# /'
echo "not ok 1 - shellcheck reports nothing"
exit 1
