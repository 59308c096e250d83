"""Identity's domain events as published messages."""

from __future__ import annotations

import uuid
from typing import Any

from mesh.runtime.outbox import Message
from mesh.runtime.relations.feeds import key_of
from palestra.identity.v1 import events_pb2
from services.identity.consents.rules import Purpose
from services.identity.profiles import variants
from services.identity.profiles.rules import Profile
from services.identity.relations import encoding
from services.identity.relations.rules import Pair


def card_of(user_id: uuid.UUID, display_name: str, avatar: str = "") -> events_pb2.PublicCard:
    """What everyone who shows a person needs."""
    card = events_pb2.PublicCard(user=f"users/{user_id}", display_name=display_name)
    if avatar:
        card.avatar_uri, card.avatar_small_uri = (
            name.path for name in variants.names(user_id, avatar)
        )
    return card


def user_registered(user_id: uuid.UUID, display_name: str) -> Message:
    """A person made an account."""
    event = events_pb2.UserRegistered(card=card_of(user_id, display_name))
    return Message(event.DESCRIPTOR.full_name, event.card.user, event.SerializeToString())


def profile_updated(profile: Profile) -> Message:
    """A person changed what others see."""
    card = card_of(profile.user_id, profile.display_name, profile.avatar)
    event = events_pb2.ProfileUpdated(card=card)
    return Message(event.DESCRIPTOR.full_name, event.card.user, event.SerializeToString())


def relations_changed(
    user: uuid.UUID, other: uuid.UUID, pair: Pair, pair_version: int
) -> list[Message]:
    """What is between two people changed: told once for each of them."""
    return [
        _relations_changed(user, other, pair, pair_version),
        _relations_changed(other, user, pair.turned(), pair_version),
    ]


def _relations_changed(user: uuid.UUID, other: uuid.UUID, pair: Pair, pair_version: int) -> Message:
    event = encoding.relations_changed(user, other, pair, pair_version)
    return Message(event.DESCRIPTOR.full_name, key_of(user), event.SerializeToString())


def relations_beat(key: str) -> Message:
    """All before was told."""
    event = events_pb2.RelationsBeat()
    return Message(event.DESCRIPTOR.full_name, key, event.SerializeToString())


def user_erased(user_id: uuid.UUID) -> Message:
    """A person was erased."""
    event = events_pb2.UserErased(user=f"users/{user_id}")
    return Message(event.DESCRIPTOR.full_name, event.user, event.SerializeToString())


def settings_changed(user_id: uuid.UUID) -> Message:
    """A person changed settings or privacy zones; which, nobody is told."""
    event = events_pb2.SettingsChanged(user=f"users/{user_id}")
    return Message(event.DESCRIPTOR.full_name, f"{event.user}/settings", event.SerializeToString())


def consent_changed(user_id: uuid.UUID, purpose: Purpose, version: int, *, given: bool) -> Message:
    """A person agreed to a purpose, or took it back."""
    number: Any = int(purpose)
    event = events_pb2.ConsentChanged(
        user=f"users/{user_id}", purpose=number, given=given, document_version=version
    )
    key = f"{event.user}/consents/{purpose.slug}"
    return Message(event.DESCRIPTOR.full_name, key, event.SerializeToString())
