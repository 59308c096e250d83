"""A synthetic athlete: the same seed makes the same session, to the bit.

Owns a route with hills and a body whose heart lags behind its effort. It is
honest about being synthetic: nothing of it is fitted to anybody.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np

from palestra.training.v1 import sport_pb2
from palestra.training.v1.telemetry_pb2 import DeviceSummary
from palestra_watch.recording import Channel, Recording, SourceError, packed, timestamp

LONGEST_S = 86_400
_METRES_PER_DEGREE = 111_320.0
_SEMICIRCLES = 180 / 2**31
_RESTING_BPM = 52.0
_MOST_BPM = 186.0
_HEART_LAG_S = 30.0
_CENTRE = (55.7512, 37.6184)


@dataclass(frozen=True, slots=True)
class Athlete:
    """What a sport asks of the synthetic body."""

    sport: sport_pb2.Sport.ValueType
    speed_mps: float
    """On the flat, at a steady effort."""
    hill_cost: float
    """The share of speed that one per cent of grade takes."""
    power_w: float
    cadence_rpm: float


ATHLETES = {
    "running": Athlete(sport_pb2.SPORT_RUNNING, 3.1, 0.035, 250.0, 84.0),
    "cycling": Athlete(sport_pb2.SPORT_CYCLING, 8.6, 0.09, 190.0, 88.0),
}

# Name, unit, scale, offset: as a watch would record them.
_CHANNELS = (
    ("HEART_RATE", "bpm", 1.0, 0.0),
    ("POWER", "W", 1.0, 0.0),
    ("CADENCE", "rpm", 1.0, 0.0),
    ("SPEED", "m/s", 1 / 1000, 0.0),
    ("DISTANCE", "m", 1 / 100, 0.0),
    ("LATITUDE", "deg", _SEMICIRCLES, 0.0),
    ("LONGITUDE", "deg", _SEMICIRCLES, 0.0),
    ("ALTITUDE", "m", 1 / 5, -500.0),
    ("TEMPERATURE", "degC", 1.0, 0.0),
    ("RR_INTERVAL", "s", 1 / 1000, 0.0),
)


class _Body:
    """The state that runs on from second to second."""

    def __init__(self, athlete: Athlete, rng: random.Random) -> None:
        self._athlete = athlete
        self._rng = rng
        self._lap_m = rng.uniform(2_500, 5_000)
        self._hill_m = rng.uniform(8, 25)
        self._heart_bpm = _RESTING_BPM + 12
        self.distance_m = 0.0
        self._beat_s = 0.0

    def altitude_m(self) -> float:
        """Two hills on each lap, one higher than the other."""
        turn = 2 * math.pi * self.distance_m / self._lap_m
        return 150 + self._hill_m * (math.sin(turn) + 0.4 * math.sin(2 * turn + 1))

    def second(self, elapsed_s: int) -> dict[str, float]:
        """Lives one second and answers with what a watch would measure."""
        turn = 2 * math.pi * self.distance_m / self._lap_m
        slope = self._hill_m * (math.cos(turn) + 0.8 * math.cos(2 * turn + 1))
        grade = 100 * slope * 2 * math.pi / self._lap_m
        effort = 1 + 0.08 * math.sin(elapsed_s / 97) + self._rng.gauss(0, 0.02)
        pace = max(0.35, 1 - self._athlete.hill_cost * grade)
        speed_mps = self._athlete.speed_mps * effort * pace
        self.distance_m += speed_mps
        strain = effort * (1 + 0.03 * max(-4.0, min(6.0, grade)))
        wanted = min(_MOST_BPM, _RESTING_BPM + 98 * strain)
        self._heart_bpm += (wanted - self._heart_bpm) / _HEART_LAG_S + self._rng.gauss(0, 0.3)
        radius = self._lap_m / (2 * math.pi) / _METRES_PER_DEGREE
        return {
            "HEART_RATE": self._heart_bpm,
            "POWER": max(0.0, self._athlete.power_w * strain + self._rng.gauss(0, 12)),
            "CADENCE": self._athlete.cadence_rpm * (0.9 + 0.1 * effort),
            "SPEED": speed_mps,
            "DISTANCE": self.distance_m,
            "LATITUDE": _CENTRE[0] + radius * math.sin(turn),
            "LONGITUDE": _CENTRE[1] + radius * math.cos(turn) / math.cos(math.radians(_CENTRE[0])),
            "ALTITUDE": self.altitude_m(),
            "TEMPERATURE": 17 + elapsed_s / 1800,
        }

    def beats(self, elapsed_s: int) -> list[tuple[int, float]]:
        """The beats of the second that began at `elapsed_s`: ms since the start, interval in s."""
        found = []
        while self._beat_s < elapsed_s + 1:
            interval_s = 60 / self._heart_bpm * (1 + self._rng.gauss(0, 0.02))
            self._beat_s += interval_s
            found.append((round(self._beat_s * 1000), interval_s))
        return found


def simulate(sport: str, duration_s: int, seed: int, start_time_ms: int) -> Recording:
    """A session of `duration_s` s at 1 Hz, with a row for each heart beat besides.

    Raises:
        SourceError: no such sport, or a duration out of bounds.
    """
    athlete = ATHLETES.get(sport)
    if athlete is None:
        raise SourceError(f"no synthetic athlete for {sport!r}; there are {', '.join(ATHLETES)}")
    if not 1 <= duration_s <= LONGEST_S:
        raise SourceError(f"a session lasts 1 to {LONGEST_S} s, not {duration_s}")
    body = _Body(athlete, random.Random(seed))
    rows: list[tuple[int, dict[str, float]]] = []
    for second in range(duration_s):
        rows.append((second * 1000, body.second(second)))
        rows += [(at_ms, {"RR_INTERVAL": rr}) for at_ms, rr in body.beats(second)]
    rows.sort(key=lambda row: row[0])
    return Recording(
        label=f"simulated {sport}, seed {seed}",
        sport=athlete.sport,
        start_time_ms=start_time_ms,
        utc_offset_s=10_800,
        time_ms=np.array([start_time_ms + at_ms for at_ms, _ in rows], dtype=np.int64),
        channels=tuple(_channel(each, rows) for each in _CHANNELS),
        summary=DeviceSummary(
            end_time=timestamp(start_time_ms + (duration_s - 1) * 1000),
            elapsed_s=duration_s - 1,
            moving_s=duration_s - 1,
            distance_m=round(body.distance_m, 2),
        ),
    )


def _channel(
    described: tuple[str, str, float, float], rows: list[tuple[int, dict[str, float]]]
) -> Channel:
    name, unit, scale, offset = described
    # Quantised here, once, as a sensor does; from here on nothing is rounded.
    raws: list[float | int | None] = [
        round((values[name] - offset) / scale) if name in values else None for _, values in rows
    ]
    raw, valid = packed(raws)
    return Channel(name, unit, scale, offset, raw, valid)
