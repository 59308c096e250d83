"""What files are by their bytes, which part is asked for, and what a scanner says."""

from __future__ import annotations

import asyncio
import struct
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.web.blobs import ranges, scanning, sniffing
from gateway.web.blobs.scanning import Scanner, Verdict
from gateway.web.blobs.staging import KEPT_AFTER_S, Busy, Staging
from mesh.runtime.blobs import Blob, BlobName
from mesh.runtime.ids import user_id
from tests.support import fake_scanner

BLOB = Blob("kept/a", 10, "tag", datetime(2026, 1, 1, tzinfo=UTC))
NAME = BlobName("incoming", "identity", user_id(0), "avatar", "a")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "image/jpeg"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20), "image/webp"),
        (b"\x0e\x10\xd9\x07\0\0\0\0.FIT" + bytes(20), "application/vnd.ant.fit"),
        (
            b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a --><gpx version="1.1">',
            "application/gpx+xml",
        ),
        (b"<TrainingCenterDatabase xmlns='x'>", "application/vnd.garmin.tcx+xml"),
        (b"<!DOCTYPE html>\n<html><script>", "text/html"),
        (b"<svg onload=alert(1)>", "image/svg+xml"),
        (b"<x:kml>", "text/xml"),
        (b"<!-- never closed", sniffing.UNKNOWN),
        (b"hello", sniffing.UNKNOWN),
        (b"", sniffing.UNKNOWN),
    ],
)
def test_a_file_is_what_its_bytes_say(head: bytes, kind: str) -> None:
    assert sniffing.media_type(head) == kind


def test_made_up_markup_takes_no_time() -> None:
    begun_s = time.process_time()
    assert sniffing.media_type(b"<!-- -->" * 512 + b"!") == sniffing.UNKNOWN
    assert time.process_time() - begun_s < 0.1


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/pdf", "text/xml"])
def test_what_may_hold_a_script_is_not_shown(kind: str) -> None:
    assert not sniffing.may_show(kind)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-", (2, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        ("bytes=9-99", (9, 10)),
        ("Bytes = 1 - 2", (1, 3)),
        ("", None),
        ("bytes=-", None),
        ("bytes=3-2", None),
        ("bytes=0-1,4-5", None),
        ("items=0-1", None),
        ("bytes=a-b", None),
    ],
)
def test_one_range_is_a_part_and_what_cannot_be_read_is_all(
    asked: str, part: tuple[int, int] | None
) -> None:
    assert ranges.asked({"range": asked}, BLOB) == part


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0", "bytes=11-12"])
def test_a_range_behind_the_end_is_refused(asked: str) -> None:
    with pytest.raises(ranges.Unsatisfiable):
        ranges.asked({"range": asked}, BLOB)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('"tag"', True),
        ("Thu, 01 Jan 2026 00:00:00 GMT", True),
        ('"other"', False),
        ('W/"tag"', False),
        ("Fri, 02 Jan 2026 00:00:00 GMT", False),
        ("rubbish", False),
    ],
)
def test_a_part_is_only_given_of_the_file_that_the_client_knows(
    condition: str, *, holds: bool
) -> None:
    part = ranges.asked({"range": "bytes=0-1", "if-range": condition}, BLOB)
    assert part == ((0, 2) if holds else None)


async def test_a_command_says_what_it_finds(tmp_path: Path) -> None:
    file = tmp_path / "file"
    scanner = Scanner(f"command {sys.executable} {fake_scanner.__file__} {tmp_path}")
    file.write_bytes(b"harmless")
    assert await scanner.verdict(file) is Verdict.CLEAN
    file.write_bytes(b"x" + fake_scanner.PATTERN)
    assert await scanner.verdict(file) is Verdict.INFECTED
    (tmp_path / "broken").touch()
    assert await scanner.verdict(file) is Verdict.UNKNOWN


async def test_a_scanner_that_is_not_there_lets_nothing_pass_unless_told_so(tmp_path: Path) -> None:
    for told in ("command /nowhere/scanner", f"clamd unix:{tmp_path}/none"):
        assert await Scanner(told).verdict(tmp_path) is Verdict.UNKNOWN
        assert await Scanner(told, pass_unscanned=True).verdict(tmp_path) is Verdict.CLEAN
    assert await Scanner("").verdict(tmp_path) is Verdict.CLEAN


async def test_a_scanner_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "TAKES_AT_MOST_S", 0.3)
    (tmp_path / "wait").touch()
    scanner = Scanner(f"command {sys.executable} {fake_scanner.__file__} {tmp_path}")
    assert await scanner.verdict(tmp_path) is Verdict.UNKNOWN


@pytest.mark.parametrize("told", ["clamscan", "command", "clamd "])
def test_a_scanner_that_cannot_be_meant_is_refused(told: str) -> None:
    with pytest.raises(ValueError, match="PALESTRA_BLOBS_SCAN"):
        Scanner(told)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"stream: OK\0", Verdict.CLEAN),
        (b"stream: Eicar FOUND\0", Verdict.INFECTED),
        (b"INSTREAM size limit exceeded. ERROR\0", Verdict.UNKNOWN),
        (b"", Verdict.UNKNOWN),
    ],
)
async def test_clamd_gets_all_bytes_and_is_understood(
    tmp_path: Path, answer: bytes, verdict: Verdict
) -> None:
    content, got = bytes(range(256)) * 1_000, bytearray()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readuntil(b"\0") == b"zINSTREAM\0"
        while size := struct.unpack("!I", await reader.readexactly(4))[0]:
            got.extend(await reader.readexactly(size))
        writer.write(answer)
        await writer.drain()
        writer.close()

    (tmp_path / "file").write_bytes(content)
    async with await asyncio.start_unix_server(serve, tmp_path / "clamd"):
        assert await Scanner(f"clamd unix:{tmp_path}/clamd").verdict(tmp_path / "file") is verdict
    assert got == content


async def test_an_upload_has_one_holder_and_the_next_waits_a_moment(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    async with staging.hold(NAME, 1):
        with pytest.raises(Busy):
            async with staging.hold(NAME, 1, wait_s=0.1):
                pass
        waiting = asyncio.create_task(_once(staging))
        await asyncio.sleep(0)
    await waiting


async def _once(staging: Staging) -> None:
    async with staging.hold(NAME, 1, wait_s=5):
        pass


async def test_what_expired_is_cleaned_and_what_is_held_is_not(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    async with staging.hold(NAME, 1_000) as staged:
        staged.append(b"half")
        staged.note()
        assert staging.clean(1_000 + KEPT_AFTER_S) == 0
    assert staging.clean(999 + KEPT_AFTER_S) == 0
    assert staging.clean(1_000 + KEPT_AFTER_S) == 1
    assert list(tmp_path.iterdir()) == []
