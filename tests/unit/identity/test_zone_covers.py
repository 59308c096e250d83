"""What covers a privacy zone covers it whole, everywhere on earth, and tells no middle."""

from __future__ import annotations

import itertools
import math
import random
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.identity.zones.covers import FARTHEST_M, cover
from services.identity.zones.rules import GREATEST_RADIUS_M, LEAST_RADIUS_M, Zone
from tests.support.places import Place, apart_m

_THEN = datetime(2026, 1, 1, tzinfo=UTC)
_IDS = (uuid.UUID(int=1), uuid.UUID(int=2))
EDGES = (0.0, 59.93, -33.9, 89.9999, -89.9999, 90.0, -90.0)


def _zone(latitude_deg: float, longitude_deg: float, radius_m: int = 400) -> Zone:
    return Zone(*_IDS, "home", latitude_deg, longitude_deg, radius_m, 1, _THEN, _THEN)


def _middle(zone: Zone, secret: bytes = b"s") -> Place:
    circle = cover(zone, secret)
    return circle.latitude_deg, circle.longitude_deg


@pytest.mark.parametrize(
    "place", list(itertools.product(EDGES, (0.0, 30.31, 179.9999, -180.0, 180.0))), ids=str
)
@pytest.mark.parametrize("radius_m", [LEAST_RADIUS_M, 400, GREATEST_RADIUS_M])
def test_it_covers_the_zone_whole(place: Place, radius_m: int) -> None:
    for number in range(50):
        circle = cover(_zone(*place, radius_m), b"%d" % number)
        apart = apart_m(place, (circle.latitude_deg, circle.longitude_deg))
        assert apart + radius_m < circle.radius_m <= radius_m + FARTHEST_M + 1
        assert -90 <= circle.latitude_deg <= 90
        assert -180 <= circle.longitude_deg <= 180


def test_neither_another_radius_nor_the_zone_made_again_tells_more() -> None:
    zone = _zone(59.93, 30.31)
    again = replace(zone, zone_id=uuid.uuid4(), version=7, radius_m=1_500)
    assert _middle(again) == _middle(zone)
    assert cover(again, b"s").radius_m - cover(zone, b"s").radius_m == 1_100


def test_a_pin_that_is_set_anew_nearby_moves_the_cover_by_as_much_and_no_other_way() -> None:
    apart = apart_m(_middle(_zone(59.93, 30.31)), _middle(_zone(59.931, 30.31)))
    assert apart == pytest.approx(apart_m((59.93, 30.31), (59.931, 30.31)), abs=0.5)


def test_each_place_of_the_disc_is_as_likely_as_another() -> None:
    home, dice = (59.93, 30.31), random.Random(4)
    moved = [_middle(_zone(*home), dice.randbytes(16)) for _ in range(4_000)]
    # Of a disc a quarter lies within half of its radius, and a quarter in each quadrant.
    within = sum(apart_m(home, each) < FARTHEST_M / 2 for each in moved) / len(moved)
    north_east = sum(each[0] > home[0] and each[1] > home[1] for each in moved) / len(moved)
    assert math.isclose(within, 0.25, abs_tol=0.03)
    assert math.isclose(north_east, 0.25, abs_tol=0.03)
    assert max(apart_m(home, each) for each in moved) <= FARTHEST_M


def test_people_with_other_secrets_are_covered_otherwise() -> None:
    assert _middle(_zone(59.93, 30.31), b"one") != _middle(_zone(59.93, 30.31), b"two")


def test_without_a_secret_there_is_no_cover() -> None:
    with pytest.raises(ValueError, match="secret"):
        cover(_zone(59.93, 30.31), b"")
