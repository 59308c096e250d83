"""Real device files: what arrives equals what another reading of the file says."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from garmin_fit_sdk import Decoder, Stream

from palestra.training.v1 import sport_pb2
from palestra_watch.recording import Recording, SourceError
from palestra_watch.sources.fit import read_fit
from tests.support.fake_telemetry import Mood, Store, telemetry_server
from tests.unit.watch.sessions import assert_stored, send

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = Path(os.environ.get("PALESTRA_SAMPLES") or ROOT.parent / "shared" / "samples")
WITH_SAMPLES = (
    "bad-file-crc",
    "bad-truncated",
    "bad-unexpected-eof",
    "developer-fields",
    "garmin-edge500-activity",
    "garmin-edge810-vector-power",
    "garmin-edge820-bike",
    "garmin-fenix2-run",
    "garmin-fenix5-run",
    "indoor-trainer-ride",
    "multisport-small",
    "pool-swim-with-hr",
    "strava-android-app",
    "triathlon-summary-first",
)
# Ours, and the names of the decoder's own scaled values for it.
CHANNELS = {
    "HEART_RATE": ("heart_rate",),
    "POWER": ("power",),
    "CADENCE": ("cadence",),
    "SPEED": ("enhanced_speed", "speed"),
    "DISTANCE": ("distance",),
    "LATITUDE": ("position_lat",),
    "LONGITUDE": ("position_long",),
    "ALTITUDE": ("enhanced_altitude", "altitude"),
    "TEMPERATURE": ("temperature",),
}


def sample(name: str) -> Path:
    """A sample file; the test is skipped where the samples are not on this machine."""
    path = SAMPLES / f"{name}.fit"
    if not path.exists():
        pytest.skip(f"the device files are not in {SAMPLES}; set PALESTRA_SAMPLES")
    return path


def decoded(path: Path) -> tuple[list[dict[str, Any]], list[float]]:
    """The decoder's own reading, scaled: the records, and all intervals between beats in s."""
    messages: Any
    messages, _ = Decoder(Stream.from_byte_array(bytearray(path.read_bytes()))).read()
    beats: list[float] = []
    for message in messages.get("hrv_mesgs", []):
        times = message["time"] if isinstance(message["time"], list) else [message["time"]]
        beats += [each for each in times if each is not None and each != 65.535]
    return messages["record_mesgs"], beats


def joined(recordings: list[Recording], name: str) -> tuple[list[int], list[float]]:
    """Times and values of a channel over all legs, where there is a value."""
    times: list[int] = []
    values: list[float] = []
    for each in recordings:
        if name in each.by_name():
            channel = each.channel(name)
            times += each.time_ms[channel.valid].tolist()
            values += channel.values()[channel.valid].tolist()
    return times, values


@pytest.mark.parametrize("name", WITH_SAMPLES)
def test_each_channel_equals_the_decoders_own_reading(name: str) -> None:
    path = sample(name)
    records, beats = decoded(path)
    recordings = read_fit(path)
    assert sum(each.samples for each in recordings) == len(records) + len(beats)
    compared = 0
    for ours, theirs in CHANNELS.items():
        expected = [
            (
                record["timestamp"],
                next(record[key] for key in theirs if record.get(key) is not None),
            )
            for record in records
            if any(record.get(key) is not None for key in theirs)
        ]
        times, values = joined(recordings, ours)
        scale = 180 / 2**31 if ours in ("LATITUDE", "LONGITUDE") else 1
        assert times == [milliseconds(moment) for moment, _ in expected], ours
        wanted = [value * scale for _, value in expected]
        np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-12, err_msg=ours)
        compared += len(values)
    assert compared > 0
    np.testing.assert_allclose(joined(recordings, "RR_INTERVAL")[1], beats, rtol=1e-12)


def milliseconds(moment: datetime) -> int:
    """A decoder's time in ms since 1970."""
    return round(moment.timestamp() * 1000)


@pytest.mark.asyncio
@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", WITH_SAMPLES)
async def test_what_the_server_stored_equals_the_file(tmp_path: Path, name: str) -> None:
    for leg, recording in enumerate(read_fit(sample(name))):
        store = Store()
        mood = Mood(seed=leg, max_batch_samples=97, cut=0.02, cuts_at_most=3, forget_ack=0.2)
        async with telemetry_server(store, mood) as (_, target):
            report = await send(target, tmp_path / str(leg), recording)
        assert report.whole, report
        assert store.violations == []
        assert_stored(store.only(), recording)
        assert store.only().summary == recording.summary


def test_developers_own_fields_are_kept_by_name() -> None:
    path = sample("developer-fields")
    messages: Any
    messages, _ = Decoder(Stream.from_byte_array(bytearray(path.read_bytes()))).read()
    keys = {each["key"]: each["field_name"] for each in messages["field_description_mesgs"]}
    (recording,) = read_fit(path)
    assert len(keys) == 4
    for key, told in keys.items():
        name = told[0] if isinstance(told, list) else told
        expected = [record["developer_fields"][key] for record in messages["record_mesgs"]]
        assert recording.channel(name).values().tolist() == expected, name
    assert recording.channel("Leg Spring Stiffness").unit == "KN/m"


def test_a_triathlon_becomes_five_sessions_in_their_order() -> None:
    legs = read_fit(sample("triathlon-summary-first"))
    assert [leg.sport for leg in legs] == [
        sport_pb2.SPORT_SWIMMING,
        sport_pb2.SPORT_TRANSITION,
        sport_pb2.SPORT_CYCLING,
        sport_pb2.SPORT_TRANSITION,
        sport_pb2.SPORT_RUNNING,
    ]
    starts = [leg.start_time_ms for leg in legs]
    assert starts == sorted(starts)
    for leg, following in zip(legs, starts[1:], strict=False):
        assert leg.time_ms.max() < following
    assert [len(leg.summary.laps) for leg in legs] == [3, 2, 2, 1, 3]
    assert legs[0].summary.distance_m == 513.26
    assert legs[0].utc_offset_s == -18_000


def test_pauses_are_the_times_in_which_the_timer_stood() -> None:
    (ride,) = read_fit(sample("garmin-edge500-activity"))
    stood_s = sum(each.end_time.seconds - each.start_time.seconds for each in ride.summary.pauses)
    assert len(ride.summary.pauses) == 46
    # The device's own two figures differ by just what we list, to its rounding.
    assert abs(ride.summary.elapsed_s - ride.summary.moving_s - stood_s) < 47


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bad-file-crc", "checksum is wrong"),
        ("bad-unexpected-eof", "ends too early"),
        ("strava-android-app", "damaged (at byte: 7472"),
        ("bad-truncated", "no summary"),
    ],
)
def test_a_damaged_file_keeps_what_came_before_and_says_what_is_wrong(
    name: str, words: str
) -> None:
    (recording,) = read_fit(sample(name))
    assert recording.samples >= 14
    assert any(words in remark for remark in recording.remarks), recording.remarks


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("monitoring-steps", "monitoring_b"),
        ("weight-scale-multi-user", "weight"),
        ("workout-repeat-steps", "workout"),
    ],
)
def test_a_file_without_samples_is_refused_by_its_kind(name: str, kind: str) -> None:
    with pytest.raises(SourceError, match=f"no workout samples.*'{kind}'"):
        read_fit(sample(name))
