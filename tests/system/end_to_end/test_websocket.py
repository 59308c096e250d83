"""The telemetry line over WebSocket, through the real edge."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
import uuid
from pathlib import Path

import httpx
import pytest
from websockets import ConnectionClosed, InvalidStatus, Subprotocol
from websockets.asyncio.client import connect, unix_connect

from mesh.local import procfs
from palestra.integration.v1 import telemetry_service_pb2 as pb
from palestra_watch.line_websocket import over_websocket
from palestra_watch.session import SessionRefused, StreamBroken
from palestra_watch.sources.simulate import simulate
from tests.support.athletes import Athlete
from tests.support.made_tokens import Signer
from tests.support.watches import Crowded, Watch
from tests.support.websocket_runs import (
    PATH,
    WebSocketRun,
    offered,
    reason_of,
    stored_bpm,
    url,
    websocket_run,
    websocket_run_when_up,
)
from tests.support.whole_stack import WholeStack

KINDS = ("json", "binary")
WITHIN_S = 20.0
SLOW_S = 6.0
MOST_BYTES = 24 << 20


@pytest.mark.parametrize("kind", KINDS)
async def test_a_session_is_stored_as_it_was_sent(athlete: Athlete, kind: str) -> None:
    sent = [100 + number % 80 for number in range(200)]
    async with websocket_run(athlete, kind) as run:
        accepted = await run.open()
        assert accepted.resume_from_seq == 1
        for seq in range(1, 21):
            await run.send(seq, sent[(seq - 1) * 10 : seq * 10])
        await run.acknowledged(20)
        activity = await run.close(20)
        _, code, _ = await run.end()
    assert (activity, code) == (accepted.activity, 1000)
    assert stored_bpm(athlete, activity) == sent


async def test_a_session_begun_in_json_goes_on_in_binary_frames(athlete: Athlete) -> None:
    async with websocket_run(athlete, "json") as run:
        await run.open()
        await run.send(1, [120, 121])
        await run.acknowledged(1)
        session, start_ms = run.session, run.start_ms
    async with websocket_run(athlete, "binary") as run:
        run.session, run.start_ms = session, start_ms
        assert (await run.open(epoch=2)).resume_from_seq == 2
        await run.send(2, [122, 123])
        activity = await run.close(2)
    assert stored_bpm(athlete, activity) == [120, 121, 122, 123]


async def test_a_device_with_headers_of_its_own_agrees_on_nothing_and_is_answered_likewise(
    athlete: Athlete,
) -> None:
    headers = {"authorization": f"Bearer {athlete.token}"}
    async with connect(url(athlete.stack), additional_headers=headers, proxy=None) as connection:
        assert connection.subprotocol is None
        ping = pb.StreamTelemetryRequest(clock_ping=pb.ClockPing())
        await connection.send(ping.SerializeToString())
        answer = pb.StreamTelemetryResponse.FromString(await connection.recv(decode=False))
    assert answer.reject.reason == "OPEN_MISSING"


async def test_the_newest_opening_takes_the_session_and_the_older_is_told(
    athlete: Athlete,
) -> None:
    async with websocket_run(athlete) as older, websocket_run(athlete, "binary") as newer:
        await older.open(epoch=1)
        newer.session, newer.start_ms = older.session, older.start_ms
        await newer.open(epoch=2)
        last, code, _ = await older.end()
        assert last is not None
        assert last.reject.reason in {"SESSION_ENDED", "SESSION_FENCED"}
        assert code == 1000


async def _refused(stack: WholeStack, **how: object) -> tuple[int, str]:
    """The status and reason of a refused handshake."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url(stack), proxy=None, **how):  # type: ignore[arg-type]
            pass
    response = refused.value.response
    document = httpx.Response(response.status_code, content=bytes(response.body or b"")).json()
    return response.status_code, document["details"][0]["reason"]


async def test_without_a_token_that_is_good_nothing_is_opened(
    stack: WholeStack, athlete: Athlete
) -> None:
    stranger = Signer("k").token(uuid.uuid4(), ["telemetry.write"])
    json_only = [Subprotocol("palestra.telemetry.v1.json")]
    assert await _refused(stack, subprotocols=json_only) == (401, "TOKEN_MISSING")
    for bad in ("x", "a.b.c", stranger, f"{athlete.token}x"):
        answer = await _refused(stack, subprotocols=offered("json", bad))
        assert answer == (401, "TOKEN_INVALID"), bad
    # In the query it would end up in logs.
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{url(stack)}?access_token={athlete.token}", proxy=None):
            pass
    assert refused.value.response.status_code == 401


