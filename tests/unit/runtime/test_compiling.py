"""What dataclasses compile is kept for the next start, and is never something else."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mesh import compiling

_START = """
import builtins, dataclasses, sys
from mesh import compiling
compiling.place = lambda program: __import__("pathlib").Path(sys.argv[1])
seen = []
as_ever = builtins.compile
def counted(text, *rest, **more):
    seen.append(text)
    return as_ever(text, *rest, **more)
builtins.compile = counted
with compiling.once("a program"):
    @dataclasses.dataclass(frozen=True, slots=True)
    class Point:
        x: int
        y: int = 2
assert "exec" not in vars(dataclasses)
point = Point(1)
assert (point, repr(point)) == (Point(1, 2), "Point(x=1, y=2)")
assert hash(point) == hash(Point(1)) and point != Point(3)
try:
    point.x = 5
except dataclasses.FrozenInstanceError:
    print(len([text for text in seen if "__create_fn__" in text or "__dataclass_" in text]))
"""


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., int]:
    """Starts a program; how much was compiled for its dataclass."""

    def run(*options: str) -> int:
        command = [sys.executable, *options, "-c", _START, str(tmp_path / "kept")]
        env = {name: each for name, each in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            command, check=True, timeout=60, capture_output=True, text=True, env=env
        )
        return int(done.stdout)

    return run


def test_the_second_start_compiles_nothing(start: Callable[..., int]) -> None:
    assert start() > 0
    assert start() == 0


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 400])
def test_what_is_damaged_is_made_anew(
    start: Callable[..., int], tmp_path: Path, damage: bytes
) -> None:
    first = start()
    (tmp_path / "kept").write_bytes(damage)
    assert start() == first
    assert start() == 0


def test_who_wants_no_bytecode_written_gets_none(start: Callable[..., int], tmp_path: Path) -> None:
    assert start("-B") == start("-B") > 0
    assert not (tmp_path / "kept").exists()


def test_an_error_in_the_block_leaves_dataclasses_as_they_were(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compiling, "place", lambda _: tmp_path / "kept")
    with pytest.raises(ZeroDivisionError), compiling.once("a program"):
        _ = 1 / 0
    assert "exec" not in vars(dataclasses)
    assert not (tmp_path / "kept").exists()
