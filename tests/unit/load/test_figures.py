"""Percentiles, costs for one unit, and how they are told."""

from __future__ import annotations

import json
import random

import pytest
from rich.console import Console

from tests.load import report
from tests.load.figures import Measured, Tally, percentile


def _measured(units: int, latencies_ms: list[float], failed: int = 0) -> Measured:
    tally = Tally(units, failed, latencies_ms)
    return Measured("get", "request", tally, 2.0, {"edge": 100.0, "training": 300.0})


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(each) for each in range(1, 101)]
    random.Random(7).shuffle(values)
    assert [percentile(values, each) for each in (1, 50, 99, 99.5, 100)] == [1, 50, 99, 100, 100]
    assert percentile([3.0], 99) == 3.0
    assert percentile([1.0, 2.0], 50) == 1.0
    assert percentile([1.0, 2.0], 51) == 2.0


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile([], 50) is None


@pytest.mark.parametrize("percent", [0, -1, 100.1])
def test_what_is_no_percentage_is_refused(percent: float) -> None:
    with pytest.raises(ValueError, match="percentage"):
        percentile([1.0], percent)


def test_costs_are_for_one_unit_and_add_up() -> None:
    found = _measured(4, [1.0])
    assert found.per_s == 2.0
    assert found.per_unit_us() == {"edge": 25.0, "training": 75.0}
    assert found.in_all_us() == 100.0


def test_where_all_failed_there_is_no_cost() -> None:
    found = _measured(0, [], failed=9)
    assert found.per_unit_us() is None
    assert found.in_all_us() is None


def test_tallies_add_up() -> None:
    tally = Tally(1, 2, [3.0])
    tally.add(Tally(10, 20, [30.0, 40.0]))
    assert tally == Tally(11, 22, [3.0, 30.0, 40.0])


def test_the_document_is_json_and_holds_what_was_measured() -> None:
    told = report.document({"cores": 2}, [_measured(4, [1.0, 5.0], failed=3), _measured(0, [])])
    assert json.loads(json.dumps(told)) == told
    first, nothing = told["scenarios"]
    assert told["machine"] == {"cores": 2}
    assert (first["units"], first["failed"], first["per_s"]) == (4, 3, 2.0)
    assert (first["p50_ms"], first["p99_ms"]) == (1.0, 5.0)
    assert first["cpu_us_per_unit"] == {"edge": 25.0, "training": 75.0}
    assert first["cpu_us_per_unit_in_all"] == 100.0
    assert nothing["p50_ms"] is None
    assert nothing["cpu_us_per_unit"] is None


def test_the_table_tells_failures_and_prints_no_figure_where_there_is_none() -> None:
    console = Console(width=190)
    with console.capture() as captured:
        console.print(report.table([_measured(4, [1.5], failed=3), _measured(0, [], failed=9)]))
    title, good, bad = captured.get().splitlines()
    assert title.split()[-3:] == ["edge", "training", "all"]
    assert good.split() == ["get", "request", "2.00", "1.50", "1.50", "3", "25.0", "75.0", "100"]
    assert bad.split() == ["get", "request", "0.00", "–", "–", "9", "–", "–", "–"]


def test_a_table_of_nothing_is_a_table() -> None:
    assert report.table([]).row_count == 0
