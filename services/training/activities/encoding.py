"""Activities as contract messages: what is stored, answered and published.

Owns the translation between the rules' shapes and the contract's; decides nothing.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import overload

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from mesh.runtime import rendering
from palestra.training.v1 import activity_pb2, events_pb2, telemetry_pb2
from services.training.activities.rules.laps import DeviceLap
from services.training.activities.rules.summary import DeviceClaims, Summary
from services.training.activities.rules.totals import local_date
from services.training.activities.rules.track import Span

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIVE = activity_pb2.ACTIVITY_STATE_LIVE
FINISHED = activity_pb2.ACTIVITY_STATE_FINISHED


def timestamp(at: datetime) -> Timestamp:
    """A time as the contract has it."""
    encoded = Timestamp()
    encoded.FromDatetime(at)
    return encoded


def begun(
    name: str, description: telemetry_pb2.SessionDescription, now: datetime
) -> activity_pb2.Activity:
    """An activity as it begins."""
    offset_s = description.utc_offset_s if description.HasField("utc_offset_s") else None
    return activity_pb2.Activity(
        name=name,
        state=LIVE,
        sport=description.sport,
        start_time=description.start_time,
        utc_offset_s=offset_s,
        device=description.device,
        create_time=timestamp(now),
        update_time=timestamp(now),
        etag="1",
    )


def finish(
    activity: activity_pb2.Activity,
    summary: Summary,
    units: dict[str, str],
    device: telemetry_pb2.DeviceSummary,
    clock_offset_ms: int | None,
    sample_count: int,
    last_time_ms: int | None,
) -> None:
    """Fills in what is known once an activity has ended."""
    activity.state = FINISHED
    activity.sample_count = sample_count
    if last_time_ms is not None:
        activity.end_time.FromMilliseconds(last_time_ms)
    elif device.HasField("end_time"):
        activity.end_time.CopyFrom(device.end_time)
    else:
        activity.end_time.CopyFrom(activity.start_time)
    if clock_offset_ms is not None:
        activity.clock_offset_ms = clock_offset_ms
    activity.summary.CopyFrom(encode_summary(summary, units))
    activity.device_summary.CopyFrom(device)


def json_of(activity: activity_pb2.Activity) -> bytes | None:
    """What of an activity is kept as JSON; nothing while it is live, for its count moves."""
    return rendering.json_of(activity) if activity.state == FINISHED else None


def place_of(message: bytes) -> tuple[datetime, uuid.UUID]:
    """Where a serialised activity stands among its owner's: when it started, and its id."""
    activity = activity_pb2.Activity.FromString(message)
    at = activity.start_time
    started_at = _EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanos // 1000)
    return started_at, uuid.UUID(activity.name.rsplit("/", 1)[1])


def changed(activity: activity_pb2.Activity, version: int, now: datetime) -> None:
    """Marks a new version of an activity."""
    activity.etag = str(version)
    activity.update_time.FromDatetime(now)


def encode_summary(summary: Summary, units: dict[str, str]) -> activity_pb2.ActivitySummary:
    """The figures of an activity."""
    encoded = activity_pb2.ActivitySummary(
        elapsed_s=_neat(summary.elapsed_s),
        moving_s=_neat(summary.moving_s),
        distance_m=_neat(summary.distance_m),
        distance_source=summary.distance_source.value,  # type: ignore[arg-type]
        computed_distance_m=_neat(summary.computed_distance_m),
        ascent_m=_neat(summary.ascent_m),
        descent_m=_neat(summary.descent_m),
        average_speed_mps=_neat(summary.average_speed_mps),
        formula=summary.formula,
    )
    for channel in summary.channels:
        encoded.channels.add(
            channel=channel.channel,
            unit=units.get(channel.channel, ""),
            min=_digits(channel.min),
            average=_digits(channel.average),
            max=_digits(channel.max),
            count=channel.count,
        )
    for effort in summary.best_efforts:
        encoded.best_efforts.add(
            distance_m=_neat(effort.distance_m),
            duration_s=_neat(effort.duration_s),
            start_offset_s=_neat(effort.start_offset_s),
        )
    for lap in summary.laps:
        encoded.laps.add(
            start_offset_s=_neat(lap.start_offset_s),
            elapsed_s=_neat(lap.elapsed_s),
            moving_s=_neat(lap.moving_s),
            distance_m=_neat(lap.distance_m),
            average_heart_rate_bpm=_neat(lap.average_heart_rate_bpm),
            average_power_w=_neat(lap.average_power_w),
            average_speed_mps=_neat(lap.average_speed_mps),
        )
    return encoded


@overload
def _neat(value: float) -> float: ...
@overload
def _neat(value: None) -> None: ...
def _neat(value: float | None) -> float | None:
    """To a thousandth of the unit: what floating point adds behind it is no measurement."""
    return None if value is None else round(value, 3)


def _digits(value: float) -> float:
    """Nine significant digits, for channels of any scale."""
    return float(f"{value:.9g}")


def readable(device: telemetry_pb2.DeviceSummary) -> telemetry_pb2.DeviceSummary:
    """A device's summary without the times that are none, which nobody could print either."""
    kept = telemetry_pb2.DeviceSummary()
    kept.CopyFrom(device)
    if not _is_time(kept.end_time):
        kept.ClearField("end_time")
    for spans in (kept.laps, kept.pauses):
        whole = [each for each in spans if _is_time(each.start_time) and _is_time(each.end_time)]
        if len(whole) < len(spans):
            del spans[:]
            spans.extend(whole)  # type: ignore[arg-type]
    return kept


def _is_time(at: Timestamp) -> bool:
    try:
        at.ToMilliseconds()
    except ValueError:
        return False
    return True


def claims_of(device: telemetry_pb2.DeviceSummary) -> DeviceClaims:
    """What of the device's own summary enters ours."""
    return DeviceClaims(
        distance_m=device.distance_m if device.HasField("distance_m") else None,
        laps=tuple(
            DeviceLap(
                _span(lap.start_time, lap.end_time),
                lap.distance_m if lap.HasField("distance_m") else None,
                lap.moving_s if lap.HasField("moving_s") else None,
            )
            for lap in device.laps
        ),
        pauses=tuple(_span(pause.start_time, pause.end_time) for pause in device.pauses),
    )


def _span(start: Timestamp, end: Timestamp) -> Span:
    return Span(start.ToMilliseconds(), end.ToMilliseconds())


def totals_of(activity: activity_pb2.Activity) -> events_pb2.ActivityTotals:
    """What a finished activity counts for."""
    offset_s = activity.utc_offset_s if activity.HasField("utc_offset_s") else None
    local = local_date(activity.start_time.ToMilliseconds(), offset_s)
    summary = activity.summary
    return events_pb2.ActivityTotals(
        activity=activity.name,
        sport=activity.sport,
        local_date=Date(year=local.year, month=local.month, day=local.day),
        elapsed_s=summary.elapsed_s,
        moving_s=summary.moving_s,
        distance_m=summary.distance_m,
        ascent_m=summary.ascent_m,
    )
