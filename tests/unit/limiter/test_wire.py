"""The messages against Envoy's own types."""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import HeaderValue
from envoy_data_plane.envoy.extensions.common.ratelimit.v3 import (
    RateLimitDescriptor,
    RateLimitDescriptorEntry,
)
from envoy_data_plane.envoy.service.ratelimit.v3 import (
    RateLimitRequest,
    RateLimitResponse,
    RateLimitResponseCode,
)

from gateway.limiter import wire


def asked(hits: int | None = None, whole: int = 0) -> wire.Question:
    entries = [
        RateLimitDescriptorEntry(key="limit", value="3/60"),
        RateLimitDescriptorEntry(key="user", value="a user"),
    ]
    descriptors = [RateLimitDescriptor(entries=entries, hits_addend=hits)]
    request = RateLimitRequest(domain="palestra", descriptors=descriptors, hits_addend=whole)
    return wire.question(bytes(request))


def test_envoys_question_is_read() -> None:
    entries = (("limit", "3/60"), ("user", "a user"))
    assert asked() == wire.Question("palestra", (wire.Descriptor(entries, 1),))


def test_a_descriptors_own_hits_stand_before_the_questions() -> None:
    assert [asked(*said).descriptors[0].hits for said in ((None, 4), (7, 4), (7, 0))] == [4, 7, 7]


def test_envoy_reads_the_answer() -> None:
    said = wire.Answer(over=True, remaining=(2, 0), headers=(("retry-after", "9"),))
    read = RateLimitResponse.parse(wire.answer(said))
    assert read.overall_code is RateLimitResponseCode.OVER_LIMIT
    assert [(each.code.name, each.limit_remaining) for each in read.statuses] == [
        ("OK", 2),
        ("OVER_LIMIT", 0),
    ]
    assert read.response_headers_to_add == [HeaderValue(key="retry-after", value="9")]


def test_what_passes_is_ok() -> None:
    read = RateLimitResponse.parse(wire.answer(wire.Answer(over=False, remaining=(0,))))
    assert read.overall_code is RateLimitResponseCode.OK
    assert [each.code for each in read.statuses] == [RateLimitResponseCode.OK]
