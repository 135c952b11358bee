"""Keys of a role, from AWS's Security Token Service: AssumeRole, and AssumeRoleWithWebIdentity.

A request is a form that is posted, signed by Signature Version 4 (IAM User Guide, "Create a signed AWS API request");
that with a web identity's token is not signed. The answer is XML, of which four elements count.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from kubeshark.core_capture.store.places.aws._http import exchange
from kubeshark.core_capture.store.places.aws._keys import AwsKeys, keys_of
from kubeshark.errors import StoreError

__all__ = ["Role", "Sts", "assume", "assume_by_token", "signature"]

MAX_TOKEN_BYTES = 20_000  # of a web identity, as STS has it
_SESSION = re.compile(r"[A-Za-z0-9_+=,.@-]{2,64}")
_EXTERNAL_ID = re.compile(r"[A-Za-z0-9_+=,.@:/-]{2,1224}")
_ARN = re.compile(r"arn:[a-z-]{1,20}:iam::[0-9]{0,12}:role/[!-~]{1,1024}")
_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")
_DURATIONS = (900, 43_200)


class Role(Struct, frozen=True):
    """What is asked for. `session` is what logs of AWS call it; "" for the machine's name."""

    arn: str
    session: str = ""
    external_id: str = ""
    seconds: int = 0  # 0: what STS gives, an hour

    def checked(self, about: str) -> Role:
        """Return itself; raise StoreError for what STS would refuse anyway, less clearly."""
        if not _ARN.fullmatch(self.arn):
            raise StoreError(f"role_arn of {about} is no role", hint="write arn:aws:iam::123456789012:role/NAME")
        if self.session and not _SESSION.fullmatch(self.session):
            raise StoreError(f"role_session_name of {about} is none", hint="2 to 64 letters, digits or +=,.@-_")
        if self.external_id and not _EXTERNAL_ID.fullmatch(self.external_id):
            raise StoreError(f"external_id of {about} is none", hint="2 to 1,224 letters, digits or +=,.@:/-_")
        low, high = _DURATIONS
        if self.seconds and not low <= self.seconds <= high:
            raise StoreError(f"duration_seconds of {about} is not {low} to {high:,}")
        return self


class Sts(Struct, frozen=True):
    """Where it is."""

    endpoint: str
    region: str

    @classmethod
    def at(cls, endpoint: str, region: str, *, allow_http: bool) -> Sts:
        """Return it; raise StoreError for an endpoint that would be told keys in the clear."""
        endpoint = endpoint or f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"
        place = urlsplit(endpoint)
        if place.scheme not in ("http", "https") or not place.hostname or place.username or place.query:
            raise StoreError("the endpoint of STS is no URL", hint="set AWS_ENDPOINT_URL_STS to https://HOST")
        if place.scheme == "http" and not allow_http:
            raise StoreError(f"the endpoint {endpoint} is not encrypted", hint="set AWS_ALLOW_HTTP=true to use it")
        return cls(endpoint, region)


def assume(role: Role, keys: AwsKeys, sts: Sts) -> AwsKeys:
    """Return keys of a role that the owner of `keys` may assume; raise StoreError."""
    asked = {"Action": "AssumeRole", "ExternalId": role.external_id}
    return _ask(role, asked, sts, keys)


def assume_by_token(role: Role, token: Path, sts: Sts) -> AwsKeys:
    """Return keys of a role for the token in a file, which is read each time: others replace it."""
    try:
        with token.open(encoding="ascii") as file:
            told = file.read(MAX_TOKEN_BYTES + 1).strip()
    except (OSError, UnicodeDecodeError):
        raise StoreError(f"the web identity's token {token} cannot be read") from None
    if not told or len(told) > MAX_TOKEN_BYTES:
        raise StoreError(f"{token} holds no web identity's token")
    return _ask(role, {"Action": "AssumeRoleWithWebIdentity", "WebIdentityToken": told}, sts, None)


def _ask(role: Role, asked: Mapping[str, str], sts: Sts, keys: AwsKeys | None) -> AwsKeys:
    machine = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())
    fields = {
        **asked,
        "Version": "2011-06-15",
        "RoleArn": role.arn,
        "RoleSessionName": role.session or f"kubeshark-{machine}"[:64],
        "DurationSeconds": str(role.seconds or ""),
    }
    body = urlencode({name: value for name, value in fields.items() if value}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "User-Agent": "kubeshark"}
    url = sts.endpoint if urlsplit(sts.endpoint).path else f"{sts.endpoint}/"
    if keys is not None:
        headers |= signature(keys, sts.region, url, headers["Content-Type"], body, datetime.now(UTC))
    status, said = exchange(url, headers, body, method="POST", through_proxy=True)
    if status != 200:
        code = _CODE.search(said)  # the rest of it may quote the request
        raise StoreError(
            f"the role {role.arn[:200]} is refused ({code[1].decode() if code else status})",
            hint="look at its trust policy, the external id, and who asks for it",
        )
    found = [re.search(rf"<{name}>([^<>&]{{1,8192}})</{name}>".encode(), said) for name in _ANSWER]
    try:
        return keys_of(*(each[1].decode("ascii") if each else None for each in found))
    except ValueError:
        raise StoreError(f"{sts.endpoint} does not answer as STS does", hint="look at AWS_ENDPOINT_URL_STS") from None


_ANSWER = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")


def signature(keys: AwsKeys, region: str, url: str, content: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers that sign a POST to STS, by Signature Version 4. `content`: its Content-Type."""
    place, at = urlsplit(url), now.strftime("%Y%m%dT%H%M%SZ")
    host = place.hostname or ""
    host = f"[{host}]" if ":" in host else host
    is_usual = place.port in (None, {"http": 80, "https": 443}[place.scheme])
    headers = {"content-type": content, "host": host if is_usual else f"{host}:{place.port}", "x-amz-date": at}
    if keys.token:
        headers["x-amz-security-token"] = keys.token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    path = quote(place.path or "/", safe="/%~")
    digest = hashlib.sha256(body).hexdigest()
    canonical = hashlib.sha256(f"POST\n{path}\n\n{lines}\n{names}\n{digest}".encode()).hexdigest()
    scope = f"{at[:8]}/{region}/sts/aws4_request"
    key = f"AWS4{keys.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    sign = hmac.digest(key, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{canonical}".encode(), "sha256").hex()
    given = {"Host": headers["host"], "X-Amz-Date": at}
    given |= {"X-Amz-Security-Token": keys.token} if keys.token else {}
    said = f"Credential={keys.access}/{scope}, SignedHeaders={names}, Signature={sign}"
    return {**given, "Authorization": f"AWS4-HMAC-SHA256 {said}"}
