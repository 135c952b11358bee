#!/bin/sh
# Fuzz the C core with address and undefined-behaviour sanitizers: run_core.sh [seconds] [folder for build and corpus]
# Seeds are the examples' captures. Exit 0: nothing found; 1: a finding, with its input; 77: no compiler that can.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
work=${2:-.run/fuzz/core}
mkdir -p "$work/corpus" || exit 1
find examples -name '*.pcap' -exec cp {} "$work/corpus/" \;

sanitize="-g -O1 -std=c11 -fno-omit-frame-pointer -fno-sanitize-recover=all -Icore_capture/native -Wno-unused-function"
if clang $sanitize -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_core.c -o "$work/fuzz_core" 2>"$work/clang.log"; then
    exec "$work/fuzz_core" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="$work/" -print_final_stats=1 "$work/corpus"
fi
if gcc $sanitize -fsanitize=address,undefined -DFUZZ_DRIVER tests/fuzz/fuzz_core.c -o "$work/fuzz_core" 2>"$work/gcc.log"; then
    exec "$work/fuzz_core" "$seconds" "$work"/corpus/*
fi
cat "$work"/*.log >&2
echo "run_core.sh: no compiler with sanitizers: apt-get install clang" >&2
exit 77
