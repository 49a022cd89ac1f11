#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The example alerts, and the text that they are about, by promtool (fetch-promtool.sh).
set -u
command -v promtool >/dev/null || { echo "1..0 # SKIP no promtool"; exit 0; }
here=$(dirname "$0")
failed=0 number=0
check() {
	local name=$1 output
	shift
	number=$((number + 1))
	if output=$("$@" 2>&1); then
		echo "ok $number - $name"
	else
		failed=1
		sed 's/^/# /' <<<"$output"
		echo "not ok $number - $name"
	fi
}
# shellcheck disable=SC2317
is_clean() {
	local text
	text=$(mktemp)
	"${builddir:-.}/src/execsnoopctl" metrics -i "$here/stats.json" --output="$text" && promtool check metrics <"$text"
	local status=$?
	rm -f "$text"
	return $status
}
# shellcheck disable=SC2317
names_exist() {
	local name bad=0
	for name in $(grep -o 'execsnoopd\?_[a-z_]*' "$here/../../conf/execsnoopd.rules.yml" | sort -u); do
		grep -q "^$name[ {]" "$here/golden/metrics-100.txt" || { echo "no metric $name"; bad=1; }
	done
	return $bad
}
echo "1..4"
check "promtool accepts the rules" promtool check rules "$here/../../conf/execsnoopd.rules.yml"
check "alerts fire where they should, and only there" promtool test rules "$here/rules_test.yml"
check "promtool has nothing against the metrics" is_clean
check "rules are about metrics that exist" names_exist
exit $failed
