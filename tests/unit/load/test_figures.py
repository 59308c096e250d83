"""Percentiles, costs for one unit, and how they are told."""

from __future__ import annotations

import json
import random

import pytest
from rich.console import Console
from rich.table import Table

from tests.load import report
from tests.load.figures import Measured, Rounds, Tally, percentile
from tests.load.pace import Pace
from tests.load.targets import TARGETS, Target, sessions_per_core


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


def _rounds(*measured: Measured, name: str = "get") -> Rounds:
    return Rounds(name, "request", "Reading", measured)


def test_of_rounds_the_middle_counts_and_the_spread_is_told() -> None:
    found = _rounds(*(_measured(units, [1.0]) for units in (4, 2, 8)))
    assert found.in_all_us() == [100.0, 200.0, 50.0]
    assert found.per_unit_us() == {"edge": 25.0, "training": 75.0}
    assert found.spread_percent == 150.0
    assert (found.units, found.per_s) == (14, 2.0)


def test_a_target_holds_by_the_middle_round_and_never_where_something_failed() -> None:
    # 400 µs of CPU: 1,300 µs a request are allowed.
    assert _rounds(_measured(1, [1.0])).hit is True
    assert _rounds(_measured(1, [1.0], failed=1)).hit is False
    dear = Measured("get", "request", Tally(1), 1.0, {"edge": 1000.0, "training": 301.0})
    cheap = _measured(1, [1.0])
    assert _rounds(dear, dear, cheap).hit is False
    assert _rounds(dear, cheap, cheap).hit is True
    assert _rounds(_measured(0, [], failed=1)).hit is False
    assert _rounds(cheap, name="health").hit is None


def test_a_target_of_some_processes_leaves_the_others_out() -> None:
    costs = {"identity": 3.0, "training": 5.0, "edge": 90.0}
    assert Target(1.0).value(costs) == 98.0
    assert Target(1.0, ("identity", "training")).value(costs) == 8.0
    assert Target(1.0, ("identity", "training"), each=True).value(costs) == 5.0
    assert Target(1.0, ("integration",)).value(costs) == 0.0


def test_a_session_s_share_of_a_core_follows_from_its_batches() -> None:
    assert sessions_per_core(1_000) == 5_000
    assert TARGETS["sessions-5000"].most_us == 1_000
    assert TARGETS["sessions-20000-training"].most_us == 250


def test_the_document_is_json_and_holds_what_was_measured() -> None:
    told = report.document(
        {"cores": 2},
        {"rounds": 1},
        Pace(1.0, 2.0, 3.0),
        [_rounds(_measured(4, [1.0, 5.0], failed=3)), _rounds(_measured(0, []))],
    )
    assert json.loads(json.dumps(told)) == told
    first, nothing = told["scenarios"]
    assert (told["schema"], told["machine"]) == (report.SCHEMA, {"cores": 2})
    assert told["pace"] == {"least": 1.0, "middle": 2.0, "most": 3.0}
    assert (first["units"], first["failed"], first["per_s"]) == (4, 3, 2.0)
    assert (first["p50_ms"], first["p99_ms"]) == (1.0, 5.0)
    assert first["cpu_us_per_unit"] == {"edge": 25.0, "training": 75.0}
    assert first["cpu_us_per_unit_in_all"] == 100.0
    assert first["target"] == {"most_us": 1_300, "of": "all", "value_us": 100.0, "hit": False}
    assert nothing["p50_ms"] is None
    assert nothing["cpu_us_per_unit"] is None


def _printed(shown: Table) -> list[str]:
    console = Console(width=180)
    with console.capture() as captured:
        console.print(shown)
    return captured.get().splitlines()


def test_the_table_tells_failures_and_prints_no_figure_where_there_is_none() -> None:
    one = Measured("get", "request", Tally(4, 3, [1.5]), 2.0, {"edge": 100.0, "web": 300.0})
    nothing = Measured("get", "request", Tally(0, 9), 2.0, {"edge": 100.0})
    title, good, bad = _printed(report.table([_rounds(one), _rounds(nothing)]))
    assert title.split()[-5:] == ["edge", "rest", "all", "±%", "least"]
    assert good.split() == [
        "get",
        "request",
        "2.00",
        "1.50",
        "1.50",
        "3",
        "25.0",
        "75.0",
        "100",
        "0",
        "100",
    ]
    assert bad.split() == ["get", "request", "0", *"––", "9", *"–––––"]


def test_the_targets_are_told_with_what_was_measured() -> None:
    title, hit, missed = _printed(
        report.targets(
            [
                _rounds(_measured(1, [1.0])),
                _rounds(_measured(1, [1.0]), name="health"),
                _rounds(_measured(1, [1.0], failed=1)),
            ],
            Pace(1.0, 2.0, 4.0),
        )
    )
    assert title.split()[-7:] == ["most", "measured", "holds", "at", "the", "pace", "there"]
    assert hit.split() == ["get", "all", "1,300", "400", "yes", "200", "(100-400)"]
    assert missed.split()[-3:] == ["NO", "200", "(100-400)"]


def test_a_table_of_nothing_is_a_table() -> None:
    assert report.table([]).row_count == 0
    assert report.targets([], None).row_count == 0
    _, alone = _printed(report.targets([_rounds(_measured(1, [1.0]))], None))
    assert alone.split()[-1] == report.NOTHING


def test_sessions_are_told_with_how_many_a_core_serves() -> None:
    tally = Tally(10, notes={"sessions": 5_000.0, "edge KiB/session": 47.0})
    one = Measured("sessions-5000", "batch", tally, 1.0, {"edge": 1_000.0, "training": 4_000.0})
    found = Rounds("sessions-5000", "batch", "Live", [one])
    told = "sessions-5000: sessions 5,000, edge KiB/session 47.0, sessions per core 10,000"
    assert report.notes([found, _rounds(_measured(1, [1.0]))]) == [told]
