#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A folder of src/ is a layer. Its files include headers of their own folder and of lower ones, and use symbols of those only: a function
# declared by hand would pass the first check. Folders of the same rank do not see each other. execsnoopctl, in ctl, has layers of its own,
# above what it shares with the daemon.
set -eu
objects=$(cd "${builddir:-.}/src" && pwd)
cd "${top_srcdir:-.}"
awk_layers='
	BEGIN {
		rank["util"] = 0; rank["handover"] = 1; rank["model"] = 2; rank["settings"] = 3; rank["output"] = 4; rank["kernel"] = 4
		rank["pipeline"] = 5; rank["daemon"] = 6
		rank["ctl/text"] = 7; rank["ctl/event"] = 8; rank["ctl/source"] = rank["ctl/collect"] = 9
		rank["ctl/view"] = 10; rank["ctl/export"] = 11; rank["ctl/command"] = 12
		shared["util"]; shared["model"]; shared["output"]
	}
	function of_ctl(folder) { return folder ~ /^ctl\// }
	function may(from, to) { return from == to || rank[to] < rank[from] && (of_ctl(from) == of_ctl(to) || to in shared) }'
echo "1..3"
unknown=$(find src -name '*.[ch]' | sed 's,^src/\(.*\)/,\1 ,' | awk "$awk_layers"' !($1 in rank) { print "# src/" $1 "/" $2 " is in no layer" }')
[ -z "$unknown" ] || echo "$unknown"
echo "${unknown:+not }ok 1 - every file is in a layer"

up=$(find src -name '*.[ch]' -exec grep -H '^#include "' {} + | sed 's,^src/\([^:]*\)/\([^:]*\):#include "\(.*\)"$,\1 \2 \3,' | awk "$awk_layers"'
	$3 == "config.h" || $3 == "record.h" || $3 ~ /\.skel\.h$/ { next }
	{ to = $3; sub(/\/[^\/]*$/, "", to) }
	!(to in rank) || !may($1, to) { print "# src/" $1 "/" $2 " includes " $3 }')
[ -z "$up" ] || echo "$up"
echo "${up:+not }ok 2 - includes go down only"

# Lines "FILE.o:ADDRESS TYPE NAME"; weak symbols are inline functions and the like.
symbols=$(cd "$objects" && find . -name '*.o' -exec "${NM:-nm}" -A {} + | sed 's,^\./\([^:]*\)/\([^:]*\): *[0-9a-f]* *\([A-Za-z]\) \(.*\)$,\1 \2 \3 \4,')
up=$(printf '%s\n%s\n' "$symbols" "$symbols" | awk "$awk_layers"'
	$3 ~ /[TDBRC]/ { of[$4] = $1; next }
	NR > lines && $3 == "U" && ($4 in of) && !may($1, of[$4]) { print "# " $1 "/" $2 " uses " $4 " of " of[$4] }' lines="$(echo "$symbols" | wc -l)")
[ -z "$up" ] || echo "$up"
defined=$(echo "$symbols" | awk '$3 == "T"' | wc -l)
[ "$defined" -gt 300 ] || { echo "# only $defined functions are seen in $objects"; up=none; }
echo "${up:+not }ok 3 - symbols are used downwards only"
true
