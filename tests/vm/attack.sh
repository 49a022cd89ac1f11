#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in a guest of matrix.sh: can failed execs be hidden by what any user may do? By each way to see them, what was reported and what
# was lost is what was made, exactly; and `auto` takes a way by which each is reported, but for calls that sleep where returns
# can run out. Prints TAP, and "# attack WAY LOAD: made N, reported M, lost L".
. /vm/tap

# As begin(), with small lines: there are some 10,000.
begin_small() {
	printf '[probes]\nerrors = %s\n[stdout]\nfields = type, pid, exe, count\n' "$1" >/tmp/conf
	: >/tmp/out
	execsnoopd -o -c /tmp/conf >/tmp/out 2>/tmp/err &
	daemon=$!
	until_true has '"live"'
}
reported() { grep -cE '"type":"error".*"exe":"/no/(victim|attacker|searched|sleeper)"' /tmp/out; }
lost() { sed -n 's/.*"type":"lost".*"count":\([0-9]*\).*/\1/p' /tmp/out | awk '{ n += $1 } END { print n + 0 }'; }
made() { sed 's/made/\n&/g' /tmp/made | awk '$1 == "made" { n += $2 } END { print n + 0 }'; }
ended() { [ "$(events '"type":"exited".*"exe":"/odd"')" = "$1" ]; }
settled() { [ $(($(reported) + $(lost) - before)) -ge "$made" ]; }

# attack LOAD DEED...: fail.c's deed, and whether the sum is right. Where processes start and end too, some of those may be lost.
attack() {
	load=$1
	shift
	loads=$((loads + 1)) reported=$(reported) lost=$(lost)
	before=$((reported + lost))
	/fail "$@" >/tmp/made && made=$(made) || return 1
	/odd exit 33
	until_true ended $loads
	# A run that the kernel left out is found within a tenth of a second (src/pipeline/consumer.c).
	for _ in 1 2 3 4 5 6 7 8 9 10; do settled && break; sleep 0.5; done
	reported=$(($(reported) - reported)) lost=$(($(lost) - lost))
	echo "# attack $errors $load: made $made, reported $reported, lost $lost"
	[ $reported -le "$made" ] || return 1
	[ $((reported + lost)) = "$made" ] || { [ "$1" = search ] && [ $((reported + lost)) -ge "$made" ]; }
}

# each LOAD: by what `auto` took.
each() {
	[ $errors = auto ] || return
	[ "$reported" = "$made" ]
	report "$1: each failed exec is reported"
}

for errors in auto kprobe-multi fexit kprobe tracepoint; do
	begin_small $errors
	loads=0 many=1
	[ $errors = auto ] && many=2
	if ! grep -q 'failed execs are seen' /tmp/err; then
		echo "# $(uname -r): no $errors: $(grep 'cannot be seen' /tmp/err)"
		end
		continue
	fi
	[ $errors != auto ] || grep 'failed execs are seen' /tmp/err | sed 's/^/# /'
	attack "beside a process of the lowest priority" beside-attacker $((50 * many)) 20000
	report "$load: what was reported and lost is what was made, errors = $errors"
	each "$load"
	attack "searches of PATH" search 6 $((25 * many))
	report "$load: what was reported and lost is what was made, errors = $errors"
	each "$load"
	attack "calls that sleep" sleepers 40
	report "$load: what was reported and lost is what was made, errors = $errors"
	grep -q 'by kprobes' /tmp/err || each "$load"
	end
done
echo "1..$number"
exit $bad
