"""Reading by link through the real edge: ranges, tags, names, and what is refused."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from mesh.runtime.blobs import KEPT, PUBLIC, BlobName
from tests.support.links import FIT, PNG, Desk, content
from tests.support.rest_errors import refusal

SIZE = 3_000_017
CONTENT = content(SIZE)


@pytest.fixture
def blob(desk: Desk) -> BlobName:
    """Something that is kept."""
    made = desk.name(KEPT)
    desk.write(made, CONTENT)
    return made


def test_a_file_is_read_whole_and_harmless(desk: Desk, rest: httpx.Client, blob: BlobName) -> None:
    answer = rest.get(desk.download(blob, "Осенний забег.fit"))
    assert answer.status_code == httpx.codes.OK
    assert answer.content == CONTENT
    headers = answer.headers
    assert headers["content-type"] == FIT
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"].startswith("attachment; filename=")
    assert "filename*=UTF-8''%D0%9E" in headers["content-disposition"]
    assert "sandbox" in headers["content-security-policy"]
    assert headers["cache-control"] == "private, max-age=60"
    assert "content-encoding" not in headers


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=262100-262200", 262_100, 262_201),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("bytes=-100", SIZE - 100, SIZE),
        (f"bytes=1000-{SIZE * 2}", 1_000, SIZE),
    ],
)
def test_a_range_is_that_part(
    desk: Desk, rest: httpx.Client, blob: BlobName, asked: str, start: int, end: int
) -> None:
    answer = rest.get(desk.download(blob), headers={"range": asked})
    assert answer.status_code == httpx.codes.PARTIAL_CONTENT
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert answer.content == CONTENT[start:end]


def test_a_range_behind_the_end_is_told_the_size(
    desk: Desk, rest: httpx.Client, blob: BlobName
) -> None:
    answer = rest.get(desk.download(blob), headers={"range": f"bytes={SIZE}-"})
    assert refusal(answer) == (416, "INVALID_ARGUMENT", "INVALID_FIELD")
    assert answer.headers["content-range"] == f"bytes */{SIZE}"


def test_what_the_reader_has_is_not_sent_again(
    desk: Desk, rest: httpx.Client, blob: BlobName
) -> None:
    link = desk.download(blob)
    head = rest.head(link)
    assert (head.status_code, head.headers["content-length"]) == (200, str(SIZE))
    assert head.headers["accept-ranges"] == "bytes"
    etag = head.headers["etag"]
    assert rest.get(link, headers={"if-none-match": etag}).status_code == 304
    part = {"range": "bytes=5-9", "if-range": etag}
    assert rest.get(link, headers=part).content == CONTENT[5:10]
    assert rest.get(link, headers=part | {"if-range": '"another"'}).content == CONTENT


def test_only_what_is_harmless_is_shown_by_a_browser(desk: Desk, rest: httpx.Client) -> None:
    picture, page = desk.name(KEPT), desk.name(KEPT)
    desk.write(picture, content(100, PNG))
    desk.write(page, b"<html><script>alert(1)</script>")
    shown = rest.get(desk.download(picture, "a.png", inline=True)).headers
    assert shown["content-disposition"].startswith("inline")
    saved = rest.get(desk.download(page, "a.html", inline=True)).headers
    assert saved["content-disposition"].startswith("attachment")


def test_a_public_blob_needs_no_link_and_a_kept_one_does(
    desk: Desk, rest: httpx.Client, blob: BlobName
) -> None:
    public = desk.name(PUBLIC)
    desk.write(public, content(100, PNG))
    answer = rest.get(public.path)
    assert (answer.status_code, answer.content) == (200, content(100, PNG))
    assert answer.headers["cache-control"] == "public, max-age=86400, immutable"
    assert refusal(rest.get(blob.path)) == (403, "PERMISSION_DENIED", "LINK_INVALID")
    for other in (blob.path, blob.within(PUBLIC).path):
        stolen = desk.download(public).replace(public.path, other)
        assert rest.get(stolen).status_code in (403, 404)
    asyncio.run(desk.blobs.delete(public))
    assert refusal(rest.get(public.path)) == (404, "NOT_FOUND", "BLOB_NOT_FOUND")


def test_a_persons_things_are_gone_when_erased(
    desk: Desk, rest: httpx.Client, blob: BlobName
) -> None:
    public, other = desk.name(PUBLIC), Desk(desk.stack)
    theirs = other.name(KEPT)
    desk.write(public, b"a")
    other.write(theirs, CONTENT[:9])
    assert asyncio.run(desk.blobs.erase(desk.user)) >= 2
    assert rest.get(public.path).status_code == 404
    assert rest.get(desk.download(blob)).status_code == 404
    assert rest.get(other.download(theirs)).content == CONTENT[:9]
    # Not even the name of a folder is left.
    objects = desk.stack.places.blobs / "objects"
    assert [path for path in objects.rglob("*") if str(desk.user) in path.name] == []


def test_a_page_of_another_origin_may_read_and_send(
    desk: Desk, rest: httpx.Client, blob: BlobName
) -> None:
    origin = {"origin": "https://app.example"}
    asked = origin | {
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "tus-resumable,upload-offset,content-type",
    }
    allowed = rest.options(desk.upload(), headers=asked).headers
    assert allowed["access-control-allow-origin"] == "https://app.example"
    assert {"tus-resumable", "upload-offset"} <= set(
        allowed["access-control-allow-headers"].split(",")
    )
    assert "PATCH" in allowed["access-control-allow-methods"]
    exposed = rest.get(desk.download(blob), headers=origin).headers["access-control-expose-headers"]
    assert {"content-range", "upload-offset"} <= set(exposed.split(","))
