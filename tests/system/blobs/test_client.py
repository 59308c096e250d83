"""The client's own sending and reading, through a line that is cut again and again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from mesh.runtime.blobs import KEPT
from palestra_client import Palestra, PalestraError, download, upload
from tests.support import made_pictures
from tests.support.athletes import Club
from tests.support.links import PNG, Desk, content
from tests.support.whole_stack import WholeStack

SIZE = 1_000_003


class Cutting(httpx.AsyncBaseTransport):
    """Loses the answer of every second request, and the middle of every second body."""

    def __init__(self) -> None:
        self._real = httpx.AsyncHTTPTransport()
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        answer = await self._real.handle_async_request(request)
        if self.asked % 2:
            return answer
        if request.method == "GET":
            half = b""
            assert isinstance(answer.stream, httpx.AsyncByteStream)
            async for chunk in answer.stream:
                half += chunk
                break
            await answer.aclose()
            kept = {"etag": answer.headers["etag"]}
            return httpx.Response(answer.status_code, headers=kept, stream=_Cut(half))
        await answer.aclose()
        raise httpx.ReadError("cut")

    async def aclose(self) -> None:
        await self._real.aclose()


class _Cut(httpx.AsyncByteStream):
    def __init__(self, half: bytes) -> None:
        self._half = half

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._half
        raise httpx.ReadError("cut")


async def test_a_file_arrives_across_cuts(desk: Desk, stack: WholeStack, tmp_path: Path) -> None:
    source, blob, line = tmp_path / "a.fit", desk.name(), Cutting()
    source.write_bytes(content(SIZE))
    async with httpx.AsyncClient(transport=line, base_url=stack.rest_url) as client:
        link = desk.upload(blob)
        await upload(link, source, client=client, part_bytes=300_000)
        assert line.asked > 6
        assert await desk.blobs.read(blob, SIZE) == source.read_bytes()
        # Again: nothing is sent, and all is well.
        await upload(link, source, client=client)


async def test_a_file_is_read_across_cuts(desk: Desk, stack: WholeStack, tmp_path: Path) -> None:
    blob, line, target = desk.name(KEPT), Cutting(), tmp_path / "a"
    line.asked = 1
    await desk.blobs.write(blob, content(SIZE))
    async with httpx.AsyncClient(transport=line, base_url=stack.rest_url) as client:
        await download(desk.download(blob), target, client=client)
    assert line.asked > 2
    assert target.read_bytes() == content(SIZE)
    assert list(tmp_path.iterdir()) == [target]


async def test_a_refusal_is_told_with_its_reason(
    desk: Desk, stack: WholeStack, tmp_path: Path
) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(content(5_000, PNG))
    async with httpx.AsyncClient(base_url=stack.rest_url) as client:
        for link, reason in (
            (desk.upload(), "UPLOAD_TYPE_REFUSED"),
            (desk.upload(most=4_999), "UPLOAD_TOO_LARGE"),
            (desk.upload() + "0", "LINK_INVALID"),
        ):
            with pytest.raises(PalestraError) as refused:
                await upload(link, source, client=client)
            assert refused.value.reason == reason
        with pytest.raises(PalestraError) as missing:
            await download(desk.download(desk.name(KEPT)), tmp_path / "b", client=client)
        assert missing.value.reason == "BLOB_NOT_FOUND"


async def test_a_picture_becomes_the_avatar_in_one_call(
    stack: WholeStack, athletes: Club, tmp_path: Path
) -> None:
    athlete, picture = athletes.register(), tmp_path / "me.jpg"
    picture.write_bytes(made_pictures.jpeg())
    async with Palestra(stack.target) as palestra:
        await palestra.login(athlete.email, athlete.password)
        profile = await palestra.set_avatar(picture)
        await download(profile.avatar_uri, tmp_path / "avatar.webp")
    assert (tmp_path / "avatar.webp").read_bytes()[8:12] == b"WEBP"
