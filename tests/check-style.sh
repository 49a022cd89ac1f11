#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What a machine can see of style.
set -eu
cd "${top_srcdir:-.}"
sources=$(find src bpf tests -name '*.[ch]' | sort)
texts=$(find . -path ./build -prune -o -path ./.git -prune -o -path ./build-aux -prune -o -path ./autom4te.cache -prune -o \
	-path './tests/fuzz/corpus' -prune -o -type f \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.am' -o \
	-name 'configure.ac' -o -name '*.md' -o -name NEWS -o -name '*.[1-8]' -o -name '*.service.in' -o -name '*.conf' \) -print)
number=0 bad=0

# report NAME OUTPUT: ok if there is no output.
report() {
	number=$((number + 1))
	if [ -z "$2" ]; then echo "ok $number - $1"; return; fi
	printf '%s\n' "$2" | head -n 20 | sed 's/^/# /'
	echo "not ok $number - $1"
	bad=1
}

if command -v clang-format >/dev/null; then
	# shellcheck disable=SC2086
	report "clang-format changes nothing" "$(clang-format --dry-run -Werror $sources 2>&1 | grep -E '(error|warning):' || :)"
else
	number=1; echo "ok 1 - clang-format # SKIP there is none"
fi
# shellcheck disable=SC2086
report "no blanks at the ends of lines" "$(grep -nE '[[:blank:]]+$' $texts || :)"
report "every source names its licence" "$(for f in $sources; do head -n 2 "$f" | grep -q SPDX-License-Identifier || echo "$f"; done)"
report "every source is shorter than 600 lines" "$(find src bpf -type f ! -name page.html -exec wc -l {} + | awk '$2 != "total" && $1 >= 600')"
# shellcheck disable=SC2046
report "no function is longer than 60 lines" "$(awk '/^{$/ { begin = FNR } /^}$/ && begin { if (FNR - begin > 61) print FILENAME ":" begin; begin = 0 }' \
	$(find src bpf -name '*.[ch]'))"
report "no test is longer than 900 lines" \
	"$(find tests -path tests/fuzz/corpus -prune -o -type f \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' \) -exec wc -l {} + |
		awk '$2 != "total" && $1 > 900')"
# shellcheck disable=SC2086
report "no path of a development machine" "$(grep -nE '/(work|farm)/|/home/[a-z]+/' $texts | grep -v 'check-style' || :)"
# In a distribution not all of them are there.
report "files that documents name exist" "$([ ! -e bootstrap ] || grep -oE '\b(src|bpf|tests|doc|man|conf|systemd)/[a-z0-9_/-]+\.(bpf\.[ch]|[ch]|[78]|md|py|sh|conf|conf\.5|json)\b' ./*.md doc/*.md doc/design/*.md |
	while IFS=: read -r from file; do [ -e "$file" ] || echo "$from: $file"; done)"
# As "lose() in src/output/subscriber.c", or `name` in a file.
report "documents find names where they are" "$([ ! -e bootstrap ] || cat ./*.md doc/*.md doc/design/*.md | tr '\n\140' ' @' |
	grep -oE '(@[a-zA-Z_]+@|\b[a-z_]+\(\)@?) in (src|bpf|tests)/[a-z0-9_/-]+\.(bpf\.h|[ch]|py)' | tr -d '@()' | while read -r name _ file; do
	grep -qw "$name" "$file" || echo "$name is not in $file"; done)"
echo "1..$number"
exit $bad
