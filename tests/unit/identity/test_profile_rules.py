"""Names that can be shown, and updates that overwrite nobody."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from services.identity.profiles import rules
from services.identity.profiles.rules.profile import age_years
from services.identity.profiles.rules.texts import clean_line, clean_tags, clean_text
from services.identity.visibility.rules import Audience

NOW = datetime(2026, 5, 1, tzinfo=UTC)
VERA = rules.Profile(uuid.UUID(int=1), "Vera", "", 3, NOW, NOW)
LATER = NOW + timedelta(hours=1)


def test_a_name_is_kept_in_one_form() -> None:
    assert rules.clean_display_name("  Ze\u0301  B ") == "Z\u00e9 B"


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "a\u202eb", "a\x00b", "\u200b"])
def test_a_name_that_cannot_be_shown_is_refused(name: str) -> None:
    with pytest.raises(rules.DisplayNameInvalid):
        rules.clean_display_name(name)


def test_only_the_named_fields_change() -> None:
    wanted = replace(VERA, display_name="Anna", bio="runs")
    changed = rules.update(VERA, wanted, {"bio"}, "", LATER)
    assert (changed.display_name, changed.bio) == ("Vera", "runs")
    assert (changed.version, changed.updated_at) == (4, LATER)


def test_an_update_that_changes_nothing_makes_no_version() -> None:
    assert rules.update(VERA, VERA, {"display_name", "bio"}, "3", LATER) is VERA


def test_an_old_etag_overwrites_nothing() -> None:
    with pytest.raises(rules.EtagMismatch):
        rules.update(VERA, replace(VERA, bio="x"), {"bio"}, "2", LATER)


def test_the_repeat_of_an_update_whose_answer_was_lost_is_no_conflict() -> None:
    wanted = replace(VERA, bio="runs")
    once = rules.update(VERA, wanted, {"bio"}, "3", LATER)
    assert rules.update(once, wanted, {"bio"}, "3", LATER) is once


@pytest.mark.parametrize(
    ("born", "age"),
    [((2010, 5, 1), 16), ((2010, 5, 2), 15), ((2008, 2, 29), 18), ((1926, 5, 1), 100)],
)
def test_who_is_a_year_older_today_is_so_all_day(born: tuple[int, int, int], age: int) -> None:
    assert age_years(date(*born), NOW.date()) == age


@pytest.mark.parametrize(
    ("born", "refusal"),
    [
        (date(2010, 5, 1), None),
        (date(2010, 5, 2), rules.TooYoung),
        (date(2026, 5, 2), rules.BirthDateInvalid),
        (date(1905, 4, 30), rules.BirthDateInvalid),
        (date(1905, 5, 2), None),
    ],
)
def test_who_was_born_when_nobody_lives_or_too_lately_is_refused(
    born: date, refusal: type[Exception] | None
) -> None:
    wanted = replace(VERA, birth_date=born)
    if refusal is None:
        assert rules.update(VERA, wanted, {"birth_date"}, "", NOW).birth_date == born
    else:
        with pytest.raises(refusal):
            rules.update(VERA, wanted, {"birth_date"}, "", NOW)


def test_a_person_who_told_his_birth_date_may_tell_it_again_where_the_least_age_has_risen() -> None:
    young = replace(VERA, birth_date=date(2012, 1, 1))
    assert rules.update(young, young, {"birth_date"}, "", NOW, 16) is young


def test_only_a_change_of_the_card_counts_as_one() -> None:
    moved = rules.update(VERA, replace(VERA, city="Perm"), {"city"}, "", LATER)
    named = rules.update(moved, replace(VERA, display_name="V"), {"display_name"}, "", LATER)
    assert [(each.version, each.card_version) for each in (VERA, moved, named)] == [
        (3, 1),
        (4, 1),
        (5, 2),
    ]


def test_an_audience_that_is_left_out_stays_as_it_is() -> None:
    unsaid = rules.Visibility(*([Audience.UNSPECIFIED] * 8))
    closed = replace(VERA, visibility=replace(VERA.visibility, city=Audience.NOBODY))
    wanted = replace(VERA, visibility=replace(unsaid, bio=Audience.FOLLOWERS))
    after = rules.update(closed, wanted, {"visibility"}, "", LATER).visibility
    assert (after.bio, after.city) == (Audience.FOLLOWERS, Audience.NOBODY)
    same = rules.update(closed, wanted, {"visibility.city"}, "", LATER)
    assert same is closed


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  a\r\nb\t c  \n\n\n\nd ", "a\nb  c\n\nd"),
        ("Ze\u0301", "Z\u00e9"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("\u200d", ""),
        ("", ""),
    ],
)
def test_a_text_is_kept_in_one_form(text: str, kept: str) -> None:
    assert clean_text("bio", text, 100) == kept
    assert clean_text("bio", kept, 100) == kept


@pytest.mark.parametrize(
    "text", ["\u202e", "\u2066", "\u200e", "\x00", "\x1b[", "\ue000", "\ufeff"]
)
def test_a_text_that_turns_or_hides_what_is_around_it_is_refused(text: str) -> None:
    for clean in (clean_text, clean_line):
        with pytest.raises(rules.FieldInvalid, match="U\\+"):
            clean("bio", f"a{text}b", 100)


def test_tags_are_kept_as_they_are_compared() -> None:
    wanted = ["#Trail  Running", "trail running", "\uff32un", "Лыжи"]
    assert clean_tags("interests", wanted, 3) == ("trail running", "run", "лыжи")
    with pytest.raises(rules.FieldInvalid, match="more than 2"):
        clean_tags("interests", wanted, 2)
