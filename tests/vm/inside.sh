#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest of matrix.sh, with busybox: the daemon with each way to see failed execs, and what it says of a few
# programs. Prints TAP, and last, for the table: "# kind KIND", the way that `auto` took.
. /vm/tap

begin auto
report "$(uname -r): it starts"
/fields /kernel.h /bpf/execsnoop.bpf.o /bpf/errors.bpf.o /bpf/late.bpf.o >/tmp/fields
status=$?
grep -E '^(#|not ok)' /tmp/fields
[ $status = 0 ]
report "every field that the probes read is there, or they can do without"
kind=$(sed -n 's/.*failed execs are seen by \(trampolines\|kprobes\|the syscall tracepoints\).*/\1/p' /tmp/err)
ODD=yes /odd exit 3 "an argument"
until_true has '"type":"exited".*"an argument".*"env":{"ODD":"yes"}.*"cwd":"/root".*"cgroup":"/.*"exit_code":3,'
report "a program that starts and ends"
/odd kill 9
until_true has '"type":"exited".*"kill","9".*"exit_signal":"SIGKILL"'
report "a signal"
/odd fork 7 >/dev/null
until_true has '"type":"exited".*"fork","7".*"exit_code":7'
[ "$(events '"type":"forked".*"fork","7"')" = 1 ]
report "a fork without exec"
/odd threads 100
until_true has '"type":"exited".*"threads","100".*"exit_code":5'
[ "$(events '"type":"exited".*"threads","100"')" = 1 ]
report "a hundred threads end once"
/odd leader-first
until_true has '"type":"exited".*"leader-first"'
[ "$(events '"type":"exited".*"leader-first"')" = 1 ]
report "a leader that ends first"
/odd thread-exec /odd exit 8
until_true has '"type":"exited".*"exit","8".*"exit_code":8'
report "an exec by another thread"
/odd exit 0 $(seq 20000)
until_true has '"type":"exited".*"19999","20000"'
report "long arguments"
end

# Three arguments, each in a page of its own.
dd if=/dev/zero of=/tmp/strings bs=4096 count=3 2>/dev/null
printf first | dd of=/tmp/strings conv=notrunc 2>/dev/null
printf third | dd of=/tmp/strings conv=notrunc bs=4096 seek=2 2>/dev/null
for errors in fexit kprobe tracepoint; do
	begin $errors
	if ! grep -q 'failed execs are seen' /tmp/err; then
		echo "# $(uname -r): no $errors: $(grep 'cannot be seen' /tmp/err)"
		end
		continue
	fi
	/odd exec /nonexistent "an argument" ""
	until_true has '"type":"error".*"exe":"/nonexistent".*"args":\["/nonexistent","an argument",""\].*"error":"ENOENT"'
	report "a failed exec by $errors"
	if [ $errors != tracepoint ]; then
		/fail32
		until_true has '"type":"error".*"exe":"/no/such".*"args":\["/no/such","x32"\].*"error":"ENOENT"'
		report "a failed exec of a 32-bit program by $errors"
	fi
	# What nobody has touched can be read where the kernel has task work for BPF (6.18).
	if grep -q ' bpf_task_work_schedule_signal' /proc/kallsyms; then
		/odd untouched /tmp/strings
		until_true has '"type":"error".*"args":\["first","","third"\].*"error":"ENOENT"'
		report "arguments that were not touched by $errors"
		if [ $errors != tracepoint ]; then
			/far32
			until_true has '"type":"error".*"exe":"/no/far".*"args":\["/no/far","x32"\].*"error":"ENOENT"'
			report "those of a 32-bit program by $errors"
		fi
	fi
	/odd exit 1
	until_true has '"type":"exited".*"exit","1"'
	[ "$(events '"type":"error"')" -le 4 ] && [ "$(events '"type":"lost"')" = 0 ]
	report "nothing else by $errors"
	end
done
# cgroup v1 without the hierarchy that systemd keeps: the container is where the controllers have it.
mkdir /tmp/v1 && mount -t cgroup -o pids none /tmp/v1
id=$(printf %064d 7)
mkdir -p /tmp/v1/docker/$id
sh -c "echo \$\$ >/tmp/v1/docker/$id/cgroup.procs; exec sleep 1000" &
sleeper=$!
until_true grep -q "^$sleeper\$" /tmp/v1/docker/$id/cgroup.procs
begin off
sh -c "echo \$\$ >/tmp/v1/docker/$id/cgroup.procs; exec /odd exit 6"
until_true has '"type":"exited".*"cgroup":"/docker/'$id'","container_id":"'$id'".*"exit_code":6'
report "a container in a hierarchy of cgroup v1"
has '"snapshot":true.*"pid":'$sleeper',.*"cgroup":"/docker/'$id'","container_id":"'$id'"'
report "one that was there before"
kill $sleeper
end
echo "1..$number"
echo "# kind $kind"
exit $bad
