"""The figures for people, as a table, and for programs, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from tests.load.figures import Measured, percentile

NOTHING = "–"


def table(measured: Sequence[Measured]) -> Table:
    """A row for each scenario: rate, times as the client sees them, CPU µs by group."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("scenario", no_wrap=True)
    shown.add_column("one")
    groups = list(measured[0].cpu_us) if measured else []
    for title in ("per s", "p50 ms", "p99 ms", "failed", *groups, "all"):
        shown.add_column(title, justify="right")
    for each in measured:
        costs = each.per_unit_us() or {}
        shown.add_row(
            each.name,
            each.unit,
            _number(each.per_s),
            *(_number(percentile(each.tally.latencies_ms, percent)) for percent in (50, 99)),
            str(each.tally.failed),
            *(_number(costs.get(group)) for group in groups),
            f"[bold]{_number(each.in_all_us())}[/]",
        )
    return shown


def _number(value: float | None) -> str:
    if value is None:
        return NOTHING
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def document(machine: Mapping[str, Any], measured: Sequence[Measured]) -> dict[str, Any]:
    """`{"machine": …, "scenarios": […]}`; times in ms, CPU in µs for one unit."""
    return {"machine": dict(machine), "scenarios": [_entry(each) for each in measured]}


def _entry(each: Measured) -> dict[str, Any]:
    return {
        "name": each.name,
        "unit": each.unit,
        "units": each.tally.units,
        "failed": each.tally.failed,
        "elapsed_s": round(each.elapsed_s, 3),
        "per_s": round(each.per_s, 2),
        "p50_ms": percentile(each.tally.latencies_ms, 50),
        "p99_ms": percentile(each.tally.latencies_ms, 99),
        "cpu_us_per_unit": each.per_unit_us(),
        "cpu_us_per_unit_in_all": each.in_all_us(),
    }
