"""What may be registered, and what counts as the same request."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palestra.integration.v1 import device_service_pb2 as pb
from services.integration.devices import rules
from services.integration.devices.rules import Description, Device, Kind, Record

WATCH = Description("My watch", Kind.WATCH, "Garmin", "Fenix", "42")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
DEVICE = Device(uuid.UUID(int=1), uuid.UUID(int=2), WATCH, NOW)


def test_kinds_have_the_contracts_numbers() -> None:
    theirs = {name.removeprefix("DEVICE_KIND_"): number for name, number in pb.DeviceKind.items()}
    assert {kind.name: kind.value for kind in Kind} == theirs


def test_texts_are_kept_in_one_form() -> None:
    told = rules.described("  My   watch ", 1, "Cafe\u0301", "", "")
    assert told == Description("My watch", Kind.WATCH, "Café", "", "")


@pytest.mark.parametrize(
    ("name", "why"), [("   ", "empty"), ("a\u202eb", "do not show"), ("x" * 61, "longer")]
)
def test_a_name_that_cannot_be_shown_is_refused_by_field(name: str, why: str) -> None:
    with pytest.raises(rules.TextInvalid, match=why) as refused:
        rules.described(name, 1, "", "", "")
    assert refused.value.field == "device.display_name"


@given(st.lists(st.text(max_size=4), min_size=8, max_size=8))
def test_only_the_same_description_has_the_same_fingerprint(texts: list[str]) -> None:
    one = Description(texts[0], Kind.WATCH, *texts[1:4])
    other = Description(texts[4], Kind.WATCH, *texts[5:8])
    assert (one == other) == (one.fingerprint == other.fingerprint)


def test_text_that_moves_between_fields_is_another_request() -> None:
    moved = replace(WATCH, manufacturer="", model="GarminFenix")
    joined = replace(WATCH, manufacturer="Garmin", model="Fenix")
    assert len({WATCH.fingerprint, moved.fingerprint, joined.fingerprint}) == 2


def test_a_repeat_answers_with_the_first_time() -> None:
    before = datetime(2026, 1, 1, tzinfo=UTC)
    record = Record(WATCH.fingerprint, before)
    assert rules.repeated(DEVICE, record) == replace(DEVICE, created_at=before)


def test_another_body_under_the_same_id_is_refused() -> None:
    with pytest.raises(rules.RequestIdReused):
        rules.repeated(DEVICE, Record(replace(WATCH, model="Edge").fingerprint, NOW))
