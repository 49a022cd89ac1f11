#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in a guest of matrix.sh whose clock counts instructions (qemu's -icount), so nothing else on the host is in its figures:
# what a system call that has nothing to do with programs takes with the daemon, as a ratio to without. Nothing by
# trampolines and kprobes; the tracepoints' price is shown beside. Prints TAP, and for the table "# price KIND RATIO".
. /vm/tap

# The least of some: the daemon, or the kernel, may run meanwhile on the one CPU.
calls() {
	for _ in 1 2 3 4 5; do /load calls 50000; done | sed 's/.*"cpu_ns": \([0-9]*\).*/\1/' | sort -n | head -n 1
}
ratio() { awk "BEGIN { printf \"%.3f\", $1 / $2 }"; }
below() { awk "BEGIN { exit !($1 < $2) }"; }

# Programs on tracepoints that the daemon has.
tracepoints() { cat /proc/$daemon/fdinfo/* | grep -c 'prog_type:.5$'; }

: >/tmp/out 2>/tmp/err
without=$(calls)
for errors in off kprobe-multi fexit kprobe tracepoint; do
	begin $errors
	if grep -q 'cannot be seen' /tmp/err; then
		echo "# $(uname -r): no $errors: $(grep 'cannot be seen' /tmp/err)"
		end
		continue
	fi
	price=$(ratio "$(calls)" "$without")
	echo "# price $errors $price"
	if [ $errors = tracepoint ]; then
		[ "$(tracepoints)" -gt 0 ] && below 1.1 "$price"
		report "system calls take longer with the syscall tracepoints"
	else
		[ "$(tracepoints)" = 0 ]
		report "no tracepoint is in use with errors = $errors"
		below "$price" 1.02
		report "system calls take no longer with errors = $errors"
	fi
	end
done
echo "1..$number"
exit $bad
