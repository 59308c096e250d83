"""The scanner: asked about each file before anybody can see it.

Owns how a command and a clamd are asked. A scanner that does not answer refuses for now
(a repeat may succeed), unless the settings say that files pass then.
"""

from __future__ import annotations

import asyncio
import enum
import os
import shlex
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import structlog

TAKES_AT_MOST_S = 120.0
AT_ONCE = 2
_PART_BYTES = 64 << 10
_log = structlog.get_logger(__name__)


class Verdict(enum.Enum):
    """What a scanner says."""

    CLEAN = "clean"
    INFECTED = "infected"
    UNKNOWN = "unknown"
    """It did not answer, or not so that it could be understood."""


Ask = Callable[[Path], Awaitable[Verdict]]


class Scanner:
    """The scanner of the settings, or none."""

    def __init__(self, told: str, *, pass_unscanned: bool = False) -> None:
        """`told`: `command PROGRAM ARGUMENTS…`, `clamd unix:PATH`, `clamd HOST:PORT`, or empty.

        Raises:
            ValueError: it is none of these.
        """
        self._ask = _asking(told)
        self._pass_unscanned = pass_unscanned
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def verdict(self, path: Path) -> Verdict:
        """What the scanner says of a file; CLEAN where there is no scanner."""
        if self._ask is None:
            return Verdict.CLEAN
        try:
            async with self._turns, asyncio.timeout(TAKES_AT_MOST_S):
                found = await self._ask(path)
        except (OSError, TimeoutError, EOFError) as error:
            _log.warning("scanner_away", error=repr(error))
            found = Verdict.UNKNOWN
        if found is Verdict.UNKNOWN and self._pass_unscanned:
            _log.warning("passed_unscanned")
            return Verdict.CLEAN
        return found


def _asking(told: str) -> Ask | None:
    kind, _, rest = told.strip().partition(" ")
    if not kind or kind == "none":
        return None
    if kind == "command" and rest.strip():
        return _Command(shlex.split(rest))
    if kind == "clamd" and rest.strip():
        return _Clamd(rest.strip())
    raise ValueError(f"PALESTRA_BLOBS_SCAN is {told!r}: `command …`, `clamd …` or `none`")


class _Command:
    """A program with the file's path as its last argument: 0 clean, 1 infected (as clamscan)."""

    def __init__(self, arguments: list[str]) -> None:
        self._arguments = arguments

    async def __call__(self, path: Path) -> Verdict:
        running = await asyncio.create_subprocess_exec(
            *self._arguments,
            os.fspath(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            status = await running.wait()
        finally:
            if running.returncode is None:
                with suppress(ProcessLookupError):
                    running.kill()
                await running.wait()
        return {0: Verdict.CLEAN, 1: Verdict.INFECTED}.get(status, Verdict.UNKNOWN)


class _Clamd:
    """clamd's INSTREAM: the bytes in parts behind their lengths, an empty one at the end."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def __call__(self, path: Path) -> Verdict:
        reader, writer = await self._connect()
        try:
            writer.write(b"zINSTREAM\0")
            await _send(path, writer)
            answer = await reader.readuntil(b"\0")
        finally:
            writer.close()
        if answer.endswith(b" OK\0"):
            return Verdict.CLEAN
        return Verdict.INFECTED if answer.endswith(b" FOUND\0") else Verdict.UNKNOWN

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._address.startswith("unix:"):
            return await asyncio.open_unix_connection(self._address.removeprefix("unix:"))
        host, _, port = self._address.rpartition(":")
        return await asyncio.open_connection(host, int(port))


async def _send(path: Path, writer: asyncio.StreamWriter) -> None:
    with path.open("rb") as file:
        while part := await asyncio.to_thread(file.read, _PART_BYTES):
            writer.write(struct.pack("!I", len(part)) + part)
            await writer.drain()
    writer.write(struct.pack("!I", 0))
    await writer.drain()
