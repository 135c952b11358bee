#!/bin/sh
# Fuzz the C core with address and undefined-behaviour sanitizers: run_core.sh [seconds each] [folder for build and corpus]
# Seeds are the examples' captures, and the small ones of $KUBESHARK_CAPTURES if that is set. Exit 0: nothing found;
# 1: a finding, with its input; 77: no compiler that can.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
work=${2:-.run/fuzz/core}
mkdir -p "$work/corpus" "$work/spans" || exit 1
find examples ${KUBESHARK_CAPTURES:+"$KUBESHARK_CAPTURES/files"} -name '*.pcap' -size -65k -exec cp {} "$work/corpus/" \;
head -c 4096 tests/fuzz/fuzz_core.c >"$work/spans/text" # any bytes are segments

sanitize="-g -O1 -std=c11 -fno-omit-frame-pointer -fno-sanitize-recover=all -Icore_capture/native -Wno-unused-function"
build() { # target: with libFuzzer, else with our driver
    if clang $sanitize -fsanitize=fuzzer,address,undefined "tests/fuzz/$1.c" -o "$work/$1" 2>"$work/clang.log"; then
        kind=libfuzzer
    elif gcc $sanitize -fsanitize=address,undefined -DFUZZ_DRIVER "tests/fuzz/$1.c" -o "$work/$1" 2>"$work/gcc.log"; then
        kind=driver
    else
        cat "$work"/*.log >&2
        echo "run_core.sh: no compiler with sanitizers: apt-get install clang libclang-rt-dev" >&2
        exit 77
    fi
}
fuzz() { # target corpus
    build "$1"
    if [ "$kind" = driver ]; then
        "$work/$1" "$seconds" "$work/$2"/* || exit 1
    else
        "$work/$1" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
            -artifact_prefix="$work/" -print_final_stats=1 "$work/$2" || exit 1
    fi
}
fuzz fuzz_spans spans
fuzz fuzz_core corpus
