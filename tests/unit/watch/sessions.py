"""Short recordings, and what a server stored put back into columns."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt

from palestra_client import open_channel
from palestra_watch.batches import validity
from palestra_watch.companion import Companion, Settings
from palestra_watch.line_grpc import over_grpc
from palestra_watch.recording import FLOAT64, Recording
from palestra_watch.replay import Speed
from palestra_watch.report import Report
from palestra_watch.sources.simulate import simulate
from palestra_watch.spool import Spool
from palestra_watch.state import begin
from palestra_watch.tokens import GivenToken, TokenSource
from tests.support.fake_telemetry import StoredSession

START_MS = 1_760_000_000_000
Columns = dict[str, npt.NDArray[np.float64]]


def recording(seconds: int = 120, seed: int = 1) -> Recording:
    """A synthetic run of so many seconds."""
    return simulate("running", seconds, seed, START_MS)


def stored_columns(stored: StoredSession) -> tuple[list[int], Columns]:
    """Times and raw values, NaN where there is none, of all the channels described."""
    times: list[int] = []
    parts: dict[int, list[npt.NDArray[np.float64]]] = {}
    for batch in stored.parsed():
        deltas = np.frombuffer(batch.time_deltas_ms, dtype="<i4").astype(np.int64)
        times += (batch.first_time_ms + np.cumsum(deltas)).tolist()
        held = {column.channel: column for column in batch.columns}
        for index, channel in enumerate(stored.description.channels):
            values = np.full(len(deltas), np.nan)
            if index in held:
                kind = "<f8" if channel.encoding == FLOAT64 else "<i4"
                raw = np.frombuffer(held[index].values, dtype=kind).astype(np.float64)
                values = np.where(validity(held[index], len(deltas)), raw, np.nan)
            parts.setdefault(index, []).append(values)
    names = [channel.name for channel in stored.description.channels]
    return times, {names[index]: np.concatenate(each) for index, each in parts.items()}


def assert_stored(stored: StoredSession, sent: Recording) -> None:
    """Every sample of the recording is stored, once, in order, to the bit."""
    times, columns = stored_columns(stored)
    assert times == sent.time_ms.tolist()
    assert list(columns) == [channel.name for channel in sent.channels]
    for channel in sent.channels:
        raw = np.where(channel.valid, channel.raw.astype(np.float64), np.nan)
        np.testing.assert_array_equal(columns[channel.name], raw, err_msg=channel.name)


async def send(
    target: str,
    folder: Path,
    sent: Recording,
    *,
    tokens: TokenSource | None = None,
    speed: float = 0.0,
    patience_s: float = 20.0,
) -> Report:
    """Sends a recording as the companion does, in this process."""
    channel = open_channel(target)
    try:
        with Spool(folder) as spool:
            begin(spool, sent, "test")
            settings = Settings(Speed(speed), patience_s, random.Random(7))
            source = tokens or GivenToken("token")
            return await Companion(over_grpc(channel), source, sent, spool, settings).run()
    finally:
        await channel.close(None)
