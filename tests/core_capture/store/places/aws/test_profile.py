"""Credentials of profiles, against S3 and STS servers that check them, and what is refused."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import boto3
import pytest

from kubeshark._certificates import issue
from kubeshark.core_capture.store.places._object_client import ObjectClient
from kubeshark.core_capture.store.places.aws import _http as _aws_http
from kubeshark.core_capture.store.places.aws import _profile as _aws_profile
from kubeshark.core_capture.store.places.aws._keys import AwsKeys
from kubeshark.core_capture.store.places.aws._profile import aws_profile
from kubeshark.errors import StoreError
from tests.core_capture.store._servers import ACCESS, SECRET, Server, moto
from tests.core_capture.store._sts import StsServer, sts

ROLE = "arn:aws:iam::123456789012:role/captures"
ME, BUCKETS = AwsKeys("AKIAME", "hidden-me"), AwsKeys(ACCESS, SECRET)
MINE = f"aws_access_key_id = {ME.access}\naws_secret_access_key = {ME.secret}\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without variables that say who it is."""
    (tmp_path / ".aws").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(_aws_profile, "_known", {})
    return tmp_path


def write(home: Path, config: str = "", credentials: str = "") -> None:
    (home / ".aws/config").write_text(config)
    (home / ".aws/credentials").write_text(credentials)


def process(home: Path, said: object) -> str:
    (home / "say.py").write_text(f"print({json.dumps(said)!r})")
    return f"credential_process = {sys.executable} '{home}/say.py'"


