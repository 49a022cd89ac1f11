#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Runs in the container of systemd.sh, as root, once the system is up. Pids are other ones here than in events.
set -u
. /pkg/inside.sh
details() { journalctl -u $unit -n 20 --no-pager -o cat; }

# journald's limit of the rate is lower here, so that a test is above it on a disk of any size (burst_modulate() in
# journald-rate-limit.c).
mkdir -p /etc/systemd/journald.conf.d
printf '[Journal]\nRateLimitBurst=1000\n' >/etc/systemd/journald.conf.d/rate.conf
systemctl restart systemd-journald

systemd-sysusers && getent group execsnoopd >/dev/null
report "sysusers creates the group"
# There are no manual pages in this tree, and verify asks for them.
verified=$(systemd-analyze verify $unit 2>&1 | grep execsnoopd | grep -v "Command 'man ")
[ -z "$verified" ] || echo "$verified" | say
[ -z "$verified" ]
report "systemd-analyze verify reports nothing"
systemctl daemon-reload
systemctl enable --now $unit 2>&1 | say
systemctl is-active -q $unit
report "systemctl enable --now starts the daemon"
[ "$(stat -c '%a %G' $socket)" = "660 execsnoopd" ]
report "the socket has its mode and group"

timeout 120 nc -U $socket >/tmp/stream </dev/null &
reader=$!
until_true grep -q '"type":"live"' /tmp/stream
report "nc -U receives a snapshot"
/usr/bin/ls -d /etc marker-of-this-test >/dev/null 2>&1
until_true grep -q '"type":"exited".*marker-of-this-test' /tmp/stream
report "nc -U receives events"
jq -e -s 'map(select(.type == "exited" and (.args // [] | index("marker-of-this-test")))) |
	length == 1 and .[0].exit_code == 2 and .[0].exe == "/usr/bin/ls"' /tmp/stream >/dev/null
report "jq parses the stream"
kill $reader

until_true sh -c "journalctl -t execsnoopd EXECSNOOP_EXE=/usr/bin/ls EXECSNOOP_ARG=marker-of-this-test -o cat | grep -q exited"
report "journalctl -t execsnoopd EXECSNOOP_EXE=/usr/bin/ls finds the entry"
journalctl -t execsnoopd EXECSNOOP_ARG=marker-of-this-test -o json | jq -e -s '
	map(select(.EXECSNOOP_TYPE == "exited")) | .[0].EXECSNOOP_EXIT_CODE == "2" and .[0].PRIORITY == "6" and
	(.[0].MESSAGE_ID | length == 32)' >/dev/null
report "journalctl -o json has the fields"
/nonexistent/program 2>/dev/null
until_true sh -c "journalctl -t execsnoopd -p notice -o cat | grep -q '/nonexistent/program'"
report "journalctl -p notice has the failed execs"
journalctl --update-catalog && journalctl -t execsnoopd -p notice -x --no-pager | grep -q -i 'subject\|-- '
report "journalctl -x shows the catalog"
systemctl show -P StatusText $unit | grep -q process
report "the unit has a status text"

# A request through the socket; half-closed.
echo '{"comm":["sleep"],"types":["started"]}' | timeout 60 nc -U $socket >/tmp/filtered &
reader=$!
until_true grep -q '"type":"subscribed"' /tmp/filtered
/usr/bin/sleep 0
until_true grep -q '"comm":"sleep"' /tmp/filtered
report "a filtered subscription has the chosen events only"
kill $reader 2>/dev/null

# The sandbox of the unit shows the files, and the name of the host also when it changes.
echo '{"comm":["sleep"],"types":["started"],"fields":["host","user","group"]}' | timeout 60 nc -U $socket >/tmp/named &
reader=$!
until_true grep -q '"type":"subscribed"' /tmp/named
was=$(uname -n)
/usr/bin/sleep 0
until_true grep -q "\"host\":\"$was\",\"user\":\"root\",\"group\":\"root\"" /tmp/named &&
	hostname renamed && /usr/bin/sleep 0 && until_true grep -q '"host":"renamed","user":"root"' /tmp/named
report "host, user and group are known in the sandbox"
hostname "$was"
kill $reader 2>/dev/null

# The reader for people, against what this script knows of its own programs: each once, in the order of their ends, with its status.
mark=ctl-$(cat /proc/sys/kernel/random/uuid)
: >/tmp/expected
for i in $(seq 50); do
	sh -c "exit \$1" "$mark" $((i % 4))
	echo "$((i % 4))" >>/tmp/expected
