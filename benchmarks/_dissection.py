"""Row 3: everything dissected from the encrypted store, against tshark on the plain file with the same protocols alone.

What both say of the requests, answers and names in it is asserted to be the same before anything is timed: tshark's
fields (`-T fields`) against our columns. Its default output, a line of text a packet, names no field; it is measured
beside.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from subprocess import PIPE, Popen

from benchmarks._measure import Result, alternate, command_cpu, need, worker_cpu
from benchmarks._protocols import QUERY, only_protocols
from kubeshark.pipeline import Pipeline, Plugins

__all__ = ["two_processes", "whole_dissection"]

READING = """
import os, sys, time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import cryptography.hazmat.backends.openssl.backend
import numpy as np
from kubeshark.core_capture import load_core
from kubeshark.core_capture.store import Store
from kubeshark.pipeline import keep_freed_memory
keep_freed_memory(); core = load_core()
started = time.process_time()
store = Store.open(sys.argv[1])
for info in store.segments():
    with store.open_segment(info.name) as segment:
        sizes = np.cumsum(segment.flows["bytes"].sum(axis=1))
        for part in range(0, int(sizes[-1]) + 1, 16 << 20):  # pieces, as a query reads them
            chosen = (sizes > part) & (sizes <= part + (16 << 20))
            decoded = core.decode(segment.select(chosen), info.link_type)
            core.assemble(decoded, np.arange(len(decoded.flows)))
print(time.process_time() - started)
"""
"""What no dissector can save of row 3: decrypt, inflate, decode, reassemble, all of it in C."""

SPREAD = """
import os, sys, time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does: idle threads spin
from kubeshark.cli.terminal._output import JsonLine
from kubeshark.pipeline import Pipeline, keep_freed_memory
keep_freed_memory()
with Pipeline.open(sys.argv[1], create=False) as pipeline:
    pipeline.plugins  # loads them
    started = time.perf_counter()
    count = sum(1 for _ in pipeline.map(JsonLine(None), jobs=int(sys.argv[2])))
print(time.perf_counter() - started, count)
"""

TSHARK_PROTOCOLS = """
frame eth ethertype vlan arp ip ipv6 tcp udp sctp icmp icmpv6 data http http2 grpc protobuf websocket json xml media
data-text-lines mime_multipart urlencoded-form image-gif png image-jfif dns mdns llmnr stun tls dtls x509sat x509ce
x509if x509af pkcs1 pkix1explicit ber ocsp quic http3 resp pgsql mysql mongo tds cql memcache kafka amqp mqtt zmtp
thrift ldap cldap radius diameter smtp imf ftp sip sdp ssh
"""
"""Those that we dissect, and what they stand on."""

KFL = ""  # everything: every protocol's entries, connections, payload of what nobody knows
FIELDS = "method,url,status_code,dns_questions,dns_rcode,redis_command,postgresql_command,icmp_type"
FIELDS_OF_TSHARK = """
frame.time_epoch ip.src ip.dst ipv6.src ipv6.dst tcp.srcport tcp.dstport udp.srcport udp.dstport _ws.col.Protocol
http.request.method http.request.uri http.response.code dns.qry.name dns.flags.rcode resp.array.length
resp.bulk_string.value pgsql.query icmp.type icmpv6.type
"""
"""tshark's names of what we are asked for: when, who, what."""

REDIS_PORT = "6379"  # of the recording: what goes there are commands
ECHO_REPLIES = {"0", "129"}  # ours are a part of the request's entry

SEVERAL = "\x1f"  # between the values of a field that a packet has several times
Told = dict[str, Counter[object]]


def whole_dissection(capture: Path, store: Path, scratch: Path, runs: int) -> list[Result]:
    """Dissect everything, one core."""
    base = [need("tshark", "tshark"), "-n", "-r", str(capture)]
    environment = only_protocols(set(TSHARK_PROTOCOLS.split()), scratch)
    fields = [*base, "-T", "fields", "-E", f"aggregator={SEVERAL}"]
    fields += (word for name in FIELDS_OF_TSHARK.split() for word in ("-e", name))
    _assert_same(_told_by_us(store), _told_by_tshark(fields, environment))
    reading = min(worker_cpu(READING, store)[0] for _ in range(max(runs, 3)))
    results = []
    for depth, case, form, command, target in (
        ("summaries", "summaries", " -T fields", fields, 25),
        ("summaries", "summaries, lines of text", "", base, 25),
        ("full", "full", " -T json", [*base, "-T", "json"], 15),
    ):
        entries = worker_cpu(QUERY, store, KFL, depth, FIELDS)[1]
        ours, theirs = alternate(
            partial(_query_cpu, store, depth),
            partial(command_cpu, command, env=environment, is_read=False),
            min(runs, 3),
        )
        cost = f"{ours:.2f} against {theirs:.2f} s CPU; reading without dissecting {reading:.2f} s"
        case, peer, note = f"dissect everything, {case}", f"tshark{form}", f"{entries:.0f} entries; {cost}"
        results.append(Result(3, case, peer, theirs / ours, target, "higher", note))
    results.append(_lines(store, base, environment, runs))
    return results


