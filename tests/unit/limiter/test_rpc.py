"""Decisions -> what Envoy is told."""

from __future__ import annotations

import base64

from google.rpc import error_details_pb2, status_pb2

from gateway.limiter import wire
from gateway.limiter.asked import Asked, Reader
from gateway.limiter.decider import Decider
from gateway.limiter.rpc import Limiter, answer_of
from gateway.limiter.windows import Verdict

PLENTY = Verdict(allowed=True, limit=100, remaining=90, wait_s=0.0)
SCARCE = Verdict(allowed=True, limit=10, remaining=1, wait_s=0.0)
REFUSED = Verdict(allowed=False, limit=10, remaining=0, wait_s=2.1)


class Passes:
    async def count(self, asked: Asked) -> Verdict:
        return PLENTY


def test_the_tightest_limit_is_told() -> None:
    answer = answer_of([PLENTY, SCARCE], 2)
    assert not answer.over
    assert answer.remaining == (90, 1)
    assert dict(answer.headers) == {
        "x-ratelimit-limit": "10",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-reset": "0",
    }


def test_a_refusal_says_when_to_come_back_and_never_too_early() -> None:
    answer = answer_of([PLENTY, REFUSED], 3)
    assert answer.over
    assert answer.remaining == (90, 0, 0)
    told = dict(answer.headers)
    assert (told["retry-after"], told["x-ratelimit-reset"]) == ("3", "3")
    status = status_pb2.Status.FromString(base64.b64decode(told["grpc-status-details-bin"]))
    assert status.code == 8
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert [each.Unpack(info) for each in status.details].count(True) == 1
    assert [each.Unpack(retry) for each in status.details].count(True) == 1
    assert (info.reason, info.domain) == ("OVERLOADED", "mesh.palestra")
    assert retry.retry_delay.seconds == 3


def test_who_comes_back_at_once_is_told_a_second() -> None:
    refused = Verdict(allowed=False, limit=10, remaining=0, wait_s=0.0)
    assert dict(answer_of([refused], 1).headers)["retry-after"] == "1"


async def test_a_question_that_nobody_can_read_passes() -> None:
    limiter = Limiter(Reader(b"secret"), Decider(Passes()))
    descriptor = wire.Descriptor((("user", "u"),), 1)
    answer = await limiter.should_rate_limit(wire.Question("palestra", (descriptor,)), None)
    assert answer == wire.Answer(over=False, remaining=(0,))


async def test_a_question_about_nothing_passes() -> None:
    limiter = Limiter(Reader(b"secret"), Decider(Passes()))
    answer = await limiter.should_rate_limit(wire.Question("palestra", ()), None)
    assert answer == wire.Answer(over=False, remaining=())
