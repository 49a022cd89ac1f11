#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the container of package.sh, as root, once the system is up: BOOT 1 installs, BOOT 2 finds it installed.
set -u
. /pkg/inside.sh
details() { tail -n 30 /tmp/log; }

# All files, but for what dpkg and systemd write about anything.
files() {
	find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /vm -o -path /pkg -o -path /var/log -o \
		-path /var/lib/dpkg -o -path /var/cache -o -path /dev -o -path /root -o -path /var/tmp \) -prune -o -print | sort
}
# Users stay, as Debian has it: their number could be given to another, whose files are then another's.
made() { diff /tmp/before - | grep '^[<>]' | grep -v ' /etc/\(passwd\|group\|shadow\|gshadow\)-\?$\|/var/lib/systemd/\(catalog\|deb-systemd-helper\|timers\|random\)'; }

is_active() { systemctl is-active -q $unit; }
install() { DEBIAN_FRONTEND=noninteractive dpkg -i "$1" >/tmp/log 2>&1 </dev/null; }

first_boot() {
	files >/tmp/before
	mkdir -p /etc/systemd/system-preset
	echo "disable $unit" >/etc/systemd/system-preset/00-local.preset
	install /pkg/execsnoopd.deb && ! systemctl is-enabled -q $unit && ! is_active
	report "the package does not start a unit that a preset disables"
	dpkg -P execsnoopd >/tmp/log 2>&1
	rm -r /etc/systemd/system-preset
	left=$(files | made)
	[ -z "$left" ] || echo "$left" | say
	[ -z "$left" ]
	report "purging leaves no file"
	install /pkg/execsnoopd.deb && systemctl is-enabled -q $unit && until_true is_active && getent group execsnoopd >/dev/null
	report "the package enables and starts the daemon"
	! systemctl is-enabled -q execsnoopd.socket
	report "the package does not enable the socket unit"
	# There are no manual pages in this tree, and verify asks for them.
	verified=$(systemd-analyze verify $unit execsnoopd.socket 2>&1 | grep execsnoopd | grep -v "Command 'man ")
	[ -z "$verified" ] || echo "$verified" | say
	[ -z "$verified" ]
	report "systemd-analyze verify reports nothing"
	security=$(systemd-analyze security --no-pager $unit 2>/dev/null | sed -n 's/.*Overall exposure level for [^ ]*: \([0-9.]*\).*/\1/p')
	echo "# systemd-analyze security: $security"
	awk -v s="$security" 'BEGIN { exit !(s > 0 && s <= 2.0) }'
	report "the exposure of the unit is 2.0 at most"

	member=(setpriv --reuid=65534 --regid=65534 --groups="$(getent group execsnoopd | cut -d: -f3)")
	other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	timeout 20 "${member[@]}" nc -U $socket </dev/null 2>/tmp/log | grep -q -m 1 '"type":"live"'
	report "a member of the group reads the socket"
	! timeout 20 "${other[@]}" nc -U $socket </dev/null >/tmp/log 2>&1 && grep -q 'denied' /tmp/log
	report "another user cannot read the socket"
	recipes
	upgrade
}

# Each recipe of README.md and execsnoopd(8) prints something, or sends it to the collector; one without an end is stopped.
recipes() {
	useradd -u 1000 somebody 2>/dev/null || echo 'somebody:x:1000:1000::/:/bin/bash' >>/etc/passwd
	local recipe command=''
	count=0
	for _ in $(seq 2000); do
		/usr/bin/ls --force /etc
		setpriv --reuid=1000 --regid=1000 --clear-groups /usr/bin/ls /etc
		/nonexistent/program
		bash -c 'kill -SEGV $$'
		sleep 0.5
		[ ! -e /tmp/recipes-done ] || break
	done >/dev/null 2>&1 &
	cp /usr/bin/true /usr/bin/ssh
	/usr/bin/ssh
	until_true sh -c "journalctl -t execsnoopd EXECSNOOP_COMM=ssh EXECSNOOP_TYPE=exited -o cat | grep -q ." &&
		until_true sh -c "journalctl -t execsnoopd EXECSNOOP_EXIT_SIGNAL=SIGSEGV -o cat | grep -q ." &&
		until_true sh -c "journalctl -t execsnoopd EXECSNOOP_UID=1000 -o cat | grep -q ."
	nc -d -lkU /run/collector.sock >>/tmp/collected 3<&- &
	collector=$!
	until_true [ -S /run/collector.sock ]
	while IFS= read -r -u 3 recipe; do
		command+=$recipe$'\n'
		case $recipe in *'|') continue ;; '') command='' && continue ;; esac
		count=$((count + 1))
		# A pipe that is cut by the time limit has status 124, and has written before; on a slow machine in more time.
		for limit in 4 40; do
			: >/tmp/collected
			timeout $limit bash -c "$command" </dev/null >/tmp/out 2>/tmp/log 3<&-
			! cat /tmp/out /tmp/collected | grep -q . || break
		done
		cat /tmp/out /tmp/collected | grep -q . && ! grep -q -v '^$' /tmp/log
		report "recipe: ${command//$'\n'/ }"
		command=''
	done 3</pkg/recipes
	[ $count -ge 17 ]
	report "all $count recipes were run"
	journalctl -t execsnoopd -p notice -x --no-pager | grep -q 'Subject: Process [0-9]* could not run a program'
	report "journalctl -x shows the catalog right after the installation"
	touch /tmp/recipes-done
	kill $collector
	rm /usr/bin/ssh
}

