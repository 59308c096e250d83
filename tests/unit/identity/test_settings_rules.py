"""What is usual where, what can be chosen, and that the numbers are the contract's."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from palestra.identity.v1 import audience_pb2, goal_service_pb2, settings_pb2
from services.identity.goals.rules import State
from services.identity.settings import zonenames
from services.identity.settings.rules.errors import LanguageUnsupported
from services.identity.settings.rules.locales import Locale, Usual, clean_language, usual_of
from services.identity.settings.rules.notifications import USUAL, Kind
from services.identity.settings.rules.settings import Settings, Units, shown, update
from services.identity.visibility.rules import Audience

NOW = datetime(2026, 5, 1, tzinfo=UTC)
VERA = Settings(uuid.UUID(int=1))


@pytest.mark.parametrize(
    ("locale", "usual"),
    [
        ("ru", Usual("ru-RU", 1, 0, "Europe/Moscow", 1)),
        ("RU_kz", Usual("ru-KZ", 1, 0, "Asia/Almaty", 1)),
        ("en-US", Usual("en-US", 2, 0, "UTC", 7)),
        ("en-GB", Usual("en-GB", 1, 2, "Europe/London", 1)),
        ("ar-EG", Usual("en", 1, 0, "UTC", 6)),
        ("zh-Hant-TW", Usual("en", 1, 0, "UTC", 7)),
        ("", Usual("en", 1, 0, "UTC", 1)),
        ("no tag at all", Usual("en", 1, 0, "UTC", 1)),
    ],
)
def test_what_is_usual_follows_from_language_and_country(locale: str, usual: Usual) -> None:
    assert usual_of(locale) == usual
    assert zonenames.is_known(usual.time_zone)


def test_the_language_of_one_country_may_be_told_in_another() -> None:
    assert usual_of("ru", "DE") == Usual("ru-DE", 1, 0, "Europe/Berlin", 1)
    assert usual_of("en-US", "DE").unit_system == 2


@pytest.mark.parametrize(
    ("tag", "kept"), [("EN", "en"), ("en_gb", "en-GB"), ("ru-Cyrl-RU", "ru-RU")]
)
def test_a_language_is_kept_in_its_usual_form(tag: str, kept: str) -> None:
    assert clean_language(tag) == kept


@pytest.mark.parametrize("tag", ["de", "english", "en-", "-en", "en-GBR", "ru-RU-x-what"])
def test_a_language_that_nothing_is_written_in_is_refused(tag: str) -> None:
    with pytest.raises(LanguageUnsupported):
        clean_language(tag)


def test_what_was_chosen_wins_over_what_is_usual() -> None:
    wanted = Settings(VERA.user_id, units=Units(weight=3), time_zone="Asia/Omsk")
    chosen = update(VERA, wanted, {"units", "time_zone"}, "0", NOW, zonenames.is_known)
    found = shown(chosen, Locale("en-GB"))
    assert found.units == Units(system=1, distance=2, weight=3)
    assert (found.time_zone, found.language) == ("Asia/Omsk", "en-GB")


def test_the_repeat_of_an_update_whose_answer_was_lost_is_no_conflict() -> None:
    wanted = Settings(VERA.user_id, theme=2)
    once = update(VERA, wanted, {"theme"}, "0", NOW, zonenames.is_known)
    assert update(once, wanted, {"theme"}, "0", NOW, zonenames.is_known) is once


def test_every_kind_has_its_usual_ways() -> None:
    assert set(USUAL) == set(Kind)
    assert USUAL[Kind.MARKETING] == frozenset()


def test_enums_have_the_contracts_names_and_numbers() -> None:
    kinds = {f"NOTIFICATION_KIND_{each.name}": int(each) for each in Kind}
    assert {"NOTIFICATION_KIND_UNSPECIFIED": 0, **kinds} == dict(
        settings_pb2.NotificationKind.items()
    )
    audiences = {f"AUDIENCE_{each.name}": int(each) for each in Audience}
    assert audiences == dict(audience_pb2.Audience.items())
    states = {f"GOAL_STATE_{each.name}": int(each) for each in State}
    assert states == dict(goal_service_pb2.GoalState.items())
