"""What scripts send to others: webhooks, Slack, InfluxDB, Elasticsearch, buckets, Kinesis, a language model.

Every request goes to a granted host: HTTP through the broker's `Network`, which checks address and redirects, too;
buckets through obstore, whose endpoint's name is checked first.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct, field

from kubeshark.extension_api._permissions import DEFAULT_PORTS, Grants
from kubeshark.hosts.broker._http import Network
from kubeshark.pipeline.scripts._files import ScriptFiles

__all__ = ["Vendors"]

NETWORK_S = 10.0
_JSON = ("content-type", "application/json")
_MEASUREMENT = re.compile(r"([,\s=\\])")


class Vendors(Struct):
    """One script's. ValueError, HttpError or FileError says what went wrong."""

    grants: Mapping[str, Sequence[str]]
    environment: Mapping[str, str]
    node: str
    files: Callable[[], ScriptFiles]
    run_id: str
    now: Callable[[], float] = time.time
    _network: Network | None = field(default=None)

    @property
    def network(self) -> Network:
        if self._network is None:
            self._network = Network(Grants.parse(hosts=tuple(self.grants.get("hosts", ()))))
        return self._network

    def check(self, url: str) -> None:
        """ValueError unless the URL's host is granted."""
        parts = urlsplit(str(url))
        port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
        if not self.network.grants.host(parts.scheme, parts.hostname or "", port):
            name = parts.hostname or str(url)[:100]
            place = name if port == DEFAULT_PORTS.get(parts.scheme) else f"{name}:{port}"
            raise ValueError(f'permission "hosts: {place}" not granted')

    def webhook(self, method: Any, url: Any, body: Any = "", headers: Any = None) -> dict[str, Any]:
        given = [(str(name), str(value)) for name, value in dict(headers or {}).items()]
        data = body if isinstance(body, bytes) else str(body).encode("utf-8", "replace")
        answer = self.network.request(str(method), str(url), given, data, NETWORK_S)
        return {
            "status": answer.status,
            "statusText": answer.reason,
            "headers": dict(answer.headers),
            "body": answer.body.decode("utf-8", "replace"),
        }

    def webhook_form(self, method: Any, url: Any, form: Any, headers: Any = None) -> dict[str, Any]:
        given = {"content-type": "application/x-www-form-urlencoded", **dict(headers or {})}
        return self.webhook(method, url, urlencode(dict(form or {}), doseq=True), given)

    def slack(self, url: Any, pretext: Any = "", text: Any = "", color: Any = "") -> None:
        self._expect(
            self.webhook("POST", url, json.dumps({"attachments": [self._attachment(pretext, text, color)]}), [_JSON])
        )

    def slack_bot(
        self,
        token: Any,
        channel: Any,
        pretext: Any = "",
        text: Any = "",
        color: Any = "",
        fields: Any = None,
        files: Any = None,
    ) -> None:
        """Post a message; files go up one by one, by Slack's external uploads."""
        base = self.environment.get("SLACK_API_URL", "https://slack.com/api").rstrip("/")
        bearer = ("authorization", f"Bearer {token}")
        attachment = self._attachment(pretext, text, color, dict(fields or {}))
        message = json.dumps({"channel": channel, "attachments": [attachment]})
        self._slack_call(f"{base}/chat.postMessage", message, [_JSON, bearer])
        uploaded = []
        for name, path in dict(files or {}).items():
            data = self.files().bytes_of(path)
            form = [("content-type", "application/x-www-form-urlencoded"), bearer]
            place = self._slack_call(
                f"{base}/files.getUploadURLExternal", urlencode({"filename": name, "length": len(data)}), form
            )
            self._expect(
                self.webhook("POST", place["upload_url"], data, [("content-type", "application/octet-stream")])
            )
            uploaded.append({"id": place["file_id"], "title": name})
        if uploaded:
            done = json.dumps({"files": uploaded, "channel_id": channel})
            self._slack_call(f"{base}/files.completeUploadExternal", done, [_JSON, bearer])

    def influxdb(
        self, url: Any, token: Any, org: Any, bucket: Any, measurement: Any, data: Any, tags: Any = None
    ) -> None:
        """Write one point in line protocol."""
        point = _escaped(measurement)
        point += "".join(
            f",{_escaped(name)}={_escaped(value)}" for name, value in dict(tags or {}).items() if str(value)
        )
        point += f" {','.join(f'{_escaped(name)}={_field(value)}' for name, value in dict(data).items())}"
        query = urlencode({"org": org, "bucket": bucket, "precision": "ns"})
        headers = [("authorization", f"Token {token}"), ("content-type", "text/plain; charset=utf-8")]
        answer = self.webhook(
            "POST", f"{str(url).rstrip('/')}/api/v2/write?{query}", f"{point} {int(self.now() * 1e9)}", headers
        )
        self._expect(answer)

    def elastic(
        self,
        url: Any = "",
        index: Any = "",
        data: Any = None,
        username: Any = "",
        password: Any = "",
        cloud_id: Any = "",
        api_key: Any = "",
        service_token: Any = "",
        fingerprint: Any = "",
    ) -> None:
        """Index one document."""
        if fingerprint:
            raise ValueError(
                "certificateFingerprint is not supported: give the authority's certificate in SSL_CERT_FILE"
            )
        headers: list[tuple[str, str]] = [_JSON]
        if api_key:
            headers.append(("authorization", f"ApiKey {api_key}"))
        elif service_token:
            headers.append(("authorization", f"Bearer {service_token}"))
        elif username:
            pair = base64.b64encode(f"{username}:{password}".encode()).decode()
            headers.append(("authorization", f"Basic {pair}"))
        place = str(url).rstrip("/") or self.elastic_cloud(str(cloud_id))
        self._expect(self.webhook("POST", f"{place}/{index}/_doc", json.dumps(data), headers))

    def elastic_cloud(self, cloud_id: str) -> str:
        """Return the URL that an Elastic cloud id says: name:base64(host$elasticsearch$kibana)."""
        try:
            host, name, *_ = base64.b64decode(cloud_id.partition(":")[2], validate=True).decode().split("$")
        except ValueError as error:
            raise ValueError("neither a URL nor a cloud id") from error
        return f"https://{name}.{host}"

    def s3_put(self, *values: Any) -> str:
        """(bucket, path, region, keyID?, accessKey?), or the older (region, keyID, accessKey, bucket, path)."""
        if len(values) >= 5 and isinstance(values[4], str) and self.files().exists(values[4]):
            region, key_id, secret, bucket, path = values[:5]
        else:
            bucket, path, region, key_id, secret = (*values, *[""] * 5)[:5]
        store, endpoint = self._s3(bucket, region, key_id, secret)
        key = f"{self.prefix}/{str(path).rpartition('/')[2]}"
        _obstore().put(store, key, self.files().bytes_of(path))
        return f"{endpoint}/{key}"

    def s3_clear(self, region: Any, key_id: Any, secret: Any, bucket: Any) -> None:
        self._clear(self._s3(bucket, region, key_id, secret)[0])

    def gcs_put(self, bucket: Any, path: Any, account: Any) -> str:
        store, endpoint = self._gcs(bucket, account)
        key = f"{self.prefix}/{str(path).rpartition('/')[2]}"
        _obstore().put(store, key, self.files().bytes_of(path))
        return f"{endpoint}/{bucket}/{key}"

    def gcs_clear(self, bucket: Any, account: Any) -> None:
        self._clear(self._gcs(bucket, account)[0])

    def kinesis_put(self, stream: Any, payload: Any, region: Any, key_id: Any, secret: Any) -> dict[str, str]:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        body = json.dumps(
            {
                "StreamName": stream,
                "Data": base64.b64encode(text.encode()).decode(),
                "PartitionKey": hashlib.sha256(text.encode()).hexdigest()[:32],
            }
        ).encode()
        url = self.environment.get("AWS_ENDPOINT_URL", f"https://kinesis.{region}.amazonaws.com").rstrip("/") + "/"
        headers = sign(
            url, body, str(region), "kinesis", str(key_id), str(secret), self.now(), "Kinesis_20131202.PutRecord"
        )
        answer = self.webhook("POST", url, body, dict(headers))
        self._expect(answer)
        record = json.loads(answer["body"])
        return {"sequenceNumber": record["SequenceNumber"], "shardId": record["ShardId"]}

    def prompt(self, key: Any, prompt: Any, max_tokens: Any = 1024) -> str:
        base = self.environment.get("OPENAI_BASE_URL", "https://api.openai.com/v1").rstrip("/")
        body = json.dumps(
            {
                "model": self.environment.get("OPENAI_MODEL", "gpt-4o-mini"),
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": max_tokens,
            }
        )
        answer = self.webhook("POST", f"{base}/chat/completions", body, [_JSON, ("authorization", f"Bearer {key}")])
        self._expect(answer)
        return str(json.loads(answer["body"])["choices"][0]["message"]["content"])

    @property
    def prefix(self) -> str:
        """This node's and run's own part of a bucket."""
        return f"{self.node}_{_own_address()}_{self.run_id}"

    def _s3(self, bucket: Any, region: Any, key_id: Any, secret: Any) -> tuple[Any, str]:
        from obstore.store import S3Store

        given = self.environment.get("AWS_ENDPOINT_URL", "").rstrip("/")
        endpoint = given or f"https://{bucket}.s3.{region}.amazonaws.com"
        self.check(endpoint)
        options: dict[str, Any] = {"region": str(region or "us-east-1")}
        if key_id:
            options |= {"access_key_id": str(key_id), "secret_access_key": str(secret)}
        elif "cloud" not in self.grants:
            raise ValueError('permission "cloud" not granted: give the script keys of its own')
        if given:
            options |= {"endpoint": given, "virtual_hosted_style_request": False}
        store = S3Store(str(bucket), client_options=_client(given), retry_config=_RETRY, **options)
        return store, f"{given}/{bucket}" if given else endpoint

    def _gcs(self, bucket: Any, account: Any) -> tuple[Any, str]:
        from obstore.store import GCSStore

        given = self.environment.get("GCS_ENDPOINT_URL", "").rstrip("/")
        endpoint = given or "https://storage.googleapis.com"
        self.check(endpoint)
        key = dict(account or {}) | ({"gcs_base_url": given} if given else {})
        store = GCSStore(
            str(bucket), service_account_key=json.dumps(key), client_options=_client(given), retry_config=_RETRY
        )
        return store, endpoint

    def _clear(self, store: Any) -> None:
        """Delete what lies below this node's prefix, of this run and earlier ones."""
        own = f"{self.node}_{_own_address()}_"
        obstore = _obstore()
        paths = [row["path"] for rows in obstore.list(store) for row in rows if row["path"].startswith(own)]
        if paths:
            obstore.delete(store, paths)

    def _slack_call(self, url: str, body: str, headers: Sequence[tuple[str, str]]) -> dict[str, Any]:
        answer = self.webhook("POST", url, body, headers)
        self._expect(answer)
        said: dict[str, Any] = json.loads(answer["body"] or "{}")
        if not said.get("ok", True):
            raise ValueError(f"Slack refuses: {str(said.get('error'))[:200]}")
        return said

    def _attachment(
        self, pretext: Any, text: Any, color: Any, fields: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        stamp = datetime.fromtimestamp(self.now(), UTC).isoformat(timespec="seconds")
        shown = [{"title": name, "value": str(value), "short": True} for name, value in (fields or {}).items()]
        shown.append({"title": "Timestamp", "value": stamp, "short": True})
        return {"pretext": str(pretext), "text": str(text), "color": str(color), "fields": shown}

    @staticmethod
    def _expect(answer: Mapping[str, Any]) -> None:
        if not 200 <= answer["status"] < 300:
            raise ValueError(f"was answered {answer['status']} {answer['statusText']}: {answer['body'][:200]}")


def sign(
    url: str, body: bytes, region: str, service: str, key_id: str, secret: str, now: float, target: str
) -> list[tuple[str, str]]:
    """Return the headers of a POST signed with AWS Signature Version 4."""
    parts = urlsplit(url)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    host = parts.netloc if parts.port not in (None, DEFAULT_PORTS[parts.scheme]) else parts.hostname or ""
    signed = {"content-type": "application/x-amz-json-1.1", "host": host, "x-amz-date": stamp, "x-amz-target": target}
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = f"POST\n{parts.path or '/'}\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    credential = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return [*((name, value) for name, value in signed.items() if name != "host"), ("authorization", credential)]


def _obstore() -> Any:
    import obstore  # 0.1 s that few scripts need

    return obstore


def _client(given: str) -> Any:
    return {"timeout": f"{NETWORK_S:.0f}s", **({"allow_http": True} if given.startswith("http:") else {})}


_RETRY: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=8)}


def _own_address() -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # sends nothing: the kernel only chooses the address
            return str(probe.getsockname()[0])
    except OSError:
        return "127.0.0.1"


def _escaped(value: Any) -> str:
    return _MEASUREMENT.sub(r"\\\1", str(value))


def _field(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(float(value))
    text = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
