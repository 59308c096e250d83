"""Consents: which text counts, what may be agreed to, what is still to be asked; the texts."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from palestra.identity.v1 import consent_pb2
from services.identity.consents import documents, rules
from services.identity.consents.rules import Agreed, Asked, Catalogue, Document, Held, Purpose, Text

DAY = timedelta(days=1)
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
VERA = uuid.UUID(int=1)
ANYWHERE: frozenset[str] = frozenset()
RUSSIA = frozenset({"RU"})


def text_of(purpose: Purpose, version: int, language: str = "en") -> Text:
    content = f"# {purpose.slug} {version} {language}\n"
    return Text(language, purpose.slug, content, hashlib.sha256(content.encode()).digest())


def document(purpose: Purpose, version: int, after: timedelta, *, anew: bool = True) -> Document:
    texts = {each: text_of(purpose, version, each) for each in rules.LANGUAGES}
    return Document(version, BEGIN + after, anew, texts)


def catalogue() -> Catalogue:
    """Terms; analytics in 3 versions, of which the last asks anew; Russia's consent."""
    terms, analytics, russian = Purpose.TERMS, Purpose.ANALYTICS, Purpose.PROCESSING_RU
    versions = (
        document(analytics, 1, 0 * DAY),
        document(analytics, 2, 10 * DAY, anew=False),
        document(analytics, 3, 20 * DAY),
    )
    return Catalogue(
        {
            terms: Asked(terms, True, ANYWHERE, "contract", (document(terms, 1, 0 * DAY),)),
            analytics: Asked(analytics, False, ANYWHERE, "consent", versions),
            russian: Asked(russian, True, RUSSIA, "152-FZ", (document(russian, 1, 0 * DAY),)),
        }
    )


def agreed(purpose: Purpose, version: int, language: str = "en") -> Agreed:
    return Agreed(purpose, version, language, text_of(purpose, version, language).sha256)


def held(purpose: Purpose, version: int, *, given: bool = True) -> Held:
    return Held(VERA, purpose, given, version, BEGIN, uuid.UUID(int=2), 1)


def test_only_the_text_of_today_can_be_agreed_to() -> None:
    known = catalogue()
    today = [agreed(Purpose.ANALYTICS, 2, "ru"), agreed(Purpose.TERMS, 1)]
    now = BEGIN + 11 * DAY
    assert known.check(today, now) == [today[1], today[0]], "in the order of the purposes"
    with pytest.raises(rules.ConsentOutdated, match="at version 2"):
        known.check([agreed(Purpose.ANALYTICS, 1)], now)
    for wrong in (
        agreed(Purpose.ANALYTICS, 3),
        agreed(Purpose.ANALYTICS, 4),
        agreed(Purpose.ANALYTICS, 0),
        Agreed(Purpose.ANALYTICS, 2, "fr", text_of(Purpose.ANALYTICS, 2).sha256),
        Agreed(Purpose.ANALYTICS, 2, "en", text_of(Purpose.ANALYTICS, 2, "ru").sha256),
    ):
        with pytest.raises(rules.ConsentTextUnknown):
            known.check([wrong], now)
    with pytest.raises(rules.ConsentTextUnknown, match="twice"):
        known.check([agreed(Purpose.TERMS, 1), agreed(Purpose.TERMS, 1)], now)


def test_nothing_can_be_agreed_to_before_its_first_day() -> None:
    known = catalogue()
    with pytest.raises(rules.ConsentTextUnknown):
        known.check([agreed(Purpose.TERMS, 1)], BEGIN - DAY)
    assert known.missing([], ANYWHERE, BEGIN - DAY) == set()


def test_other_words_leave_an_agreement_standing_and_another_meaning_ends_it() -> None:
    known, first = catalogue(), held(Purpose.ANALYTICS, 1)
    assert known.counts(first, BEGIN + 19 * DAY)
    assert not known.counts(first, BEGIN + 20 * DAY)
    assert known.counts(held(Purpose.ANALYTICS, 3), BEGIN + 20 * DAY)
    assert not known.counts(held(Purpose.ANALYTICS, 3, given=False), BEGIN + 20 * DAY)
    assert not known.counts(None, BEGIN)