@pytest.mark.parametrize("way", ["keys", "default", "process"])
def test_a_bucket_is_reached_by_a_profile(
    way: str, home: Path, versitygw_server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    place = f"region = us-east-1\nendpoint_url = {versitygw_server.endpoint}\n"
    keys = f"aws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n"
    if way == "default":
        write(home, f"[default]\n{place}", f"[default]\n{keys}")
    else:
        monkeypatch.setenv("AWS_PROFILE", "lab")
        said = {"Version": 1, "AccessKeyId": ACCESS, "SecretAccessKey": SECRET, "Expiration": "2100-01-01T00:00:00Z"}
        given = keys if way == "keys" else process(home, said)
        wrong = "aws_access_key_id = other\naws_secret_access_key = wrong\n"
        write(home, f"[default]\n{wrong}\n[profile lab]\n{place}{given}", f"[default]\n{wrong}")
    client = ObjectClient(url)
    client.put("a", b"1")
    assert client.get("a", 0, 1).data == b"1"
    changed = keys.replace(SECRET, f"{SECRET}x")
    write(home, f"[default]\n{place}[profile lab]\n{place}", f"[default]\n{changed}[lab]\n{changed}")
    with pytest.raises(StoreError, match="access denied"):  # the server does look
        ObjectClient(url).put("b", b"2")


def test_the_environment_goes_before(home: Path) -> None:
    write(home, "", "[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    assert aws_profile({"HOME": str(home), "AWS_ACCESS_KEY_ID": "x", "AWS_PROFILE": "none"}) is None
    assert aws_profile({"HOME": str(home), "AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}) is None
    found = aws_profile({"HOME": str(home)})
    assert found is not None
    assert found.credentials()["access_key_id"] == "a"
    write(home, "[default]\nregion = eu-central-1\n")
    assert aws_profile({"HOME": str(home)}) is None  # the machine's role, as ever
    assert aws_profile({"HOME": str(home / "none")}) is None


LAB = f"[profile lab]\nrole_arn = {ROLE}\n"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[profile other]\nregion = a\n", "there is no profile 'lab' in"),
        ("[profile lab]\nregion = a\n", "has no keys: give it aws_access_key_id"),
        ("[profile lab]\nsso_session = a\n", "signs in by SSO, which is not done here: give it credential_process"),
        ("[profile lab]\ncredential_process = false\n", "credential_process of profile 'lab' ended with 1"),
        (f"{LAB}source_profile = other\n", "source_profile: there is no profile 'other'"),
        (f"{LAB}source_profile = lab\n", "profile 'lab' of"),
        (f"{LAB}source_profile = b\n[profile b]\nrole_arn = {ROLE}\nsource_profile = lab\n", "is one that it is the"),
        (f"{LAB}source_profile = b\n[profile b]\nsso_session = a\n", "profile 'b' of"),
        (f"{LAB}mfa_serial = a\nsource_profile = b\n", "asks for a second factor, which is not done here"),
        (f"{LAB}{MINE}", "profile 'lab' assumes a role by nothing: give it one of source_profile"),
        (f"{LAB}source_profile = b\ncredential_source = Environment\n", "by two sources"),
        (f"{LAB}credential_source = Moon\n", "write Environment, EcsContainer, Ec2InstanceMetadata"),
        (f"{LAB}credential_source = Environment\n", "the environment, of which keys are asked, holds none"),
        (f"{LAB}credential_source = EcsContainer\n", "no container with a role"),
        (f"{LAB}external_id = a b\nsource_profile = b\n", "external_id of profile 'lab' is none"),
        (f"{LAB}duration_seconds = long\nsource_profile = b\n", "duration_seconds of profile 'lab' is no number"),
        (f"{LAB}web_identity_token_file = /none/x\n", "web identity's token /none/x cannot"),
        (f"{LAB}{MINE}endpoint_url = http://sts\nsource_profile = lab\n", "not encrypted: set AWS_ALLOW_HTTP=true"),
        (
            "[profile lab]\naws_access_key_id = ä\naws_secret_access_key = secret\n",
            "the keys of profile 'lab' are none",
        ),
        ("secret without a section\n", "is no file of profiles: MissingSectionHeaderError"),
    ],
)
def test_what_a_profile_cannot_be(home: Path, config: str, said: str) -> None:
    write(home, config)
    with pytest.raises(StoreError) as raised:
        aws_profile({"HOME": str(home), "AWS_PROFILE": "lab"})
    assert said in str(raised.value)
    assert "secret" not in str(raised.value).replace("aws_secret_access_key", "").replace("AWS_SECRET_ACCESS_KEY", "")


def test_a_default_profile_that_signs_in_is_refused(home: Path) -> None:
    write(home, "[default]\nsso_session = a\n")
    with pytest.raises(StoreError, match=r"profile 'default' of .* signs in by SSO, which is not done here"):
        aws_profile({"HOME": str(home)})


@dataclass
class Lab:
    """A bucket whose keys an STS server gives, to whom `ME` is; `config` begins with the profile that has the role."""

    home: Path
    url: str
    server: StsServer
    config: str

    def works(self) -> bool:
        client = ObjectClient(self.url)
        client.put("a", b"1")
        return client.get("a", 0, 1).data == b"1"


@pytest.fixture
def lab(home: Path, versitygw_server: Server, url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(_aws_http.time, "sleep", lambda _: None)
    with sts() as server:
        server.callers, server.keys = [ME], BUCKETS
        for name, value in (
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_PROFILE", "lab"),
            ("AWS_ENDPOINT_URL_STS", server.endpoint),
            ("AWS_ENDPOINT_URL_S3", versitygw_server.endpoint),
        ):
            monkeypatch.setenv(name, value)
        yield Lab(home, url, server, f"[profile lab]\nregion = us-east-1\nrole_arn = {ROLE}\n")


@pytest.mark.parametrize("way", ["profile", "itself", "process", "chain", "environment", "token"])
def test_a_bucket_is_reached_by_a_role(way: str, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"Version": 1, "AccessKeyId": ME.access, "SecretAccessKey": ME.secret}
    (lab.home / "token").write_text("hidden-token")
    more = {
        "profile": f"source_profile = me\n[profile me]\n{MINE}",
        "itself": f"source_profile = lab\n{MINE}",
        "process": f"source_profile = me\n[profile me]\n{process(lab.home, said)}\n",
        "chain": f"source_profile = b\n[profile b]\nrole_arn = {ROLE}-b\nsource_profile = me\n[profile me]\n{MINE}",
        "environment": "credential_source = Environment\n",
        "token": f"web_identity_token_file = {lab.home}/token\n",
    }
    write(lab.home, f"{lab.config}external_id = lab/7\n{more[way]}")
    if way == "environment":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ME.access)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ME.secret)
    lab.server.callers += [BUCKETS]  # of the first role of the chain
    assert lab.works()
    assert [each["RoleArn"] for each in lab.server.asked] == [f"{ROLE}-b", ROLE] if way == "chain" else [ROLE]
    assert lab.server.asked[-1].get("ExternalId") == (None if way == "token" else "lab/7")


@pytest.mark.parametrize("way", ["environment", "profile", "default", "container", "instance", "token"])
def test_a_role_of_the_configuration_is_had_by_what_there_is(
    way: str, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_PROFILE")
    for name, value in (("ROLE_ARN", ROLE), ("EXTERNAL_ID", "lab/7")):
        monkeypatch.setenv(f"KUBESHARK_S3_{name}", value)
    (lab.home / "token").write_text("hidden-token")
    service = f"{lab.server.endpoint}/keys"
    for name, value in {
        "environment": {"AWS_ACCESS_KEY_ID": ME.access, "AWS_SECRET_ACCESS_KEY": ME.secret},
        "profile": {"AWS_PROFILE": "me"},
        "default": {},
        "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": service},
        "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": lab.server.endpoint},
        "token": {"AWS_WEB_IDENTITY_TOKEN_FILE": str(lab.home / "token"), "AWS_ROLE_ARN": f"{ROLE}-b"},
    }[way].items():
        monkeypatch.setenv(name, value)
    write(lab.home, {"profile": f"[profile me]\n{MINE}", "default": f"[default]\n{MINE}"}.get(way, ""))
    lab.server.callers += [BUCKETS] if way == "token" else []
    lab.server.mine = ME
    assert lab.works()
    assert lab.server.asked[-1]["ExternalId"] == "lab/7"
    assert len(lab.server.asked) == (2 if way == "token" else 1)
    monkeypatch.setenv("KUBESHARK_S3_ROLE_ARN", "captures")
    with pytest.raises(StoreError, match=r"role_arn of tap\.snapshots\.cloud\.s3 is no role"):
        ObjectClient(lab.url)


