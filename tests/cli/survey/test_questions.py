"""The table of questions: complete, and each row whole."""

from __future__ import annotations

import argparse

import pytest

from kubeshark.cli.init import add_flag
from kubeshark.cli.survey._questions import QUESTIONS
from kubeshark.cli.survey._survey import Question

CONTRACT = """
--target --context -i -n -e --regex --bpf --schedule --duration --timezone --storage --store --storage-limit
--storage-class --bucket --region --endpoint --prefix --secret --max-age --new-key --recipient --tls --keylog --ui
--ingress-host --tls-cert --tls-key --tls-secret --auth --oidc-issuer --oidc-client-id --redact --plugin
"""


def test_every_flag_of_the_contract_answers_a_question() -> None:
    flags = {flag for question in QUESTIONS for flag in question.flags}
    assert set(CONTRACT.split()) <= flags


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_every_question_has_a_flag_and_two_lines_of_help(question: Question) -> None:
    assert question.flags and all(flag.startswith("-") for flag in question.flags)
    assert len(question.help.splitlines()) == 2 and max(map(len, question.help.splitlines())) <= 110
    parser = argparse.ArgumentParser()
    add_flag(parser, question)
    assert getattr(parser.parse_args([]), question.name) in (None, False)


def test_names_and_flags_are_distinct() -> None:
    names = [question.name for question in QUESTIONS]
    flags = [flag for question in QUESTIONS for flag in question.flags]
    assert len(set(names)) == len(names) and len(set(flags)) == len(flags)
