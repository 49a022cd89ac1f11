# SPDX-License-Identifier: GPL-2.0-or-later
# What the scripts of the guests share: TAP, and a daemon with its stream in /tmp/out.
number=0 bad=0
report() {
	status=$?
	number=$((number + 1))
	if [ $status = 0 ]; then echo "ok $number - $1"; return; fi
	bad=1
	grep -v snapshot /tmp/out | tail -n 20 | sed 's/^/# /'
	sed 's/^/# /' /tmp/err
	echo "not ok $number - $1"
}
until_true() {
	tries=0
	until "$@"; do
		tries=$((tries + 1))
		[ $tries -lt 600 ] || return 1
		sleep 0.1
	done
}
has() { grep -q "$1" /tmp/out; }
events() { grep -v snapshot /tmp/out | grep -c "$1"; }

begin() {
	printf '[probes]\nforks = yes\nenv = ODD\nerrors = %s\n' "$1" >/tmp/conf
	: >/tmp/out
	execsnoopd -o -c /tmp/conf >/tmp/out 2>/tmp/err &
	daemon=$!
	until_true has '"live"'
}
end() { kill $daemon; wait $daemon; }
