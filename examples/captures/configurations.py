"""What the servers of the recording are told: files in a scratch folder that goes away afterwards."""

from __future__ import annotations

import base64
import random
import struct
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

from network import BROKERS, DATABASE, DNS, NAMES, WEB, WEB_V6

SEED = 77  # the same contents at every recording

NGINX = """
daemon off; master_process off; pid {scratch}/nginx.pid; error_log {scratch}/nginx-error.log;
events {{ }}
http {{
    access_log off; default_type text/plain; sendfile off; gzip on; gzip_min_length 200; gzip_types text/css text/csv;
    types {{ text/html html; text/css css; text/csv csv; image/png png; }}
    client_body_temp_path {scratch}/body; proxy_temp_path {scratch}/proxy; fastcgi_temp_path {scratch}/fastcgi;
    scgi_temp_path {scratch}/scgi; uwsgi_temp_path {scratch}/uwsgi;
    server {{
        listen {web}:80; listen [{web_v6}]:80; listen {web}:8081 http2; listen {web}:443 ssl http2;
        ssl_certificate {scratch}/certificate.pem; ssl_certificate_key {scratch}/key.pem;
        root {scratch}/www;
        error_page 405 =200 $uri;  # a form posted to a page shows the page
        location = /search {{ default_type text/html; return 200 "<p>3 kinds of tea for: $arg_q</p>"; }}
    }}
}}
"""

STOMP_BROKER = (
    f"listeners.tcp.1 = {BROKERS}:5672",
    f"stomp.listeners.tcp.1 = {BROKERS}:61613",
    "loopback_users = none",  # guest may come from the clients' namespace
)

PAGE = (
    "<!doctype html><title>Tea shop</title><link rel=stylesheet href=style.css><img src=logo.png>" + "<p>Tea</p>" * 90
)
STYLE = "".join(f".tea-{number} {{ color: #{number * 1111:06x}; margin: {number}px }}\n" for number in range(150))


def nginx(scratch: Path) -> Path:
    www = scratch / "www"
    www.mkdir()
    contents = random.Random(SEED)
    (www / "index.html").write_text(PAGE)
    (www / "style.css").write_text(STYLE)
    (www / "logo.png").write_bytes(_noise_image(contents, 128))
    rows = (f"{number},{base64.b32encode(contents.randbytes(20)).decode()}\n" for number in range(7000))
    (www / "catalogue.csv").write_text("id,name\n" + "".join(rows))
    (www / "robots.txt").write_text("User-agent: *\nDisallow: /cart\n")
    certificate(scratch, "shop.example.test")
    configuration = scratch / "nginx.conf"
    configuration.write_text(NGINX.format(scratch=scratch, web=WEB, web_v6=WEB_V6))
    return configuration


def certificate(folder: Path, name: str) -> None:
    """Write key.pem, and a certificate.pem that it signs itself."""
    options = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", f"/CN={name}"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(["openssl", "req", *options, *files], check=True, stderr=subprocess.DEVNULL)


def _noise_image(contents: random.Random, size: int) -> bytes:
    """Build a PNG of random colours: large, and nothing compresses it."""
    rows = b"".join(b"\0" + contents.randbytes(3 * size) for _ in range(size))
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    framed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def dns_options() -> list[str]:
    """Return the options of dnsmasq: it answers for example.test alone, from nowhere but here."""
    addresses: dict[str, list[str]] = {}
    for address, name in NAMES.items():
        addresses.setdefault(name, []).append(address)
    long_text = ",".join(f"part {number} of a text that no datagram holds {'x' * 150}" for number in range(12))
    return [
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--user=root",
        "--bind-interfaces",
        f"--listen-address={DNS}",
        "--local=/example.test/",
        *(f"--host-record={name},{','.join(found)}" for name, found in addresses.items()),
        "--cname=www.example.test,shop.example.test",
        "--mx-host=example.test,mail.example.test,10",
        "--srv-host=_stomp._tcp.example.test,brokers.example.test,61613",
        f"--txt-record=long.example.test,{long_text}",
    ]


def mosquitto(scratch: Path, address: str = BROKERS) -> Path:
    configuration = scratch / "mosquitto.conf"
    configuration.write_text(f"listener 1883 {address}\nallow_anonymous true\npersistence false\nuser root\n")
    return configuration


def postgresql(scratch: Path, addresses: str = DATABASE, rule: str = "host all all 10.77.0.0/24 trust\n") -> list[str]:
    """Make a database; return the command that serves it. It refuses to run as root."""
    data = scratch / "postgresql"
    data.mkdir()
    subprocess.run(["chown", "nobody:", str(data)], check=True)
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "env", f"HOME={data}"]
    options = ["--username=shop", "--auth=trust", "--no-sync", "--locale=C.UTF-8", "--no-instructions"]
    subprocess.run([*as_nobody, "initdb", f"--pgdata={data}", *options], check=True, stdout=subprocess.DEVNULL)
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write(rule)
    return [*as_nobody, "postgres", "-D", str(data), "-h", addresses, "-k", "", "-F"]


def rabbitmq(scratch: Path, lines: Sequence[str] = STOMP_BROKER, plugin: str = "rabbitmq_stomp") -> dict[str, str]:
    """Return the environment that makes RabbitMQ a broker with all its files here."""
    home = scratch / "rabbitmq"
    home.mkdir()
    (home / "rabbitmq.conf").write_text("".join(f"{line}\n" for line in lines))
    (home / "enabled_plugins").write_text(f"[{plugin}].\n")
    return {
        "HOME": str(home),
        "RABBITMQ_NODENAME": "sample@localhost",
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOGS": "-",
    }


def tftp_files(scratch: Path) -> Path:
    root = scratch / "tftp"
    root.mkdir()
    root.chmod(0o777)  # the server writes as nobody
    (root / "motd.txt").write_text("Welcome to the boot server.\nThe image is boot/kernel.img.\n")
    (root / "boot").mkdir()
    (root / "boot" / "kernel.img").write_bytes(bytes(range(256)) * 9 + b"end")  # several blocks, the last one short
    (root / "exactly-two-blocks.bin").write_bytes(b"\xa5" * 1024)  # ended by an empty third block
    for path in root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return root