def test_many_stores_ask_for_a_role_once(lab: Lab) -> None:
    write(lab.home, f"{lab.config}source_profile = lab\n{MINE}")
    assert all(lab.works() for _ in range(3))
    assert len(lab.server.asked) == 1
    write(lab.home, f"{lab.config}source_profile = lab\nrole_session_name = other\n{MINE}")
    assert lab.works()
    assert len(lab.server.asked) == 2


def test_a_role_that_ends_is_had_anew(lab: Lab) -> None:
    """Real time here, in which a role lasts three seconds; the clock of `test_aws_keys.py` counts minutes."""
    lab.server.life = timedelta(seconds=3)
    write(lab.home, f"{lab.config}source_profile = lab\n{MINE}")
    client = ObjectClient(lab.url)
    client.put("a", b"1")
    count, until = len(lab.server.asked), time.monotonic() + 30
    while len(lab.server.asked) < count + 2:
        assert client.get("a", 0, 1).data == b"1"
        assert time.monotonic() < until
    lab.server.answer = (403, b"<Code>AccessDenied</Code>")
    with pytest.raises(StoreError, match=r"^the role .* is refused \(AccessDenied\): look at its trust policy"):
        while time.monotonic() < until:
            client.get("a", 0, 1)


def test_what_sts_refuses_is_said(lab: Lab) -> None:
    lab.server.callers = []
    write(lab.home, f"{lab.config}source_profile = lab\n{MINE}")
    with pytest.raises(StoreError, match=r"is refused \(SignatureDoesNotMatch\)") as raised:
        ObjectClient(lab.url)
    assert "hidden" not in str(raised.value)


def test_a_service_account_s_token_gives_a_role(
    home: Path, versitygw_server: Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On EKS: no profile; obstore asks by itself, over TLS alone."""
    issue(home / "pki", ["127.0.0.1"])
    (home / "token").write_text("hidden-token")
    with sts(home / "pki/127.0.0.1") as server:
        server.keys = BUCKETS
        for name, value in {
            "AWS_ENDPOINT_URL": versitygw_server.endpoint,
            "AWS_ENDPOINT_URL_STS": server.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ROLE_ARN": ROLE,
            "AWS_WEB_IDENTITY_TOKEN_FILE": str(home / "token"),
            "SSL_CERT_FILE": str(home / "pki/authority/ca.crt"),
        }.items():
            monkeypatch.setenv(name, value)
        client = ObjectClient(url)
        client.put("a", b"1")
        assert client.get("a", 0, 1).data == b"1"
        (asked,) = server.asked
        assert (asked["RoleArn"], asked["WebIdentityToken"]) == (ROLE, "hidden-token")
        server.answer = (403, b"<Code>AccessDenied</Code>")
        with pytest.raises(StoreError, match="AccessDenied") as refused:
            ObjectClient(url).get("a", 0, 1)
        assert "hidden" not in str(refused.value)
    (home / "token").unlink()
    with pytest.raises(StoreError, match="token"):
        ObjectClient(url).get("a", 0, 1)


def test_a_role_with_an_external_id_at_a_server_of_both(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto as S3, STS and IAM, with every signature, policy and trust policy checked."""
    with moto() as server:
        place = {"endpoint_url": server.endpoint, "region_name": "us-east-1"}
        iam = boto3.client("iam", **place, aws_access_key_id="a", aws_secret_access_key="b")
        user = iam.create_user(UserName="me")["User"]
        keys = iam.create_access_key(UserName="me")["AccessKey"]
        iam.put_user_policy(UserName="me", PolicyName="p", PolicyDocument=_policy("sts:AssumeRole", Resource="*"))
        condition = {"StringEquals": {"sts:ExternalId": "lab-7"}}
        trust = _policy("sts:AssumeRole", Principal={"AWS": user["Arn"]}, Condition=condition)
        role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=trust)["Role"]
        iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=_policy("s3:*", Resource="*"))
        check = urllib.request.Request(f"{server.endpoint}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
        urllib.request.urlopen(check).close()
        monkeypatch.setenv("AWS_PROFILE", "lab")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")

        def put(external_id: str, secret: str, arn: str = "") -> None:
            assumed = f"role_arn = {arn}\nexternal_id = {external_id}\nsource_profile = lab\n" if arn else ""
            mine = f"aws_access_key_id = {keys['AccessKeyId']}\naws_secret_access_key = {secret}\n"
            write(home, f"[profile lab]\nregion = us-east-1\nendpoint_url = {server.endpoint}\n{mine}{assumed}")
            client = ObjectClient(url)
            client.put("a", b"1")
            assert client.get("a", 0, 1).data == b"1"

        secret, arn = keys["SecretAccessKey"], role["Arn"]
        put("lab-7", secret, arn)
        for given, said in (
            (("lab-8", secret, arn), r"is refused \(AccessDenied\)"),
            (("lab-7", "wrong", arn), r"is refused \(SignatureDoesNotMatch\)"),
            (("", secret), "access denied"),  # the user itself may not
        ):
            with pytest.raises(StoreError, match=said):
                put(*given)


def _policy(action: str, **more: object) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})
