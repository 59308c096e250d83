"""The folder where the companion keeps what it has not yet delivered.

Decides which spool belongs to what was asked: the same source, of the same
person, in the same folder is the same session until it is finished. Sends nothing.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path

from palestra_watch.recording import Recording
from palestra_watch.spool import Identity, Spool

_MOST_TIMES = 10_000


class SourceChanged(Exception):
    """The source does not give what it gave when the session began."""


def default_folder() -> Path:
    """Where state is kept unless somebody says otherwise (XDG Base Directory)."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "palestra-watch"


def open_spool(folder: Path, source: str, owner: str, *, again: bool) -> Spool:
    """The spool for `source`, new or half-sent.

    Args:
        folder: the state folder.
        source: names the samples: a content's hash and the leg, or a simulation's arguments.
        owner: whose session it is.
        again: true starts another session where the last one is finished.

    Raises:
        SpoolBusy: another companion is sending it.
        SpoolDamaged: the spool cannot be read.
    """
    for times in range(_MOST_TIMES):
        key = hashlib.sha256(f"{source}|{owner}|{times}".encode()).hexdigest()[:32]
        spool = Spool(folder / "sessions" / key)
        if spool.activity is None or not again:
            return spool
        spool.shut()
    raise SourceChanged(f"{source} was sent {_MOST_TIMES} times from {folder}")


def begin(spool: Spool, recording: Recording, source: str) -> Identity:
    """Makes the spool the one of `recording`, or checks that it is.

    Raises:
        SourceChanged: it was begun from something that was read differently.
    """
    description = recording.description().SerializeToString(deterministic=True).hex()
    if spool.identity is None:
        identity = Identity(str(uuid.uuid4()), source, description)
        spool.begin(identity)
        return identity
    if spool.identity.description != description or spool.next_row > recording.samples:
        raise SourceChanged(
            f"{recording.label} is read differently now than when its sending began; "
            "finish with the companion that began it, or use another --state"
        )
    return spool.identity


def content_key(content: bytes, leg: int) -> str:
    """Names one leg of a file by what is in it, whatever it is called."""
    return f"file|{hashlib.sha256(content).hexdigest()}|{leg}"
