"""Names that can be shown, and updates that overwrite nobody."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.identity.profiles import rules

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
