"""Letters' words: each kind in both languages, with its code and details, and nothing else."""

from __future__ import annotations

import string

import pytest

from services.identity.letters import words
from services.identity.letters.rules import WITH_CODE, Kind
from services.identity.letters.words import EN, RU, words_of

SHOWN = {"code", "details", "until", "certificate"}


def fields_of(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("kind", list(Kind))
def test_each_kind_says_the_same_in_both_languages(kind: Kind) -> None:
    assert set(EN) == set(RU) == set(Kind)
    shown = [fields_of(told.subject) | fields_of(told.text) for told in (EN[kind], RU[kind])]
    assert shown[0] == shown[1] <= SHOWN
    assert ("code" in shown[0]) == (kind in WITH_CODE)


@pytest.mark.parametrize(
    ("language", "subject"),
    [("ru-RU", "Ваши данные готовы"), ("de", "Your data is ready"), ("", "Your data is ready")],
)
def test_the_language_is_his_or_english(language: str, subject: str) -> None:
    told = words_of(Kind.EXPORT_READY, language, "", {"until": "2026-12-01"})
    assert told.subject == subject
    assert "2026-12-01" in told.text


def test_a_detail_that_is_not_there_is_shown_as_nothing_and_none_is_read_as_a_place() -> None:
    told = words_of(Kind.NEW_SIGN_IN, "en", "", {})
    assert told.text == "Somebody signed in to your account."
    told = words_of(Kind.NEW_SIGN_IN, "en", "", {"device": "{code}"})
    assert told.text.endswith("device: {code}")
    assert words.words_of(Kind.VERIFY_ADDRESS, "ru", "123", {}).subject == "Ваш код: 123"
