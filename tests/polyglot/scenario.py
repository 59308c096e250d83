"""The conformance scenario: what it expects of a client, and how a client's lines differ.

Owns the reading of `scenario.json`. Knows no language and runs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Line = Mapping[str, Any]
_SCENARIO = Path(__file__).parent / "scenario.json"
_KNOWN = re.compile(r"\$\{(\w+)\}")


def scenario() -> dict[str, Any]:
    """The scenario as it is written."""
    written: dict[str, Any] = json.loads(_SCENARIO.read_text())
    return written


def expected(known: Mapping[str, object], lacks: Collection[str] = ()) -> list[Line]:
    """A line for each step that a transport with these lacks does, with what is known put in.

    Raises:
        KeyError: the scenario names something that is not known.
    """
    return [
        {
            "step": each["step"],
            **{key: _with(known, value) for key, value in each["expect"].items()},
        }
        for each in scenario()["steps"]
        if each.get("needs") not in lacks
    ]


def _with(known: Mapping[str, object], value: object) -> object:
    named = _KNOWN.fullmatch(value) if isinstance(value, str) else None
    return known[named[1]] if named else value


def differences(wanted: Sequence[Line], told: Sequence[Line]) -> list[str]:
    """What was told otherwise than wanted, in words; none where all is as it should be."""
    steps = [each["step"] for each in wanted], [each.get("step") for each in told]
    if steps[0] != steps[1]:
        return [f"the steps are {steps[1]}, not {steps[0]}"]
    return [words for pair in zip(wanted, told, strict=True) for words in _of_step(*pair)]


def _of_step(wanted: Line, told: Line) -> Iterator[str]:
    step = wanted["step"]
    if told.keys() != wanted.keys():
        yield f"{step}: has {sorted(told)}, not {sorted(wanted)}"
        return
    for key, value in wanted.items():
        if not _fits(value, told[key]):
            yield f"{step}: {key} is {told[key]!r}, not {value!r}"


def _fits(wanted: object, told: object) -> bool:
    if isinstance(wanted, dict) and wanted.keys() == {"matches"}:
        return isinstance(told, str) and re.fullmatch(wanted["matches"], told) is not None
    if isinstance(wanted, dict) and wanted.keys() == {"from", "to"}:
        # `True` is a number to Python alone.
        number = isinstance(told, int | float) and not isinstance(told, bool)
        return number and wanted["from"] <= told <= wanted["to"]
    return wanted == told and isinstance(wanted, bool) == isinstance(told, bool)
