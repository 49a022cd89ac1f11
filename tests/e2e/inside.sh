# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What the scripts in the containers share: TAP, numbered on from NUMBER. They define details(): what helps to see why a test failed.
number=${NUMBER:-0} bad=0
unit=execsnoopd.service
socket=/run/execsnoopd/events.sock
say() { sed 's/^/# /'; }

# report NAME: by the status of the last command.
report() {
	local status=$?
	number=$((number + 1))
	if [ $status = 0 ]; then echo "ok $number - $1"; else
		bad=1
		{ systemctl status --no-pager -n 30 $unit; details; } 2>&1 | say
		echo "not ok $number - $1"
	fi
}

# until_true COMMAND...: what must come true, within a minute or more.
until_true() {
	for _ in $(seq 600); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}
