"""Our summary beside the device's own, for real recordings.

Owns the reading of the sample files with the official FIT decoder, the comparison field
by field, and the reason for each difference over 1 %. The files stay where they are:
`PALESTRA_SAMPLES`, or `shared/samples` beside the checkout. Run as a module, it writes
the table anew; a reason is always written by a person, here, after looking.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np
from garmin_fit_sdk import Decoder, Stream

from services.training.activities.rules.laps import DeviceLap
from services.training.activities.rules.sports import Sport
from services.training.activities.rules.summary import DeviceClaims, Summary, summarise
from services.training.activities.rules.track import Floats, Span

ROOT: Final = Path(__file__).resolve().parents[3]
SAMPLES: Final = Path(os.environ.get("PALESTRA_SAMPLES") or ROOT.parent / "shared" / "samples")
TABLE: Final = Path(__file__).with_name("summary_differences.md")
TOLERANCE: Final = 0.01


class Reason(Enum):
    """Why ours and the device's differ: the closed list."""

    TIMER_BEYOND_SAMPLES = "the device's timer runs on after the last sample"
    STANDING = "the device's timer ran while its wearer stood; we count moving time"
    RESTS = "the device averages over the lengths swum, we over the whole"
    ZEROS = "the device leaves zeros out of its average, we count every sample"
    UNWEIGHTED = "smart recording: the device averages by time, we by sample"
    BETWEEN_SAMPLES = "the device saw a higher value between the samples that it stored"
    DEVICE_FILTERED = "the device leaves a short peak out that its own samples have"
    ASCENT_METHOD = "the device's smoothing and hysteresis are its own and not published"
    SETTLING = "the altitude jumped while the sensor settled; we take the jump out"
    POSITION_NOISE = "positions alone; the device corrects them by its other sensors"
    ROUNDED = "the device gives whole numbers"
    LEG_EDGE = "the step across the edge between two legs counts for the device"
    NOT_MEASURED = "the device gives 0 for what it has not measured"
    DAMAGED = "the file is damaged: samples are missing or wrong"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field of one session; a value is None where it is absent."""

    file: str
    session: int
    field: str
    ours: float | None
    device: float

    @property
    def key(self) -> tuple[str, int, str]:
        """What a reason is for."""
        return self.file, self.session, self.field

    @property
    def is_large(self) -> bool:
        """Whether a reason is needed."""
        return self.ours is None or abs(self.ours - self.device) > TOLERANCE * abs(self.device)


_SPORTS: Final = {
    "running": Sport.RUNNING,
    "cycling": Sport.CYCLING,
    "swimming": Sport.SWIMMING,
    "transition": Sport.TRANSITION,
}
_CHANNELS: Final[Mapping[str, tuple[str, ...]]] = {
    "HEART_RATE": ("heart_rate",),
    "POWER": ("power",),
    "CADENCE": ("cadence",),
    "SPEED": ("enhanced_speed", "speed"),
    "DISTANCE": ("distance",),
    "ALTITUDE": ("enhanced_altitude", "altitude"),
    "LATITUDE": ("position_lat",),
    "LONGITUDE": ("position_long",),
    "TEMPERATURE": ("temperature",),
}


def sample_files() -> list[Path]:
    """The FIT files, by name; empty where there are none on this machine."""
    return sorted(SAMPLES.glob("*.fit"))


def compare_all() -> list[Difference]:
    """Every field that a device gives for a session that has records."""
    return [difference for path in sample_files() for difference in compare(path)]


def compare(path: Path) -> Iterator[Difference]:
    """One file's fields, session by session."""
    messages, _ = Decoder(Stream.from_byte_array(bytearray(path.read_bytes()))).read()
    for number, (session, summary) in enumerate(summaries(messages), 1):
        for field, ours, device in _pairs(summary, session):
            if device is not None:
                yield Difference(path.name, number, field, ours, device)


