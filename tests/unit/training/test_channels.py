"""What a description may say, and when two of them are the same."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from services.training.samples.rules.channels import (
    CANONICAL,
    ChannelSpec,
    Encoding,
    check_description,
    fingerprint,
)
from services.training.samples.rules.errors import BatchMalformed

HEART_RATE = ChannelSpec("HEART_RATE", "bpm")


def test_a_scale_of_zero_means_one_and_a_missing_unit_is_the_channels_own() -> None:
    (checked,) = check_description([ChannelSpec("HEART_RATE", "", scale=0.0)])
    assert checked == HEART_RATE


def test_a_developers_channel_is_kept_as_it_is() -> None:
    own = ChannelSpec("Form Power (Stryd)", "Watts", 0.5, -3.0, Encoding.FLOAT64)
    assert check_description([own]) == (own,)


@pytest.mark.parametrize(
    ("channels", "field"),
    [
        ([], "channels"),
        ([ChannelSpec(f"c{n}", "") for n in range(65)], "channels"),
        ([HEART_RATE, ChannelSpec("x", ""), HEART_RATE], "channels[2].name"),
        ([HEART_RATE, ChannelSpec("SPEED", "km/h")], "channels[1].unit"),
        ([ChannelSpec(" lead", "")], "channels[0].name"),
        ([ChannelSpec("a\n", "")], "channels[0].name"),
        ([ChannelSpec("x" * 65, "")], "channels[0].name"),
        ([ChannelSpec("x", "u" * 33)], "channels[0].unit"),
        ([ChannelSpec("x", "", scale=math.inf)], "channels[0].scale"),
        ([ChannelSpec("x", "", offset=math.nan)], "channels[0].scale"),
    ],
)
def test_a_description_that_contradicts_itself_is_refused_by_field(
    channels: list[ChannelSpec], field: str
) -> None:
    with pytest.raises(BatchMalformed) as refused:
        check_description(channels)
    assert refused.value.field == field
    assert str(refused.value)


def test_every_well_known_channel_has_a_unit_and_a_range() -> None:
    for name, channel in CANONICAL.items():
        assert name == channel.name
        assert channel.unit
        assert channel.low < channel.high


@pytest.mark.parametrize(
    "other",
    [
        replace(HEART_RATE, name="HEART_RATE2"),
        replace(HEART_RATE, unit="Hz"),
        replace(HEART_RATE, scale=0.1),
        replace(HEART_RATE, offset=1.0),
        replace(HEART_RATE, encoding=Encoding.FLOAT64),
    ],
)
def test_any_change_of_a_channel_changes_the_fingerprint(other: ChannelSpec) -> None:
    assert fingerprint([HEART_RATE]) != fingerprint([other])


def test_the_fingerprint_knows_order_and_boundaries() -> None:
    a, b = ChannelSpec("a", "bc"), ChannelSpec("ab", "c")
    assert fingerprint([a, b]) != fingerprint([b, a])
    assert fingerprint([a]) != fingerprint([b])
    assert fingerprint([a, b]) == fingerprint([replace(a), replace(b)])


def test_an_unspecified_encoding_is_int32_and_an_unknown_one_is_refused() -> None:
    assert Encoding.of_contract(0) is Encoding.INT32
    assert [encoding.width for encoding in Encoding] == [4, 8]
    with pytest.raises(ValueError, match="3"):
        Encoding.of_contract(3)
