#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the guest of matrix.sh, with busybox: the daemon with each way to see failed execs, and what it says of a few
# programs. Prints TAP, and last, for the table: "# kind KIND", the way that `auto` took.
. /vm/tap

begin auto
report "$(uname -r): the daemon starts"
/fields /vmlinux_min.h /bpf/lifecycle.bpf.o /bpf/failed_exec.bpf.o /bpf/failed_exec_deferred.bpf.o >/tmp/fields
status=$?
grep -E '^(#|not ok)' /tmp/fields
[ $status = 0 ]
report "every required field is in the kernel's BTF"
kind=$(sed -n 's/.*failed execs are seen by \(the function graph tracer\|trampolines\|kprobes\|the syscall tracepoints\).*/\1/p' /tmp/err)
ODD=yes /odd exit 3 "an argument"
until_true has '"type":"exited".*"an argument".*"env":{"ODD":"yes"}.*"cwd":"/root".*"cgroup":"/.*"exit_code":3,'
report "a program is started and exited"
changed=$(date -u -d "@$(stat -c %Z /odd)" +%Y-%m-%dT%H:%M:%S) spaces=
for space in mnt net user uts ipc cgroup time; do
	spaces="$spaces\"${space}_ns\":$(readlink /proc/self/ns/$space | tr -dc 0-9),"
done
has '"type":"exited".*"an argument".*"exe_ctime":"'"$changed"'[.][0-9]*Z".*'"$spaces"
report "its namespaces and the time of its program's last change are known"
sh -c "sh -c '/odd exit 3 \"in a session\"; true'; true"
until_true has '"type":"exited".*"in a session"'
session=$(sed -n 's/.*"in a session".*"sid":\([0-9]*\),.*/\1/p' /tmp/out | tail -n 1)
[ "$session" = 0 ] || has '"in a session".*"session_leader_id":"[0-9a-f]*-'"$session"'-'
report "the leader of its session is known"
setsid sh -c "sh -c '/odd exit 3 \"in a new session\"; true'; true"
until_true has '"type":"exited".*"in a new session".*"session_leader_id":"[0-9a-f]*-[0-9]*-'
report "the leader of a new session is known"
/odd kill 9
until_true has '"type":"exited".*"kill","9".*"exit_signal":"SIGKILL"'
report "exit_signal is reported"
/odd fork 7 >/dev/null
until_true has '"type":"exited".*"fork","7".*"exit_code":7'
[ "$(events '"type":"forked".*"fork","7"')" = 1 ]
report "a fork without exec is forked and exited"
/odd threads 100
until_true has '"type":"exited".*"threads","100".*"exit_code":5'
[ "$(events '"type":"exited".*"threads","100"')" = 1 ]
report "a process with a hundred threads has one end"
/odd leader-first
until_true has '"type":"exited".*"leader-first"'
[ "$(events '"type":"exited".*"leader-first"')" = 1 ]
report "a process whose leader ends first has one end"
/odd thread-exec /odd exit 8
until_true has '"type":"exited".*"exit","8".*"exit_code":8'
report "an exec by another thread is reported"
/odd exit 0 $(seq 20000)
until_true has '"type":"exited".*"19999","20000"'
report "long arguments are complete"
end

