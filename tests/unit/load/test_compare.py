"""Two commits side by side: when a difference is one."""

from __future__ import annotations

import subprocess

import pytest
from rich.console import Console

from tests.load import compare
from tests.load.compare import Ratio, ratio


def test_the_ratio_is_of_the_middles_with_the_extremes_of_all_pairs() -> None:
    found = ratio([100.0, 110.0, 90.0], [50.0, 60.0, 55.0])
    assert found is not None
    assert found == (0.55, 50 / 110, 60 / 90)
    assert found.is_clear


@pytest.mark.parametrize(
    ("found", "clear"),
    [
        (Ratio(0.9, 0.8, 0.99), True),
        (Ratio(1.1, 1.01, 1.2), True),
        (Ratio(0.9, 0.8, 1.0), False),
        (Ratio(1.0, 1.0, 1.0), False),
        (Ratio(1.1, 0.99, 1.2), False),
    ],
)
def test_a_difference_counts_where_no_pair_of_rounds_contradicts_it(
    found: Ratio, clear: bool
) -> None:
    assert found.is_clear is clear


@pytest.mark.parametrize(("first", "second"), [([], [1.0]), ([1.0], []), ([0.0], [1.0])])
def test_where_one_has_no_figure_there_is_no_ratio(first: list[float], second: list[float]) -> None:
    assert ratio(first, second) is None


def test_the_table_says_which_is_cheaper_and_what_is_noise() -> None:
    first = {"get": [100.0, 102.0], "list-20": [100.0, 120.0], "gone": [1.0], "streams": [10.0]}
    second = {"get": [50.0, 51.0], "list-20": [110.0, 105.0], "streams": [20.0]}
    console = Console(width=120)
    with console.capture() as captured:
        console.print(compare.table(first, second))
    _, get, listed, gone, streams = captured.get().splitlines()
    assert get.split()[-1] == "cheaper"
    assert listed.endswith("within the noise")
    assert gone.endswith("no figure")
    assert streams.split()[-1] == "dearer"


def test_what_is_no_commit_is_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("it was measured")

    monkeypatch.setattr(compare, "_turn", never)
    assert compare.main(["no-such-commit", "HEAD"]) == 1
    with pytest.raises(subprocess.CalledProcessError):
        compare.checkout("no-such-commit", own_load=False)


def test_the_environment_of_a_checkout_is_not_this_one_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")
    monkeypatch.setenv("LANG", "C")
    found = compare._environment()
    assert "VIRTUAL_ENV" not in found
    assert found["LANG"] == "C"