done
sh -c 'kill -KILL $$' "$mark"
sh -c '/nonexistent/of-ctl; exit 0' "$mark" 2>/dev/null
until_true sh -c "[ \$(execsnoopctl log -q --args=$mark -t exited -o json | wc -l) = 52 ]"
execsnoopctl log -q --args="$mark" -t exited --columns=exit_code -o short --no-legend --no-pager | head -n 50 | tr -d ' ' >/tmp/shown
cmp /tmp/expected /tmp/shown && [ "$(execsnoopctl log -q --args="$mark" --failed --no-legend | grep -c 'exit [123] ')" = 38 ]
report "execsnoopctl log shows each program once, in order, with its status"
execsnoopctl log --args="$mark" --failed --no-legend | grep -q 'SIGKILL' && execsnoopctl log --no-legend /nonexistent/of-ctl | grep -q ENOENT
report "execsnoopctl log shows what was killed and what could not be executed"
execsnoopctl log --no-legend of-ctl-that-never-ran; [ $? = 1 ]
report "execsnoopctl log ends with status 1 where nothing matches"
# By id: other containers of this machine may give its pid to another process meanwhile.
id=$(execsnoopctl log --args="$mark" -n 1 --no-legend --columns=id | tr -d ' ')
execsnoopctl show "$id" >/tmp/shown
grep -q "ended: success" /tmp/shown && grep -q "Why: .*script" /tmp/shown && grep -q "Command: sh -c .*$mark" /tmp/shown || { say </tmp/shown; false; }
report "execsnoopctl show says why a dead process ran"
execsnoopctl log --args="$mark" -n 1 -o json | jq -cS 'del(.ancestors)' >/tmp/shown
journalctl -t execsnoopd EXECSNOOP_ID="$id" EXECSNOOP_TYPE=exited -o json | jq -r .EXECSNOOP_ID >/tmp/expected
[ "$(jq -r .id /tmp/shown)" = "$(cat /tmp/expected)" ] && jq -e '.args[0] == "sh" and .exit_code == 0 and .cpu_user_ns >= 0' /tmp/shown >/dev/null
report "execsnoopctl log -o json makes the daemon's line of a journal entry"
running=$(find /proc -maxdepth 1 -name '[0-9]*' | wc -l)
execsnoopctl tree --no-legend >/tmp/shown
# A few may have ended since, as find has.
grep -q 'execsnoopd' /tmp/shown && [ "$(grep -c . /tmp/shown)" -gt $((running - 5)) ]
report "execsnoopctl tree shows all that runs"
execsnoopctl status >/tmp/shown && grep -q 'execsnoopd is running' /tmp/shown && grep -q 'Lost: [0-9]* in the kernel' /tmp/shown && execsnoopctl status --json | jq -e '.type == "stats"' >/dev/null
report "execsnoopctl status"
execsnoopctl cat >/tmp/shown &
cat=$!
until_true grep -q '"type":"live"' /tmp/shown; kill $cat; wait $cat
grep -q '"type":"live"' /tmp/shown && jq -e -s 'length > 5' /tmp/shown >/dev/null
report "execsnoopctl cat prints the daemon's lines"

