"""What of an activity others are given: a function of what they may see, and of nothing else.

Owns the channels that are shown, the closing up of what is cut, and the figures of the rest.
What is hidden takes no time and no distance: else its length would tell how far the door is
from the first point that is shown. Figures of a track that was cut are computed anew from
what is left, by the formulas of the whole (`shown/1`: its stretches joined end to end).

Two activities that differ only in what is hidden give the same: the tests hold it to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.training.activities.rules.sports import Sport
from services.training.activities.rules.summary import Summary, summarise
from services.training.activities.rules.track import Floats
from services.training.sharing.rules.zones import HIDDEN, Circle, fixes, parts

LATITUDE: Final = "LATITUDE"
LONGITUDE: Final = "LONGITUDE"
PLACES: Final = frozenset({LATITUDE, LONGITUDE})
CHANNELS: Final = PLACES | {"ALTITUDE", "DISTANCE", "SPEED", "CADENCE", "POWER", "TEMPERATURE"}
"""What others may see. What his heart did is its owner's, and so is whatever we do not know."""
FORMULA: Final = "+shown/1"
STEP_MS: Final = 1_000
"""From the last sample of a stretch to the first of the next."""
_FAR_MS: Final = 4_000_000
"""For the formulas: so long a silence that none of them reads a way or a speed into it."""
START_GRAIN_MS: Final = 15 * 60 * 1000


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """The samples that others see, in order; `time_ms` since the first of them."""

    time_ms: NDArray[np.int64]
    columns: Mapping[str, Floats]
    parts: NDArray[np.int32]
    cut: bool
    """Whether anything was hidden."""


def about_when(start_ms: int) -> int:
    """When an activity began, as others are told: the quarter of an hour."""
    return start_ms // START_GRAIN_MS * START_GRAIN_MS


def has_places(channels: Sequence[str]) -> bool:
    """Whether there is anything that zones could hide."""
    return PLACES.issubset(channels)


def shown(
    time_ms: NDArray[np.int64], columns: Mapping[str, Floats], circles: Sequence[Circle]
) -> Shown:
    """What others see of samples; `columns` with both coordinates or with none."""
    columns = {name: values for name, values in columns.items() if name in CHANNELS}
    placed = has_places(list(columns))
    if not placed:
        columns = {name: values for name, values in columns.items() if name not in PLACES}
    if not placed or not circles or not fixes(columns[LATITUDE], columns[LONGITUDE]).any():
        found = np.zeros(len(time_ms), dtype=np.int32)
    else:
        found = parts(time_ms, columns[LATITUDE], columns[LONGITUDE], circles)
    kept = found != HIDDEN
    cut = not bool(kept.all()) or bool((np.diff(found) != 0).any())
    left = {name: values[kept] for name, values in columns.items()}
    if placed:
        # Half a position is still one.
        known = fixes(left[LATITUDE], left[LONGITUDE])
        for name in PLACES:
            left[name] = np.where(known, left[name], np.nan)
    found = found[kept]
    if "DISTANCE" in left:
        left["DISTANCE"] = _closed_distance(left["DISTANCE"], found)
    return Shown(_closed(time_ms[kept], found, STEP_MS), left, found, cut)


def summary(of: Shown, sport: Sport) -> Summary:
    """The figures of what is shown of a track that was cut."""
    if not len(of.time_ms):
        return Summary(formula=Summary().formula + FORMULA)
    apart_ms = _closed(of.time_ms, of.parts, _FAR_MS)
    made = summarise(apart_ms, of.columns, sport)
    apart_s = np.maximum.accumulate(apart_ms) / 1000
    joined_s = np.maximum.accumulate(of.time_ms) / 1000

    def joined(at_s: float) -> float:
        return float(np.interp(at_s, apart_s, joined_s))

    return replace(
        made,
        elapsed_s=float(joined_s[-1]),
        moving_s=min(made.moving_s or 0.0, float(joined_s[-1])),
        best_efforts=tuple(
            replace(each, start_offset_s=joined(each.start_offset_s))
            for each in made.best_efforts
            if each.duration_s * 1000 < _FAR_MS - STEP_MS
        ),
        laps=tuple(
            replace(
                each,
                start_offset_s=joined(each.start_offset_s),
                elapsed_s=joined(each.start_offset_s + each.elapsed_s)
                - joined(each.start_offset_s),
            )
            for each in made.laps
        ),
        formula=made.formula + FORMULA,
    )


def _starts(of: NDArray[np.int32]) -> NDArray[np.intp]:
    """Where each stretch begins."""
    return np.flatnonzero(np.diff(of, prepend=HIDDEN))


def _closed(time_ms: NDArray[np.int64], of: NDArray[np.int32], step_ms: int) -> NDArray[np.int64]:
    """Times since the first sample, each stretch `step_ms` after the one before."""
    if not len(time_ms):
        return time_ms
    starts = _starts(of)
    number = np.cumsum(np.diff(of, prepend=HIDDEN) != 0) - 1
    since = time_ms - time_ms[starts][number]
    longest = np.maximum.reduceat(since, starts)
    offsets = np.concatenate(([0], np.cumsum(longest + step_ms)))[:-1].astype(np.int64)
    closed: NDArray[np.int64] = since + offsets[number]
    return closed


def _closed_distance(metres: Floats, of: NDArray[np.int32]) -> Floats:
    """The distance of what is shown: from 0, and no further where something is hidden."""
    known = np.flatnonzero(np.isfinite(metres))
    if not len(known):
        return metres
    starts = _starts(of[known])
    values = metres[known]
    ends = np.concatenate((starts[1:], [len(known)])) - 1
    gained = values[ends] - values[starts]
    base = np.concatenate(([0.0], np.cumsum(gained)[:-1])) - values[starts]
    number = np.cumsum(np.diff(of[known], prepend=HIDDEN) != 0) - 1
    closed = np.full(len(metres), np.nan)
    # To the centimetre: what floating point leaves behind it is of the distance that is hidden.
    closed[known] = np.round(values + base[number], 2)
    return closed
