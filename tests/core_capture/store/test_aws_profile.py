"""Credentials of profiles, against an S3 server that checks them, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from kubeshark.core_capture.store._aws_profile import aws_profile
from kubeshark.core_capture.store._object_client import ObjectClient
from kubeshark.errors import StoreError
from tests.core_capture.store._servers import ACCESS, SECRET, Server

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_PROFILE")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without variables that say who it is."""
    (tmp_path / ".aws").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
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


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[profile other]\nregion = a\n", "there is no profile 'lab' in"),
        ("[profile lab]\nregion = a\n", "has no keys: give it aws_access_key_id"),
        ("[profile lab]\nsso_session = a\n", "signs in by SSO, which is not done here: give it credential_process"),
        ("[profile lab]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n", "assumes a role, which is not"),
        ("[profile lab]\ncredential_process = false\n", "credential_process of profile 'lab' ended with 1"),
        ("[profile lab]\ncredential_process = /none/x\n", "cannot be run: No such file"),
        ("[profile lab]\ncredential_process = echo secret\n", "did not give credentials: it prints JSON"),
        ("secret without a section\n", "is no file of profiles: MissingSectionHeaderError"),
    ],
)
def test_what_a_profile_cannot_be(home: Path, config: str, said: str) -> None:
    write(home, config)
    with pytest.raises(StoreError) as raised:
        aws_profile({"HOME": str(home), "AWS_PROFILE": "lab"})
    assert said in str(raised.value)
    assert "secret" not in str(raised.value).replace("aws_secret_access_key", "")