# A reader that was away: the journal has what it missed, and if not, that is reported.
fill=fill-$(cat /proc/sys/kernel/random/uuid)
begin_cat() { execsnoopctl cat --cursor-file=/tmp/cursor >>/tmp/filled 2>>/tmp/filled.log & cat=$!; }
end_cat() { kill $cat; wait $cat; }
filled() { grep -q "^{\"type\":\"exited\".*\"$fill-$1\"" /tmp/filled; }
is_live() { [ "$(grep -c '^{"type":"live"' /tmp/filled)" = "$1" ]; }
# run_until_filled WORD: it may run before there is a connection.
run_until_filled() { for _ in $(seq 300); do /bin/true "$fill-$1"; filled "$1" && return; sleep 0.1; done; }
in_journal() { until_true sh -c "execsnoopctl log -q --args=$fill-$1 -t exited -o json | grep -q ."; }
begin_cat
until_true is_live 1 && run_until_filled first && end_cat && grep -q '^stream=[0-9a-f]* seq=[1-9]' /tmp/cursor
report "execsnoopctl cat ends in order and keeps how far it came"
for i in $(seq 50); do /bin/true "$fill-away-$i"; done
env "not-$fill" 2>/dev/null
begin_cat
until_true is_live 2 && run_until_filled back && end_cat
[ "$(grep -c "^{\"type\":\"started\".*$fill-away-[0-9]*\"" /tmp/filled)" = 50 ] &&
	[ "$(grep -c "^{\"type\":\"exited\".*$fill-away-[0-9]*\"" /tmp/filled)" = 50 ] &&
	! grep '"type":"lost"' /tmp/filled >/tmp/shown || { say </tmp/shown; say </tmp/filled.log; false; }
report "execsnoopctl cat fills the gap of a restart from the journal, without a loss"
config=$(execsnoopd --help | grep -o '/[^ ]*execsnoopd\.conf' | head -n 1)
reloaded() { [ "$(journalctl -u $unit _TRANSPORT=stdout -o cat | grep -c 'configuration reloaded')" = "$1" ]; }
mkdir -p "$config.d" && printf '[journal]\nenabled = no\n' >"$config.d/off.conf" && systemctl reload $unit && until_true reloaded 1
for i in $(seq 20); do /bin/true "$fill-off-$i"; done
rm "$config.d/off.conf" && systemctl reload $unit && until_true reloaded 2 && /bin/true "$fill-on" && in_journal on
begin_cat
until_true is_live 3 && run_until_filled after && end_cat
filled on && ! grep -q "$fill-off" /tmp/filled && jq -e -s 'map(select(.type == "lost")) | length == 1 and
	(.[0] | .where == "subscriber" and .count >= 40 and .count < .last_seq - .first_seq + 1)' /tmp/filled >/dev/null ||
	{ grep '"lost"' /tmp/filled | say; say </tmp/filled.log; false; }
report "execsnoopctl cat reports as lost what the journal does not have"
/bin/true "$fill-old" && in_journal old
systemctl stop $unit && systemctl start $unit
/bin/true "$fill-new" && in_journal new
begin_cat
until_true is_live 4 && run_until_filled last && end_cat
filled old && filled new && grep -q 'another stream' /tmp/filled.log &&
	[ "$(jq -r 'select(.type == "subscribed") | .stream' /tmp/filled | uniq | wc -l)" = 2 ] || { say </tmp/filled.log; false; }
report "execsnoopctl cat fills the gap between two streams from the journal"

setpriv --reuid=65534 --regid=65534 --clear-groups execsnoopctl status 2>/tmp/shown; [ $? = 77 ] && grep -q usermod /tmp/shown
report "execsnoopctl names the group to a user without access"
setpriv --reuid=65534 --regid="$(getent group execsnoopd | cut -d: -f3)" --clear-groups execsnoopctl status >/tmp/shown
report "execsnoopctl needs no root, only the group"
execsnoopctl status --socket=/nonexistent 2>/tmp/shown; [ $? = 69 ] && grep -q 'systemctl start' /tmp/shown
report "execsnoopctl says how to start the daemon"
mkdir -p /tmp/foreign && cp -r /run/log/journal/* /var/log/journal/* /tmp/foreign/ 2>/dev/null
[ "$(execsnoopctl log -D /tmp/foreign/"$(cat /etc/machine-id)" --args="$mark" --no-legend | grep -c .)" -ge 52 ]
report "execsnoopctl log reads the journal of a folder"
foreign=/tmp/foreign/$(cat /etc/machine-id)
execsnoopctl show -D "$foreign" "$id" >/tmp/shown && grep -q "Command: sh -c .*$mark" /tmp/shown &&
	execsnoopctl tree -D "$foreign" -S -10min --no-pager >/tmp/shown && grep -q 'sh ×[0-9]' /tmp/shown || { say </tmp/shown; false; }
report "execsnoopctl show and tree read the journal of a folder"
# The group reads the daemon, and with systemd-journal the journal.
gid() { getent group "$1" | cut -d: -f3; }
as_member() { setpriv --reuid=65534 --regid="$(gid execsnoopd)" --groups="$(gid systemd-journal)" "$@"; }
as_member execsnoopctl tree | grep -q execsnoopd && as_member execsnoopctl show "$id" | grep -q "Command: sh -c .*$mark" &&
	[ "$(as_member execsnoopctl log --args="$mark" --no-legend | grep -c .)" -ge 52 ]
report "execsnoopctl tree, show and log need no root, only the groups"
as_member execsnoopctl watch --no-legend --args="$mark-watched" -n 1 >/tmp/watched 2>&1 &
watch=$!
seen() { /bin/true "$mark-watched"; [ -s /tmp/watched ]; }
until_true seen && wait "$watch" && grep -q "/bin/true $mark-watched" /tmp/watched && as_member execsnoopctl status | grep -q 'execsnoopd is running' ||
	{ say </tmp/watched; kill "$watch" 2>/dev/null; false; }
report "execsnoopctl watch and status need no root, only the group"
# Searches are folded there, and ends of processes that ran before are left out: the numbers have gaps, the chain has none.
journalctl --sync
execsnoopctl verify --no-pager >/tmp/shown && grep -q ': complete' /tmp/shown && grep -q 'Missing: nothing' /tmp/shown &&
	grep -q '; the daemon had written up to seq [1-9]' /tmp/shown || { say </tmp/shown; false; }
report "execsnoopctl verify says that the journal is complete, up to what the daemon has written"
execsnoopctl export -o csv --args="$mark" sh >/tmp/shown
execsnoopctl export -o chrome --args="$mark" sh | jq '[.traceEvents[] | select(.ph == "X" and .cname == "bad")] | length' >/tmp/failed
{ [ "$(grep -c "$mark" /tmp/shown)" = 52 ] && [ "$(cat /tmp/failed)" = 38 ]; } || { say </tmp/shown; say </tmp/failed; false; }
report "execsnoopctl export makes a trace and a table of the journal"
execsnoopctl plot -b -w /tmp/boot.svg && [ "$(grep -c '<rect .*<title>' /tmp/boot.svg)" -gt 50 ] && grep -q "$mark" /tmp/boot.svg
report "execsnoopctl plot -b draws the boot from the journal"
setpriv --reuid=65534 --regid="$(getent group execsnoopd | cut -d: -f3)" --clear-groups execsnoopctl run sh -c 'exit 3' 2>/tmp/shown
[ $? = 3 ] && grep -q 'exit 3 after' /tmp/shown
report "execsnoopctl run needs no root, only the group"
# Pids are other ones here than the daemon's.
execsnoopctl run -q -w /tmp/shown sh -c 'env >/dev/null; exit 3'
[ $? = 3 ] && [ "$(jq -r 'select(.type == "started") | .comm' /tmp/shown | paste -sd ' ')" = "sh env" ] || { say </tmp/shown; false; }
report "execsnoopctl run reports its own command in another pid namespace"
# A shell that leaves its session and its parent, and forks without calling exec, is still of the scope.
mkfifo /tmp/held
detach='( : >/tmp/detached; read -t 60 line <>/tmp/held; : >/tmp/ended ) & exit 0'
execsnoopctl run --scope bash -c "setsid bash -c '$detach' & wait; until [ -e /tmp/detached ]; do :; done" 2>/tmp/shown
scope=$(sed -n 's/.* scope  1 process still runs .* systemctl stop \(execsnoopctl-run-.*\.scope\)$/\1/p' /tmp/shown)
[ -n "$scope" ] && systemctl is-active -q "$scope" && systemctl stop "$scope" && ! systemctl is-active -q "$scope" || { say </tmp/shown; false; }
report "execsnoopctl run --scope says what has detached, which can be stopped"
rm -f /tmp/detached /tmp/ended
bash -c 'read -t 60 line <>/tmp/held; : >/tmp/moved-ended' &
moved=$!
execsnoopctl run --scope --wait bash -c "echo $moved >/sys/fs/cgroup\$(sed -n s/^0:://p /proc/self/cgroup)/cgroup.procs; setsid bash -c '$detach' & wait" 2>/tmp/shown &
runner=$!
until_true [ -e /tmp/detached ]
until_true sh -c "grep -q execsnoopctl-run /proc/$moved/cgroup"
printf '\n\n' 1<>/tmp/held
wait $runner && [ -e /tmp/ended ] && [ -e /tmp/moved-ended ] && ! grep -q ' scope  ' /tmp/shown || { say </tmp/shown; false; }
report "execsnoopctl run --scope --wait waits for all of the scope"
# There is no pam_systemd(8) in this tree.
mkdir -p /run/systemd/system/user@.service.d
printf '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' >/run/systemd/system/user@.service.d/runtime.conf
systemctl daemon-reload
useradd -m -G execsnoopd member && id=$(id -u member) && systemctl start "user@$id" || systemctl status "user@$id" | say
as_member() { setpriv --reuid=member --regid=member --init-groups env "XDG_RUNTIME_DIR=$1" "${@:2}" 2>/tmp/shown; }
as_member "/run/user/$id" execsnoopctl run --scope cat /proc/self/cgroup >/tmp/cgroup
[ $? = 0 ] && grep -q "/user@$id.service/.*/execsnoopctl-run-.*\.scope$" /tmp/cgroup || { say </tmp/cgroup; say </tmp/shown; false; }
report "execsnoopctl run --scope of a user is in the user's own service manager"
systemctl stop "user@$id"
as_member /nonexistent execsnoopctl run --scope touch /tmp/ran
[ $? = 69 ] && [ ! -e /tmp/ran ] && grep -q 'the service manager of this user: ' /tmp/shown || { say </tmp/shown; false; }
report "execsnoopctl run --scope says that there is no service manager"

moments=()
moment() { moments+=("@$(date +%s.%N)"); }
moment
for _ in 1 2 3; do sh -c 'exit 0' "$mark-diff" "$RANDOM$RANDOM"; done
moment
for _ in 1 2 3; do sh -c 'exit 0' "$mark-diff" "$RANDOM$RANDOM"; done
moment
for _ in 1 2 3; do sh -c 'exit 4' "$mark-diff" "$RANDOM$RANDOM"; done
moment
until_true sh -c "[ \$(execsnoopctl log -q --args=$mark-diff -t exited -o json | wc -l) = 9 ]"
differ() { execsnoopctl diff "${moments[$1]}..${moments[$2]}" "${moments[$3]}..${moments[$4]}" "args=$mark-diff" >/tmp/shown; }
differ 0 1 1 2 && ! [ -s /tmp/shown ]
report "execsnoopctl diff of two times in which the same ran"
differ 0 1 2 3; [ $? = 1 ] && grep -q "failed 0 of 3 -> 3 of 3: sh -c 'exit" /tmp/shown || grep -q '^< *3 sh' /tmp/shown || { say </tmp/shown; false; }
report "execsnoopctl diff shows other arguments in another time"
execsnoopctl diff boot:0 "host:$(uname -n)" "args=$mark-diff" >/tmp/shown || { say </tmp/shown; false; }
report "execsnoopctl diff knows boots and hosts"

# The statistics by HTTP: each connection is a service of its own.
verified=$(systemd-analyze verify execsnoopd-metrics.socket execsnoopd-metrics@1.service 2>&1 | grep execsnoopd | grep -v "Command 'man ")
[ -z "$verified" ] && ! systemctl is-active -q execsnoopd-metrics.socket || { say <<<"$verified"; false; }
report "the metrics' units are well-formed, and off"
systemctl start execsnoopd-metrics.socket
scrape() { printf 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n' | timeout 20 nc -U /run/execsnoopd/metrics.sock >/tmp/metrics && grep -q '^HTTP/1.1 200 OK' /tmp/metrics; }
metric() { tr -d '\r' </tmp/metrics | sed -n "s/^$1 //p"; }
scrape && before=$(metric 'execsnoop_exits_total{result="exit-code"}') && systemctl stop execsnoopd-metrics@\*
for _ in $(seq 7); do sh -c 'exit 9'; done
scrape && after=$(metric 'execsnoop_exits_total{result="exit-code"}') && [ "$after" -ge $((before + 7)) ]
report "the metrics' socket answers with what the programs of this test add"
[ "$(stat -c '%a %G' /run/execsnoopd/metrics.sock)" = "660 execsnoopd" ] && [ "$(systemctl show -P DynamicUser execsnoopd-metrics@1.service)" = yes ]
report "metrics are for the group, and made by a user without rights"
started=$(metric 'execsnoopd_events_total{type="started"}') sum=$(metric execsnoop_process_lifetime_seconds_count)
systemctl restart $unit && scrape && [ "$(metric 'execsnoopd_events_total{type="started"}')" -ge "$started" ] &&
	[ "$(metric execsnoop_process_lifetime_seconds_count)" -ge "$sum" ] && [ "$(metric 'execsnoop_exits_total{result="exit-code"}')" -ge "$after" ]
report "the machine's counters continue after a restart"
printf 'GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n' | nc -U /run/execsnoopd/metrics.sock | tail -n 1 | grep -qx '# EOF'
report "a client that accepts OpenMetrics gets it"
systemctl stop execsnoopd-metrics.socket

# The daemon's own words; its events are entries of the same unit, of these very commands.
logged() { journalctl -u $unit _TRANSPORT=stdout -o cat | grep -q -- "$1"; }
config=$(execsnoopd --help | grep -o '/[^ ]*execsnoopd\.conf' | head -n 1)
[ -s "$config" ]
report "the configuration file is where --help says"
mkdir -p "$config.d"
printf '[journal]\nenabled = perhaps\n' >"$config.d/bad.conf"
systemctl reload $unit
until_true logged 'bad\.conf:2: ' && systemctl is-active -q $unit
report "a reload refuses an invalid file with its line"
rm "$config.d/bad.conf"
systemctl reload $unit
until_true logged 'configuration reloaded'
report "a reload applies a valid file"

# Off, and on again, without a restart.
main=$(systemctl show -P MainPID $unit)
printf '[journal]\nenabled = no\n' >"$config.d/off.conf"
systemctl reload $unit
until_true sh -c "[ \$(journalctl _PID=$main _TRANSPORT=stdout -o cat | grep -c 'configuration reloaded') = 2 ]"
/bin/true while-off
rm "$config.d/off.conf"
systemctl reload $unit
until_true sh -c "[ \$(journalctl _PID=$main _TRANSPORT=stdout -o cat | grep -c 'configuration reloaded') = 3 ]"
/bin/true while-on
until_true sh -c "journalctl _PID=$main EXECSNOOP_ARG=while-on EXECSNOOP_TYPE=exited -o cat | grep -q ." &&
	! journalctl _PID="$main" EXECSNOOP_ARG=while-off -o cat | grep -q .
report "a reload switches the journal off and on"

# The soft limit that a unit starts with is 1024.
printf '[socket]\nmax_subscribers = 2000\n' >"$config.d/many.conf"
systemctl reload $unit
until_true sh -c "awk '/^Max open files/ { exit !(\$4 >= 2000) }' /proc/$main/limits"
report "max_subscribers raises the limit of open files"
rm "$config.d/many.conf"

# 30,000 entries at once: more than journald takes of others in 30 s. They wait while it is slow.
printf '[journal]\nqueue = 64M\n' >"$config.d/rate.conf"
systemctl reload $unit
until_true sh -c "[ \$(journalctl _PID=$main _TRANSPORT=stdout -o cat | grep -c 'configuration reloaded') -ge 5 ]"
began=$(date +%s%N)
seq 15000 | xargs -n 1 -P 2 /bin/true rate
/bin/true rate-end
until_true sh -c "journalctl -t execsnoopd EXECSNOOP_ARG=rate-end EXECSNOOP_TYPE=exited -o cat | grep -q ."
took=$((($(date +%s%N) - began) / 1000000))
rm "$config.d/rate.conf"
# What did not fit the queue all the same is lost and reported.
written=$(journalctl -t execsnoopd EXECSNOOP_ARG=rate EXECSNOOP_TYPE=started EXECSNOOP_TYPE=exited -o cat | wc -l)
lost=$(journalctl -t execsnoopd EXECSNOOP_WHERE=journal -o json | jq -s 'map(.EXECSNOOP_COUNT | tonumber) | add // 0')
echo "# $written written in $took ms, $lost lost"
[ "$written" -gt 25000 ] && [ $((written + lost)) -ge 30000 ] && ! journalctl -u systemd-journald -o cat | grep -i 'suppressed.*execsnoopd'
report "journald suppresses no entry"

# Searches along $PATH: one that finds its program, and one that does not.
search=search-$(cat /proc/sys/kernel/random/uuid)
mkdir -p /tmp/search/{a,b,c} && cp /bin/true "/tmp/search/c/$search"
PATH=/tmp/search/a:/tmp/search/b:/tmp/search/c:$PATH /usr/bin/env "$search"
PATH=/tmp/search/a:/tmp/search/b:$PATH /usr/bin/env "not-$search" 2>/dev/null
folders=$(echo "$PATH" | tr : '\n' | wc -l)
until_true sh -c "journalctl -t execsnoopd EXECSNOOP_TYPE=error -o json | grep -q 'not-$search'"
# Bytes that others have in the name of a file are an array.
journalctl -t execsnoopd -o json | jq -e -s --arg name "$search" --argjson folders "$folders" '
	[.[] | select((.EXECSNOOP_FILENAME | type == "string" and endswith($name)) and (.EXECSNOOP_TYPE | IN("started", "error"))) |
	[.EXECSNOOP_TYPE, .EXECSNOOP_FILENAME, .EXECSNOOP_PATH_TRIES]] |
	length == 2 and .[0] == ["started", "/tmp/search/c/" + $name, "3"] and
	.[1][0] == "error" and .[1][2] == ($folders + 2 | tostring)' >/dev/null
report "the journal has one event for a search along PATH"

# The journal alone: a small queue.
mkdir -p /run/systemd/system/$unit.d
printf '[journal]\nqueue = 64K\npath_search = all\n[probes]\nargs_limit = 4M\n' >"$config.d/small.conf"
systemctl daemon-reload
systemctl restart $unit
main=$(systemctl show -P MainPID $unit)
timeout 120 nc -U $socket >/tmp/stream </dev/null &
reader=$!
until_true grep -q '"type":"live"' /tmp/stream
journald=$(systemctl show -P MainPID systemd-journald)
kill -STOP "$journald"
for _ in $(seq 1500); do /bin/true jstorm; done
streamed() { [ "$(grep -c '"type":"exited".*"jstorm"' /tmp/stream)" = 1500 ]; }
until_true streamed
report "a stopped journald does not delay the socket"
kill -CONT "$journald"
until_true sh -c "journalctl _PID=$main EXECSNOOP_WHERE=journal -o cat | grep -q ."
/bin/true jend
until_true sh -c "journalctl _PID=$main EXECSNOOP_ARG=jend EXECSNOOP_TYPE=exited -o cat | grep -q ."
until_true grep -q '"type":"exited".*"jend"' /tmp/stream
# Of what came before and comes later the one has more than the other.
first=$(grep '"type":"live"' /tmp/stream | jq .last_seq)
last=$(journalctl _PID="$main" EXECSNOOP_ARG=jend EXECSNOOP_TYPE=exited -o json | jq -r .EXECSNOOP_SEQ)
# But for the end of what ran before the daemon: the journal, which has no snapshot, never heard of that.
grep '}$' /tmp/stream | jq -c -s '([.[] | select(.snapshot and .type == "started") | .id] -
	[.[] | select(.type == "started" and (.snapshot | not)) | .id]) as $before |
	[.[] | select(.type == "exited" and (.id | IN($before[]))) | .seq]' >/tmp/before
journalctl _PID="$main" -o json | jq -e -s --slurpfile before /tmp/before --argjson first "$first" --argjson last "$last" '[.[] | select(.EXECSNOOP_TYPE) |
	if .EXECSNOOP_WHERE == "journal" then range(.EXECSNOOP_FIRST_SEQ | tonumber; (.EXECSNOOP_LAST_SEQ | tonumber) + 1)
	else .EXECSNOOP_SEQ | tonumber end | select(. > $first and . <= $last)] | sort as $reported | length > 3000 and ($reported | length == (unique | length)) and
	($reported + [$before[0][] | select(. > $reported[0] and . < $reported[-1])] | unique | length == .[-1] - .[0] + 1)' >/dev/null
report "journal entries and reported losses make up all events"
journalctl _PID="$main" EXECSNOOP_WHERE=journal -o json | jq -e -s --slurpfile before /tmp/before 'all(.[];
	(.EXECSNOOP_FIRST_SEQ | tonumber) as $first | (.EXECSNOOP_LAST_SEQ | tonumber) as $last |
	($last - $first + 1 - (.EXECSNOOP_COUNT | tonumber)) as $less |
	$less >= 0 and $less <= ([$before[0][] | select(. > $first and . < $last)] | length) and .PRIORITY == "4")' >/dev/null
