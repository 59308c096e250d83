"""What went on beside a measurement."""

from __future__ import annotations

import os

import pytest

from tests.load import noise
from tests.load.noise import Look

TICKS = os.sysconf("SC_CLK_TCK")


def test_the_machine_s_counters_are_read_without_idle_time() -> None:
    ticks = [TICKS * each for each in (10, 1, 5, 900, 70, 2, 3, 4, 6, 0)]
    line = "cpu  " + " ".join(map(str, ticks)) + "\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
    assert noise.parse(line) == Look(busy_s=21.0, stolen_s=4.0)


@pytest.mark.parametrize("text", ["", "cpu 1 2", "intr 1 2 3 4 5 6 7 8 9"])
def test_what_is_no_counter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no line"):
        noise.parse(text)


def test_others_are_what_is_neither_measured_nor_the_load() -> None:
    found = noise.between(Look(10.0, 1.0), Look(16.0, 2.0), ours_s=4.0, elapsed_s=4.0)
    assert (found.others_cores, found.stolen_cores) == (0.5, 0.25)


def test_a_rounded_counter_makes_no_negative_noise() -> None:
    assert noise.between(Look(10.0, 1.0), Look(10.0, 1.0), 0.1, 1.0).others_cores == 0.0


def test_a_look_at_this_machine_moves_on_with_work() -> None:
    before = noise.look()
    assert noise.reference_us() > 0
    while noise.look().busy_s == before.busy_s:
        noise.reference_us()
    assert noise.look().busy_s > before.busy_s
