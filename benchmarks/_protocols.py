"""Row 3 by protocol: MB/s of dissecting one protocol's connections, against tshark with that protocol alone.

The connections are those of our own recordings, replayed with other addresses until there are enough of them. Both
sides give summaries: we columns of an entry an exchange (who, when, what), tshark a line a packet.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Set
from pathlib import Path

from benchmarks._measure import Result, alternate, command_cpu, need, worker_cpu
from benchmarks._workload import make_capture

__all__ = ["QUERY", "by_protocol", "only_protocols"]

QUERY = """
import os, sys, time
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does: idle threads spin
import cryptography.hazmat.backends.openssl.backend, cryptography.x509  # the first key and certificate load them
import kubeshark.core_capture.files, kubeshark.pipeline.query._store_query, kubeshark.pipeline.kfl._filter
from kubeshark.core_capture import load_core
from kubeshark.pipeline import Pipeline, Plugins
from kubeshark.pipeline import keep_freed_memory
keep_freed_memory(); load_core(); plugins = Plugins(); full = sys.argv[3] == "full"
started = time.process_time()
count = 0
with Pipeline.open(sys.argv[1], create=False, plugins=plugins) as pipeline:
    if full:
        for entry in pipeline.query(sys.argv[2]):
            count += 1
            entry.to_dict()
    else:  # what a line of tshark says: who, when, what
        fields = "timestamp,src.ip,src.port,dst.ip,dst.port,protocol," + sys.argv[4]
        for batch in pipeline.query(sys.argv[2]).batches(fields.split(",")):
            count += len(batch["timestamp"])
print(time.process_time() - started, count)
"""
TARGET = 5
LOWER = ("frame", "eth", "ethertype", "ip", "ipv6", "tcp", "udp", "data")
PROTOCOLS = {  # our flag → (what a summary says, tshark's names); NATS is missing: tshark 4.0 has no dissector for it
    "http && !http2": (
        "method,url,status_code",
        "http,media,data-text-lines,json,mime_multipart,urlencoded-form,image-gif,png,image-jfif,xml",
    ),
    "http2": ("method,url,status_code", "http2,http,media,data-text-lines,json,urlencoded-form"),
    "ws": ("ws_opcode", "websocket,http,data-text-lines"),
    "dns": ("dns_questions,dns_question_types,dns_rcode", "dns"),
    "tlsx": ("tlsx_sni,tlsx_version", "tls,x509sat,x509ce,x509if,x509af,pkcs1,ber,ocsp"),
    "redis": ("redis_command,redis_key", "resp"),
    "postgresql": ("postgresql_command,postgresql_query", "pgsql"),
    "memcached": ("memcached_command,memcached_key", "memcache"),
    "mqtt": ("mqtt_type,mqtt_topic", "mqtt"),
    "icmp": ("icmp_type,icmp_code", "icmp,icmpv6"),
}


def only_protocols(names: Set[str], folder: Path) -> dict[str, str]:
    """Return an environment in which tshark knows these protocols alone; its configuration goes into `folder`."""
    known = subprocess.run([need("tshark", "tshark"), "-G", "protocols"], capture_output=True, text=True, check=True)
    rows = (line.split("\t") for line in known.stdout.splitlines())
    others = sorted({row[2] for row in rows if len(row) > 2} - names)
    (folder / "disabled_protos").write_text("\n".join(others) + "\n")
    return {**os.environ, "WIRESHARK_CONFIG_DIR": str(folder)}


def by_protocol(recordings: list[Path], scratch: Path, size: int, runs: int) -> list[Result]:
    """Measure every protocol that the recordings hold, `size` bytes of each; one that none holds is an error."""
    tshark = need("tshark", "tshark")
    sources = []
    for number, recording in enumerate(recordings):
        store = scratch / f"recording-{number}"
        command_cpu([sys.executable, "-m", "kubeshark", "import", str(recording), "--store", str(store)])
        sources.append(store)
    results = []
    for flag, (fields, names) in PROTOCOLS.items():
        capture, store = scratch / "protocol.pcap", scratch / f"protocol-{len(results)}"
        best = max((_connections(source, flag, scratch) for source in sources), key=lambda path: path.stat().st_size)
        packets = make_capture(best, capture, size)
        if not packets:
            raise AssertionError(f"no recording holds {flag}")
        command_cpu([sys.executable, "-m", "kubeshark", "import", str(capture), "--store", str(store)])
        peer = [tshark, "-n", "-r", str(capture)]
        environment = only_protocols({*LOWER, *names.split(",")}, scratch)
        entries = worker_cpu(QUERY, store, flag, "summaries", fields)[1]
        ours, theirs = alternate(
            lambda store=store, flag=flag, fields=fields: worker_cpu(  # type: ignore[misc]
                QUERY, store, flag, "summaries", fields
            )[0],
            lambda peer=peer, environment=environment: command_cpu(peer, env=environment),  # type: ignore[misc]
            runs,
        )
        megabytes = capture.stat().st_size / 1e6
        note = (
            f"{megabytes / ours:.0f} against {megabytes / theirs:.0f} MB/s; {entries:.0f} entries in {packets} packets"
        )
        results.append(Result(3, f"{flag} alone, summaries", "tshark, it alone", theirs / ours, TARGET, "higher", note))
    return results


def _connections(store: Path, flag: str, scratch: Path) -> Path:
    """Return a pcap of the connections with entries of this protocol."""
    out = scratch / f"{store.name}.pcap"
    out.unlink(missing_ok=True)
    command_cpu([sys.executable, "-m", "kubeshark", "export", flag, "-o", str(out), "--store", str(store)])
    return out