def summaries(messages: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Summary]]:
    """The device's session message and our summary, which is told nothing of its totals."""
    records = [record for record in messages.get("record_mesgs", []) if "timestamp" in record]
    sessions = messages.get("session_mesgs", [])
    claims = DeviceClaims(laps=_laps(messages), pauses=_pauses(messages))
    for session in sessions if records else []:
        mine = records if len(sessions) == 1 else _within(records, session)
        times = np.array([_ms(record["timestamp"]) for record in mine], dtype=np.int64)
        sport = _SPORTS.get(session.get("sport"), Sport.OTHER)
        yield session, summarise(times, _columns(mine), sport, claims)


def _within(records: list[dict[str, Any]], session: Mapping[str, Any]) -> list[dict[str, Any]]:
    start = _ms(session["start_time"])
    end = start + 1000 * session["total_elapsed_time"]
    return [record for record in records if start <= _ms(record["timestamp"]) < end]


def _columns(records: list[dict[str, Any]]) -> dict[str, Floats]:
    columns = {}
    for channel, fields in _CHANNELS.items():
        scale = 180.0 / 2**31 if channel in ("LATITUDE", "LONGITUDE") else 1.0
        values = [_first_number(record, fields) for record in records]
        known = np.array([np.nan if value is None else value * scale for value in values])
        if not np.isnan(known).all():
            columns[channel] = known
    return columns


def _pauses(messages: Mapping[str, Any]) -> tuple[Span, ...]:
    pauses, stopped = [], None
    for event in messages.get("event_mesgs", []):
        if event.get("event") != "timer":
            continue
        if str(event["event_type"]).startswith("stop"):
            stopped = _ms(event["timestamp"])
        elif event["event_type"] == "start" and stopped is not None:
            pauses.append(Span(stopped, _ms(event["timestamp"])))
            stopped = None
    return tuple(pauses)


def _laps(messages: Mapping[str, Any]) -> tuple[DeviceLap, ...]:
    laps = [lap for lap in messages.get("lap_mesgs", []) if "start_time" in lap]
    return tuple(
        DeviceLap(Span(start, start + round(1000 * lap.get("total_elapsed_time", 0))))
        for lap in laps
        for start in (_ms(lap["start_time"]),)
    )


def _pairs(
    summary: Summary, session: Mapping[str, Any]
) -> Iterator[tuple[str, float | None, float | None]]:
    total_m = _first_number(session, ("total_distance",))
    yield "elapsed_s", summary.elapsed_s, _first_number(session, ("total_elapsed_time",))
    yield "moving_s", summary.moving_s, _first_number(session, ("total_timer_time",))
    yield "distance_m", summary.distance_m, total_m
    if summary.computed_distance_m is not None:
        yield "computed_distance_m", summary.computed_distance_m, total_m
    yield "ascent_m", summary.ascent_m, _first_number(session, ("total_ascent",))
    yield "descent_m", summary.descent_m, _first_number(session, ("total_descent",))
    average_speed = _first_number(session, ("enhanced_avg_speed", "avg_speed"))
    yield "average_speed_mps", summary.average_speed_mps, average_speed
    measured = {channel.channel: channel for channel in summary.channels}
    if (speed := measured.get("SPEED")) is not None:
        yield "max_speed_mps", speed.max, _first_number(session, ("enhanced_max_speed",))
    for name in ("heart_rate", "power", "cadence"):
        if (channel := measured.get(name.upper())) is not None:
            yield f"average_{name}", channel.average, _first_number(session, (f"avg_{name}",))
            yield f"max_{name}", channel.max, _first_number(session, (f"max_{name}",))


