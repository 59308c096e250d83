"""Roles and grants as messages."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import cast

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.runtime.contract import RoleWords
from palestra.identity.v1 import role_pb2 as pb
from services.identity.roles.rules import OPERATOR, Grant


def role(words: RoleWords) -> pb.Role:
    """A role of the contract."""
    return pb.Role(role=words.name, en=words.en, ru=words.ru, grantable=words.is_granted)


def mine(own: Grant, words: RoleWords) -> pb.MyRole:
    """A role that the caller has; who granted it is not told."""
    return pb.MyRole(
        role=own.role,
        en=words.en,
        ru=words.ru,
        expire_time=time_of(own.expires_at),
        reason=own.reason,
    )


def grant(told: Grant) -> pb.RoleGrant:
    """A grant."""
    return pb.RoleGrant(
        name=f"users/{told.user_id}/roleGrants/{told.grant_id}",
        role=told.role,
        expire_time=time_of(told.expires_at),
        reason=told.reason,
        granter=who(told.granted_by),
        create_time=time_of(told.granted_at),
        end_time=time_of(told.ended_at) if told.ended_at else None,
        ending=cast("pb.RoleGrantEnding.ValueType", int(told.ended_how)),
        revoker=who(told.ended_by),
        end_reason=told.ended_why,
    )


def who(by: uuid.UUID | None) -> str:
    """Whoever did something; empty where nobody did, or he was erased."""
    if by is None:
        return ""
    return "operator" if by == OPERATOR else f"users/{by}"


def time_of(moment: datetime) -> Timestamp:
    """A time as messages have it."""
    told = Timestamp()
    told.FromDatetime(moment)
    return told
