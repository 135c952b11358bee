"""A server that speaks TLS by libssl, as a process of its own, and what a probe needs of the machine."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from kubeshark.core_capture.ebpf._perf import tracing_folder
from kubeshark.core_capture.ebpf._tls_probe import OBJECT

CAP_SYS_PTRACE, CAP_SYS_ADMIN = 19, 21

SERVER = """
import ctypes, os, socket, ssl, sys, threading
host, certificate = sys.argv[1], sys.argv[2]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
if int(sys.argv[3]) != os.getuid():
    os.setuid(int(sys.argv[3]))
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: as for a program that was started by that user
print(listener.getsockname()[1], flush=True)

def answer(raw):
    with context.wrap_socket(raw, server_side=True) as connection:
        lines = connection.makefile("rb")
        while line := lines.readline():
            size = int(line.split()[1])
            while lines.readline().strip():
                pass
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size + b"x" * size)

while True:
    raw, _ = listener.accept()
    threading.Thread(target=answer, args=(raw,), daemon=True).start()
"""


REQUEST = b"GET %d HTTP/1.1\r\nHost: probe.test\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"  # as SERVER writes it


def said(*sizes: int) -> int:
    """Return the bytes that the server reads and writes for these requests."""
    return sum(len(REQUEST % size) + len(ANSWER % size) + size for size in sizes)


def _lacks() -> str:
    if not OBJECT.is_file():
        return "the eBPF program is not built: apt-get install clang linux-libc-dev, then make setup"
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    held = int(status["CapEff"], 16)
    if not all(held >> number & 1 for number in (CAP_SYS_PTRACE, CAP_SYS_ADMIN)):
        return "needs CAP_SYS_ADMIN and CAP_SYS_PTRACE: run as root"
    if tracing_folder() is None:
        return "needs tracefs: mount -t tracefs tracefs /sys/kernel/tracing"
    return ""


LACKS = _lacks()
needs_probes = pytest.mark.skipif(bool(LACKS), reason=LACKS or "-")


def make_certificate(folder: Path) -> Path:
    """Return a file with a key and a certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "server.pem"
    path.write_bytes(private + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


@contextmanager
def tls_server(folder: Path, host: str = "127.0.0.1", user: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield (process, port) of a server whose "GET N" is answered with N bytes."""
    command = [sys.executable, "-c", SERVER, host, str(make_certificate(folder)), str(user or os.getuid())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def ask(port: int, *sizes: int, host: str = "127.0.0.1") -> tuple[str, int]:
    """Send requests over one connection; return its client's end."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, port)) as raw, context.wrap_socket(raw) as connection:
        end = connection.getsockname()[:2]
        answers = connection.makefile("rb")
        for size in sizes:
            connection.sendall(REQUEST % size)
            while answers.readline().strip():
                pass
            assert len(answers.read(size)) == size
        return str(end[0]), int(end[1])
