"""The roles that somebody holds, as a part of others' statements.

Owns what is read of roles where a session is read: in the same statement as the generation
of his tokens, so that there is no moment between. What of it counts is the rules'.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, literal, or_, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from services.identity.roles.rules import Held
from services.identity.tables.factors import SECOND_FACTORS
from services.identity.tables.roles import ROLE_GRANTS as G


def held_by(user: ColumnElement[uuid.UUID]) -> ColumnElement[Any]:
    """One value: of each role its name, its end, whether there is a second factor; as JSON.

    NULL without roles; only of who has one the factor is asked for.
    """
    factor = (
        select(literal(1))
        .where(
            SECOND_FACTORS.c.user_id == G.c.user_id,
            or_(SECOND_FACTORS.c.totp_id.is_not(None), SECOND_FACTORS.c.passkeys > 0),
        )
        .exists()
    )
    each = func.jsonb_build_array(G.c.role, G.c.expires_at, factor)
    return (
        select(func.jsonb_agg(aggregate_order_by(each, G.c.role)))
        .where(G.c.user_id == user, G.c.ended_at.is_(None))
        .scalar_subquery()
    )


def held_of(told: Sequence[tuple[str, str, bool]] | None) -> tuple[tuple[Held, ...], bool]:
    """Such a value as the domain has it: the roles, and whether there is a second factor."""
    if not told:
        return (), False
    roles = tuple(Held(role, datetime.fromisoformat(end)) for role, end, _ in told)
    return roles, told[0][2]
