"""Waits before a restart."""

from __future__ import annotations

from mesh.local.backoff import Backoff


def test_waits_double_from_a_fifth_of_a_second_to_five_seconds() -> None:
    backoff = Backoff()
    assert [backoff.wait_s(0.0) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_run_of_ten_seconds_starts_over_and_a_shorter_one_does_not() -> None:
    backoff = Backoff()
    assert [backoff.wait_s(served) for served in (0.0, 9.9, 10.0, 0.0)] == [0.2, 0.4, 0.2, 0.4]


def test_what_had_served_never_waits_longer_than_a_second() -> None:
    backoff = Backoff()
    assert [backoff.wait_s(1.5) for _ in range(6)] == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0]
    assert [backoff.wait_s(served) for served in (0.0, 0.0, 2.0, 0.0)] == [2.0, 4.0, 1.0, 2.0]
