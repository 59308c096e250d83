"""Sessions with a way through somebody's privacy zones, as a watch records them."""

from __future__ import annotations

import math
import random
import uuid
from collections.abc import Sequence

from palestra.identity.v1.privacy_zone_service_pb2 import Circle
from palestra.training.v1 import telemetry_pb2
from tests.support.recorded_sessions import START_MS, Recorded

HOME = Circle(latitude_deg=59.93, longitude_deg=30.31, radius_m=601)
M_PER_DEG = 111_195.0
CHANNELS = (
    telemetry_pb2.ChannelDescription(name="HEART_RATE", unit="bpm"),
    telemetry_pb2.ChannelDescription(name="SPEED", unit="m/s", scale=0.001),
    telemetry_pb2.ChannelDescription(name="DISTANCE", unit="m", scale=0.01),
    telemetry_pb2.ChannelDescription(name="LATITUDE", unit="deg", scale=1e-7),
    telemetry_pb2.ChannelDescription(name="LONGITUDE", unit="deg", scale=1e-7),
    telemetry_pb2.ChannelDescription(name="ALTITUDE", unit="m", scale=0.1),
    telemetry_pb2.ChannelDescription(name="Glucose", unit="mmol/L", scale=0.1),
)
_ROLLERS = (
    telemetry_pb2.ChannelDescription(name="HEART_RATE", unit="bpm"),
    telemetry_pb2.ChannelDescription(name="POWER", unit="W"),
)


def away_and_back(
    user: uuid.UUID, seed: int = 0, *, start_ms: int = START_MS, out_m: int = 1_200
) -> Recorded:
    """From home due north and back, each second some 3 m; what is at home differs by seed."""
    dice = random.Random(seed)
    session = Recorded(user, start_ms=start_ms, channels=CHANNELS)
    at_home_s = dice.randrange(5, 120)
    inside = [_near(dice) for _ in range(at_home_s)]
    rows = [(at, dice.randrange(90, 150), dice.uniform(0, 5)) for at in inside]
    way = [*range(650, out_m, 3), *range(out_m, 650, -3)]
    # What lies outside is the same whatever the seed.
    rows += [((float(north), 0.0), 150 + number % 7, 3.0) for number, north in enumerate(way)]
    rows += [(_near(dice), dice.randrange(90, 150), dice.uniform(0, 5)) for _ in range(40)]
    metres, recorded = dice.uniform(0, 500), []
    for number, ((north, east), heart, speed) in enumerate(rows):
        metres += speed
        recorded.append(
            (
                start_ms + 1_000 * number,
                (
                    heart,
                    round(speed * 1000),
                    round(metres * 100),
                    round((HOME.latitude_deg + north / M_PER_DEG) * 1e7),
                    round((HOME.longitude_deg + east / _wide()) * 1e7),
                    round(100 + north / 100) if abs(north) > 640 else dice.randrange(0, 2_000),
                    dice.randrange(40, 80),
                ),
            )
        )
    for begin in range(0, len(recorded), 100):
        session.record(recorded[begin : begin + 100])
    return session


def indoors(user: uuid.UUID) -> Recorded:
    """A ride on rollers: nowhere on earth."""
    session = Recorded(user, start_ms=START_MS, channels=_ROLLERS)
    session.record([(START_MS + 1_000 * number, (140, 200 + number)) for number in range(60)])
    return session


def _near(dice: random.Random) -> tuple[float, float]:
    metres, angle = 590 * math.sqrt(dice.random()), dice.uniform(0, 2 * math.pi)
    return metres * math.cos(angle), metres * math.sin(angle)


def _wide() -> float:
    return M_PER_DEG * math.cos(math.radians(HOME.latitude_deg))


def places_within(
    latitude: Sequence[float | None], longitude: Sequence[float | None], circle: Circle
) -> int:
    """How many places lie within a circle."""
    return sum(
        math.hypot((lat - circle.latitude_deg) * M_PER_DEG, (lon - circle.longitude_deg) * _wide())
        <= circle.radius_m
        for lat, lon in zip(latitude, longitude, strict=True)
        if lat is not None and lon is not None
    )
