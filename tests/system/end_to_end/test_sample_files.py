"""Real recordings through the whole mesh: what is stored equals the file, channel by channel.

The file is decoded a second time, by the official decoder, which the watch's own
reading of it is compared with elsewhere as well.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mesh.local.places import ROOT
from tests.support.athletes import Athlete
from tests.unit.watch.test_samples import CHANNELS, WITH_SAMPLES, decoded, milliseconds, sample

QUICK = ("garmin-fenix5-run", "multisport-small", "indoor-trainer-ride", "bad-unexpected-eof")
SEMICIRCLES = 180 / 2**31
# What JSON is rounded to tells neighbouring raw values apart: half the coarsest step.
TOLERANCE = {"LATITUDE": SEMICIRCLES / 2, "LONGITUDE": SEMICIRCLES / 2}


def replay(athlete: Athlete, file: Path, state: Path, *how: str) -> list[dict[str, Any]]:
    """`palestra watch replay FILE --speed 0 …`; the reports of its sessions."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mesh.local", "watch", "replay", str(file), "--speed", "0"),
            *("--target", athlete.stack.target, "--token", athlete.token),
            *("--state", str(state), "--json", *how),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sessions: list[dict[str, Any]] = json.loads(done.stdout)["sessions"]
    return sessions


def stored(athlete: Athlete, activities: list[str], channel: str) -> tuple[list[int], list[float]]:
    """Times in ms since 1970 and values of a channel over all activities of a file."""
    times: list[int] = []
    values: list[float] = []
    for name in activities:
        found = athlete.get(f"{name}/streams", channels=channel, resolution=0)
        if channel in found["channels"]:
            activity = athlete.get(name, readMask="start_time")["activity"]
            start_ms = round(datetime.fromisoformat(activity["startTime"]).timestamp() * 1000)
            times += [start_ms + each for each in found["timeMs"]]
            values += found["channels"][channel]
    return times, values


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in WITH_SAMPLES],
)
def test_stored_streams_equal_the_file(athlete: Athlete, tmp_path: Path, name: str) -> None:
    _assert_equal(athlete, sample(name), replay(athlete, sample(name), tmp_path))


@pytest.mark.parametrize("how", [("--ws",), ("--ws", "--json-frames")])
def test_over_websocket_the_same_is_stored(
    athlete: Athlete, tmp_path: Path, how: tuple[str, ...]
) -> None:
    path = sample(QUICK[0])
    _assert_equal(athlete, path, replay(athlete, path, tmp_path, *how))


def _assert_equal(athlete: Athlete, path: Path, reports: list[dict[str, Any]]) -> None:
    """What the server has of a file's sessions is what the official decoder reads in it."""
    records, beats = decoded(path)
    assert all(each["whole"] and each["lost"] == 0 for each in reports)
    activities = [each["activity"] for each in reports]
    compared = 0
    for channel, fields in CHANNELS.items():
        expected = [
            (milliseconds(record["timestamp"]), value)
            for record in records
            if (value := _first(record, fields)) is not None
        ]
        times, values = stored(athlete, activities, channel)
        scale = SEMICIRCLES if channel in TOLERANCE else 1
        assert times == [time_ms for time_ms, _ in expected], channel
        wanted = [value * scale for _, value in expected]
        assert values == pytest.approx(wanted, rel=1e-9, abs=TOLERANCE.get(channel, 1e-9)), channel
        compared += len(values)
    assert compared > 0
    assert stored(athlete, activities, "RR_INTERVAL")[1] == pytest.approx(beats)


def _first(record: dict[str, Any], fields: tuple[str, ...]) -> float | None:
    return next((record[field] for field in fields if record.get(field) is not None), None)


def test_a_file_that_was_sent_is_not_sent_twice(athlete: Athlete, tmp_path: Path) -> None:
    path = sample(QUICK[0])
    first = replay(athlete, path, tmp_path)
    again = replay(athlete, path, tmp_path)
    assert [each["activity"] for each in again] == [each["activity"] for each in first]
    assert again[0]["sent_batches"] == 0
    assert len(athlete.get("users/me/activities")["activities"]) == len(first)
