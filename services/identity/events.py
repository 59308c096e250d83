"""Identity's domain events as published messages."""

from __future__ import annotations

import uuid

from mesh.runtime.outbox import Message
from palestra.identity.v1 import events_pb2


def _card(user_id: uuid.UUID, display_name: str) -> events_pb2.PublicCard:
    return events_pb2.PublicCard(user=f"users/{user_id}", display_name=display_name)


def user_registered(user_id: uuid.UUID, display_name: str) -> Message:
    """A person made an account."""
    event = events_pb2.UserRegistered(card=_card(user_id, display_name))
    return Message(event.DESCRIPTOR.full_name, event.card.user, event.SerializeToString())


def profile_updated(user_id: uuid.UUID, display_name: str) -> Message:
    """A person changed what others see."""
    event = events_pb2.ProfileUpdated(card=_card(user_id, display_name))
    return Message(event.DESCRIPTOR.full_name, event.card.user, event.SerializeToString())
