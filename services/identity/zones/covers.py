"""What of a zone others are told who cut tracks by it: a circle that covers it, and no middle.

Owns the secret displacement. Where tracks are cut can be seen by anybody who looks at enough
of them, and a circle has one middle (Hassan et al., USENIX Security 2018). So the circle that
is cut lies beside the zone: its middle is somewhere within `FARTHEST_M` of the zone's, each
place as likely, and it is wider by as much, whatever the zone's radius. Who finds the circle
knows no more than a disc of that size.

Never draws anew: a displacement that changed would be averaged out. It is the person's, for
each part of the earth, so that neither another radius nor the zone made again tells more.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from typing import Final, NamedTuple

from services.identity.zones.rules import Zone

FARTHEST_M: Final = 200
_ROUNDING_M: Final = 1
_EARTH_RADIUS_M: Final = 6_371_008.8
_CELL_DEG: Final = 0.05
"""A pin that is set anew within some kilometres keeps its displacement."""


class Circle(NamedTuple):
    """What lies within a distance of a place; degrees are WGS 84."""

    latitude_deg: float
    longitude_deg: float
    radius_m: int


def cover(zone: Zone, secret: bytes) -> Circle:
    """The circle that is cut for a zone.

    Raises:
        ValueError: there is no secret.
    """
    if not secret:
        raise ValueError("a cover without a secret would tell the middle")
    cell = [round(each / _CELL_DEG) for each in (zone.latitude_deg, zone.longitude_deg)]
    drawn = hmac.digest(secret, f"zone cover {cell[0]} {cell[1]}".encode(), hashlib.sha256)
    # The root: each place of the disc is as likely as another.
    metres = FARTHEST_M * math.sqrt(int.from_bytes(drawn[:8]) / 2**64)
    bearing = 2 * math.pi * int.from_bytes(drawn[8:16]) / 2**64
    latitude_deg, longitude_deg = _moved(zone.latitude_deg, zone.longitude_deg, metres, bearing)
    return Circle(latitude_deg, longitude_deg, zone.radius_m + FARTHEST_M + _ROUNDING_M)


def _moved(
    latitude_deg: float, longitude_deg: float, metres: float, bearing: float
) -> tuple[float, float]:
    """Along the great circle, poles and the antimeridian included."""
    phi, angle = math.radians(latitude_deg), metres / _EARTH_RADIUS_M
    sine = math.sin(phi) * math.cos(angle) + math.cos(phi) * math.sin(angle) * math.cos(bearing)
    there = math.asin(min(max(sine, -1.0), 1.0))
    turned = math.atan2(
        math.sin(bearing) * math.sin(angle) * math.cos(phi), math.cos(angle) - math.sin(phi) * sine
    )
    longitude = (longitude_deg + math.degrees(turned) + 540.0) % 360.0 - 180.0
    return math.degrees(there), longitude
