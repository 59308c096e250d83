"""A record of every sample that was handed over for sending, for whoever wants to check.

One JSON object a line: a batch with its times and raw values, written before the
batch is first sent; or a mark that the waiting batches were numbered anew.
Decides nothing; nothing is read from it but where it ends.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import numpy as np

from palestra.training.v1.telemetry_pb2 import Batch, SessionDescription
from palestra_watch.batches import validity
from palestra_watch.recording import FLOAT64
from palestra_watch.spool import Spool


class Ledger:
    """The ledger file of a session; survives its writer's death at any byte."""

    def __init__(self, path: Path, session: str, description: SessionDescription) -> None:
        self._session = session
        self._description = description
        self._last_seq = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("a+b")
        self._trim_torn_line()

    def catch_up(self, spool: Spool) -> None:
        """Writes the batches that were made since the last time."""
        if spool.last_seq < self._last_seq:
            self.renumbered(spool.acknowledged_seq + 1)
        for seq in range(self._last_seq + 1, spool.last_seq + 1):
            self._line(rows_of(spool.batch(seq), self._description) | {"seq": seq})
            self._last_seq = seq
        self._file.flush()

    def renumbered(self, first_seq: int) -> None:
        """The lines from `first_seq` on are void; their samples follow in other batches."""
        self._line({"renumbered_from": first_seq})
        self._last_seq = first_seq - 1

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _line(self, told: dict[str, object]) -> None:
        line = json.dumps({"session": self._session} | told, separators=(",", ":"))
        self._file.write(line.encode() + b"\n")

    def _trim_torn_line(self) -> None:
        self._file.seek(0)
        whole = 0
        for line in self._file:
            if not line.endswith(b"\n"):
                break
            whole += len(line)
            told = json.loads(line)
            if told["session"] == self._session:
                self._last_seq = told["renumbered_from"] - 1 if "seq" not in told else told["seq"]
        self._file.truncate(whole)


def rows_of(batch: Batch, description: SessionDescription) -> dict[str, object]:
    """A batch's samples in plain words: `time_ms`, and raw values by channel, null for none."""
    deltas = np.frombuffer(batch.time_deltas_ms, dtype="<i4").astype(np.int64)
    channels: dict[str, list[float | int | None]] = {}
    for column in batch.columns:
        channel = description.channels[column.channel]
        raw = np.frombuffer(column.values, dtype="<f8" if channel.encoding == FLOAT64 else "<i4")
        valid = validity(column, len(deltas)).tolist()
        channels[channel.name] = [
            value if there else None for value, there in zip(raw.tolist(), valid, strict=True)
        ]
    return {"time_ms": (batch.first_time_ms + np.cumsum(deltas)).tolist(), "channels": channels}
