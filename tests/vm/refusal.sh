#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in a guest of matrix.sh that was booted with lockdown=confidentiality or =integrity, and without tracefs and
# securityfs: with the first the daemon ends and names the cause, also where it cannot see the state; the second is no
# obstacle, also to any way to see failed execs. Prints TAP.
. /vm/tap

refuses() {
	execsnoopd -o </dev/null >/tmp/out 2>/tmp/err
	[ $? = 77 ] && [ ! -s /tmp/out ] && [ "$(wc -l </tmp/err)" = 1 ] && grep -qF "$1" /tmp/err
}

mount -t securityfs none /sys/kernel/security
state=$(sed 's/.*\[\(.*\)\].*/\1/' /sys/kernel/security/lockdown)
case $state in
confidentiality)
	refuses "kernel lockdown (confidentiality)"
	report "lockdown=confidentiality is named, with status 77"
	umount /sys/kernel/security && refuses "no /sys/kernel/security/lockdown"
	report "lockdown=confidentiality is named without securityfs too"
	;;
integrity)
	umount /sys/kernel/security && ! grep -E 'tracefs|debugfs|securityfs' /proc/mounts
	report "lockdown=integrity: tracefs and securityfs are not mounted"
	for errors in auto kprobe-multi fexit kprobe tracepoint; do
		begin $errors
		/odd exec /nonexistent "an argument"
		if grep -q 'failed execs are seen' /tmp/err; then
			until_true has '"type":"error".*"exe":"/nonexistent"'
			report "a failed exec is reported with errors = $errors"
		else
			echo "# $(uname -r): no $errors: $(grep 'cannot be seen' /tmp/err)"
		fi
		end
	done
	;;
*)
	false
	report "the kernel is locked down"
	;;
esac
echo "1..$number"
exit $bad