# Three arguments, each in a page of its own.
dd if=/dev/zero of=/tmp/strings bs=4096 count=3 2>/dev/null
printf first | dd of=/tmp/strings conv=notrunc 2>/dev/null
printf third | dd of=/tmp/strings conv=notrunc bs=4096 seek=2 2>/dev/null
for errors in kprobe-multi fexit kprobe tracepoint; do
	begin $errors
	if ! grep -q 'failed execs are seen' /tmp/err; then
		echo "# $(uname -r): no $errors: $(grep 'cannot be seen' /tmp/err)"
		end
		continue
	fi
	/odd exec /nonexistent "an argument" ""
	until_true has '"type":"error".*"exe":"/nonexistent".*"args":\["/nonexistent","an argument",""\].*"error":"ENOENT"'
	report "a failed exec is reported by $errors"
	if [ $errors != tracepoint ]; then
		/fail32
		until_true has '"type":"error".*"exe":"/no/such".*"args":\["/no/such","x32"\].*"error":"ENOENT"'
		report "a failed exec of a 32-bit program is reported by $errors"
	fi
	# Pages that were never touched can be read where the kernel has task work for BPF (6.18).
	if grep -q ' bpf_task_work_schedule_signal' /proc/kallsyms; then
		/odd untouched /tmp/strings
		until_true has '"type":"error".*"args":\["first","","third"\].*"error":"ENOENT"'
		report "untouched arguments are read by $errors"
		if [ $errors != tracepoint ]; then
			/far32
			until_true has '"type":"error".*"exe":"/no/far".*"args":\["/no/far","x32"\].*"error":"ENOENT"'
			report "untouched arguments of a 32-bit program are read by $errors"
		fi
	fi
	/odd exit 1
	until_true has '"type":"exited".*"exit","1"'
	[ "$(events '"type":"error"')" -le 4 ] && [ "$(events '"type":"lost"')" = 0 ]
	report "no other failed exec is reported by $errors"
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
report "a container in a cgroup v1 hierarchy has its id"
has '"snapshot":true.*"pid":'$sleeper',.*"cgroup":"/docker/'$id'","container_id":"'$id'"'
report "a container that ran before has its id"
kill $sleeper
end

# A file system that is loaded later than the probes. Until its types are known, a key says that stat(2) may have another device; that
# is for ever where its module has none (before 5.11).
if [ -e /overlay.ko ]; then
	begin off
	mkdir /tmp/lower /tmp/upper /tmp/merged
	mount -t tmpfs none /tmp/lower
	mount -t tmpfs none /tmp/upper
	mkdir /tmp/upper/upper /tmp/upper/work
	cp /odd /tmp/lower/odd
	insmod /overlay.ko && mount -t overlay -o lowerdir=/tmp/lower,upperdir=/tmp/upper/upper,workdir=/tmp/upper/work,xino=off none /tmp/merged
	report "an overlay of two file systems is mounted"
	device="\"exe_inode\":$(stat -c %i /tmp/merged/odd),\"exe_dev\":\"0:$(stat -c %d /tmp/merged/odd)\""
	if [ ! -e /sys/kernel/btf/overlay ]; then device='"incomplete":\["exe_dev"\]'; fi
	more() { /tmp/merged/odd exit 9 || has '"type":"exited".*"exe":"/tmp/merged/odd".*'"$device"; }
	until_true more
	report "a program on it has the device of stat(2), or is marked incomplete"
	grep '"exe":"/tmp/merged/odd"' /tmp/out | grep -v '"incomplete":\["exe_dev"\]' | grep -v "$device" >/tmp/other
	[ ! -s /tmp/other ]
	report "no program on it has another device"
	if [ -e /sys/kernel/btf/overlay ]; then
		cp /odd /tmp/merged/new
		# Opened for writing, it is copied up.
		: 3<>/tmp/merged/odd
		changed=$(date -u -d "@$(stat -c %Z /tmp/merged/odd)" +%Y-%m-%dT%H:%M:%S)
		/tmp/merged/new exit 10
		/tmp/merged/odd exit 11
		until_true has '"type":"exited".*"/tmp/merged/new","exit","10".*"exe_upper":true,"exe_ctime":'
		report "a program that is not in the lower layer is marked"
		until_true has '"type":"exited".*"/tmp/merged/odd","exit","11".*"exe_upper":true,"exe_ctime":"'"${changed}[.]"
		report "a program that was copied up is marked"
	fi
	grep '"/tmp/merged/odd","exit","9"' /tmp/out | grep '"exe_upper"' >/tmp/other
	[ ! -s /tmp/other ]
	report "no other program is marked"
	end
	umount /tmp/merged
fi
echo "1..$number"
echo "# kind $kind"
exit $bad
