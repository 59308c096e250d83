"""`python -m tests.load [--seconds N] [--json FILE] [--only NAME …]`; `make bench` runs it."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import uvloop
from rich.console import Console

from tests.load import limits, machine, measure, report, requests, world
from tests.load.figures import Measured
from tests.load.scenarios import SCENARIOS, Scenario
from tests.support.whole_stack import WholeStack, whole_stack

LONGEST_S = 60.0
WIDTH = 190


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"give 0.5 to {LONGEST_S:.0f}")
    return value


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    names = [each.name for each in SCENARIOS]
    parser = argparse.ArgumentParser("tests.load", description="What a request costs.")
    parser.add_argument("--seconds", type=_seconds, default=3.0, help="for each scenario")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    return parser.parse_args(argv)


async def _run(
    stack: WholeStack, chosen: Sequence[Scenario], seconds: float, console: Console
) -> tuple[dict[str, Any], list[Measured]]:
    described = machine.describe(stack)
    found = await world.prepare(stack)
    await requests.check_hour(found, world.HOUR_S)
    measured = []
    for scenario in chosen:
        console.print(f"{scenario.name} …", style="dim")
        measured.append(await measure.measure(found, scenario, seconds))
    return described, measured


def _end(_number: int, _frame: object) -> NoReturn:
    # So that the stack is stopped and its folder removed.
    raise SystemExit("ended")


def main(argv: Sequence[str]) -> None:
    """Starts a stack, measures, prints."""
    chosen = _arguments(argv)
    signal.signal(signal.SIGTERM, _end)
    progress = Console(stderr=True)
    scenarios = [each for each in SCENARIOS if each.name in chosen.only]
    with whole_stack({}, limits.raised()) as stack:
        described, measured = uvloop.run(_run(stack, scenarios, chosen.seconds, progress))
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    console.print(report.table(measured))
    console.print(
        f"CPU in µs for one of each kind, in the stack's processes; {described['cores']} cores of "
        f"{described['model']}, load {described['load_average_before'][0]} before.",
        style="dim",
    )
    if chosen.json:
        document = report.document(described, measured)
        chosen.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