# Another version, while programs run and somebody reads.
upgrade() {
	local restorm
	restorm=restorm-$(cat /proc/sys/kernel/random/uuid) # others may run this as well, on the same kernel
	timeout 120 nc -U $socket >/tmp/stream </dev/null &
	reader=$!
	until_true grep -q '"type":"live"' /tmp/stream
	before=$(systemctl show -P MainPID $unit)
	rm -f /tmp/enough
	{ n=0; while [ ! -e /tmp/enough ] && [ $n -lt 50000 ]; do /bin/true "$restorm"; n=$((n + 1)); done; echo $n >/tmp/count; } &
	storm=$!
	install /pkg/newer.deb && dpkg -s execsnoopd | grep -q '^Version: .*+newer' && is_active &&
		[ "$(systemctl show -P MainPID $unit)" != "$before" ] && [ ! -e /tmp/count ]
	report "an upgrade restarts the daemon while programs run"
	touch /tmp/enough
	wait $storm
	count=$(cat /tmp/count)
	stormed() { [ "$(grep -c '"type":"exited".*"'"$restorm"'"' /tmp/stream)" = "$count" ]; }
	until_true stormed
	echo "# $count programs: $(grep -c '"type":"started".*"'"$restorm"'"' /tmp/stream) started, $(grep -c '"type":"exited".*"'"$restorm"'"' /tmp/stream) exited"
	grep '"type":"lost"' /tmp/stream | head -n 5 | say
	stormed && kill -0 $reader && [ "$(grep -c '"type":"started".*"'"$restorm"'"' /tmp/stream)" = "$count" ] &&
		! grep -q '"type":"lost"' /tmp/stream && [ "$(grep -c '"type":"live"' /tmp/stream)" = 1 ]
	report "an upgrade keeps the subscriber, and loses and repeats no program"
	jq -e -s '[.[] | select(has("seq")) | .seq] | length == .[-1] - .[0] + 1 and . == sort' /tmp/stream >/dev/null
	report "seq has no gap over an upgrade"
	kill $reader
	# What the administrator set stays.
	systemctl disable -q $unit
	install /pkg/execsnoopd.deb && ! systemctl is-enabled -q $unit
	report "an upgrade keeps a disabled unit disabled"
	systemctl enable -q $unit && sync
}

second_boot() {
	is_active
	report "the daemon runs after a boot"
	when() { systemctl show -P "$2" "$1"; }
	active=$(when $unit ActiveEnterTimestampMonotonic)
	[ "$active" -gt 0 ] && for target in sysinit.target basic.target; do
		echo "# active $((($(when $target ActiveEnterTimestampMonotonic) - active) / 1000)) ms before $target"
		[ "$active" -lt "$(when $target ActiveEnterTimestampMonotonic)" ] || break
	done
	report "the daemon is active before sysinit.target and basic.target"
	systemd-analyze critical-chain --no-pager $unit 2>/dev/null | say
	# Which services began after it, by systemd; those are in the journal, by their cgroup (in a container it is below another).
	journalctl --sync
	journalctl -b -t execsnoopd EXECSNOOP_TYPE=started -o json | jq -r .EXECSNOOP_CGROUP | sort -u >/tmp/cgroups
	missing='' count=0
	for service in $(systemctl list-units --all --type=service --plain --no-legend | awk '{ print $1 }'); do
		began=$(when "$service" ExecMainStartTimestampMonotonic)
		[ -n "$began" ] && [ "$began" -gt "$active" ] || continue
		[ "$service" != vmtest.service ] || continue
		count=$((count + 1))
		grep -q "/system.slice/$service\$" /tmp/cgroups || missing+=" $service"
	done
	echo "# $count services began after it; not in the journal:${missing:- none}"
	[ $count -ge 3 ] && [ -z "$missing" ]
	report "the services of the boot are in the journal"
	! systemctl --failed --no-legend --plain | grep .
	report "no unit failed in the boot"
	dpkg -P execsnoopd >/tmp/log 2>&1
	[ ! -e $socket ] && ! systemctl cat $unit >/dev/null 2>&1 && [ ! -e /etc/execsnoopd ] &&
		[ -z "$(find /etc/systemd -name '*execsnoopd*')" ]
	report "purging removes the running daemon"
}

if [ "$BOOT" = 1 ]; then first_boot; else second_boot; fi
exit $bad
