#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in a guest of matrix.sh with a PREEMPT_RT kernel whose BPF ring buffer has a lock that sleeps: the daemon ends and names
# the cause, before any program of the kernel's could be harmed. Prints TAP.
. /vm/tap

# refuses LINE: with this line in [probes].
refuses() {
	printf '[probes]\n%s\n' "$1" >/tmp/conf
	: >/tmp/out
	execsnoopd -o -c /tmp/conf </dev/null >/tmp/out 2>/tmp/err
	[ $? = 69 ] && [ ! -s /tmp/out ] && [ "$(wc -l </tmp/err)" = 1 ] && grep -q "PREEMPT_RT kernel .* a lock that sleeps" /tmp/err
}

[ "$(cat /sys/kernel/realtime)" = 1 ]
report "$(uname -r) is a PREEMPT_RT kernel"
refuses ""
report "the daemon refuses it with status 69 and the cause"
refuses "errors = off"
report "the daemon refuses it without failed execs too"
refuses "btf = /sys/kernel/btf/vmlinux"
report "the daemon refuses it with a BTF file too"
n=0
while [ $n -lt 200 ] && /odd exit 0; do n=$((n + 1)); done
[ $n = 200 ] && ! dmesg | grep -E 'scheduling while atomic|sleeping function'
report "programs start and end as before"
echo "1..$number"
exit $bad
