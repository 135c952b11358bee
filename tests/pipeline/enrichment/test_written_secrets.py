"""Secrets that no parser would find are found as they are written, and no text takes long."""

from __future__ import annotations

import json
import time

import pytest

from kubeshark.pipeline.enrichment._written_secrets import WrittenSecrets

SECRETS = WrittenSecrets({"password": "[hidden]", "api_key": "[key]"})


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        ('{"a":1,"password":"hunter2","b":', {"hunter2"}),  # cut
        ('{"Password" : 12345,}', {"12345"}),  # not quite JSON
        ('\ufeff{"password":"hunter2"}', {"hunter2"}),
        (")]}'\n{\"password\":\"hunter2\"}", {"hunter2"}),
        ('{"password":"hun', {"hun"}),
        ('{"password":"hun\\', {"hun"}),
        ('{"password":"hunt\\"er"', {'hunt\\"er', 'hunt"er'}),
        ('{"password":"\\u0068unter"', {"\\u0068unter", "hunter"}),
        ('{"one":1}\n{"password":"hunter2"}\n', {"hunter2"}),
        ('data: {"password":"hunter2"}\n\n', {"hunter2"}),
        (json.dumps({"inner": json.dumps({"password": 'hunt"er'})}), {'hunt\\"er', 'hunt"er'}),
        (json.dumps([json.dumps([json.dumps({"password": "hunter2"})])]), {"hunter2"}),
        ("user=me&password=p%40ss+word&x=1", {"p%40ss+word", "p@ss word"}),
        ("/login?api_key=hunter2#top", {"hunter2#top"}),
        ('--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nhunter2\r\n--b--', {"hunter2"}),
        ('--b\nContent-Disposition: form-data; name=password\nContent-Type: text/plain\n\nhunter2\n--b--', {"hunter2"}),
        ('{"password":null,"api_key":false}', set()),
        ('{"passwords":"none","my_password_hint":"none"}', set()),
        ("what is a password?", set()),
    ],
)  # fmt: skip
def test_what_is_found(text: str, secrets: set[str]) -> None:
    assert {secret for secret, _ in SECRETS.find(text)} == secrets


def test_each_key_has_its_own_words() -> None:
    found = dict(SECRETS.find('{"password":"one", "API_KEY":"two"'))
    assert found == {"one": "[hidden]", "two": "[key]"}


@pytest.mark.parametrize(
    "piece",
    ["\\", '\\"', "password", '"password":', '"password":"', 'name="password"', 'name="password"\n', '\\"password\\":'],
)
def test_no_text_takes_long(piece: str) -> None:
    """A megabyte of what begins like a secret: its processor time grows with its length, not with its square."""
    text = "password" + piece * (1_000_000 // len(piece))
    began = time.process_time()
    for _ in SECRETS.find(text):
        pass
    assert time.process_time() - began < 20
