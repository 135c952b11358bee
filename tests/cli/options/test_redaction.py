"""What kubeshark.yaml says about redaction is what the hub hides."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeshark.cli.options._configured import configuration
from kubeshark.cli.options._redaction import redaction_rules
from kubeshark.errors import UsageError
from kubeshark.hub.state._settings_file import Settings
from kubeshark.pipeline.enrichment._rules import DEFAULT_RULES, RedactionRule


@pytest.fixture(autouse=True)
def here(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rules(text: str) -> tuple[RedactionRule, ...]:
    Path("kubeshark.yaml").write_text(text)
    configuration.begin(None, [])
    return redaction_rules()


def test_without_a_word_what_comes_with_kubeshark_is_hidden() -> None:
    configuration.begin(None, [])
    assert redaction_rules() == DEFAULT_RULES
    assert rules("redaction: {enabled: true}") == DEFAULT_RULES


def test_what_is_named_is_hidden_instead() -> None:
    assert rules("redaction: {headers: [x-a], keys: [pin], patterns: ['[0-9]{16}']}") == (
        RedactionRule("header", "x-a"),
        RedactionRule("key", "pin"),
        RedactionRule("pattern", "[0-9]{16}"),
    )
    assert rules("redaction: {enabled: false, keys: [pin]}") == ()
    with pytest.raises(UsageError, match="matches nothing at all"):
        rules("redaction: {patterns: ['x*']}")


def test_an_administrator_of_the_hub_has_the_last_word() -> None:
    mine = [RedactionRule("key", "mine")]
    given = [RedactionRule("key", "given")]
    assert Settings(redaction=mine).rules(given) == tuple(mine)
    assert Settings().rules(given) == tuple(given) and Settings().rules() == DEFAULT_RULES
