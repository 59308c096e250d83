"""`python -m tests.load [--seconds N] [--rounds N] [--only NAME …] …`; `make bench` runs it."""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import grpc
import uvloop
from rich.console import Console

from tests.load import (
    http1,
    limits,
    machine,
    measure,
    noise,
    pace,
    peers,
    picture,
    report,
    requests,
    world,
)
from tests.load.figures import Measured, Rounds
from tests.load.scenarios import SCENARIOS, START, Scenario
from tests.load.session import Refused
from tests.support.whole_stack import WholeStack, whole_stack

LONGEST_S = 60.0
MOST_ROUNDS = 20
WIDTH = 180
OUT = Path("build/bench")
_NAMES = ("start", *(each.name for each in SCENARIOS))


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.5 <= value <= LONGEST_S:
        raise argparse.ArgumentTypeError(f"give 0.5 to {LONGEST_S:.0f}")
    return value


def _rounds(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MOST_ROUNDS:
        raise argparse.ArgumentTypeError(f"give 1 to {MOST_ROUNDS}")
    return value


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser("tests.load", description="What a request costs.")
    parser.add_argument("--seconds", type=_seconds, default=3.0, help="of a scenario in a round")
    parser.add_argument("--rounds", type=_rounds, default=3, help="of all scenarios in turn")
    parser.add_argument("--only", nargs="+", choices=_NAMES, default=_NAMES, metavar="NAME")
    parser.add_argument("--light", action="store_true", help="without the thousands")
    parser.add_argument("--json", type=Path, default=OUT / "figures.json", metavar="FILE")
    parser.add_argument("--svg", type=Path, default=OUT / "figures.svg", metavar="FILE")
    parser.add_argument("--assert", action="store_true", help="fail where a target is missed")
    return parser.parse_args(argv)


async def _run(
    stack: WholeStack, chosen: Sequence[Scenario], asked: argparse.Namespace, console: Console
) -> tuple[dict[str, Any], list[Rounds]]:
    described = machine.describe(stack)
    found = await world.prepare(stack)
    await requests.check_hour(found, world.HOUR_S)
    forms = list(dict.fromkeys(each.peer for each in chosen if each.peer))
    async with peers.beside(found, forms) as found:
        return await _measure_all(found, described, chosen, asked, console)


async def _measure_all(
    found: world.World,
    described: dict[str, Any],
    chosen: Sequence[Scenario],
    asked: argparse.Namespace,
    console: Console,
) -> tuple[dict[str, Any], list[Rounds]]:
    measured: dict[str, list[Measured]] = {each.name: [] for each in chosen}
    references = []
    # Round by round, so that a busy minute of the machine does not fall on one scenario only.
    for number in range(asked.rounds):
        for scenario in chosen:
            if number and scenario.heavy:
                continue
            console.print(f"{number + 1}/{asked.rounds} {scenario.name} …", style="dim")
            references.append(noise.reference_us())
            try:
                one = await measure.measure(found, scenario, asked.seconds)
            except (Refused, grpc.RpcError, OSError, EOFError, http1.NotUnderstood) as error:
                console.print(f"{scenario.name}: {error}", style="red", highlight=False)
                one = measure.broken(scenario)
            measured[scenario.name].append(one)
    described |= machine.noise(references, [each for some in measured.values() for each in some])
    return described, [
        Rounds(each.name, each.unit, each.panel, measured[each.name]) for each in chosen
    ]


def _end(_number: int, _frame: object) -> NoReturn:
    # So that the stack is stopped and its folder removed.
    raise SystemExit("ended")


def main(argv: Sequence[str]) -> int:
    """Starts a stack, measures, prints, draws; the exit status."""
    asked = arguments(argv)
    signal.signal(signal.SIGTERM, _end)
    _open_files()
    progress = Console(stderr=True)
    chosen = [
        each for each in SCENARIOS if each.name in asked.only and not (asked.light and each.heavy)
    ]
    started: list[Measured] = []
    described: dict[str, Any] = {}
    measured: list[Rounds] = []
    # A stack for each round of starting one; the last of them is loaded.
    for number in range(asked.rounds if "start" in asked.only else 1):
        begun = time.perf_counter()
        with whole_stack({}, limits.raised(), on_disk=True) as stack:
            progress.print(f"{number + 1}/{asked.rounds} start …", style="dim")
            started.append(measure.start(stack, time.perf_counter() - begun))
            if number == asked.rounds - 1 or "start" not in asked.only:
                described, measured = uvloop.run(_run(stack, chosen, asked, progress))
    if "start" in asked.only:
        measured.append(Rounds("start", "start", START, started))
    _tell(asked, described, measured)
    missed = [each.name for each in measured if each.hit is False or each.failed]
    return 1 if getattr(asked, "assert") and missed else 0


def _open_files() -> None:
    """Thousands of streams and watchers: as many files as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _tell(asked: argparse.Namespace, described: dict[str, Any], measured: list[Rounds]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    paced = pace.of(measured, described["reference_us"]["median"])
    console.print(report.table(measured))
    console.print()
    console.print(report.targets(measured, paced))
    for line in [*report.notes(measured), *machine.words(described), *pace.words(paced)]:
        console.print(line, style="dim", highlight=False)
    settings = {"seconds": asked.seconds, "rounds": asked.rounds}
    title = f"Palestra {described['commit']}: CPU of every process, by what it was used for"
    for path, content in (
        (
            asked.json,
            json.dumps(report.document(described, settings, paced, measured), indent=2) + "\n",
        ),
        (asked.svg, picture.draw(measured, title, machine.words(described)[0])),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        console.print(f"written to {path}", style="dim")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
