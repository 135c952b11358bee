#!/bin/sh
# Fuzz the C core, and what makes Python objects in C, with address and undefined-behaviour sanitizers: run_core.sh [seconds each] [folder for build and corpus]
# Seeds are the examples' captures, talks for the scanners, and the small ones of $KUBESHARK_CAPTURES if that is set. Exit 0: nothing found;
# 1: a finding, with its input; 77: no compiler that can.
set -u
cd "$(dirname "$0")/../.." || exit 1
seconds=${1:-60}
work=${2:-.run/fuzz/core}
mkdir -p "$work/corpus" "$work/spans" "$work/ring" "$work/objects" || exit 1
find examples ${KUBESHARK_CAPTURES:+"$KUBESHARK_CAPTURES/files"} -name '*.pcap' -size -65k -exec cp {} "$work/corpus/" \;
head -c 4096 tests/fuzz/fuzz_core.c >"$work/spans/text" # any bytes are segments
printf '\0Host: h\r\nX-A:\r\nno colon\n\r\n' >"$work/objects/fields"
printf '\1abcdefgh' >"$work/objects/base64"
printf '\2\0\0\0\0\5\0\0\0\11\0\0\0\2\0\0\0textstexts\351xtexts' >"$work/objects/texts"
printf '\3\1\0\0\0\0\0\0\0\77\0\0\0\0\0\0\0' >"$work/objects/pick"
ring() { # name, rules: a block with two packets of 16 bytes, the second tagged (numbers as this machine has them)
    {
        printf "$2"'\3\0\0\0\60\0\0\0\1\0\0\0\2\0\0\0\60\0\0\0\0\1\0\0'
        head -c 24 /dev/zero
        for status in '\1' '\121'; do
            printf '\140\0\0\0\1\0\0\0\2\0\0\0\20\0\0\0\20\0\0\0'"$status"'\0\0\0\120\0\120\0\0\0\0\0\5\0\0\0\250\210'
            head -c 58 /dev/zero
        done
        head -c 200 /dev/zero
    } >"$work/ring/$1"
}
ring plain '\0'
ring cooked '\1'
ring small '\14'
ring two '\2'
talk() { # name, transport (0 TCP, 1 UDP, 2 ICMP, 3 ICMPv6), what is said; \376 turns the direction
    printf "talk\\$2$3" >"$work/corpus/$1.talk"
}
talk http 0 'GET /a HTTP/1.1\r\nHost: h\r\n\r\n\376HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi'
talk chunks 0 'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\376HTTP/1.1 100 C\r\n\r\nHTTP/1.0 404 No\r\n\r\n'
talk dns 1 '\0\1\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1\376\0\1\201\200\0\1\0\1\0\0\0\0\1a\0\0\1\0\1\300\14\0\1\0\1\0\0\0\1\0\4\1\2\3\4'
talk redis 0 '*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n\376-ERR \351\r\n%%1\r\n+a\r\n*2\r\n:1\r\n$-1\r\n'
talk http2 0 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0(\1\4\0\0\0\1\203\206D\215bB\322u\361XR\244\2661\270~\277A\203\236\340\177_\220\35u\320b\r&=LMed\377u\330t\237\0\0\7\0\1\0\0\0\1\0\0\0\0\2\10\1\0\0 \1\5\0\0\0\3\203D\202c\247f\204:g-\237_\223\35u\320b\r&=LtA\352\373P\223\216\304\0250y\376\0\0\0\4\0\0\0\0\0\0\0\4\1\4\0\0\0\1H\202\10\1\0\0\16\1\4\0\0\0\1\210_\213\35u\320b\r&=LMed\0\0\r\1\5\0\0\0\1@\210\232\312\310\262\0224\332\217\202\13_'
talk postgresql 0 '\0\0\0\20\0\3\0\0user\0u\0\0P\0\0\0\23s1\0SELECT $1\0\0\0B\0\0\0\16\0s1\0\0\0\0\0\0\0D\0\0\0\6P\0E\0\0\0\11\0\0\0\0\0S\0\0\0\4Q\0\0\0\nBEGIN\0\376R\0\0\0\10\0\0\0\0Z\0\0\0\5I1\0\0\0\0042\0\0\0\4D\0\0\0\6\0\0C\0\0\0\rSELECT 1\0Z\0\0\0\5IE\0\0\0"SERROR\0C42P01\0Mno such table\0\0Z\0\0\0\5I'
talk mqtt 0 '\20\17\0\4MQTT\5\2\0\74\0\0\2me\62\10\0\1a\0\7\0hi\202\7\0\1\0\0\1a\1\300\0\376\40\3\0\0\0\100\2\0\7\220\4\0\1\0\1\60\3\0\1a\320\0'
talk memcached 0 'set a 0 0 2\r\nhi\r\nget a b\r\nmg a v k\r\nstats\r\n\376STORED\r\nVALUE a 0 2\r\nhi\r\nEND\r\nVA 1 ka\r\nx\r\nSTAT a 1\r\nEND\r\n'
talk binary 0 '\200\1\0\1\10\0\0\0\0\0\0\13\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0ahi\376\201\1\0\0\0\0\0\1\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0'
talk tls 0 '\26\3\3\0[\1\0\0W\3\3rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\2id\0\4\23\1\300/\1\0\0(\0\0\0\13\0\11\0\0\6a.test\0\20\0\16\0\14\2h2\10http/1.1\0+\0\3\2\3\4\26\3\3\0\7\20\0\0\3key\24\3\3\0\1\1\26\3\3\0(eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\376\26\3\3\0*\2\0\0&\3\3ssssssssssssssssssssssssssssssss\0\300/\0\26\3\3\0\24\13\0\0002cccccccccccccccc\26\3\3\0&cccccccccccccccccccccccccccccccccc\16\0\0\0hidden'
talk nats 0 'CONNECT {"verbose":true}\r\nPUB a 2\r\nhi\r\nSUB a  1\r\nPING\r\n\376INFO {"server_id":"x"}\r\n+OK\r\nMSG a 1 b 2\r\nhi\r\nHMSG a 1 2 3\r\nabc\r\n-ERR '"'x'"'\r\nPONG\r\n'
talk icmp 2 '\10\0\0\0\1\2\3\4\376\0\0\0\0\1\2\3\4'
talk icmp6 3 '\200\0\0\0\1\2\3\4\376\201\0\0\0\1\2\3\4'

sanitize="-g -O1 -std=c11 -fno-omit-frame-pointer -fno-sanitize-recover=all -Icore_capture/native -Wno-unused-function"
build() { # target [link flags]: with libFuzzer, else with our driver
    source="tests/fuzz/$1.c" out="$work/$1"
    shift
    if clang $sanitize -fsanitize=fuzzer,address,undefined "$source" -o "$out" "$@" 2>"$work/clang.log"; then
        kind=libfuzzer
    elif gcc $sanitize -fsanitize=address,undefined -DFUZZ_DRIVER "$source" -o "$out" "$@" 2>"$work/gcc.log"; then
        kind=driver
    else
        cat "$work"/*.log >&2
        echo "run_core.sh: no compiler with sanitizers, or no Python.h: apt-get install clang libclang-rt-dev python3-dev" >&2
        exit 77
    fi
}
fuzz() { # target corpus [link flags]
    target="$work/$1" seeds="$work/$2"
    build "$1" $(shift 2 && echo "$@")
    if [ "$kind" = driver ]; then
        "$target" "$seconds" "$seeds"/* || exit 1
    else
        "$target" -max_total_time="$seconds" -max_len=65536 -timeout=10 -rss_limit_mb=1024 \
            -artifact_prefix="$work/" -print_final_stats=1 "$seeds" || exit 1
    fi
}
fuzz fuzz_spans spans
fuzz fuzz_ring ring
fuzz fuzz_core corpus
# Python itself keeps objects until the end: what it does not free then is no finding.
ASAN_OPTIONS=detect_leaks=0 fuzz fuzz_objects objects $(.venv/bin/python tests/fuzz/python_flags.py)
