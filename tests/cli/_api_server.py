"""A small API server that answers three lists over HTTP, in pages, and a kubeconfig that leads to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["ApiServer", "api_server"]

NAMESPACES = ("default", "kube-system", "shop", "web")
PODS = (*(("shop", f"cart-{n}") for n in range(12)), ("web", "cart-front"), ("kube-system", "cart-dns"), ("web", "x"))
CLASSES = (("fast", True), ("slow", False))
DEFAULT = "storageclass.kubernetes.io/is-default-class"


class ApiServer:
    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.kubeconfig = folder / "kubeconfig"
        self.asked: list[str] = []
        self.status = 200
        self.objects: dict[str, Any] = {}  # by path
        context = {"name": "lab", "context": {"cluster": "lab", "user": "me"}}
        gone = {"name": "gone", "context": {"cluster": "gone", "user": "me"}}
        cluster = {"name": "lab", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        nobody = {"name": "gone", "cluster": {"server": "http://127.0.0.1:1"}}
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "lab",
                    "contexts": [context, gone],
                    "clusters": [cluster, nobody],
                    "users": [{"name": "me", "user": {"token": "t0ken"}}],
                }
            )
        )

    def answer(self, path: str) -> tuple[int, Any]:
        parts = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        lists: dict[str, list[Any]] = {
            "/api/v1/namespaces": [{"metadata": {"name": name}} for name in NAMESPACES],
            "/api/v1/pods": [{"metadata": {"namespace": namespace, "name": name}} for namespace, name in PODS],
            "/apis/storage.k8s.io/v1/storageclasses": [
                {"metadata": {"name": name, "annotations": {DEFAULT: str(is_default).lower()}}, "provisioner": "x"}
                for name, is_default in CLASSES
            ],
        }
        self.asked.append(parts.path)
        if self.status != 200:
            return self.status, {"kind": "Status", "reason": "Forbidden"}
        if parts.path in self.objects:
            return 200, self.objects[parts.path]
        if parts.path not in lists:
            return 404, {"kind": "Status", "reason": "NotFound"}
        items = lists[parts.path]
        begin = int(query.get("continue", "0"))
        end = begin + min(int(query["limit"]), 5)
        return 200, {"metadata": {"continue": str(end) if end < len(items) else ""}, "items": items[begin:end]}


@contextmanager
def api_server(folder: Path) -> Iterator[ApiServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, document = api.answer(self.path)
            self.send_response(status, "Forbidden" if status == 403 else "OK")
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = ApiServer(server.server_port, folder)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield api
        server.shutdown()
