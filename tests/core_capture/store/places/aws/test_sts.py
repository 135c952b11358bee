"""Requests for roles: signed as botocore signs, and what becomes of answers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeshark.core_capture.store.places.aws import _http as _aws_http
from kubeshark.core_capture.store.places.aws._keys import AwsKeys
from kubeshark.core_capture.store.places.aws._sts import Role, Sts, assume, assume_by_token, signature
from kubeshark.errors import StoreError
from tests.core_capture.store._sts import is_signed, sts

ROLE = Role("arn:aws:iam::123456789012:role/captures")
ME, THEIRS = AwsKeys("AKIAME", "hidden/me+="), AwsKeys("ASIATHEIRS", "hidden/theirs", "hidden-token/+=")
WORDS = st.text("abcXYZ019/+=-_.", min_size=1, max_size=40)


@given(WORDS, WORDS, st.one_of(st.just(""), WORDS), st.binary(max_size=200), st.sampled_from(["", "/", "/a b/~c/"]))
def test_botocore_signs_alike(access: str, secret: str, token: str, body: bytes, path: str) -> None:
    keys, content = AwsKeys(access.replace("/", ""), secret, token), "application/x-www-form-urlencoded; charset=utf-8"
    for host in ("http://127.0.0.1:9000", "https://sts.eu-central-1.amazonaws.com", "https://h:443", "https://h:80"):
        url = f"{host}{path}"
        headers = signature(keys, "eu-central-1", url, content, body, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
        headers |= {"content-type": content, "host": headers["Host"], "x-amz-date": headers["X-Amz-Date"]}
        headers |= {"x-amz-security-token": token} if token else {}
        assert is_signed(keys, url, headers, body)
        wrong = AwsKeys(keys.access, f"{secret}x", token)
        assert not is_signed(wrong, url, headers, body)


def test_a_role_is_had_by_another_s_keys() -> None:
    with sts() as server:
        server.callers, server.keys = [ME], THEIRS
        place = Sts.at(server.endpoint, "eu-central-1", allow_http=True)
        keys = assume(Role(ROLE.arn, "me", "lab/7", 900), ME, place)
        assert (keys.access, keys.secret, keys.token) == (THEIRS.access, THEIRS.secret, THEIRS.token)
        assert keys.until is not None
        assert server.asked == [
            {"Action": "AssumeRole", "Version": "2011-06-15", "RoleArn": ROLE.arn, "RoleSessionName": "me"}
            | {"ExternalId": "lab/7", "DurationSeconds": "900"}
        ]
        server.callers = [THEIRS]
        assert assume(ROLE, keys, place).access == THEIRS.access  # with a session's token
        assert server.asked[1]["RoleSessionName"].startswith("kubeshark-")
        assert "ExternalId" not in server.asked[1]
        with pytest.raises(StoreError, match=r"is refused \(SignatureDoesNotMatch\): look at its trust policy"):
            assume(ROLE, AwsKeys(THEIRS.access, "hidden", THEIRS.token), place)


def test_a_role_is_had_by_a_token(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with sts() as server:
        server.keys = THEIRS
        place = Sts.at(server.endpoint, "us-east-1", allow_http=True)
        for told in ("hidden.1", "hidden.2"):
            token.write_text(f"{told}\n")
            assert assume_by_token(ROLE, token, place).secret == THEIRS.secret
        assert [each["WebIdentityToken"] for each in server.asked] == ["hidden.1", "hidden.2"]
        for text, said in (("", "holds no"), ("x" * 30_000, "holds no"), ("ä", "cannot be read")):
            token.write_text(text)
            with pytest.raises(StoreError, match=said):
                assume_by_token(ROLE, token, place)
    with pytest.raises(StoreError, match="cannot be read"):
        assume_by_token(ROLE, tmp_path / "none", place)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((403, b"<Code>AccessDenied</Code><Message>hidden/me</Message>"), r"is refused \(AccessDenied\)"),
        ((400, b"hidden"), r"is refused \(400\)"),
        ((500, b"hidden"), r"is refused \(500\)"),
        ((200, b"<html>hidden</html>"), "does not answer as STS does"),
        ((200, b"<AccessKeyId>a</AccessKeyId>"), "does not answer as STS does"),
        ((200, b"<AccessKeyId>\xff</AccessKeyId><SecretAccessKey>hidden</SecretAccessKey>"), "does not answer as STS"),
    ],
)
def test_answers_that_are_none(answer: tuple[int, bytes], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_aws_http.time, "sleep", lambda _: None)
    with sts() as server:
        server.answer = answer
        with pytest.raises(StoreError, match=said) as raised:
            assume(ROLE, ME, Sts.at(server.endpoint, "us-east-1", allow_http=True))
    assert "hidden" not in str(raised.value)


def test_where_it_is() -> None:
    assert Sts.at("", "eu-central-1", allow_http=False).endpoint == "https://sts.eu-central-1.amazonaws.com"
    assert Sts.at("", "cn-north-1", allow_http=False).endpoint == "https://sts.cn-north-1.amazonaws.com.cn"
    with pytest.raises(StoreError, match="not encrypted: set AWS_ALLOW_HTTP"):
        Sts.at("http://sts", "eu-central-1", allow_http=False)
    for wrong in ("sts", "ftp://sts", "https://a:hidden@sts"):
        with pytest.raises(StoreError, match="is no URL") as raised:
            Sts.at(wrong, "eu-central-1", allow_http=True)
        assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("role", "said"),
    [
        (Role("captures"), "role_arn of x is no role"),
        (Role("arn:aws:iam::1:role/a b"), "role_arn"),
        (Role(ROLE.arn, "a b"), "role_session_name"),
        (Role(ROLE.arn, "", "a"), "external_id"),
        (Role(ROLE.arn, seconds=60), "duration_seconds of x is not 900 to 43,200"),
    ],
)
def test_what_is_no_role(role: Role, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        role.checked("x")
