"""The client's ledger of a session, and what the server has of it, compared sample by sample.

Owns the reading of a ledger file and of both public answers with samples. A value counts
as equal when the raw number that the device measured comes back out of it, exactly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from palestra.training.v1 import activity_service_pb2, telemetry_pb2

Row = tuple[int, tuple[float | int | None, ...]]
"""Time in ms since 1970, and a raw value per channel, None for none."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Rows in the order in which they were measured."""

    channels: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def measured(self) -> tuple[Row, ...]:
        """Those in which anything was measured."""
        return tuple(row for row in self.rows if any(value is not None for value in row[1]))


def ledger(path: Path, described: telemetry_pb2.SessionDescription) -> Samples:
    """Everything that was handed over for sending."""
    batches: dict[int, dict[str, Any]] = {}
    for line in path.read_text().splitlines():
        told = json.loads(line)
        if "renumbered_from" in told:
            batches = {seq: kept for seq, kept in batches.items() if seq < told["renumbered_from"]}
        else:
            assert told["seq"] not in batches, "the ledger has a batch twice"
            batches[told["seq"]] = told
    assert sorted(batches) == list(range(1, len(batches) + 1)), "the ledger has a gap"
    names = tuple(channel.name for channel in described.channels)
    rows: list[Row] = []
    for seq in sorted(batches):
        times, columns = batches[seq]["time_ms"], batches[seq]["channels"]
        empty = [None] * len(times)
        values = zip(*(columns.get(name, empty) for name in names), strict=True)
        rows += zip(times, values, strict=True)
    return Samples(names, tuple(rows))


def of_rest(document: Mapping[str, Any], described: telemetry_pb2.SessionDescription) -> Samples:
    """The JSON of DownloadActivityStreams at resolution 0."""
    start_ms = described.start_time.ToMilliseconds()
    times = [start_ms + each for each in document["timeMs"]]
    return _samples(described, times, document["channels"])


def of_grpc(
    answer: activity_service_pb2.GetActivityStreamsResponse,
    described: telemetry_pb2.SessionDescription,
) -> Samples:
    """GetActivityStreams at resolution 0."""
    times = (np.frombuffer(answer.time_ms, dtype="<i8") + answer.start_time_ms).tolist()
    columns = {
        column.channel: [
            None if np.isnan(value) else value
            for value in np.frombuffer(column.values, dtype="<f8").tolist()
        ]
        for column in answer.columns
    }
    return _samples(described, times, columns)


def _samples(
    described: telemetry_pb2.SessionDescription,
    times: Sequence[int],
    columns: Mapping[str, Sequence[float | None]],
) -> Samples:
    assert list(columns) == [channel.name for channel in described.channels]
    raws = [
        [_raw(channel, value) for value in columns[channel.name]] for channel in described.channels
    ]
    rows = tuple(zip(times, zip(*raws, strict=True), strict=True))
    return Samples(tuple(columns), rows)


def _raw(channel: telemetry_pb2.ChannelDescription, value: float | None) -> float | int | None:
    """The number that the device measured; fails where the value is between two of them."""
    if value is None:
        return None
    measured = (value - channel.offset) / (channel.scale or 1)
    if channel.encoding == telemetry_pb2.ENCODING_FLOAT64:
        return measured
    raw = round(measured)
    # JSON is rounded to the decimals that tell neighbours apart: less than half a step.
    assert abs(measured - raw) < 0.5, f"{channel.name}: {value} was never measured"
    return raw


def differences(sent: Samples, stored: Samples, most: int = 5) -> list[str]:
    """What is lost, there twice, or other than it was sent; empty where all is equal."""
    assert sent.channels == stored.channels
    if sent.measured == stored.rows:
        return []
    found = [f"{len(sent.measured)} samples were sent, {len(stored.rows)} are stored"]
    for place, (one, other) in enumerate(zip(sent.measured, stored.rows, strict=False)):
        if one != other:
            found.append(f"sample {place}: {one} was sent, {other} is stored")
        if len(found) > most:
            break
    return found