report "the counts of lost events are exact"
kill $reader
# From here on nothing is to be lost, whatever else runs on the machine.
printf '[journal]\nqueue = 64M\nargs_limit = 4M\n[probes]\nargs_limit = 4M\n' >"$config.d/small.conf"
systemctl reload $unit
big=()
for i in $(seq 12); do big+=("$(printf %0100000d "$i")"); done
/bin/true big "${big[@]}"
until_true sh -c "journalctl _PID=$main EXECSNOOP_ARG=big EXECSNOOP_TYPE=exited -o cat | grep -q ."
[ "$(journalctl _PID="$main" EXECSNOOP_ARG=big EXECSNOOP_TYPE=started -o json -a | jq -r .EXECSNOOP_ARGS | md5sum)" = \
	"$(echo /bin/true big "${big[@]}" | md5sum)" ]
report "an entry larger than a datagram is complete"
/bin/true many $(seq 1000)
until_true sh -c "journalctl _PID=$main EXECSNOOP_ARG=many EXECSNOOP_TYPE=exited -o cat | grep -q ."
journalctl _PID="$main" EXECSNOOP_ARG=many EXECSNOOP_TYPE=started -o json -a | jq -e -s '
	length == 1 and (.[0].EXECSNOOP_ARG | length == 100 and .[99] == "98") and
	(.[0].EXECSNOOP_ARGS | endswith(" 999 1000"))' >/dev/null
