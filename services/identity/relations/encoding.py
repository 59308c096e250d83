"""A pair of people as it travels to those who keep copies: in events, and in pages of all."""

from __future__ import annotations

import uuid

from palestra.identity.v1 import events_pb2
from services.identity.relations.rules import Pair, Side


def relations_changed(
    user: uuid.UUID, other: uuid.UUID, pair: Pair, pair_version: int
) -> events_pb2.RelationsChanged:
    """A pair as it travels."""
    return events_pb2.RelationsChanged(
        user=f"users/{user}",
        other=f"users/{other}",
        pair_version=pair_version,
        outgoing=_side(pair.mine),
        incoming=_side(pair.theirs),
    )


def _side(side: Side) -> events_pb2.RelationSide:
    encoded = events_pb2.RelationSide(
        follows=side.followed_at is not None,
        requests=side.requested_at is not None,
        blocks=side.blocked_at is not None,
        mutes=side.muted_at is not None,
        close_friend=side.close_at is not None,
    )
    if side.mute_until is not None:
        encoded.mute_until_time.FromDatetime(side.mute_until)
    return encoded
