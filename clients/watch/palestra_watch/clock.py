"""The device's clock against the server's.

Owns the measurement of offset and round trip (as NTP does it). Rewrites no
sample's time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp

from palestra.integration.v1.telemetry_service_pb2 import ClockPing, ClockPong
from palestra_watch.recording import timestamp


@dataclass(frozen=True, slots=True)
class Measured:
    """One exchange."""

    offset_ms: int
    """Server's time minus the device's."""
    round_trip_ms: int


def now_ms() -> int:
    """The device's clock, in ms since 1970."""
    return time.time_ns() // 1_000_000


def ping(at_ms: int, last: Measured | None) -> ClockPing:
    """A ping sent at `at_ms` that tells what the last one measured."""
    message = ClockPing(device_time=timestamp(at_ms))
    if last is not None:
        message.offset_ms = last.offset_ms
        message.round_trip_ms = last.round_trip_ms
    return message


def measure(pong: ClockPong, at_ms: int) -> Measured | None:
    """What a pong that came at `at_ms` says; None where it contradicts itself."""
    sent, received, answered = map(to_ms, (pong.device_time, pong.receive_time, pong.send_time))
    round_trip = (at_ms - sent) - (answered - received)
    if not 0 <= round_trip < 2**32:
        return None
    return Measured(((received - sent) + (answered - at_ms)) // 2, round_trip)


def to_ms(moment: Timestamp) -> int:
    """A Timestamp in ms since 1970."""
    return moment.seconds * 1000 + moment.nanos // 1_000_000
