"""What one session still has to send, on disk.

Owns the session's id, its epoch, its description, the batches that are not yet
acknowledged and its close. Policy of durability: identity, epoch and close are
on the disk (fdatasync) before the call returns; batches are when `sync` returns,
and nothing is sent before; an acknowledgement is not waited for, since losing
one only repeats a batch that the server knows. Decides nothing about sending.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from palestra.integration.v1.telemetry_service_pb2 import Close
from palestra.training.v1.telemetry_pb2 import Batch, SessionDescription
from palestra_watch.batches import sample_count, split
from palestra_watch.log_file import LogFile, Record, SpoolDamaged, replace_with

LARGEST_BYTES = 64 * 1024 * 1024
_COMPACT_BYTES = 1024 * 1024
_META, _EPOCH, _STATE, _BATCH, _ACK, _CLOSE, _DONE = range(1, 8)
_COUNT = struct.Struct("<Q")
_PAIR = struct.Struct("<QQ")
_STATE_FORM = struct.Struct("<QQQ")


class SpoolFull(Exception):
    """The spool has no room for another batch."""


class SpoolBusy(Exception):
    """Another companion works with this spool."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a spool is for; never changes."""

    session: str
    """The UUID that the activity gets."""
    source: str
    """What it was made from, as `state.py` names it."""
    description: str
    """The SessionDescription, serialised, in hex."""

    def described(self) -> SessionDescription:
        """What an Open says of the session."""
        return SessionDescription.FromString(bytes.fromhex(self.description))


@dataclass(slots=True)
class _Held:
    offset: int
    length: int
    samples: int