def _first_number(message: Mapping[str, Any], fields: tuple[str, ...]) -> float | None:
    """Newer devices put the value into a list with an invalid one behind it."""
    for field in fields:
        value = message.get(field)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, int | float):
            return float(value)
    return None


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def render(differences: list[Difference], reasons: Mapping[tuple[str, int, str], Reason]) -> str:
    """The committed table."""
    lines = [
        "# Our summary beside the device's",
        "",
        "Written by `python -m tests.unit.training.sample_summaries`; a test compares it.",
        "Ours is computed from the samples, the pauses and the laps, without the device's totals.",
        "Where the two differ by more than 1 % a reason says why:",
        "",
        *[f"- `{reason.name}`: {reason.value}" for reason in Reason],
        "",
        "| file | session | field | ours | device's | reason |",
        "|---|---|---|---|---|---|",
    ]
    for one in differences:
        reason = reasons.get(one.key)
        ours = "absent" if one.ours is None else f"{one.ours:.2f}"
        lines.append(
            f"| {one.file} | {one.session} | {one.field} | {ours} | {one.device:.2f} "
            f"| {reason.name if reason else ''} |"
        )
    return "\n".join(lines) + "\n"


_STANDING_STILL: Final = {
    Reason.TIMER_BEYOND_SAMPLES: "elapsed_s",
    Reason.STANDING: "moving_s average_speed_mps",
}
_BY_FILE: Final[Mapping[str, Mapping[int, Mapping[Reason, str]]]] = {
    "bad-file-crc.fit": {1: _STANDING_STILL},
    "bad-unexpected-eof.fit": {1: _STANDING_STILL},
    "garmin-edge500-activity.fit": {
        1: {Reason.ASCENT_METHOD: "ascent_m descent_m", Reason.ZEROS: "average_cadence"}
    },
    "garmin-edge810-vector-power.fit": {1: {Reason.ASCENT_METHOD: "ascent_m descent_m"}},
    "garmin-edge820-bike.fit": {
        1: {Reason.UNWEIGHTED: "average_heart_rate", Reason.BETWEEN_SAMPLES: "max_cadence"}
    },
    "garmin-fenix2-run.fit": {
        1: {Reason.ASCENT_METHOD: "ascent_m descent_m", Reason.DEVICE_FILTERED: "max_cadence"}
    },
    "garmin-fenix5-run.fit": {
        1: {
            Reason.POSITION_NOISE: "computed_distance_m",
            Reason.ASCENT_METHOD: "ascent_m",
            Reason.BETWEEN_SAMPLES: "max_speed_mps",
            Reason.UNWEIGHTED: "average_heart_rate average_cadence",
        }
    },
    "indoor-trainer-ride.fit": {
        1: {Reason.NOT_MEASURED: "distance_m average_speed_mps", Reason.ZEROS: "average_cadence"}
    },
    "multisport-small.fit": {
        1: {Reason.NOT_MEASURED: "ascent_m descent_m"},
        2: {
            Reason.TIMER_BEYOND_SAMPLES: "elapsed_s moving_s",
            Reason.NOT_MEASURED: "ascent_m descent_m",
        },
    },
    "pool-swim-with-hr.fit": {
        1: {
            Reason.RESTS: "average_speed_mps average_heart_rate",
            Reason.ZEROS: "average_cadence",
        }
    },
    "strava-android-app.fit": {
        1: {Reason.DAMAGED: "elapsed_s moving_s distance_m computed_distance_m"}
    },
    "triathlon-summary-first.fit": {
        1: {Reason.POSITION_NOISE: "computed_distance_m", Reason.ROUNDED: "average_cadence"},
        2: {
            Reason.STANDING: "moving_s average_speed_mps",
            Reason.POSITION_NOISE: "computed_distance_m",
            Reason.SETTLING: "ascent_m descent_m",
        },
        3: {Reason.ASCENT_METHOD: "ascent_m descent_m"},
        4: {
            Reason.STANDING: "moving_s average_speed_mps",
            Reason.LEG_EDGE: "distance_m",
            Reason.POSITION_NOISE: "computed_distance_m",
            Reason.ZEROS: "average_cadence",
        },
        5: {Reason.ASCENT_METHOD: "ascent_m descent_m"},
    },
}
REASONS: Final[Mapping[tuple[str, int, str], Reason]] = {
    (file, session, field): reason
    for file, sessions in _BY_FILE.items()
    for session, grouped in sessions.items()
    for reason, fields in grouped.items()
    for field in fields.split()
}

if __name__ == "__main__":
    TABLE.write_text(render(compare_all(), REASONS), encoding="utf-8")
