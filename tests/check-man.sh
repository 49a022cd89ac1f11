#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The manual pages: well-formed, and as complete as the program.
set -eu
cd "${top_srcdir:-.}"
number=0 bad=0
report() {
	number=$((number + 1))
	if [ -z "$2" ]; then echo "ok $number - $1"; return; fi
	printf '%s\n' "$2" | head -n 20 | sed 's/^/# /'
	echo "not ok $number - $1"
	bad=1
}
echo "1..5"
if command -v mandoc >/dev/null; then
	report "mandoc has nothing to say" "$(mandoc -Tlint -Wwarning man/*.[1-8] 2>&1 || :)"
else
	number=1; echo "ok 1 - mandoc # SKIP there is none"
fi
plain() { sed 's/\\[&-]//g; s/\\-/-/g' "$1"; }
report "execsnoopd(8) has every option" "$(sed -n 's/.*{ "\([a-z-]*\)", [a-z_]*_argument.*/\1/p' src/daemon/main.c | while read -r option; do
	plain man/execsnoopd.8 | grep -qE "Fl -$option|[-][-]$option" || echo "$option"; done)"
report "execsnoopd-events(7) has every key" "$(sed -n 's/.*\[KEY_[A-Z0-9_]*\] = { *\(\.name = \)\{0,1\}"\([a-z0-9_]*\)".*/\2/p' src/model/event.c | while read -r key; do
	plain man/execsnoopd-events.7 | grep -qw "$key" || echo "$key"; done)"
report "execsnoopd.conf(5) has every key" "$(sed -n 's/.*SETTING("[a-z]*", "\([a-z_]*\)".*/\1/p; s/.*\(SETTING\|FILTER\)(section, "\([a-z_]*\)".*/\2/p' src/settings/settings_table.c | sort -u | while read -r key; do
	plain man/execsnoopd.conf.5 | grep -qw "$key" || echo "$key"; done)"
report "the pages are of this program" "$(for page in man/*.[1-8]; do grep -q '^\.Dt EXECSNOOP' "$page" || echo "$page"; done)"
exit $bad
