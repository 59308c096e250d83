"""Files by the links that methods answer with: sent in parts, read in parts, across cuts.

Owns the going on after a cut: the server is asked how far it is (tus 1.0), or for the rest
of what is here already. Decides nothing of what a link allows.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import grpc
import httpx
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2  # noqa: F401 - the types inside a status

from palestra_client._errors import Unavailable, error_of_status

PART_BYTES = 8 << 20
READ_BYTES = 256 << 10
TRIES = 8
"""In a row without a byte of progress."""
_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_TUS = {"tus-resumable": "1.0.0"}
_AGAIN = frozenset({408, 409, 429, 502, 503, 504})


async def upload(
    uri: str,
    path: Path,
    *,
    client: httpx.AsyncClient | None = None,
    ca: bytes | None = None,
    part_bytes: int = PART_BYTES,
) -> None:
    """Sends a file, going on after cuts from where the server is.

    Raises:
        PalestraError: the server refuses it for good, or does not answer again and again.
    """
    async with _client(client, ca) as line:
        with path.open("rb") as file:
            await _Upload(line, uri, file, path.stat().st_size, part_bytes).run()


async def download(
    uri: str, path: Path, *, client: httpx.AsyncClient | None = None, ca: bytes | None = None
) -> None:
    """Reads a file, going on after cuts; `path` is there when all of it is.

    Raises:
        PalestraError: the server refuses it for good, or does not answer again and again.
    """
    half = path.with_name(f"{path.name}.part")
    async with _client(client, ca) as line:
        await _Download(line, uri, half).run()
    half.replace(path)


class _Line:
    """Tries again as long as there is progress."""

    def __init__(self, line: httpx.AsyncClient, uri: str) -> None:
        self._line = line
        self._uri = uri
        self._failed = 0

    async def _pause(self, error: Exception) -> None:
        self._failed += 1
        if self._failed >= TRIES:
            raise error
        await asyncio.sleep(min(_LONGEST_PAUSE_S, _PAUSE_S * 2**self._failed))

    def _moved(self) -> None:
        self._failed = 0


class _Upload(_Line):
    def __init__(
        self, line: httpx.AsyncClient, uri: str, file: BinaryIO, size: int, part_bytes: int
    ) -> None:
        super().__init__(line, uri)
        self._file = file
        self._size = size
        self._part_bytes = part_bytes

    async def run(self) -> None:
        offset, known = 0, False
        while not known or offset < self._size:
            try:
                if not known:
                    offset, known = await self._offset(), True
                if offset < self._size:
                    offset = await self._send(offset)
                self._moved()
            except (httpx.TransportError, Unavailable) as error:
                known = False
                await self._pause(_in_our_words(error))

    async def _offset(self) -> int:
        answer = await self._line.head(self._uri, headers=_TUS)
        if answer.is_error:
            # HEAD has no words: a part of nothing has.
            answer = await self._patch(0, b"")
            _raise(answer)
        return int(answer.headers["upload-offset"])

    async def _send(self, offset: int) -> int:
        self._file.seek(offset)
        part = await asyncio.to_thread(self._file.read, self._part_bytes)
        answer = await self._patch(offset, part)
        _raise(answer)
        return int(answer.headers["upload-offset"])

    async def _patch(self, offset: int, part: bytes) -> httpx.Response:
        headers = {
            **_TUS,
            "content-type": "application/offset+octet-stream",
            "upload-offset": str(offset),
            "upload-length": str(self._size),
        }
        return await self._line.patch(self._uri, content=part, headers=headers)


class _Download(_Line):
    def __init__(self, line: httpx.AsyncClient, uri: str, half: Path) -> None:
        super().__init__(line, uri)
        self._half = half
        self._etag = ""

    async def run(self) -> None:
        # What lies there from before may be of another file.
        self._half.unlink(missing_ok=True)
        while True:
            try:
                async for chunk in self._chunks():
                    with self._half.open("ab") as file:
                        await asyncio.to_thread(file.write, chunk)
                    self._moved()
                self._half.touch()
                return
            except (httpx.TransportError, Unavailable) as error:
                await self._pause(_in_our_words(error))

    async def _chunks(self) -> AsyncIterator[bytes]:
        have = self._half.stat().st_size if self._half.exists() else 0
        headers = {"range": f"bytes={have}-", "if-range": self._etag} if have else {}
        async with self._line.stream("GET", self._uri, headers=headers) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and have:
                # All of it was here when the line was cut.
                return
            if answer.is_error:
                await answer.aread()
                _raise(answer)
            if have and answer.status_code != httpx.codes.PARTIAL_CONTENT:
                self._half.unlink()
            self._etag = answer.headers["etag"]
            async for chunk in answer.aiter_bytes(READ_BYTES):
                yield chunk


@asynccontextmanager
async def _client(
    given: httpx.AsyncClient | None, ca: bytes | None
) -> AsyncIterator[httpx.AsyncClient]:
    """The caller's, which stays open, or one of our own."""
    if given is not None:
        yield given
        return
    trusted = ssl.create_default_context(cadata=ca.decode()) if ca else True
    async with httpx.AsyncClient(timeout=httpx.Timeout(30, read=120), verify=trusted) as own:
        yield own


def _raise(answer: httpx.Response) -> None:
    if not answer.is_error:
        return
    said = status_pb2.Status()
    if answer.status_code not in _AGAIN:
        try:
            json_format.Parse(answer.content, said)
        except json_format.ParseError:
            said.Clear()
    if not said.code:
        raise _away(f"the server answered {answer.status_code}")
    raise error_of_status(said)


def _away(words: str) -> Unavailable:
    return Unavailable(words, code=grpc.StatusCode.UNAVAILABLE)


def _in_our_words(error: Exception) -> Exception:
    return error if isinstance(error, Unavailable) else _away(str(error) or type(error).__name__)
