#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The layers of HACKING.md, between <!-- layers --> and <!-- /layers -->: lines "N: module module+part ...". Every file
# of src/ and bpf/record.h belongs to one module; a module includes its own headers and those of lower layers only.
set -eu
cd "${top_srcdir:-.}"
echo "1..2"
awk '
	FILENAME == "HACKING.md" {
		if (/<!-- layers -->/) inside = 1
		else if (/<!-- \/layers -->/) inside = 0
		else if (inside && /^[0-9]+:/) {
			layer = $1 + 0
			for (i = 2; i <= NF; i++) {
				n = split($i, parts, "+")
				for (j = 1; j <= n; j++) { of[parts[j]] = layer; module[parts[j]] = $i }
			}
		}
		next
	}
	FNR == 1 {
		file = FILENAME
		sub(/.*\//, "", file); sub(/\..*/, "", file)
		if (!(file in of)) { print "# " FILENAME " is in no layer"; unknown++ }
	}
	/^#include "/ {
		name = $2
		gsub(/"/, "", name); sub(/\.h$/, "", name)
		if (name == "config" || name ~ /\.skel$/) next
		if (!(name in of)) { print "# " FILENAME " includes " name ".h, which is in no layer"; unknown++ }
		else if (module[name] != module[file] && of[name] >= of[file]) {
			print "# " FILENAME " (layer " of[file] ") includes " name ".h (layer " of[name] ")"; bad++
		}
	}
	END {
		print (unknown ? "not ok" : "ok") " 1 - every file is in a layer"
		print (bad ? "not ok" : "ok") " 2 - includes go down only"
		exit unknown + bad > 0
	}' HACKING.md src/*.c src/*.h bpf/record.h