def test_what_is_needed_and_what_is_outdated_are_told_apart() -> None:
    known, now = catalogue(), BEGIN + 20 * DAY
    said = {each.purpose: each for each in (held(Purpose.ANALYTICS, 2),)}
    assert [e.purpose for e in known.needed(said, ANYWHERE, now)] == [Purpose.TERMS]
    everything = [Purpose.TERMS, Purpose.PROCESSING_RU]
    assert [e.purpose for e in known.needed(said, RUSSIA, now)] == everything
    assert [e.purpose for e in known.outdated(said, RUSSIA, now)] == [Purpose.ANALYTICS]
    taken_back = {Purpose.ANALYTICS: held(Purpose.ANALYTICS, 2, given=False)}
    assert known.outdated(taken_back, ANYWHERE, now) == [], "nobody asks who said no"


def test_what_there_is_no_account_without_is_not_taken_back_where_it_applies() -> None:
    known = catalogue()
    known.check_withdrawable(Purpose.ANALYTICS, RUSSIA)
    known.check_withdrawable(Purpose.PROCESSING_RU, frozenset({"DE"}))
    for purpose in (Purpose.TERMS, Purpose.PROCESSING_RU):
        with pytest.raises(rules.ConsentNeeded) as refused:
            known.check_withdrawable(purpose, RUSSIA)
        assert "RequestErasure" in refused.value.metadata["instead"]


@pytest.mark.parametrize(
    ("country", "here", "expected"),
    [
        ("DE", 1, {"DE"}),
        ("", 1, {"RU", "BY"}),
        ("", 0, set()),
    ],
)
def test_who_does_not_say_where_he_lives_may_live_wherever_this_region_is_home(
    country: str, here: int, expected: set[str]
) -> None:
    assert rules.countries_of(country, {"RU": 1, "BY": 1, "*": 0}, here) == expected


def test_every_purpose_of_the_contract_has_its_texts_in_both_languages() -> None:
    known = documents.read()
    contract = {
        value.name.removeprefix("CONSENT_PURPOSE_"): value.number
        for value in consent_pb2.ConsentPurpose.DESCRIPTOR.values
        if value.number
    }
    assert contract == {each.name: each.value for each in Purpose}
    assert set(known.asked) == set(Purpose)
    for asked in known.asked.values():
        assert asked.legal_basis
        for each in asked.documents:
            assert set(each.texts) == set(rules.LANGUAGES)
            for told in each.texts.values():
                assert told.text.startswith(f"# {told.title}\n")
                assert told.sha256 == hashlib.sha256(told.text.encode()).digest()


def test_every_text_in_the_folder_is_in_the_catalogue() -> None:
    known = documents.read()
    expected = {
        f"{purpose.slug}/{version.version}.{language}.md"
        for purpose, asked in known.asked.items()
        for version in asked.documents
        for language in rules.LANGUAGES
    }
    folder = documents.FOLDER
    assert {str(path.relative_to(folder)) for path in folder.glob("*/*.md")} == expected


def test_a_text_that_was_changed_after_people_agreed_to_it_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    shutil.copytree(documents.FOLDER, folder)
    assert documents.read(folder) == documents.read()
    with (folder / "terms" / "1.en.md").open("a") as file:
        file.write("And all that is yours is ours.\n")
    with pytest.raises(documents.DocumentsInvalid, match=r"1\.en\.md of terms is [0-9a-f]{64}"):
        documents.read(folder)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("[terms]", "[nothing]", "terms is not in the catalogue"),
        ("asks_anew = true", "asks_anew = false", "the first asks"),
    ],
)
def test_a_catalogue_that_is_not_whole_is_refused(
    tmp_path: Path, before: str, after: str, why: str
) -> None:
    folder = tmp_path / "documents"
    shutil.copytree(documents.FOLDER, folder)
    path = folder / "catalogue.toml"
    told = path.read_text().replace(before, after, 1).replace("[[terms", f"[[{after.strip('[]')}")
    path.write_text(told if after == "[nothing]" else path.read_text().replace(before, after, 1))
    with pytest.raises(documents.DocumentsInvalid, match=why):
        documents.read(folder)