async def test_an_offer_that_cannot_be_followed_is_refused_in_words(
    stack: WholeStack, athlete: Athlete
) -> None:
    only_token = offered("json", athlete.token)[1:]
    assert await _refused(stack, subprotocols=only_token) == (400, "INVALID_FIELD")
    headers = {"authorization": f"Bearer {athlete.token}"}
    twice = await _refused(
        stack, subprotocols=offered("json", athlete.token), additional_headers=headers
    )
    assert twice == (400, "INVALID_FIELD")


def test_what_is_no_websocket_is_told_so(athlete: Athlete) -> None:
    answer = athlete.rest.get(PATH)
    assert answer.status_code == 426
    assert answer.json()["details"][0]["reason"] == "INVALID_FIELD"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("garbage", 4400),
        ('{"open": {"session": "x"', 4400),
        ('{"opened": {}}', 4400),
        ('{"open": {"session": "x", "epoch": 1}}', 4400),
        ('{"batch": {"timeDeltasMs": "§"}}', 4400),
        (b"\xff\xff\xff", 4400),
        ("x" * ((1 << 20) + 1), 1009),
    ],
)
async def test_a_frame_that_is_no_message_gets_an_error_and_a_close_code(
    athlete: Athlete, frame: str | bytes, code: int
) -> None:
    async with websocket_run(athlete) as run:
        await run.connection.send(frame)
        last, *end = await run.end()
    assert last is not None
    assert reason_of(last) == "INVALID_FIELD"
    assert last.error.message
    assert end == [code, "INVALID_FIELD"]


async def test_text_that_is_no_text_and_frames_beyond_all_bounds_end_the_connection(
    athlete: Athlete,
) -> None:
    async with websocket_run(athlete) as run:
        await run.connection.send(b"\xff\xff", text=True)
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(run.connection.recv(), WITHIN_S)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1007
    async with websocket_run(athlete) as run:
        with contextlib.suppress(ConnectionClosed):
            await run.connection.send(bytes(8 << 20))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(run.connection.recv(), WITHIN_S)


async def test_what_was_durable_before_a_bad_frame_stays(athlete: Athlete) -> None:
    async with websocket_run(athlete) as run:
        await run.open()
        await run.send(1, [130])
        await run.connection.send("garbage")
        last, code, _ = await run.end()
        session, start_ms = run.session, run.start_ms
    assert (code, last is not None) == (4400, True)
    async with websocket_run(athlete) as run:
        run.session, run.start_ms = session, start_ms
        assert (await run.open(epoch=2)).resume_from_seq == 2
        activity = await run.close(1)
    assert stored_bpm(athlete, activity) == [130]


async def test_what_did_not_come_through_the_edge_is_refused(
    stack: WholeStack, athlete: Athlete
) -> None:
    socket = str(stack.places.run / "web-0.sock")
    for proof in ({}, {"x-palestra-mesh-proof": "0" * 64}):
        with pytest.raises(InvalidStatus) as refused:
            async with unix_connect(
                socket,
                f"ws://web{PATH}",
                subprotocols=offered("json", athlete.token),
                additional_headers=proof,
            ):
                pass
        assert refused.value.response.status_code == 401
        assert b"OUTSIDE_MESH" in bytes(refused.value.response.body or b"")


async def test_a_proof_from_outside_is_taken_away(stack: WholeStack) -> None:
    headers = {"x-palestra-mesh-proof": stack.places.proof.read_text()}
    json_only = [Subprotocol("palestra.telemetry.v1.json")]
    refused = await _refused(stack, subprotocols=json_only, additional_headers=headers)
    assert refused == (401, "TOKEN_MISSING")


async def _acknowledged_until_cut(run: WebSocketRun) -> int:
    """How many more batches than 10 were acknowledged before the connection was cut."""
    durable = 10
    with contextlib.suppress(ConnectionClosed):
        while True:
            durable = max(durable, (await run.hear_of("ack")).ack.seq)
    return durable - 10


