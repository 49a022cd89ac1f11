#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh [-t SECONDS] [TARGET...]: runs fuzzers of $builddir, which is configured with --enable-fuzzing, one after another: all of them, or those
# that are named (filter, json ...). Each begins with its corpus of the tree and keeps what it finds in $builddir/fuzz/TARGET, so that the next
# run continues there. Prints a line for each: executions, executions a second of CPU time, and the file of what it found. Status 1: it found
# something.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd) seconds=10 status=0
[ "${1:-}" != -t ] || { seconds=$2; shift 2; }
builddir=$(cd "${builddir:-.}" && pwd) || exit 2
# Short inputs reach all states; a long one takes as long as many of them.
declare -A longest=([cgroup]=256 [filter]=256 [filter_long]=256 [json]=512 [procfs]=512 [record]=1024 [redact]=256 [request]=512 [settings]=256 [views]=2048)
# These read a script: their states are far from its beginning, so inputs are long from the start.
declare -A control=([archive]=0 [checkpoint]=0 [server]=0 [subscriber]=0 [views]=2048)
# -entropic=0: what libFuzzer counts of each input for that takes as long as a fifth of these targets.
# Where an allocation came from is one frame less, and freed memory is kept for a while only: both take more time than the target.
export ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=8:max_malloc_fill_size=0:allocator_release_to_os_interval_ms=-1
# Large blocks are used again: to map and to clear them takes more time than what is done with them.
export GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:glibc.malloc.top_pad=4194304

run() {
	local target=$1 folder=$builddir/fuzz/$1 log=$builddir/fuzz/$1.log began runs cpu
	mkdir -p "$folder"
	began=$(awk '{ print $16 + $17 }' /proc/$$/stat)
	"$builddir/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len="${longest[$target]:-128}" -len_control="${control[$target]:-100}" -timeout=30 -entropic=0 -rss_limit_mb=1024 \
		-print_final_stats=1 -artifact_prefix="$folder-" "$folder" "$top/tests/fuzz/corpus/$target" >"$log" 2>&1 || status=1
	cpu=$(($(awk '{ print $16 + $17 }' /proc/$$/stat) - began))
	runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
	echo "$target ${runs:-0} $((${runs:-0} * 100 / (cpu + 1)))/s $(sed -n 's/.*Test unit written to //p' "$log")"
}

[ $# -gt 0 ] || set -- $(cd "$top/tests/fuzz" && printf '%s\n' corpus/*/ | sed 's,corpus/,,; s,/,,')
for target; do run "$target"; done
exit "$status"
