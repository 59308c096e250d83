"""What an athlete may change of an activity: the mask, the etag, the repeat."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from services.training.activities.rules.audiences import Audience
from services.training.activities.rules.changes import (
    ActivityVersion,
    DeleteAction,
    Editable,
    decide_delete,
    decide_update,
)
from services.training.activities.rules.errors import (
    ActivityNotFound,
    EtagMismatch,
    FieldInvalid,
)
from services.training.activities.rules.sports import Sport
from services.training.activities.rules.summary import Summary
from services.training.activities.rules.totals import local_date, totals_of

STORED = Editable("Morning", "wet", Sport.RUNNING)
FINISHED = ActivityVersion("e1", STORED, finished=True)
LIVE = replace(FINISHED, finished=False)
GONE = replace(FINISHED, deleted=True)


def test_only_what_the_mask_names_is_set() -> None:
    wanted = Editable("Evening", "dry", Sport.CYCLING)
    update = decide_update(FINISHED, wanted, ["title"], "")
    assert update.editable == replace(STORED, title="Evening")
    assert (update.changed, update.corrects) == (True, False)


def test_a_mask_can_empty_a_field_and_no_mask_cannot() -> None:
    assert decide_update(FINISHED, Editable(), ["notes"], "").editable.notes == ""
    assert not decide_update(FINISHED, Editable(), [], "").changed


def test_without_a_mask_what_is_set_is_taken() -> None:
    update = decide_update(FINISHED, Editable(notes="cold"), [], "e1")
    assert update.editable == replace(STORED, notes="cold")


def test_a_star_sets_all_and_then_needs_a_sport() -> None:
    wanted = Editable("", "", Sport.YOGA)
    assert decide_update(FINISHED, wanted, ["*"], "").editable == wanted
    with pytest.raises(FieldInvalid) as refused:
        decide_update(FINISHED, Editable("x"), ["*"], "")
    assert refused.value.field == "activity.sport"


def test_another_sport_corrects_the_totals_of_a_finished_activity_only() -> None:
    wanted = Editable(sport=Sport.HIKING)
    assert decide_update(FINISHED, wanted, ["sport"], "").corrects
    assert not decide_update(LIVE, wanted, ["sport"], "").corrects
    assert not decide_update(FINISHED, STORED, ["sport"], "").corrects


def test_for_whom_a_finished_activity_is_is_told_and_who_does_not_name_it_changes_nothing() -> None:
    stored = replace(STORED, audience=Audience.FOLLOWERS)
    finished = replace(FINISHED, editable=stored)
    wanted = replace(stored, audience=Audience.EVERYONE)
    assert decide_update(finished, wanted, ["audience"], "").corrects
    assert not decide_update(replace(finished, finished=False), wanted, [], "").corrects
    # A client from before there were audiences sends all that it knows.
    assert not decide_update(finished, STORED, ["*"], "").changed
    with pytest.raises(FieldInvalid) as refused:
        decide_update(finished, STORED, ["audience"], "")
    assert refused.value.field == "activity.audience"


@pytest.mark.parametrize("path", ["name", "summary", "title.x", "*", "", "Title"])
def test_a_path_that_cannot_be_set_is_refused(path: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        decide_update(FINISHED, STORED, ["title", path], "")
    assert refused.value.field == "update_mask"


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (Editable(title="x" * 121), "activity.title"),
        (Editable(notes="x" * 4_001), "activity.notes"),
    ],
)
def test_what_is_too_long_is_refused(wanted: Editable, field: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        decide_update(FINISHED, wanted, [], "")
    assert refused.value.field == field


def test_an_old_etag_refuses_a_change_but_not_the_repeat_of_one() -> None:
    with pytest.raises(EtagMismatch):
        decide_update(FINISHED, Editable("new"), [], "e0")
    assert not decide_update(FINISHED, Editable("Morning"), [], "e0").changed


@pytest.mark.parametrize("current", [None, GONE])
def test_what_is_not_there_cannot_be_updated(current: ActivityVersion | None) -> None:
    with pytest.raises(ActivityNotFound):
        decide_update(current, STORED, [], "")


def test_deleting_again_is_no_error_and_deleting_nothing_is() -> None:
    assert decide_delete(FINISHED, "e1") is DeleteAction.DELETE_COUNTED
    assert decide_delete(LIVE, "") is DeleteAction.DELETE
    assert decide_delete(GONE, "e0") is DeleteAction.NOTHING
    with pytest.raises(ActivityNotFound):
        decide_delete(None, "")
    with pytest.raises(EtagMismatch):
        decide_delete(FINISHED, "e0")


def test_the_day_is_the_athletes_own() -> None:
    late = 1_767_225_600_000 - 1_800_000
    assert local_date(late, None) == local_date(late, 0) == date(2025, 12, 31)
    assert local_date(late, 3_600) == date(2026, 1, 1)
    assert local_date(late + 3_600_000, -3_600) == date(2025, 12, 31)
    assert local_date(-1, 0) == date(1969, 12, 31)


def test_what_was_not_measured_counts_as_nothing() -> None:
    totals = totals_of(Summary(elapsed_s=5.0), Sport.YOGA, 0, None)
    assert (totals.sport, totals.elapsed_s, totals.distance_m) == (Sport.YOGA, 5.0, 0.0)
    assert totals.local_date == date(1970, 1, 1)
