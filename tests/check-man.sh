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
echo "1..9"
# A link to a page is one line with the page's place below the folder of manual pages.
pages=$(grep -L '^\.so ' man/*.[1-8])
if command -v mandoc >/dev/null; then
	# Pages of other packages need not be installed; the system is named in .Os, since it is not the reader's.
	# shellcheck disable=SC2086
	report "mandoc reports nothing" "$(mandoc -Tlint $pages 2>&1 |
		grep -v 'referenced manual not found\|operating system explicitly specified\|outdated mandoc.db' || :)"
else
	number=1; echo "ok 1 - mandoc # SKIP there is none"
fi
plain() { sed 's/\\[&-]//g; s/\\-/-/g' "$1"; }
report "execsnoopd(8) has every option" "$(sed -n 's/.*{ "\([a-z-]*\)", [a-z_]*_argument.*/\1/p' src/daemon/main.c | while read -r option; do
	plain man/execsnoopd.8 | grep -qE "Fl -$option|[-][-]$option" || echo "$option"; done)"
report "execsnoopd-events(7) has every key" "$(sed -n 's/.*\[KEY_[A-Z0-9_]*\] = "\([a-z0-9_]*\)".*/\1/p' src/model/key.c | while read -r key; do
	plain man/execsnoopd-events.7 | grep -qw "$key" || echo "$key"; done)"
report "execsnoopd.conf(5) has every key" "$(sed -n 's/.*SETTING("[a-z]*", "\([a-z_]*\)".*/\1/p; s/.*\(SETTING\|FILTER\)(section, "\([a-z_]*\)".*/\2/p' src/settings/settings_table.c | sort -u | while read -r key; do
	plain man/execsnoopd.conf.5 | grep -qw "$key" || echo "$key"; done)"
# shellcheck disable=SC2086
report "execsnoopctl(1) has every option" "$(sed -n '/completion-table/d; s/^	{ [^,]*, *"\([a-z-]*\)", .*/\1/p' src/ctl/command/options_table.c | while read -r option; do
	plain man/execsnoopctl.1 | grep -qE "Fl -$option" || echo "$option"; done)"
report "the pages are of this program" "$(for page in $pages; do grep -q '^\.Dt EXECSNOOP' "$page" || echo "$page"; done)"
# shellcheck disable=SC2086
report "each key has a macro of its own" "$(grep -nE '^\.(It |Pq )?(Cm|Ql|Ic|Ev|Dv|Pa|Va)( [^ ]+)? , [^ ]+ , |^\.(It |Pq )?(Cm|Ql|Ic|Ev|Dv|Pa|Va) [^ ]+ , [a-z_0-9]+( |$)' $pages |
	grep -vE ' , (Cm|Ql|Ic|Ev|Dv|Pa|Va|No) ' || :)"
if command -v groff >/dev/null; then
	report "no head or foot has the name of another system" "$(for page in $pages; do
		groff -mandoc -Tascii "$page" 2>/dev/null | sed -n '1p;$p' | grep BSD || :; done)"
else
	number=$((number + 1)); echo "ok $number - no head or foot has the name of another system # SKIP there is no groff"
fi
report "each unit has a page" "$(for unit in execsnoopd.service execsnoopd.socket; do
	page=man/$(sed -n 's/^\.so man8\///p' "man/$unit.8") && [ -f "$page" ] || echo "$unit"; done)"
exit $bad
