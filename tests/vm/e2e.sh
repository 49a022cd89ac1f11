#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in a guest of matrix.sh with Python: end-to-end tests, as `make check` runs them. The kernel command line names them:
# vm_tests=paths,refusal, or some of one: paths:NAME:NAME. Prints TAP, one after the other.
bad=0
# Emulated: whatever takes long takes longer here.
export SLOW=1 builddir=/root/build top_srcdir=/root PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
for test in $(sed -n 's/.*vm_tests=\([^ ]*\).*/\1/p' /proc/cmdline | tr , ' '); do
	begin=$(cut -d . -f 1 /proc/uptime)
	suite=${test%%:*} names=${test#"$suite"}
	# shellcheck disable=SC2046 # names have no spaces
	python3 "/root/tests/e2e/$suite.py" $(echo "$names" | tr : ' ') || bad=1
	echo "# $test took $(($(cut -d . -f 1 /proc/uptime) - begin)) s"
done
exit $bad
