"""Ids: versions, what they carry, and what a repeat gets."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.runtime import ids

MS = st.integers(0, (1 << 48) - 1)


@given(MS)
def test_a_uuid7_is_one_and_holds_its_time(at_ms: int) -> None:
    made = ids.uuid7(at_ms)
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == at_ms


@given(MS, MS)
def test_ids_sort_by_time(first: int, second: int) -> None:
    if first != second:
        made = ids.uuid7(first), ids.uuid7(second)
        assert (made[0] < made[1]) == (first < second)
        people = ids.user_id(0, first), ids.user_id(255, second)
        assert (people[0] < people[1]) == (first < second)


@given(st.integers(0, 255), MS)
def test_a_persons_id_holds_time_and_region(region: int, at_ms: int) -> None:
    made = ids.user_id(region, at_ms)
    assert made.version == 8
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == at_ms
    assert ids.region_of(made) == region
    assert 0 <= ids.shard_of(made) < ids.SHARDS


@pytest.mark.parametrize("region", [-1, 256])
def test_a_region_that_does_not_exist_is_refused(region: int) -> None:
    with pytest.raises(ValueError, match="not within 0 to 255"):
        ids.user_id(region)


def test_no_two_ids_of_one_millisecond_are_the_same() -> None:
    assert len({ids.uuid7(1) for _ in range(10_000)}) == 10_000
    assert len({ids.user_id(1, 1) for _ in range(10_000)}) == 10_000


def test_people_are_spread_over_the_shards() -> None:
    shards = {ids.shard_of(ids.user_id(0)) for _ in range(20_000)}
    assert len(shards) > ids.SHARDS * 0.95


@given(st.uuids(), st.text(max_size=20), st.text(max_size=20))
def test_a_keyed_id_is_the_same_for_each_repeat(user: uuid.UUID, method: str, request: str) -> None:
    made = ids.keyed_id(user, method, request)
    assert made == ids.keyed_id(user, method, request)
    assert made.version == 8
    assert made.variant == uuid.RFC_4122


def test_a_keyed_id_depends_on_user_method_and_request() -> None:
    user, other = ids.user_id(0), ids.user_id(0)
    made = {
        ids.keyed_id(user, "/a", "1"),
        ids.keyed_id(other, "/a", "1"),
        ids.keyed_id(user, "/b", "1"),
        ids.keyed_id(user, "/a", "2"),
        ids.keyed_id(user, "/a1", ""),
    }
    assert len(made) == 5
