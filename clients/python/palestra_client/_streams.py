"""Packed columns -> numpy arrays.

Owns the check that the columns fit together. Computes nothing from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from palestra.training.v1 import activity_service_pb2
from palestra_client._errors import ServerError


@dataclass(frozen=True, slots=True)
class Streams:
    """The samples of an activity, one array for each channel, all of one length."""

    start_time_ms: int
    """The start of the activity by the device's clock, in ms since 1970."""
    time_ms: npt.NDArray[np.int64]
    """ms since the start, for each point."""
    channels: Mapping[str, npt.NDArray[np.float64]]
    """By channel name; NaN where nothing was measured."""
    units: Mapping[str, str]
    """By channel name."""


def streams_of(response: activity_service_pb2.GetActivityStreamsResponse) -> Streams:
    """The response's columns as read-only arrays over its bytes.

    Raises:
        ServerError: the columns disagree in length.
    """
    points, rest = divmod(len(response.time_ms), 8)
    wrong = [each.channel for each in response.columns if len(each.values) != 8 * points]
    if rest or wrong:
        raise ServerError(f"the server's columns disagree in length: {wrong or 'time'}")
    return Streams(
        start_time_ms=response.start_time_ms,
        time_ms=np.frombuffer(response.time_ms, dtype="<i8"),
        channels={c.channel: np.frombuffer(c.values, dtype="<f8") for c in response.columns},
        units={column.channel: column.unit for column in response.columns},
    )
