"""The keys of the chains of refresh tokens: derived from the deployment's key, kept nowhere.

A token says by its own tag that it is of its session's chain, so nothing need be read to know
it, and the next token of a session is known before the session is: a refresh is one statement.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from mesh.runtime.sealing import Sealer

_PLACE = "sessions/chain"


@dataclass(frozen=True, slots=True)
class Chains:
    """Derives the keys of a session's chain."""

    sealer: Sealer

    def of(self, user_id: uuid.UUID, session_id: uuid.UUID) -> tuple[bytes, ...]:
        """The keys, 32 bytes each; the first makes the next token, all tell the session's own."""
        return self.sealer.hashes(user_id.bytes + session_id.bytes, _PLACE)