report "the first hundred arguments have fields of their own"
/bin/true bytes $'\xff\xfe\nz'
until_true sh -c "journalctl _PID=$main EXECSNOOP_ARG=bytes EXECSNOOP_TYPE=exited -o cat | grep -q ."
journalctl _PID="$main" EXECSNOOP_ARG=bytes EXECSNOOP_TYPE=started -o json | jq -e -s '
	length == 1 and .[0].EXECSNOOP_ARG[2] == [255, 254, 10, 122]' >/dev/null
report "bytes in the journal are exact"
rm "$config.d/small.conf"
systemctl reload $unit
until_true sh -c "execsnoopctl status --json >/dev/null"
/bin/true big-cut "${big[@]}"
until_true sh -c "journalctl _PID=$main EXECSNOOP_ARG=big-cut EXECSNOOP_TYPE=exited -o cat | grep -q ."
journalctl _PID="$main" EXECSNOOP_ARG=big-cut EXECSNOOP_TYPE=started -o json -a | jq -e -s '
	length == 1 and (.[0] | .EXECSNOOP_ARGS_TRUNCATED == "true" and .EXECSNOOP_ARGC == "14" and
	.EXECSNOOP_ARGS_SIZE == "1200030" and (.EXECSNOOP_ARG == ["/bin/true", "big-cut"]) and (.EXECSNOOP_ARGS == "/bin/true big-cut"))' >/dev/null
