"""The parts of the load that decide: where it ends, what it reads, what it sends."""

from __future__ import annotations

import asyncio
import json
import time

import numpy as np
import pytest

from gateway import overrides
from mesh import policy
from tests.load import http1, limits, machine
from tests.load.closed_loop import Bounds, closed_loop
from tests.load.session import recording


async def test_a_loop_ends_after_so_many_requests_of_all_callers_together() -> None:
    asked = 0

    async def call() -> bool:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return True

    tally = await closed_loop([call] * 3, Bounds(10, 100))
    assert asked == tally.units == len(tally.latencies_ms) == 100


async def test_a_loop_ends_by_the_clock() -> None:
    async def call() -> bool:
        await asyncio.sleep(0.01)
        return True

    begun = time.perf_counter()
    tally = await closed_loop([call], Bounds(0.1, 1_000_000))
    assert 0.1 <= time.perf_counter() - begun < 5
    assert 1 <= tally.units <= 10


async def test_what_is_answered_otherwise_is_a_failure_and_has_no_time() -> None:
    async def call() -> bool:
        return False

    tally = await closed_loop([call], Bounds(10, 5))
    assert (tally.units, tally.failed, tally.latencies_ms) == (0, 5, [])


def test_an_answer_s_head_tells_status_and_length() -> None:
    head = b"HTTP/1.1 429 Too Many\r\nserver: x\r\nContent-Length: 17\r\n\r\n"
    assert http1.parse_head(head) == (429, 17)


@pytest.mark.parametrize("head", [b"", b"SMTP ready\r\n", b"HTTP/1.1 200 OK\r\nserver: x\r\n"])
def test_an_answer_without_a_length_is_not_guessed_at(head: bytes) -> None:
    with pytest.raises(http1.NotUnderstood):
        http1.parse_head(head)


def test_a_request_says_how_long_its_body_is() -> None:
    packed = http1.request("POST", "/v1/x", host="h:1", token="t", body={"name": "Вера"})
    head, _, body = packed.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/x HTTP/1.1"
    assert f"content-length: {len(body)}" in lines
    assert "authorization: Bearer t" in lines


def test_the_raised_limits_are_what_an_operator_may_write() -> None:
    contract = policy.load()
    raised = overrides.parse(json.dumps(limits.raised()), contract)
    asked = [
        contract.methods[f"/palestra.{path}"]
        for path in (
            "identity.v1.AuthService/Login",
            "integration.v1.TelemetryService/StreamTelemetry",
            "training.v1.ActivityService/GetActivity",
        )
    ]
    for method in asked:
        limit = raised.limit(method)
        assert limit is not None
        assert limit.requests == limits.REQUESTS > method.policy.limit.requests


def test_a_recording_is_eight_channels_at_one_hertz_without_gaps() -> None:
    made = recording(120, 1, 1_700_000_000_000)
    assert np.diff(made.time_ms).tolist() == [1000] * 119
    assert len(made.channels) == 8
    assert all(each.valid.all() and len(each.raw) == 120 for each in made.channels)


def test_the_machine_is_told_by_its_processor() -> None:
    assert machine.cpu_model("processor\t: 0\nmodel name\t: Fast 9000: fine\n") == "Fast 9000: fine"
    assert machine.cpu_model("processor\t: 0\n")
    assert machine.memory_mib("MemTotal:       2048 kB\nMemFree: 1 kB\n") == 2
    assert machine.memory_mib("") is None
