"""The servers of the shop and what they are told; with those who use them, in the order they start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import configurations
import servers
from network import inside
from servers import RABBITMQ, Server

from shop import goods
from shop.cluster import RECORDS, SERVICES, SHOP, VISITORS, namespace, resolving

PYTHON = "/usr/bin/python3"  # Debian's, with Debian's client libraries
HERE = Path(__file__).parent
PROGRAMS = {
    name: servers.PROGRAMS[name]
    for name in ("tcpdump", "ip", "dnsmasq", "nginx", "openssl", "redis-server", "memcached", "mosquitto")
} | {
    RABBITMQ: "rabbitmq-server",
    "postgres": "postgresql",
    "psql": "postgresql-client",
    "/usr/sbin/sshd": "openssh-server",
    "ssh": "openssh-client",
    "ping": "iputils-ping",
    "zstd": "zstd",
}
LIBRARIES = ("paho-mqtt", "pika", "prometheus-client", "psycopg2", "pymemcache", "redis", "requests")
SERVICE_PORTS = {"payments": 7070, "catalog": 8080, "recommendations": 8082, "cart": 8081, "orders": 9000, "web": 8000}

NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ }}
http {{
    access_log off; sendfile on; keepalive_timeout 10s; keepalive_requests 100; server_tokens off;
    types {{ text/html html; text/css css; text/javascript js; image/jpeg jpg; }}
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi; uwsgi_temp_path {folder}/uwsgi;
    server {{ listen 9113; location = /metrics {{ stub_status; }} }}
    {servers}
}}
"""
EDGE = """
    gzip on; gzip_min_length 500; gzip_proxied any; gzip_types text/css text/javascript application/json;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Request-ID $request_id; proxy_set_header X-Visitor $cookie_visitor;
    proxy_set_header traceparent "00-$request_id-0000000000000001-01";
    {upstreams}
    server {{
        listen 80; listen 443 ssl; server_name {shop};
        ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem;
        location / {{ proxy_pass http://web; }}
        location /media/ {{ proxy_pass http://media/; }}
        location /static/ {{ root {folder}/www; add_header Cache-Control "public, max-age=600"; }}
        location = /favicon.ico {{ root {folder}/www; }}
        location = /healthz {{ return 200 "ok"; }}
        location = /api/suggest {{ proxy_pass http://catalog/v1/products?q=$arg_q; }}
        location = /api/cart/items {{ proxy_pass http://cart/v1/carts/$cookie_visitor/items; }}
        location ~ ^/api/orders(?<rest>.*)$ {{ proxy_pass http://orders/v1/orders$rest; }}
    }}
"""
UPSTREAM = "upstream {name} {{ server {name}:{port}; keepalive 8; keepalive_timeout 7s; }}"
MEDIA = """
    server {{
        listen 8088; root {folder}/www; add_header Cache-Control "public, max-age=86400";
        location = /healthz {{ return 200 "ok"; }}
    }}
"""


def missing_packages() -> list[str]:
    """Return the Debian packages that are not there."""
    asked = "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))"
    modules = {name: {"paho-mqtt": "paho"}.get(name, name.replace("-", "_")) for name in LIBRARIES}
    missing = [
        f"python3-{name}"
        for name, module in modules.items()
        if subprocess.run([PYTHON, "-c", asked, module], check=False).returncode
    ]
    return sorted({*missing, *servers.missing_packages(PROGRAMS)})


def all_servers(scratch: Path) -> dict[str, Server]:
    """Return who runs, by name. Writes configuration files; the database must still be filled."""
    redis = ["redis-server", "--protected-mode", "no", "--save", "", "--dir", str(scratch)]
    rule = "host all all 10.78.0.0/16 scram-sha-256\n"
    return {
        "dns": _on("dns", ["dnsmasq", "--keep-in-foreground", *_dns_options()], 53),
        "db": _on("db", configurations.postgresql(scratch, f"127.0.0.1,{SERVICES['db']}", rule), 5432),
        "redis": _on("cache", redis, 6379),
        "memcached": _on("cache", ["memcached", "-u", "nobody"], 11211),
        "mqtt": _on("broker", ["mosquitto", "-c", str(configurations.mosquitto(scratch, SERVICES["broker"]))], 1883),
        "epmd": _on("broker", ["epmd"], 4369),
        "rabbitmq": _on("broker", [RABBITMQ], 5672, 15692, environment=_rabbitmq(scratch)),
        "ssh": _on("db", ["/usr/sbin/sshd", "-D", "-e", "-f", str(_sshd(scratch))], 22),
    }