report "the arguments of an entry are limited"

# A journal of its own: the example, as it is installed.
examples=$(find /usr -path '*/doc/execsnoopd/examples/journal-namespace' | head -n 1)
mkdir -p /etc/systemd/system/$unit.d
cp "$examples/journal-namespace.conf" /etc/systemd/system/$unit.d/ && cp "$examples/journald@execsnoopd.conf" /etc/systemd/
systemctl daemon-reload && systemctl restart $unit && systemctl is-active -q $unit
mark=namespace-$(cat /proc/sys/kernel/random/uuid)
/bin/true "$mark"
until_true sh -c "journalctl --namespace=execsnoopd EXECSNOOP_ARG=$mark EXECSNOOP_TYPE=exited -o cat | grep -q ."
[ "$(journalctl --namespace=execsnoopd EXECSNOOP_ARG="$mark" EXECSNOOP_TYPE=exited -o cat | wc -l)" = 1 ] &&
	! journalctl -t execsnoopd EXECSNOOP_ARG="$mark" -o cat | grep -q .
report "the example's journal namespace has the entries"
shown() { execsnoopctl log -q --args="$mark" -t exited -o json "$@" | jq -e -s 'map(select(.type == "exited")) | length == 1' >/dev/null; }
id=$(journalctl --namespace=execsnoopd EXECSNOOP_ARG="$mark" EXECSNOOP_TYPE=exited -o json | jq -r .EXECSNOOP_ID)
shown && shown --namespace=execsnoopd && execsnoopctl show "$id" | grep -q "Command: /bin/true $mark" &&
	execsnoopctl tree -S -1min --no-pager | grep -q "/bin/true $mark"
