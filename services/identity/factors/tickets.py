"""Tickets: what is under way between two calls, sealed and kept by whoever has it.

Nothing is written when one is given out, so that nobody fills a table by asking. What becomes
of one (how often it was tried, whether it is spent) is the store's.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mesh.runtime.sealing import SealBroken, Sealer

LONGEST_BYTES = 4096


class TicketInvalid(Exception):
    """No ticket of ours for this, or its time is over."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """Something under way."""

    purpose: str
    """What it is for, and nothing else: sealed with it."""
    ticket_id: uuid.UUID
    expires_at: datetime
    told: Mapping[str, str] = field(repr=False)
    """What the second call must know."""


def seal(ticket: Ticket, sealer: Sealer) -> str:
    """As clients keep it: opaque, URL-safe."""
    content = {
        "id": str(ticket.ticket_id),
        "exp": ticket.expires_at.timestamp(),
        "told": dict(ticket.told),
    }
    sealed = sealer.seal(json.dumps(content).encode(), _place(ticket.purpose))
    return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


def unseal(text: str, purpose: str, sealer: Sealer, now: datetime) -> Ticket:
    """The ticket that a client shows.

    Raises:
        TicketInvalid
    """
    try:
        sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        content = json.loads(sealer.open(sealed, _place(purpose)))
    except (ValueError, SealBroken):
        raise TicketInvalid from None
    expires_at = datetime.fromtimestamp(content["exp"], UTC)
    if now >= expires_at:
        raise TicketInvalid
    return Ticket(purpose, uuid.UUID(content["id"]), expires_at, content["told"])


def _place(purpose: str) -> str:
    return f"ticket/{purpose}"