class Spool:
    """One session's spool, for one process at a time."""

    def __init__(self, folder: Path, largest_bytes: int = LARGEST_BYTES) -> None:
        """Opens the spool in `folder`, or an empty one.

        Raises:
            SpoolBusy: another process has it open.
            SpoolDamaged: something that was durable is gone.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / "spool.log"
        self._largest_bytes = largest_bytes
        self._lock = _locked(folder)
        self.identity: Identity | None = None
        self.epoch = 0
        self.acknowledged_seq = 0
        self.acknowledged_samples = 0
        self.last_seq = 0
        self.next_row = 0
        """The first row of the source that no batch holds yet."""
        self.close_message: Close | None = None
        self.activity: str | None = None
        """What the session became; None until the server has said so."""
        self._held: dict[int, _Held] = {}
        self._waiting_bytes = 0
        self._waiting_samples = 0
        self._dirty = False
        try:
            self._file = LogFile(self._path)
            for offset, kind, payload in self._file.records():
                self._replay(offset, kind, payload)
            self._check()
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    def shut(self) -> None:
        """Closes the files and lets another process in."""
        self._file.close()
        os.close(self._lock)

    @property
    def waiting_bytes(self) -> int:
        """Of the batches that are not yet acknowledged."""
        return self._waiting_bytes

    @property
    def waiting_batches(self) -> int:
        """The batches that are not yet acknowledged."""
        return len(self._held)

    @property
    def waiting_samples(self) -> int:
        """The samples in them."""
        return self._waiting_samples

    @property
    def made_samples(self) -> int:
        """The samples of all batches ever made."""
        return self.acknowledged_samples + self.waiting_samples

    def begin(self, identity: Identity) -> None:
        """Says, durably, what the spool is for."""
        if self.identity is not None:
            raise ValueError("the spool is for another session already")
        self._durable(_META, json.dumps(asdict(identity)).encode())
        self.identity = identity

    def next_epoch(self) -> int:
        """A higher epoch than ever before; durable before it is answered."""
        self._durable(_EPOCH, _COUNT.pack(self.epoch + 1))
        self.epoch += 1
        return self.epoch

    def append(self, batch: Batch, next_row: int) -> None:
        """Adds the next batch, which ends before the source's row `next_row`.

        Raises:
            SpoolFull: what waits would take more than the spool's bound.
            ValueError: it is not the next batch.
        """
        if batch.seq != self.last_seq + 1 or self.close_message is not None:
            raise ValueError(f"batch {batch.seq} cannot follow batch {self.last_seq}")
        payload = _PAIR.pack(batch.seq, next_row) + batch.SerializeToString()
        if self.waiting_bytes + len(payload) > self._largest_bytes:
            raise SpoolFull(
                f"{self.waiting_batches} batches wait for the server and fill the "
                f"{self._largest_bytes >> 20} MiB of the spool in {self._path.parent}"
            )
        offset = self._file.append(_BATCH, payload)
        self._dirty = True
        self._hold(offset, payload, sample_count(batch))

    def append_close(self, close: Close) -> None:
        """Says, durably, that no batch follows."""
        self._durable(_CLOSE, close.SerializeToString())
        self.close_message = close

    def sync(self) -> None:
        """Makes the appended batches safe from power failure."""
        if self._dirty:
            self._file.sync()
            self._dirty = False

    def batch(self, seq: int) -> Batch:
        """A batch that waits.

        Raises:
            KeyError: it is acknowledged, or was never made.
        """
        held = self._held[seq]
        return Batch.FromString(self._file.read(held.offset + _PAIR.size, held.length - _PAIR.size))

    def acknowledge(self, seq: int) -> None:
        """The server has everything up to `seq`; what it has is let go."""
        if seq > self.last_seq:
            raise ValueError(f"batch {seq} was never made")
        if seq <= self.acknowledged_seq:
            return
        self._let_go(seq)
        self._file.append(_ACK, _COUNT.pack(seq))
        if self._file.size - self.waiting_bytes > max(_COMPACT_BYTES, self.waiting_bytes):
            self._rewrite([self._record(each) for each in sorted(self._held)])

    def finish(self, activity: str) -> None:
        """Says, durably, that the session is over and what it became."""
        self._durable(_DONE, activity.encode())
        self.activity = activity

    def split_waiting(self, largest_samples: int) -> bool:
        """Cuts the waiting batches to `largest_samples`; whether any was larger.

        Only for a moment when no server can have one of them: they get new numbers.
        """
        if all(each.samples <= largest_samples for each in self._held.values()):
            return False
        self.sync()
        parts: list[tuple[Batch, int]] = []
        for seq in sorted(self._held):
            next_row = _PAIR.unpack(self._record(seq)[1][: _PAIR.size])[1]
            pieces = list(split(self.batch(seq), largest_samples))
            end = next_row - sum(sample_count(each) for each in pieces)
            for piece in pieces:
                end += sample_count(piece)
                piece.seq = self.acknowledged_seq + 1 + len(parts)
                parts.append((piece, end))
        records = [
            (_BATCH, _PAIR.pack(part.seq, row) + part.SerializeToString()) for part, row in parts
        ]
        self.last_seq = self.acknowledged_seq
        self._rewrite(records)
        return True

    def _durable(self, kind: int, payload: bytes) -> None:
        self._file.append(kind, payload)
        self._file.sync()
        self._dirty = False

    def _hold(self, offset: int, payload: bytes, samples: int) -> None:
        seq, next_row = _PAIR.unpack_from(payload)
        self._held[seq] = _Held(offset, len(payload), samples)
        self._waiting_bytes += len(payload)
        self._waiting_samples += samples
        self.last_seq, self.next_row = seq, next_row

    def _let_go(self, seq: int) -> None:
        for each in range(self.acknowledged_seq + 1, seq + 1):
            held = self._held.pop(each, None)
            if held is None:
                raise SpoolDamaged(f"{self._path} misses batch {each}")
            self.acknowledged_samples += held.samples
            self._waiting_samples -= held.samples
            self._waiting_bytes -= held.length
        self.acknowledged_seq = seq

    def _record(self, seq: int) -> Record:
        held = self._held[seq]
        return _BATCH, self._file.read(held.offset, held.length)

    def _rewrite(self, batches: list[Record]) -> None:
        old = self._file
        self._file = replace_with(self._path, [*self._head(), *batches])
        old.close()
        self._held.clear()
        self._waiting_bytes = self._waiting_samples = 0
        # Read as after a restart: one way into memory, not two.
        for offset, kind, payload in self._file.records():
            self._replay(offset, kind, payload)
        self._dirty = False

    def _head(self) -> Iterator[Record]:
        if self.identity is not None:
            yield _META, json.dumps(asdict(self.identity)).encode()
        yield _EPOCH, _COUNT.pack(self.epoch)
        state = self.acknowledged_seq, self.acknowledged_samples, self.next_row
        yield _STATE, _STATE_FORM.pack(*state)
        if self.close_message is not None:
            yield _CLOSE, self.close_message.SerializeToString()
        if self.activity is not None:
            yield _DONE, self.activity.encode()

    def _replay(self, offset: int, kind: int, payload: bytes) -> None:
        if kind == _META:
            self.identity = Identity(**json.loads(payload))
        elif kind == _EPOCH:
            (self.epoch,) = _COUNT.unpack(payload)
        elif kind == _STATE:
            self.acknowledged_seq, self.acknowledged_samples, self.next_row = _STATE_FORM.unpack(
                payload
            )
            self.last_seq = self.acknowledged_seq
        elif kind == _BATCH:
            batch = Batch.FromString(payload[_PAIR.size :])
            self._hold(offset, payload, sample_count(batch))
        elif kind == _ACK:
            self._let_go(_COUNT.unpack(payload)[0])
        elif kind == _CLOSE:
            self.close_message = Close.FromString(payload)
        elif kind == _DONE:
            self.activity = payload.decode()
        else:
            raise SpoolDamaged(f"{self._path} holds a record of an unknown kind {kind}")

    def _check(self) -> None:
        expected = list(range(self.acknowledged_seq + 1, self.last_seq + 1))
        if sorted(self._held) != expected:
            raise SpoolDamaged(f"{self._path} misses batches between the first and the last")


def _locked(folder: Path) -> int:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise SpoolBusy(f"another companion is sending the session in {folder}") from None
    return handle
