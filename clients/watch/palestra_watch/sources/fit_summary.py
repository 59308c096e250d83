"""What the device itself made of a session: its totals, laps and pauses.

Owns the reading of session, lap and event messages. Recomputes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from palestra.training.v1.telemetry_pb2 import DeviceSummary
from palestra_watch.recording import timestamp

Message = Mapping[Any, Any]

_EPOCH_S = 631_065_600
_KJ_PER_KCAL = 4.184
_LISTED = 2000
_TIMER = 0
_STARTS = (0,)
_STOPS = (1, 4, 8, 9)
# Ours, FIT's (the first that is there), and what FIT's is divided by.
_TOTALS = (
    ("elapsed_s", ("total_elapsed_time",), 1000),
    ("moving_s", ("total_timer_time",), 1000),
    ("distance_m", ("total_distance",), 100),
    ("ascent_m", ("total_ascent",), 1),
    ("descent_m", ("total_descent",), 1),
    ("average_heart_rate_bpm", ("avg_heart_rate",), 1),
    ("max_heart_rate_bpm", ("max_heart_rate",), 1),
    ("average_power_w", ("avg_power",), 1),
    ("max_power_w", ("max_power",), 1),
    ("average_cadence_rpm", ("avg_cadence",), 1),
    ("max_cadence_rpm", ("max_cadence",), 1),
    ("average_speed_mps", ("enhanced_avg_speed", "avg_speed"), 1000),
    ("max_speed_mps", ("enhanced_max_speed", "max_speed"), 1000),
)


@dataclass(frozen=True, slots=True)
class Leg:
    """A session message and its place on the clock."""

    start_time_ms: int
    session: Message


def legs_of(sessions: list[Message], first_time_ms: int) -> list[Leg]:
    """The sessions in the order of their starts; one that begins with the first sample if none.

    A summary may precede the samples, so the messages' own order says nothing.
    """
    legs = [
        Leg(_time_ms(session["start_time"]), session)
        for session in sessions
        if isinstance(session.get("start_time"), int)
    ]
    return sorted(legs, key=lambda leg: leg.start_time_ms) or [
        Leg(first_time_ms, sessions[0] if sessions else {})
    ]


def summary_of(
    legs: list[Leg], index: int, laps: list[Message], events: list[Message], last_time_ms: int
) -> DeviceSummary:
    """The device's summary of one leg; what the device does not tell is absent."""
    leg = legs[index]
    next_start = legs[index + 1].start_time_ms if index + 1 < len(legs) else None
    summary = DeviceSummary()
    for ours, theirs, divisor in _TOTALS:
        if (value := _first(leg.session, theirs)) is not None:
            setattr(summary, ours, value / divisor)
    if (kcal := _first(leg.session, ("total_calories",))) is not None:
        summary.energy_kj = kcal * _KJ_PER_KCAL
    elapsed_ms = _first(leg.session, ("total_elapsed_time",))
    end_ms = leg.start_time_ms + elapsed_ms if elapsed_ms is not None else last_time_ms
    summary.end_time.CopyFrom(timestamp(end_ms))
    first = leg.start_time_ms if index else None
    _add_laps(summary, [lap for lap in laps if _within(lap.get("start_time"), first, next_start)])
    own = [event for event in events if _within(event.get("timestamp"), first, next_start)]
    _add_pauses(summary, own)
    return summary


def _add_laps(summary: DeviceSummary, laps: list[Message]) -> None:
    for lap in sorted(laps, key=lambda each: int(each["start_time"]))[:_LISTED]:
        added = summary.laps.add(start_time=timestamp(_time_ms(lap["start_time"])))
        elapsed_ms = _first(lap, ("total_elapsed_time",))
        if elapsed_ms is not None:
            added.end_time.CopyFrom(timestamp(_time_ms(lap["start_time"]) + elapsed_ms))
        elif isinstance(lap.get("timestamp"), int):
            added.end_time.CopyFrom(timestamp(_time_ms(lap["timestamp"])))
        if (distance := _first(lap, ("total_distance",))) is not None:
            added.distance_m = distance / 100
        if (timer_ms := _first(lap, ("total_timer_time",))) is not None:
            added.moving_s = timer_ms / 1000


def _add_pauses(summary: DeviceSummary, events: list[Message]) -> None:
    stopped: int | None = None
    for event in events:
        if event.get("event") != _TIMER:
            continue
        if event.get("event_type") in _STOPS and stopped is None:
            stopped = _time_ms(event["timestamp"])
        elif event.get("event_type") in _STARTS and stopped is not None:
            started = _time_ms(event["timestamp"])
            if started > stopped and len(summary.pauses) < _LISTED:
                summary.pauses.add(start_time=timestamp(stopped), end_time=timestamp(started))
            stopped = None


def _within(fit_time: object, first: int | None, end: int | None) -> bool:
    if not isinstance(fit_time, int):
        return False
    time_ms = _time_ms(fit_time)
    return (first is None or time_ms >= first) and (end is None or time_ms < end)


def _time_ms(fit_time: int) -> int:
    return (fit_time + _EPOCH_S) * 1000


def _first(message: Message, names: tuple[str, ...]) -> int | None:
    for name in names:
        value = message.get(name)
        # Some devices write a 4-byte field as two 2-byte ones.
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int):
            return value
    return None
