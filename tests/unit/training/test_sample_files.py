"""Our summary of real recordings agrees with the device's, or a reason says why not."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tests.unit.training.sample_summaries import (
    REASONS,
    SAMPLES,
    TABLE,
    Difference,
    Reason,
    compare_all,
    render,
    sample_files,
)

needs_samples = pytest.mark.skipif(
    not sample_files(),
    reason=f"no sample recordings in {SAMPLES.name}: set PALESTRA_SAMPLES to their folder",
)


@pytest.fixture(scope="module")
def differences() -> list[Difference]:
    return compare_all()


@needs_samples
def test_every_large_difference_has_a_reason_and_every_reason_a_difference(
    differences: list[Difference],
) -> None:
    large = {one.key for one in differences if one.is_large}
    assert sorted(large - REASONS.keys()) == [], "differences without a reason"
    assert sorted(REASONS.keys() - large) == [], "reasons that nothing needs"


@needs_samples
def test_the_committed_table_is_what_the_rules_compute_today(
    differences: list[Difference],
) -> None:
    assert TABLE.read_text(encoding="utf-8") == render(differences, REASONS), (
        "run python -m tests.unit.training.sample_summaries and review the change"
    )


@needs_samples
def test_most_fields_of_undamaged_files_agree(differences: list[Difference]) -> None:
    sound = [one for one in differences if REASONS.get(one.key) is not Reason.DAMAGED]
    agreeing = sum(not one.is_large for one in sound)
    assert agreeing > len(sound) / 2
    files = Counter(one.file for one in sound)
    assert len(files) >= 10


@needs_samples
def test_distance_and_time_agree_where_the_device_measured_all_along(
    differences: list[Difference],
) -> None:
    excused = {Reason.DAMAGED, Reason.STANDING, Reason.TIMER_BEYOND_SAMPLES, Reason.NOT_MEASURED}
    for one in differences:
        if one.field in ("elapsed_s", "moving_s", "distance_m") and one.is_large:
            assert REASONS[one.key] in excused | {Reason.LEG_EDGE}, one


@needs_samples
def test_climbing_is_within_a_sixth_of_the_barometers_own(differences: list[Difference]) -> None:
    climbs = [
        one
        for one in differences
        if one.field in ("ascent_m", "descent_m") and REASONS.get(one.key) is not Reason.SETTLING
    ]
    for one in climbs:
        if one.ours is not None:
            assert math.isclose(one.ours, one.device, rel_tol=1 / 6, abs_tol=3.0), one


def test_a_missing_value_always_needs_a_reason() -> None:
    assert Difference("f", 1, "ascent_m", None, 0.0).is_large
    assert Difference("f", 1, "ascent_m", 1.02, 1.0).is_large
    assert not Difference("f", 1, "ascent_m", 1.005, 1.0).is_large