def all_users(scratch: Path) -> dict[str, Server]:
    """Return the shop's own services, their proxy, and all who use them."""
    watch = ["-i", str(scratch / "admin_key"), "root@db", 'while sleep 0.7; do echo "still replicating"; done']
    ssh = ["ssh", "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", *watch]
    return {
        **{name: _python(name, "shop.services", port) for name, port in SERVICE_PORTS.items()},
        "media": _on("media", ["nginx", "-c", str(_nginx(scratch, "media"))], 8088),
        "edge": _on("edge", ["nginx", "-c", str(_nginx(scratch, "edge"))], 80, 443),
        "admin": _on("monitor", ssh),
        **{name: _python(name, "shop.background") for name in ("worker", "warehouse", "monitor")},
        **{name: _python(name, "shop.visitors") for name in VISITORS},
    }


def fill_database() -> None:
    """Give the database its password and its contents, over its host's loopback, where nobody listens."""
    command = inside(
        namespace("db"), "psql", "-q", "-h", "127.0.0.1", "-U", "shop", "-v", "ON_ERROR_STOP=1", "postgres"
    )
    sql = f"ALTER USER shop PASSWORD 'made-up';\n{goods.schema()}"
    subprocess.run(command, input=sql.encode(), check=True, stdout=subprocess.DEVNULL)


def _on(host: str, command: list[str], *ports: int, environment: dict[str, str] | None = None) -> Server:
    return Server(resolving(host, *command), ports, environment or {}, namespace(host))


def _python(host: str, module: str, *ports: int) -> Server:
    """Without the environment of who records: proxies and certificates in it would be obeyed."""
    environment = [f"PYTHONPATH={HERE.parent}", "PYTHONDONTWRITEBYTECODE=1"]
    return _on(host, ["env", "-i", *environment, PYTHON, "-m", module, host], *ports)


def _dns_options() -> list[str]:
    records = [f"--host-record={name},{address}" for name, address in RECORDS]
    return [
        *("--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file=", "--user=root", "--bind-interfaces"),
        *(f"--listen-address={SERVICES['dns']}", "--local=/example.test/", "--local-ttl=30", *records),
    ]


def _nginx(scratch: Path, host: str) -> Path:
    folder = scratch / host
    www = folder / "www"
    (www / "static").mkdir(parents=True)
    if host == "edge":
        configurations.certificate(folder, SHOP)
        goods.write_static(www / "static")
        ports = SERVICE_PORTS | {"media": 8088}
        upstreams = [
            UPSTREAM.format(name=name, port=ports[name]) for name in ("web", "media", "catalog", "cart", "orders")
        ]
        sites = EDGE.format(folder=folder, shop=SHOP, upstreams="\n    ".join(upstreams))
    else:
        goods.write_pictures(www)
        sites = MEDIA.format(folder=folder)
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, servers=sites))
    return configuration


def _rabbitmq(scratch: Path) -> dict[str, str]:
    lines = ["listeners.tcp.1 = 0.0.0.0:5672", "loopback_users = none"]
    return configurations.rabbitmq(scratch, lines, "rabbitmq_prometheus")


def _sshd(scratch: Path) -> Path:
    for name in ("host_key", "admin_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "shop", "-f", str(scratch / name)]
        subprocess.run(command, check=True)
    Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists
    configuration = scratch / "sshd_config"
    configuration.write_text(
        f"HostKey {scratch}/host_key\nAuthorizedKeysFile {scratch}/admin_key.pub\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin prohibit-password\nPidFile none\nPrintMotd no\n"
    )
    return configuration
