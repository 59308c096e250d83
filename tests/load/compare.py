"""`python -m tests.load.compare A B`: two commits in turn, and the ratio; `make bench-compare`.

Owns the checkouts, each with an environment of its own, under build/bench/commits. The load
is this checkout's for both, so that only the product differs; `--own-load` takes each
commit's own. Runs A, B, A, B …, so that a busy minute of the machine falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from tests.load.report import NOTHING, number
from tests.load.scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parents[2]
COMMITS = ROOT / "build" / "bench" / "commits"
MOST_TURNS = 20
_LAID_OVER = ("tests/load", "tests/support")
_NAMES = tuple(each.name for each in SCENARIOS if not each.heavy and not each.peer)
_LIGHT = ("get", "list-20", "list-50", "list-50-grpc", "streams-1000", "ingest-100")


class Ratio(NamedTuple):
    """What B costs of A, by the rounds of both."""

    middle: float
    least: float
    most: float

    @property
    def is_clear(self) -> bool:
        """Whether every round of one lies on the same side of every round of the other."""
        return self.least > 1 or self.most < 1


def ratio(first: Sequence[float], second: Sequence[float]) -> Ratio | None:
    """Of two commits' rounds; least and most are those of any pair. None where one has none."""
    if not first or not second or min(first) <= 0:
        return None
    return Ratio(median(second) / median(first), min(second) / max(first), max(second) / min(first))


def table(first: Mapping[str, list[float]], second: Mapping[str, list[float]]) -> Table:
    """A row for each scenario: CPU µs of both, and their ratio."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("scenario", no_wrap=True)
    for title in ("A µs", "B µs", "B / A", "of all pairs", ""):
        shown.add_column(title, justify="right", no_wrap=True)
    for name in first:
        found = ratio(first[name], second.get(name, []))
        if found is None:
            shown.add_row(name, NOTHING, NOTHING, NOTHING, NOTHING, "no figure")
            continue
        verdict = "" if not found.is_clear else "[red]dearer[/]"
        if found.is_clear and found.most < 1:
            verdict = "[green]cheaper[/]"
        shown.add_row(
            name,
            number(median(first[name])),
            number(median(second[name])),
            f"{found.middle:.3f}",
            f"{found.least:.3f} … {found.most:.3f}",
            verdict or "within the noise",
        )
    return shown


def checkout(commit: str, *, own_load: bool) -> Path:
    """A working copy of a commit with its environment; made, or brought up to date.

    Raises:
        subprocess.CalledProcessError: there is no such commit, or it cannot be set up.
    """
    told = _git("rev-parse", "--verify", f"{commit}^{{commit}}")
    place = COMMITS / told[:12]
    if not (place / ".git").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", "--force", str(place), told)
    _git("-C", str(place), "checkout", "--quiet", "--force", told)
    _git("-C", str(place), "clean", "--quiet", "-fd")
    if not own_load:
        for name in _LAID_OVER:
            shutil.rmtree(place / name, ignore_errors=True)
            shutil.copytree(ROOT / name, place / name)
    subprocess.run(("sh", "scripts/bootstrap.sh"), cwd=place, env=_environment(), check=True)
    return place


def _git(*arguments: str) -> str:
    told = subprocess.run(
        ("git", *arguments), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return told.stdout.strip()


def _environment() -> dict[str, str]:
    """Without what makes this checkout's environment the one that is used."""
    left_out = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "MAKEFLAGS")
    return {name: value for name, value in os.environ.items() if name not in left_out}


def _turn(place: Path, asked: argparse.Namespace) -> dict[str, float | None]:
    """One stack of a commit, from start to end; CPU µs in all by scenario."""
    figures, picture = place / "build" / "turn.json", place / "build" / "turn.svg"
    figures.unlink(missing_ok=True)
    subprocess.run(
        (
            *(str(place / ".venv" / "bin" / "python"), "-m", "tests.load"),
            *("--seconds", str(asked.seconds), "--rounds", "1"),
            *("--json", str(figures), "--svg", str(picture)),
            *("--only", *asked.only),
        ),
        cwd=place,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    told: dict[str, Any] = json.loads(figures.read_text())
    return {each["name"]: each["cpu_us_per_unit_in_all"] for each in told["scenarios"]}


def _turns(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MOST_TURNS:
        raise argparse.ArgumentTypeError(f"give 1 to {MOST_TURNS}")
    return value


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser("tests.load.compare", description="Two commits in turn.")
    parser.add_argument("a", metavar="A", help="a commit, as git names it")
    parser.add_argument("b", metavar="B", help="another, or the same: that shows the noise")
    parser.add_argument("--turns", type=_turns, default=3, help="of each commit")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a scenario in a turn")
    parser.add_argument("--only", nargs="+", choices=_NAMES, default=_LIGHT, metavar="NAME")
    parser.add_argument("--own-load", action="store_true", help="each commit's own tests/load")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Checks out, measures in turn, prints; the exit status."""
    asked = arguments(argv)
    progress = Console(stderr=True)
    try:
        places = [checkout(each, own_load=asked.own_load) for each in (asked.a, asked.b)]
        found: tuple[dict[str, list[float]], ...] = ({}, {})
        for turn in range(asked.turns):
            for letter, place, figures in zip("AB", places, found, strict=True):
                progress.print(f"turn {turn + 1} of {asked.turns}: {letter} {place.name}")
                for name, us in _turn(place, asked).items():
                    figures.setdefault(name, []).extend([] if us is None else [us])
    except subprocess.CalledProcessError as error:
        progress.print(f"{error.cmd[0]} ended with {error.returncode}", style="red")
        return 1
    console = Console() if sys.stdout.isatty() else Console(width=120)
    console.print(f"A is {asked.a} ({places[0].name}), B is {asked.b} ({places[1].name})")
    console.print(table(*found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
