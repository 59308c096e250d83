"""Whose CPU time is counted, from lines of /proc."""

from __future__ import annotations

import os

import pytest

from tests.load import cpu
from tests.load.cpu import ProcessGone, Stat

TICK_US = 1_000_000 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int, parent: int, own: int = 0, reaped: int = 0, start: int = 1) -> Stat:
    return Stat(pid, parent, own, reaped, start)


def test_a_line_is_read_whatever_the_command_is_called() -> None:
    tail = "S 7 7 7 0 -1 4194304 10 20 30 40 100 23 5 6 20 0 9 0 4711 1000 50"
    for command in ("postgres", "a b", "tricky) S 1 (", "(sd-pam)"):
        assert cpu.parse_stat(f"42 ({command}) {tail}\n") == Stat(42, 7, 123, 11, 4711)


@pytest.mark.parametrize("text", ["", "42 (sh) S 1", "no line at all", "42 sh S " + "1 " * 30])
def test_what_is_no_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no line"):
        cpu.parse_stat(text)


def test_this_process_is_found_and_its_work_shows() -> None:
    groups = {"me": [os.getpid()]}
    before = cpu.usage(cpu.read_all(), groups)
    ticks = os.times()
    while sum(os.times()[:2]) - sum(ticks[:2]) < 0.05:
        pass
    used_us = cpu.usage(cpu.read_all(), groups).since(before)["me"]
    # A look rounds down to ticks, once on each side.
    assert used_us >= 50_000 - 2 * TICK_US


def test_children_count_for_their_group_the_living_and_the_ended() -> None:
    stats = [_stat(1, 0, 1000), _stat(10, 1, 5, 7), _stat(11, 10, 3), _stat(12, 11, 2)]
    assert cpu.usage(stats, {"postgres": [10]}).us == {"postgres": 17 * TICK_US}


def test_a_child_that_ends_between_two_looks_is_counted_once() -> None:
    groups = {"postgres": [10]}
    before = cpu.usage([_stat(10, 1, 5), _stat(11, 10, 4)], groups)
    after = cpu.usage([_stat(10, 1, 6, 9)], groups)
    assert after.since(before) == {"postgres": 6 * TICK_US}


def test_a_group_below_another_is_not_counted_twice() -> None:
    stats = [_stat(5, 1, 1), _stat(10, 5, 2), _stat(11, 10, 4), _stat(20, 5, 8)]
    found = cpu.usage(stats, {"supervisor": [5], "postgres": [10], "workers": [20]}).us
    assert found == {
        "supervisor": TICK_US,
        "postgres": 6 * TICK_US,
        "workers": 8 * TICK_US,
    }


def test_strangers_count_for_nobody() -> None:
    stats = [_stat(1, 0, 9), _stat(10, 1, 2), _stat(99, 1, 500)]
    assert cpu.usage(stats, {"edge": [10]}).us == {"edge": 2 * TICK_US}


def test_workers_of_a_service_add_up() -> None:
    stats = [_stat(10, 1, 2), _stat(11, 1, 3)]
    assert cpu.usage(stats, {"training": [10, 11]}).us == {"training": 5 * TICK_US}


def test_a_process_that_has_ended_is_no_figure() -> None:
    with pytest.raises(ProcessGone, match="10"):
        cpu.usage([_stat(1, 0)], {"edge": [10]})


def test_a_pid_that_was_given_again_is_no_figure() -> None:
    groups = {"edge": [10]}
    before = cpu.usage([_stat(10, 1, 50, start=100)], groups)
    with pytest.raises(ProcessGone, match="restarted"):
        cpu.usage([_stat(10, 1, 60, start=200)], groups).since(before)
