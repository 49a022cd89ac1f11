#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh [-t SECONDS] [-n EXECUTIONS] [TARGET...]: runs fuzzers of $builddir, which is configured with --enable-fuzzing, one after another: all of
# them, or those that are named (filter, json ...). Each begins with its corpus of the tree and keeps what it finds in $builddir/fuzz/TARGET, and the
# executions of all runs in $builddir/fuzz/TARGET.total, so that the next run continues there; with -n, until there are so many. Prints a line for
# each: executions, executions a second of CPU time, executions of all runs, and the file of what it found. Status 1: it found something.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd) seconds=10 wanted=0 status=0
while getopts t:n: option; do
	case $option in
	t) seconds=$OPTARG ;;
	n) wanted=$OPTARG ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))
builddir=$(cd "${builddir:-.}" && pwd) || exit 2
# Short inputs reach all states; a long one takes as long as many of them.
declare -A longest=([archive]=64 [cgroup]=256 [checkpoint]=64 [filter]=256 [filter_long]=256 [journal_file]=4096 [json]=512 [procfs]=512 [record]=1024 [redact]=256
	[request]=512 [server]=64 [settings]=256 [subscriber]=64 [views]=1024)
# These read a script: their states are far from its beginning, so inputs are long from the start.
declare -A control=([archive]=0 [checkpoint]=0 [journal_file]=0 [server]=0 [subscriber]=0 [views]=1024)
# -entropic=0: what libFuzzer counts of each input for that takes as long as a fifth of these targets.
# -reload=0: no other fuzzer writes to the folder, so its files are not looked at every second.
# Where an allocation came from is one frame less, and freed memory is kept for a while only: both take more time than the target.
export ASAN_OPTIONS=malloc_context_size=2:quarantine_size_mb=8:max_malloc_fill_size=0:allocator_release_to_os_interval_ms=-1
# Large blocks are used again: to map and to clear them takes more time than what is done with them.
export GLIBC_TUNABLES=glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=4294967296:glibc.malloc.top_pad=4194304
# Without sanitizers the kernel limits the memory: libFuzzer has a thread for that, and each system call and malloc(3) takes longer with a thread.
rss=1024
grep -q '^SANITIZE = .*address' "$builddir/Makefile" || { rss=0 && ulimit -v $((4 << 20)); }

run() {
	local target=$1 folder=$builddir/fuzz/$1 log=$builddir/fuzz/$1.log began runs cpu total
	mkdir -p "$folder"
	total=$(cat "$folder.total" 2>/dev/null || echo 0)
	[ "$wanted" = 0 ] || [ "$total" -lt "$wanted" ] || return
	began=$(awk '{ print $16 + $17 }' /proc/$$/stat)
	"$builddir/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len="${longest[$target]:-128}" -len_control="${control[$target]:-100}" -timeout=30 -reload=0 -entropic=0 -rss_limit_mb="$rss" \
		-runs=$((wanted > 0 ? wanted - total : -1)) -print_final_stats=1 -artifact_prefix="$folder-" "$folder" "$top/tests/fuzz/corpus/$target" >"$log" 2>&1 || status=1
	cpu=$(($(awk '{ print $16 + $17 }' /proc/$$/stat) - began))
	runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$log")
	total=$((total + ${runs:-0}))
	echo "$total" >"$folder.total"
	echo "$target ${runs:-0} $((${runs:-0} * 100 / (cpu + 1)))/s $total $(sed -n 's/.*Test unit written to //p' "$log")"
}

[ $# -gt 0 ] || set -- $(cd "$top/tests/fuzz" && printf '%s\n' corpus/*/ | sed 's,corpus/,,; s,/,,')
for target; do run "$target"; done
exit "$status"
