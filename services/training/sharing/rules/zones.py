"""Which samples of a track others may see, by the circles that its owner hides.

Owns the cutting. A sample is shown where its position is outside all circles. One without a
position is shown only between two positions that are shown and little apart in time: where
somebody was before his receiver had a fix, or while it had none, is not known to be outside.
For the same reason a longer silence cuts the track in two, whatever was recorded in it.

Never moves a position, and never decides who is shown a track at all.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.training.activities.rules.distance import haversine_m
from services.training.activities.rules.track import Floats

LONGEST_SILENCE_MS: Final = 60_000
HIDDEN: Final = -1
"""The part of a sample that is not shown."""


class Circle(NamedTuple):
    """What lies within a distance of a place; degrees are WGS 84."""

    latitude_deg: float
    longitude_deg: float
    radius_m: float


def digest(circles: Sequence[Circle]) -> bytes:
    """Tells one set of circles from another, whatever their order; empty for none."""
    if not circles:
        return b""
    packed = b"".join(struct.pack("<ddd", *each) for each in sorted(circles))
    return hashlib.sha256(packed).digest()[:16]


def fixes(latitude: Floats, longitude: Floats) -> NDArray[np.bool_]:
    """Which samples have a position. Exactly 0°, 0° is what receivers without one report."""
    with np.errstate(invalid="ignore"):
        on_earth = (np.abs(latitude) <= 90.0) & (np.abs(longitude) <= 180.0)
    found: NDArray[np.bool_] = on_earth & ((latitude != 0.0) | (longitude != 0.0))
    return found


def parts(
    time_ms: NDArray[np.int64], latitude: Floats, longitude: Floats, circles: Sequence[Circle]
) -> NDArray[np.int32]:
    """For each sample the stretch, from 0, in which it is shown; HIDDEN where it is not.

    The samples of one stretch follow one another; between two stretches something is hidden.
    """
    count = len(time_ms)
    known = np.flatnonzero(fixes(latitude, longitude))
    if not len(known):
        # It has nowhere been, as far as anybody knows.
        return np.full(count, HIDDEN, dtype=np.int32)
    outside = ~_inside(latitude[known], longitude[known], circles)
    joined = outside[:-1] & outside[1:]
    joined &= np.abs(np.diff(time_ms[known])) <= LONGEST_SILENCE_MS
    # Which positions each sample lies between; the same one twice where it is one itself.
    before = np.searchsorted(known, np.arange(count), side="right") - 1
    after = np.searchsorted(known, np.arange(count), side="left")
    between = (before >= 0) & (after < len(known))
    is_fix = between & (before == after)
    shown = np.zeros(count, dtype=np.bool_)
    shown[known] = outside
    gaps = np.flatnonzero(between & ~is_fix)
    shown[gaps] = joined[before[gaps]]
    # A position begins a stretch where it is not joined to the one before it.
    stretch = np.cumsum(outside & np.concatenate(([True], ~joined))) - 1
    found = np.full(count, HIDDEN, dtype=np.int32)
    found[shown] = stretch[before[shown]]
    return found


def _inside(latitude: Floats, longitude: Floats, circles: Sequence[Circle]) -> NDArray[np.bool_]:
    inside = np.zeros(len(latitude), dtype=np.bool_)
    for circle in circles:
        middle = np.full(1, circle.latitude_deg), np.full(1, circle.longitude_deg)
        inside |= haversine_m(latitude, longitude, *middle) <= circle.radius_m
    return inside
