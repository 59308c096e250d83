"""Sending by link through the real edge: whole, in parts, twice, at once, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support import fake_scanner
from tests.support.links import PNG, Desk, content
from tests.support.local_stack import until
from tests.support.rest_errors import refusal
from tests.support.whole_stack import WholeStack

MIB = 1 << 20
TUS = {"tus-resumable": "1.0.0"}
PART = TUS | {"content-type": "application/offset+octet-stream"}


def send(
    rest: httpx.Client, link: str, offset: int, part: bytes | Iterator[bytes], **more: str
) -> httpx.Response:
    """One PATCH."""
    told = {name.replace("_", "-"): value for name, value in more.items()}
    return rest.patch(link, content=part, headers=PART | {"upload-offset": str(offset)} | told)


def offset_of(rest: httpx.Client, link: str) -> int:
    answer = rest.head(link, headers=TUS)
    assert answer.status_code == httpx.codes.OK, answer.headers
    assert answer.headers["cache-control"] == "no-store"
    return int(answer.headers["upload-offset"])


def back_again(stack: WholeStack, rest: httpx.Client, link: str, restarts: int) -> None:
    """The killed process runs anew, and the edge has heard of it."""
    stack.recovered("web-0", restarts, 60)
    until(lambda: rest.head(link, headers=TUS).status_code == 200, 30, "the edge leads there")


def test_a_file_is_sent_whole_and_a_repeat_changes_nothing(desk: Desk, rest: httpx.Client) -> None:
    blob, sent = desk.name(), content(700_001)
    link = desk.upload(blob)
    first = rest.put(link, content=sent)
    assert first.status_code == httpx.codes.CREATED, first.text
    digest = base64.b64encode(hashlib.sha256(sent).digest()).decode()
    assert first.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert desk.stored(blob) == sent
    again = rest.put(link, content=sent)
    assert (again.status_code, again.headers["repr-digest"]) == (204, f"sha-256=:{digest}:")
    other = rest.put(link, content=content(700_001, seed=2))
    assert refusal(other) == (409, "ABORTED", "UPLOAD_CONFLICT")
    assert desk.stored(blob) == sent


def test_parts_make_the_whole(desk: Desk, rest: httpx.Client) -> None:
    blob, sent = desk.name(), content(500_000)
    link = desk.upload(blob)
    assert offset_of(rest, link) == 0
    assert rest.head(link, headers=TUS).headers["upload-defer-length"] == "1"
    first = send(rest, link, 0, sent[:7])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "7")
    assert first.headers["tus-resumable"] == "1.0.0"
    assert "GMT" in first.headers["upload-expires"]
    assert not list(desk.stack.places.blobs.glob(f"objects/{blob}"))
    # A part again, and one that leaves a gap: told where it goes on.
    for wrong in (0, 8):
        answer = send(rest, link, wrong, b"x")
        assert refusal(answer) == (409, "ABORTED", "UPLOAD_CONFLICT")
        assert answer.headers["upload-offset"] == "7"
    last = send(rest, link, 7, sent[7:], upload_length="500000")
    assert (last.status_code, last.headers["upload-offset"]) == (204, "500000")
    assert desk.stored(blob) == sent
    head = rest.head(link, headers=TUS).headers
    assert (head["upload-offset"], head["upload-length"]) == ("500000", "500000")
    assert send(rest, link, 500_000, b"").status_code == 204


def test_a_cut_upload_goes_on_where_it_was_cut(
    desk: Desk, rest: httpx.Client, stack: WholeStack
) -> None:
    blob, sent = desk.name(), content(3 * MIB)
    link = desk.upload(blob, most=3 * MIB, size=3 * MIB)
    request = "\r\n".join(
        [
            f"PATCH {link} HTTP/1.1",
            "host: palestra",
            *(f"{name}: {value}" for name, value in PART.items()),
            f"upload-offset: 0\r\ncontent-length: {3 * MIB}\r\n\r\n",
        ]
    )
    with socket.create_connection(("127.0.0.1", stack.port)) as line:
        line.sendall(request.encode() + sent[: 2 * MIB])
        until(desk.staged(blob).exists, 10, "a part is there")
    # What was between edge and process at that instant is sent again.
    offset = offset_of(rest, link)
    assert 0 < offset <= 2 * MIB
    assert send(rest, link, offset, sent[offset:]).status_code == 204
    assert desk.stored(blob) == sent


def test_after_a_kill_the_rest_is_sent_and_the_bytes_are_equal(
    desk: Desk, rest: httpx.Client, stack: WholeStack
) -> None:
    blob, sent = desk.name(), content(4 * MIB)
    link, paused, go_on = (
        desk.upload(blob, most=4 * MIB, size=4 * MIB),
        threading.Event(),
        threading.Event(),
    )

    def half() -> Iterator[bytes]:
        yield sent[: 2 * MIB]
        paused.set()
        go_on.wait(20)
        yield sent[2 * MIB :]

    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(send, rest, link, 0, half())
        assert paused.wait(20)
        staged = desk.staged(blob)
        until(lambda: staged.exists() and staged.stat().st_size > MIB, 10, "a part is there")
        restarts = stack.kill("web-0")
        go_on.set()
        with contextlib.suppress(httpx.TransportError):
            assert cut.result(30).is_error
    back_again(stack, rest, link, restarts)
    offset = offset_of(rest, link)
    assert MIB < offset <= 2 * MIB
    assert send(rest, link, offset, sent[offset:]).status_code == 204
    assert desk.stored(blob) == sent


def test_what_was_whole_when_the_process_died_is_finished_by_who_asks(
    desk: Desk, rest: httpx.Client, stack: WholeStack, scanner: Path
) -> None:
    blob, sent = desk.name(), content(10_000)
    link = desk.upload(blob, size=10_000)
    (scanner / "wait").touch()
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(send, rest, link, 0, sent)
        until((scanner / "asked").exists, 20, "the scanner is asked")
        restarts = stack.kill("web-0")
        for name in ("wait", "asked"):
            (scanner / name).unlink()
        assert cut.result(30).is_error
    assert not list(desk.stack.places.blobs.glob(f"objects/{blob}"))
    back_again(stack, rest, link, restarts)
    assert offset_of(rest, link) == 10_000
    assert desk.stored(blob) == sent


def test_of_two_at_once_one_is_told_to_wait(desk: Desk, rest: httpx.Client) -> None:
    blob, sent, begun, go_on = desk.name(), content(MIB), threading.Event(), threading.Event()
    link = desk.upload(blob)

    def slowly() -> Iterator[bytes]:
        yield sent[: MIB // 2]
        begun.set()
        go_on.wait(20)
        yield sent[MIB // 2 :]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(rest.put, link, content=slowly())
        assert begun.wait(20)
        until(lambda: any(desk.staging.iterdir()), 10, "the first holds it")
        second = rest.put(link, content=content(MIB, seed=2))
        assert refusal(second) == (409, "ABORTED", "UPLOAD_CONFLICT")
        assert second.headers["retry-after"] == "2"
        go_on.set()
        assert first.result(30).status_code == 201
    assert desk.stored(blob) == sent


def test_no_more_is_taken_than_the_link_allows(desk: Desk, rest: httpx.Client) -> None:
    too_large = (413, "INVALID_ARGUMENT", "UPLOAD_TOO_LARGE")
    blob = desk.name()
    link = desk.upload(blob, most=400_000)
    sent = content(400_001)
    assert refusal(rest.put(link, content=sent)) == too_large
    # Without a length, the bytes themselves are counted.
    assert refusal(rest.put(link, content=iter([sent[:9], sent[9:]]))) == too_large
    assert refusal(send(rest, link, 0, sent[:9], upload_length="400001")) == too_large
    assert send(rest, link, 0, sent[:200_000], upload_length="400000").status_code == 204
    assert refusal(send(rest, link, 200_000, iter([sent[200_000:]]))) == too_large
    assert offset_of(rest, link) == 200_000
    assert send(rest, link, 200_000, sent[200_000:-1]).status_code == 204
    assert desk.stored(blob) == sent[:-1]


def test_less_than_was_granted_is_not_kept(desk: Desk, rest: httpx.Client) -> None:
    blob = desk.name()
    answer = rest.put(desk.upload(blob, size=10_000), content=content(9_999))
    assert refusal(answer) == (400, "INVALID_ARGUMENT", "INVALID_FIELD")
    assert not desk.keeps(blob)


@pytest.mark.parametrize("size", [60, 300_000])
def test_a_lying_type_is_refused_and_nothing_is_kept(
    desk: Desk, rest: httpx.Client, size: int
) -> None:
    blob = desk.name()
    link, page = desk.upload(blob, types=(PNG,)), b"<html><script>" + bytes(size)
    refused = (415, "INVALID_ARGUMENT", "UPLOAD_TYPE_REFUSED")
    answer = rest.put(link, content=page, headers={"content-type": PNG})
    assert refusal(answer) == refused
    assert "text/html" in answer.json()["message"]
    assert refusal(send(rest, link, 0, page, upload_length=str(len(page)))) == refused
    assert not desk.keeps(blob)
    assert rest.put(link, content=content(100, PNG)).status_code == 201


def test_an_infected_file_is_refused_for_good(desk: Desk, rest: httpx.Client) -> None:
    blob = desk.name()
    link, sent = desk.upload(blob), content(5_000) + fake_scanner.PATTERN
    for _ in range(2):
        assert refusal(rest.put(link, content=sent)) == (
            422,
            "FAILED_PRECONDITION",
            "UPLOAD_REJECTED",
        )
    assert refusal(rest.put(link, content=content(5_000)))[2] == "UPLOAD_REJECTED"
    assert not desk.keeps(blob)


def test_while_the_scanner_is_away_nothing_passes_and_a_repeat_does(
    desk: Desk, rest: httpx.Client, scanner: Path
) -> None:
    blob, sent = desk.name(), content(5_000)
    link = desk.upload(blob)
    (scanner / "broken").touch()
    try:
        answer = send(rest, link, 0, sent, upload_length="5000")
        assert refusal(answer) == (503, "UNAVAILABLE", "UNAVAILABLE")
        assert answer.headers["retry-after"]
        assert rest.head(link, headers=TUS).status_code == 503
        assert not list(desk.stack.places.blobs.glob(f"objects/{blob}"))
    finally:
        (scanner / "broken").unlink()
    assert offset_of(rest, link) == 5_000
    assert desk.stored(blob) == sent


def test_a_damaged_part_is_not_kept(desk: Desk, rest: httpx.Client) -> None:
    blob, sent = desk.name(), content(300_000)
    link = desk.upload(blob, size=300_000)
    good = base64.b64encode(hashlib.sha256(sent[:200_000]).digest()).decode()
    bad = send(rest, link, 0, sent[1:200_001], upload_checksum=f"sha256 {good}")
    assert bad.status_code in (415, 460)
    damaged = sent[:100_000] + b"?" + sent[100_001:200_000]
    answer = send(rest, link, 0, damaged, upload_checksum=f"sha256 {good}")
    assert refusal(answer) == (460, "ABORTED", "UPLOAD_DAMAGED")
    assert offset_of(rest, link) == 0
    kept = send(rest, link, 0, sent[:200_000], upload_checksum=f"sha256 {good}")
    assert kept.status_code == 204
    assert send(rest, link, 200_000, sent[200_000:]).status_code == 204
    assert desk.stored(blob) == sent


def test_an_upload_can_be_given_up_and_begun_again(desk: Desk, rest: httpx.Client) -> None:
    blob = desk.name()
    link, sent = desk.upload(blob), content(1_000)
    assert send(rest, link, 0, sent[:500]).status_code == 204
    assert rest.delete(link, headers=TUS).status_code == 204
    assert not desk.keeps(blob)
    assert rest.put(link, content=sent).status_code == 201
    assert refusal(rest.delete(link, headers=TUS))[2] == "UPLOAD_CONFLICT"
    assert desk.stored(blob) == sent


def test_the_protocol_says_what_it_speaks(desk: Desk, rest: httpx.Client) -> None:
    link = desk.upload()
    about = rest.options(link)
    assert (about.status_code, about.headers["tus-version"]) == (204, "1.0.0")
    assert "checksum" in about.headers["tus-extension"]
    other = rest.patch(link, headers={"tus-resumable": "0.2.2"}, content=b"")
    assert other.status_code == httpx.codes.PRECONDITION_FAILED
    assert other.headers["tus-version"] == "1.0.0"
    for wrong in ({"content-type": "image/png"}, {"upload-offset": "-1"}, {"upload-offset": "²"}):
        packed = {name.encode(): value.encode() for name, value in (PART | wrong).items()}
        answer = rest.patch(link, headers=list(packed.items()), content=b"")
        assert answer.status_code in (400, 415)


def test_a_link_that_is_not_ours_or_over_sends_nothing(desk: Desk, rest: httpx.Client) -> None:
    link, sent = desk.upload(), content(100)
    forged = link.replace("max-bytes=1048576", "max-bytes=9048576")
    assert refusal(rest.put(forged, content=sent)) == (403, "PERMISSION_DENIED", "LINK_INVALID")
    short = desk.upload(for_s=2)
    until(lambda: refusal(rest.put(short, content=b""))[2] == "LINK_EXPIRED", 5, "the link expires")


def test_no_link_is_in_any_log(desk: Desk, rest: httpx.Client) -> None:
    link = desk.upload()
    assert rest.put(link, content=content(100)).status_code == 201
    signature = link.partition("signature=")[2].partition("&")[0]
    assert len(signature) > 40
    logged = "".join(path.read_text(errors="replace") for path in desk.stack.places.logs.iterdir())
    assert "upload_done" in logged
    assert signature not in logged


@pytest.mark.slow
def test_a_large_file_passes_with_little_memory(
    desk: Desk, rest: httpx.Client, stack: WholeStack
) -> None:
    size, part = 200 * MIB, content(MIB)
    blob = desk.name()
    link = desk.upload(blob, most=size, size=size)
    before = stack.process("web-0")["rss_bytes"]
    peaks = [before]
    edge = stack.process("edge")["rss_bytes"]

    def parts() -> Iterator[bytes]:
        for number in range(200):
            if number % 20 == 0:
                peaks.append(stack.process("web-0")["rss_bytes"])
            yield part

    assert rest.put(link, content=parts(), timeout=110).status_code == 201
    got = 0
    with rest.stream("GET", desk.download(blob)) as answer:
        for chunk in answer.iter_bytes():
            got += len(chunk)
            if got % (20 * MIB) < len(chunk):
                peaks.append(stack.process("web-0")["rss_bytes"])
    assert got == size
    grown = (max(peaks) - before) / MIB
    edge_grown = (stack.process("edge")["rss_bytes"] - edge) / MIB
    print(f"200 MiB up and down: web grew {grown:.0f} MiB, the edge {edge_grown:.0f} MiB")
    assert grown < 64
    assert edge_grown < 32
    asyncio.run(desk.blobs.delete(blob))