report "execsnoopctl finds the journal namespace by itself"
rm /etc/systemd/system/$unit.d/journal-namespace.conf
systemctl daemon-reload && systemctl restart $unit

# Others may run these tests as well, on the same kernel.
restorm=restorm-$(cat /proc/sys/kernel/random/uuid)

# A restart, and an upgrade (another file of the program, which is ready when it is asked for), while programs run.
systemctl restart $unit
timeout 120 nc -U $socket >/tmp/stream </dev/null &
reader=$!
until_true grep -q '"type":"live"' /tmp/stream
first=$(systemctl show -P MainPID $unit)
program=$(readlink "/proc/$first/exe")
mkdir -p /usr/libexec && cp "$program" /usr/libexec/execsnoopd-upgraded
rm -f /tmp/enough
{ n=0; while [ ! -e /tmp/enough ] && [ $n -lt 50000 ]; do /bin/true "$restorm"; n=$((n + 1)); done; echo $n >/tmp/count; } &
storm=$!
systemctl restart $unit
printf '[Service]\nExecStart=\nExecStart=/usr/libexec/execsnoopd-upgraded\n' >/run/systemd/system/$unit.d/upgrade.conf
systemctl daemon-reload
systemctl restart $unit
main=$(systemctl show -P MainPID $unit)
[ "$(readlink "/proc/$main/exe")" = /usr/libexec/execsnoopd-upgraded ] && [ "$main" != "$first" ] && [ ! -e /tmp/count ]
report "a restart and an upgrade succeed while programs run"
touch /tmp/enough
wait $storm
count=$(cat /tmp/count)
stormed() { [ "$(grep -c '"type":"exited".*"'"$restorm"'"' /tmp/stream)" = "$count" ]; }
until_true stormed
echo "# $count programs: $(grep -c '"type":"started".*"'"$restorm"'"' /tmp/stream) started, $(grep -c '"type":"exited".*"'"$restorm"'"' /tmp/stream) exited"
grep '"type":"lost"' /tmp/stream | head -n 5 | say
stormed && kill -0 $reader && [ "$(grep -c '"type":"started".*"'"$restorm"'"' /tmp/stream)" = "$count" ]
report "a restart keeps the subscriber, and loses and repeats no program"
jq -e -s '[.[] | select(has("seq")) | .seq] | length > 100 and length == .[-1] - .[0] + 1 and . == sort' /tmp/stream >/dev/null &&
	! grep -q '"type":"lost"' /tmp/stream && [ "$(grep -c '"type":"live"' /tmp/stream)" = 1 ]
report "seq has no gap over a restart, and there is one snapshot"
kill $reader
rm /run/systemd/system/$unit.d/upgrade.conf