async def test_a_process_that_ends_sends_its_sessions_elsewhere_with_all_that_was_heard(
    stack: WholeStack, athlete: Athlete
) -> None:
    async with websocket_run(athlete) as run:
        await run.open()
        session, start_ms = run.session, run.start_ms
        for seq in range(1, 6):
            await run.send(seq, [140 + seq])
        await run.acknowledged(1)
        row = stack.process("web-0")
        os.kill(row["pid"], signal.SIGTERM)
        last, code, reason = await run.end()
        assert last is not None
        assert (reason_of(last), code, reason) == ("UNAVAILABLE", 1012, "UNAVAILABLE")
    await asyncio.to_thread(stack.recovered, "web-0", row["restarts"], WITHIN_S)
    async with websocket_run_when_up(athlete) as run:
        run.session, run.start_ms = session, start_ms
        assert (await run.open(epoch=2)).resume_from_seq == 6
        activity = await run.close(5)
    assert stored_bpm(athlete, activity) == [141, 142, 143, 144, 145]


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_companion_goes_through_the_same_spool_and_resumes_over_websocket(
    stack: WholeStack, athlete: Athlete, tmp_path: Path, as_json: bool
) -> None:
    dial = over_websocket(stack.target, as_json=as_json)
    watch = Watch(athlete, tmp_path, dial=dial)
    recording = simulate("running", 600, 7, int(time.time()) * 1000)
    sending = asyncio.create_task(watch.send(recording, Crowded(0)))
    async with asyncio.timeout(WITHIN_S):
        while watch.status.acknowledged_samples < 100:
            await asyncio.sleep(0.01)
    restarts = stack.kill("web-0")
    sent = await sending
    assert sent.report.whole, sent.report
    assert sent.report.resumed >= 1
    assert await sent.differences() == []
    await asyncio.to_thread(stack.recovered, "web-0", restarts, WITHIN_S)


async def test_the_companion_is_told_over_websocket_what_it_is_told_over_grpc(
    stack: WholeStack, athlete: Athlete
) -> None:
    dial = over_websocket(stack.target)
    with pytest.raises(StreamBroken) as refused:
        await dial("a.b.c")
    assert refused.value.signed_out
    line = await dial(athlete.token)
    await line.write(pb.StreamTelemetryRequest(open=pb.Open(session="x", epoch=1)))
    with pytest.raises(SessionRefused) as told:
        await line.read()
    assert told.value.reason == "INVALID_FIELD"
    await line.close()


@pytest.mark.alone
@pytest.mark.slow
async def test_a_device_that_sends_and_never_reads_takes_no_memory(
    stack: WholeStack, athlete: Athlete
) -> None:
    pids = {name: stack.process(name)["pid"] for name in ("web-0", "edge", "integration-0")}
    before = {name: procfs.rss_bytes(pid) or 0 for name, pid in pids.items()}
    async with websocket_run(athlete) as run:
        await run.open()
        until_s, blocked = time.monotonic() + SLOW_S, False
        # Pongs come as fast as pings go, and nobody takes them.
        while time.monotonic() < until_s and not blocked:
            try:
                async with asyncio.timeout(1.0):
                    await run.connection.send('{"clockPing":{}}')
                    await asyncio.sleep(0)
            except TimeoutError:
                blocked = True
        grown = {name: (procfs.rss_bytes(pid) or 0) - before[name] for name, pid in pids.items()}
        print({name: f"{each / 2**20:.1f} MiB more" for name, each in grown.items()})
        run.connection.transport.abort()
    assert all(each < MOST_BYTES for each in grown.values()), grown


async def test_a_killed_process_loses_and_doubles_nothing(
    stack: WholeStack, athlete: Athlete
) -> None:
    sent = [90 + number for number in range(60)]
    async with websocket_run(athlete) as run:
        await run.open()
        session, start_ms = run.session, run.start_ms
        for seq in range(1, 31):
            await run.send(seq, [sent[seq - 1]])
        await run.acknowledged(10)
        restarts = stack.kill("web-0")
        durable = 10 + await _acknowledged_until_cut(run)
    await asyncio.to_thread(stack.recovered, "web-0", restarts, WITHIN_S)
    async with websocket_run_when_up(athlete, "binary") as run:
        run.session, run.start_ms = session, start_ms
        resume = (await run.open(epoch=2)).resume_from_seq
        # What was acknowledged is there; what was not may be.
        assert durable < resume <= 31
        for seq in range(resume, 61):
            await run.send(seq, [sent[seq - 1]])
        activity = await run.close(60)
    assert stored_bpm(athlete, activity) == sent