def _lines(store: Path, tshark: Sequence[str], environment: dict[str, str], runs: int) -> Result:
    """Both commands from their start to the last line of text; ours in one process."""
    command = [sys.executable, "-m", "kubeshark", "query", "--store", str(store), "--output", "table", "--jobs", "1"]
    ours, theirs = alternate(
        partial(command_cpu, command, is_read=False),
        partial(command_cpu, tshark, env=environment, is_read=False),
        min(runs, 3),
    )
    note = f"{ours:.2f} against {theirs:.2f} s CPU: start, every line and its text included"
    case = "dissect everything, lines of text, the whole command"
    return Result(3, case, "tshark", theirs / ours, None, "higher", note)


def _query_cpu(store: Path, depth: str) -> float:
    return worker_cpu(QUERY, store, KFL, depth, FIELDS)[0]


def two_processes(store: Path, runs: int) -> list[Result]:
    """Whole entries as lines of JSON on two processors, by the clock: the start of the worker counts."""
    if len(os.sched_getaffinity(0)) < 2:
        print("  3  dissect everything, full, two processes: not measured, this machine has one processor", flush=True)
        return []
    one, two = alternate(lambda: worker_cpu(SPREAD, store, "1")[0], lambda: worker_cpu(SPREAD, store, "2")[0], runs)
    note = f"{one:.2f} and {two:.2f} s on the clock, of which starting the worker is a part"
    return [Result(3, "dissect everything, full, two processes", "one process", one / two, 1.8, "higher", note)]


def _told_by_us(store: Path) -> Told:
    told: Told = {name: Counter() for name in ("HTTP", "status", "DNS", "redis", "postgresql", "ICMP")}
    with Plugins() as plugins, Pipeline.open(store, create=False, plugins=plugins) as pipeline:
        for batch in pipeline.query(KFL).batches(["protocol", *FIELDS.split(",")]):
            for protocol, method, url, status, questions, _, redis, postgresql, icmp in zip(
                *batch.values(), strict=True
            ):
                if protocol == "HTTP":
                    told["HTTP"][method, url] += 1
                    told["status"][status] += status > 0
                elif protocol == "DNS":
                    told["DNS"][tuple(questions), status] += 1
                elif protocol == "REDIS":
                    told["redis"][redis.split()[0]] += 1
                elif protocol == "POSTGRESQL":
                    told["postgresql"][postgresql] += 1
                elif protocol == "ICMP":
                    told["ICMP"][icmp] += 1
    return told


def _told_by_tshark(command: Sequence[str], environment: dict[str, str]) -> Told:
    told: Told = {name: Counter() for name in ("HTTP", "status", "DNS", "redis", "postgresql", "ICMP")}
    names = FIELDS_OF_TSHARK.split()
    with Popen(command, stdout=PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            cells = [cell.split(SEVERAL) if cell else [] for cell in line.rstrip("\n").split("\t")]
            cell = dict(zip(names, cells, strict=True))
            told["HTTP"].update(zip(cell["http.request.method"], cell["http.request.uri"], strict=True))
            told["status"].update(map(int, cell["http.response.code"]))
            told["DNS"].update((tuple(cell["dns.qry.name"]), int(rcode)) for rcode in cell["dns.flags.rcode"])
            if cell["tcp.dstport"] == [REDIS_PORT]:
                told["redis"].update(_commands(cell["resp.array.length"], cell["resp.bulk_string.value"]))
            told["postgresql"].update(query.split()[0].upper() for query in cell["pgsql.query"])
            told["ICMP"].update({*cell["icmp.type"], *cell["icmpv6.type"]} - ECHO_REPLIES)
    if process.returncode:
        raise RuntimeError(f"tshark failed with code {process.returncode}")
    return told


def _commands(lengths: Sequence[str], texts: Iterable[str]) -> Iterator[str]:
    """Yield the first word of each array of strings; `texts` is hexadecimal."""
    words = (bytes.fromhex(text).decode(errors="replace") for text in texts)
    for length in lengths:
        yield from list(islice(words, int(length)))[:1]


def _assert_same(ours: Told, theirs: Told) -> None:
    for name, counts in ours.items():
        differ = counts - theirs[name], theirs[name] - counts
        if any(differ):
            raise AssertionError(f"{name}: only we say {differ[0]!r}, only tshark says {differ[1]!r}")
    assert ours["HTTP"], "nothing is compared"