# The listening socket is there all the time, and its file is the same. (The snapshots of these have ends of processes that other
# streams do not have, and those have numbers.)
made=$(stat -c %i $socket)
rm /tmp/enough
{ n=0; while [ ! -e /tmp/enough ]; do nc -zU $socket && n=$((n + 1)) || echo "refused"; done >/tmp/refused 2>&1; echo $n >/tmp/accepted; } &
connecting=$!
systemctl reset-failed $unit # and how often it was started
for _ in 1 2 3; do systemctl restart $unit; done
touch /tmp/enough
wait $connecting
echo "# $(cat /tmp/accepted) connected"
[ "$(cat /tmp/accepted)" -gt 3 ] && [ ! -s /tmp/refused ] && [ "$(stat -c %i $socket)" = "$made" ]
report "connections made during a restart are served"

# One that hangs is found by the watchdog, one that is killed is started again; a subscriber may come again at once.
printf '[Service]\nWatchdogSec=4\n' >/run/systemd/system/$unit.d/watchdog.conf
systemctl daemon-reload
systemctl restart $unit
made=$(stat -c %i $socket)
for how in STOP KILL; do
	for _ in 1 2 3 4 5; do
		main=$(systemctl show -P MainPID $unit)
		kept=$(systemctl show -P NFileDescriptorStore $unit)
		timeout 120 nc -U $socket >/tmp/stream </dev/null &
		reader=$!
		is_kept() { [ "$(systemctl show -P NFileDescriptorStore $unit)" -gt "$kept" ]; }
		until_true is_kept && until_true grep -q '"type":"live"' /tmp/stream
		report "a lasting connection is in the descriptor store"
		kill -$how "$main"
		/bin/true "while-none-$how"
		another() { [ "$(systemctl show -P MainPID $unit)" -gt 1 ] && [ "$(systemctl show -P MainPID $unit)" != "$main" ]; }
		until_true another && until_true systemctl is-active -q $unit &&
			timeout 60 sh -c "nc -U $socket | grep -q -m 1 '\"type\":\"live\"'"
		report "systemd restarts the daemon after SIG$how"
		# By chance it was at work for this one, or had written a part of a line: then the connection ends.
		kill -0 $reader 2>/dev/null && break
	done
	/bin/true "after-$how"
	until_true grep -q "\"type\":\"exited\".*after-$how" /tmp/stream && kill -0 $reader &&
		grep -q "\"type\":\"exited\".*while-none-$how" /tmp/stream &&
		[ "$(grep -c '"type":"live"' /tmp/stream)" = 1 ] && [ "$(stat -c %i $socket)" = "$made" ]
	report "a subscriber stays connected and receives what happened meanwhile"
	until_true sh -c "journalctl -t execsnoopd EXECSNOOP_ARG=after-$how EXECSNOOP_TYPE=exited -o cat | grep -q ." &&
		journalctl -t execsnoopd "EXECSNOOP_ARG=while-none-$how" EXECSNOOP_TYPE=started -o cat | grep -q .
	report "the journal has what happened meanwhile"
	kill $reader
done
for _ in 1 2 3 4 5 6; do
	main=$(systemctl show -P MainPID $unit)
	kill -KILL "$main"
	until_true another && until_true systemctl is-active -q $unit
done
report "the daemon is started however often it crashed"
journalctl -u $unit -o cat | grep -q "Watchdog timeout"
report "the watchdog ended the stopped daemon"

# Others keep the machine busy in some tries.
for _ in 1 2 3 4 5; do
	systemctl reset-failed $unit
	systemctl start $unit
	before=$(date +%s%N)
	systemctl stop $unit
	took=$(($(date +%s%N) - before))
	[ $took -ge 2000000000 ] || break
done
[ $took -lt 2000000000 ] && [ ! -e $socket ] && [ "$(systemctl show -P Result $unit)" = success ]
report "systemctl stop ends the daemon in time with success"
[ "$(systemctl show -P NFileDescriptorStore $unit)" = 0 ]
report "systemctl stop leaves nothing in the descriptor store"

# The drop-in for older kernels: one capability more, until the probes are attached.
has() { echo $((0x$(sed -n "s/^$1:\t//p" "/proc/$main/status") >> 21 & 1)); } # CAP_SYS_ADMIN
main=1
cp "$(find /usr -path '*/doc/execsnoopd/older-kernel.conf' | head -n 1)" /run/systemd/system/$unit.d/ &&
	systemctl daemon-reload && systemctl start $unit && main=$(systemctl show -P MainPID $unit) &&
	[ "$(has CapBnd)$(has CapPrm)$(has CapEff)" = 100 ]
report "the daemon drops the CAP_SYS_ADMIN that the drop-in for older kernels gives"
rm -f /run/systemd/system/$unit.d/older-kernel.conf
systemctl stop $unit
systemctl daemon-reload

# A unit without bpf(2), as an administrator may make one by mistake.
printf '[Service]\nSystemCallFilter=~bpf\n' >/run/systemd/system/$unit.d/filter.conf
systemctl daemon-reload
! systemctl start $unit 2>/dev/null && [ "$(systemctl show -P ExecMainStatus $unit)" = 77 ] &&
	[ "$(systemctl show -P ActiveState $unit)" = failed ] &&
	journalctl -u $unit -o cat | grep -q "a seccomp filter forbids bpf(2) .*SystemCallFilter= of a unit"
report "a unit that forbids bpf(2) fails once with 77 and the reason"
echo "1..$number"
exit $bad
