"""Who carries letters: an interface, and the mailbox of one machine.

A sender gets everything at the moment of sending and keeps nothing of it but the letter.
The mailbox is a folder: a file for each letter, readable by its user alone, at most so many
and at most so old. It is chosen by a setting that names it; nothing is a mailbox by default.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

MOST_LETTERS = 1000
OLDEST_S = 7 * 86_400
ENDING = ".json"


class NotSent(Exception):
    """The letter was not taken; another try may succeed. Says why, with nothing personal."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A letter as it leaves."""

    letter_id: uuid.UUID
    """The same for each try: whoever carries it can tell that it is one."""
    kind: str
    language: str
    """BCP 47; empty where the person has not said."""
    channel: str
    """`email` or `phone`."""
    address: str = field(repr=False)
    code: str = field(repr=False)
    """Empty where the kind has none."""
    code_expires_at: datetime | None
    details: Mapping[str, str]
    sent_at: datetime
    subject: str = field(default="", repr=False)
    text: str = field(default="", repr=False)
    """What it says, in its language, for who has no words of his own."""


class Sender(Protocol):
    """Carries letters."""

    async def send(self, letter: Outgoing) -> None:
        """Takes a letter for good.

        Raises:
            NotSent
        """


class Mailbox:
    """Letters as files of one folder, which `palestra mail` shows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, letter: Outgoing) -> None:
        """Writes the file, whole or not at all; a further try of a letter replaces it."""
        try:
            await asyncio.to_thread(self._write, letter)
        except OSError as error:
            raise NotSent(f"the mailbox takes no letter: {error.strerror}") from None

    async def tidy(self) -> None:
        """Takes away what is too old, though no letter comes."""
        await asyncio.to_thread(self._tidy)

    def _write(self, letter: Outgoing) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {
            "time": letter.sent_at.isoformat(),
            "to": letter.address,
            "channel": letter.channel,
            "kind": letter.kind,
            "language": letter.language,
            "code": letter.code,
            "codeExpires": letter.code_expires_at.isoformat() if letter.code_expires_at else "",
            "details": dict(letter.details),
            "subject": letter.subject,
            "text": letter.text,
        }
        fresh = self._folder / f".{letter.letter_id}.{os.getpid()}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file, ensure_ascii=False)
        fresh.rename(self._folder / f"{letter.letter_id}{ENDING}")
        self._tidy()

    def _tidy(self) -> None:
        """Takes away what is too old, and of too many the oldest: ids begin with the time."""
        letters = sorted(self._folder.glob(f"*{ENDING}"))
        oldest = time.time() - OLDEST_S
        for number, path in enumerate(letters):
            with contextlib.suppress(FileNotFoundError):
                if number < len(letters) - MOST_LETTERS or path.stat().st_mtime < oldest:
                    path.unlink()
