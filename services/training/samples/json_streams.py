"""The samples as JSON, for `DownloadActivityStreams`.

Owns the text. Decides how a number is printed: rounded to the decimals that its channel
was measured with, null for a gap. Kept out of the rules because orjson writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from services.training.samples.rules.streams import Floats, Streams


def streams_json(streams: Streams, decimals: Mapping[str, int]) -> bytes:
    """`{"timeMs": […], "channels": {"HEART_RATE": […]}}` in UTF-8; `cuts` where there may be any.

    `decimals` per channel; a channel that it does not name is printed exactly. 8 by 3,600
    points take about 0.5 ms.
    """
    # Rounding multiplies first, which overflows for the largest doubles.
    with np.errstate(over="ignore", invalid="ignore"):
        channels = {
            name: _printable(values, decimals.get(name))
            for name, values in streams.channels.items()
        }
    document: dict[str, Any] = {
        "timeMs": np.ascontiguousarray(streams.time_ms),
        "channels": channels,
    }
    if streams.cuts is not None:
        document["cuts"] = streams.cuts
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def _printable(values: Floats, decimals: int | None) -> Any:
    """What orjson prints without noise; it prints NaN as null."""
    if decimals is None:
        return np.ascontiguousarray(values)
    rounded = np.round(values, decimals)
    finite = np.isfinite(rounded)
    if not finite.all():
        rounded = np.where(finite, rounded, values)
        finite = np.isfinite(rounded)
    if decimals > 0:
        return rounded
    known = finite & (np.abs(rounded) < 2**53)
    if known.all():
        return rounded.astype(np.int64)
    listed: list[int | None] = np.where(known, rounded, 0.0).astype(np.int64).tolist()
    for gap in np.flatnonzero(~known).tolist():
        listed[gap] = None
    return listed
