"""The figures for people, as a table, and for programs, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from rich.table import Table

from tests.load.figures import Rounds
from tests.load.pace import Pace
from tests.load.targets import sessions_per_core

NOTHING = "–"
SCHEMA = 3


_ALONE = ("edge", "node", "identity", "integration", "training", "postgres", "redis", "peer")


def table(measured: Sequence[Rounds]) -> Table:
    """A row for each scenario: rate, times as the client sees them, CPU µs by process."""
    shown = _empty()
    shown.add_column("one", no_wrap=True)
    seen = {group for each in measured for group in each.rounds[0].cpu_us}
    alone = [group for group in _ALONE if group in seen]
    for title in ("per s", "p50 ms", "p99 ms", "failed", *alone, "rest", "all", "±%", "least"):
        shown.add_column(title, justify="right", no_wrap=True)
    for each in measured:
        costs = each.per_unit_us()
        totals = each.in_all_us()
        shown.add_row(
            each.name,
            each.unit,
            number(each.per_s),
            *(number(each.latency_ms(percent)) for percent in (50, 99)),
            str(each.failed),
            *(number(None if costs is None else costs.get(group, 0.0)) for group in alone),
            number(_rest(costs)),
            f"[bold]{number(median(totals) if totals else None)}[/]",
            number(each.spread_percent),
            number(min(totals) if totals else None),
        )
    return shown


def _empty() -> Table:
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("scenario", no_wrap=True)
    return shown


def _rest(costs: Mapping[str, float] | None) -> float | None:
    if costs is None:
        return None
    return sum(us for group, us in costs.items() if group not in _ALONE)


def targets(measured: Sequence[Rounds], pace: Pace | None) -> Table:
    """A row for each target: what was measured, whether it holds, and what would have been
    measured on the machine on which they were held: in the middle, and from … to.
    """
    shown = _empty()
    shown.add_column("CPU µs of", no_wrap=True)
    for title in ("at most", "measured", "holds", "at the pace there"):
        shown.add_column(title, justify="right", no_wrap=True)
    for each in measured:
        if (target := each.target) is not None:
            verdict = "[green]yes[/]" if each.hit else "[red]NO[/]"
            shown.add_row(
                each.name,
                target.words,
                number(target.most_us),
                number(each.held),
                verdict,
                _there(each.held, pace),
            )
    return shown


def _there(held_us: float | None, pace: Pace | None) -> str:
    if held_us is None or pace is None:
        return NOTHING
    middle, least, most = map(number, pace.there(held_us))
    return f"{middle} ({least}-{most})"


def notes(measured: Sequence[Rounds]) -> list[str]:
    """A line for each scenario that saw more than its CPU."""
    return [
        f"{each.name}: " + ", ".join(f"{name} {number(value)}" for name, value in found.items())
        for each in measured
        if (found := _seen(each))
    ]


def _seen(each: Rounds) -> dict[str, float]:
    found = each.notes()
    if "sessions" in found and each.held:
        found["sessions per core"] = sessions_per_core(each.held)
    return found


def number(value: float | None) -> str:
    """To three digits or so."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def document(
    machine: Mapping[str, Any],
    settings: Mapping[str, Any],
    pace: Pace | None,
    measured: Sequence[Rounds],
) -> dict[str, Any]:
    """`{"schema", "machine", "settings", "pace", "scenarios"}`; times in ms, CPU in µs for one
    unit, the pace in times of what the same costs where the targets were held.
    """
    return {
        "schema": SCHEMA,
        "machine": dict(machine),
        "settings": dict(settings),
        "pace": pace and pace._asdict(),
        "scenarios": [_entry(each) for each in measured],
    }


def _entry(each: Rounds) -> dict[str, Any]:
    totals = each.in_all_us()
    target = each.target
    return {
        "name": each.name,
        "unit": each.unit,
        "panel": each.panel,
        "units": each.units,
        "failed": each.failed,
        "elapsed_s": [round(measured.elapsed_s, 3) for measured in each.rounds],
        "per_s": round(each.per_s, 2),
        "p50_ms": each.latency_ms(50),
        "p99_ms": each.latency_ms(99),
        "cpu_us_per_unit": each.per_unit_us(),
        "cpu_us_per_unit_in_all": median(totals) if totals else None,
        "cpu_us_per_unit_in_all_by_round": totals,
        "spread_percent": each.spread_percent,
        "others_cores": [round(measured.noise.others_cores, 2) for measured in each.rounds],
        "stolen_cores": [round(measured.noise.stolen_cores, 2) for measured in each.rounds],
        "notes": _seen(each),
        "target": None
        if target is None
        else {
            "most_us": target.most_us,
            "of": target.words,
            "value_us": each.held,
            "hit": each.hit,
        },
    }
