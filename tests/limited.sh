#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# limited.sh COMMAND...: runs it as make(1) does, but not longer than $LIMIT seconds. A test that hangs is killed with all it started, and fails; what
# the machine ran at that moment goes to its log. check-all also has it as a function.

limited() {
	local limit=${LIMIT:-1200} command watch status=0
	# A process group for each.
	set -m
	"$@" </dev/null &
	command=$!
	(
		sleep "$limit"
		printf '\n# still runs after %s s; all processes:\n' "$limit"
		ps -e --forest -o pid,ppid,stat,etimes,time,wchan:20,args | cut -c 1-200 | sed 's/^/# /'
		echo "Bail out! $1 hangs"
		kill -KILL -- "-$command"
	) &
	watch=$!
	set +m
	wait "$command" || status=$?
	kill -KILL -- "-$watch" 2>/dev/null
	wait "$watch" 2>/dev/null
	return $status
}

[ "${BASH_SOURCE[0]}" != "$0" ] || limited "$@"
