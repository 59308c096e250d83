"""Certificates: what was erased where, signed.

Nothing in it names the person but a hash of an id that names nobody any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mesh.runtime.clock import Clock
from mesh.runtime.tables import AUDIT_KEPT
from services.identity.certificates.signing import Signer
from services.identity.erasures.rules import LAST_LOOK, Erasure, State, Step

TYPE = "palestra-erasure+jwt"
KEPT = (
    f"audit records: the id of who acted, {AUDIT_KEPT.days} days",
    "this erasure: the id, times and counts, so that a restored backup brings nobody back",
)


@dataclass(frozen=True, slots=True)
class Certifier:
    """Signs certificates."""

    signer: Signer
    clock: Clock

    async def certify(self, erasure: Erasure, steps: Sequence[Step], state: State) -> str:
        """A certificate of what was erased until now."""
        return await self.signer.sign(TYPE, told(erasure, steps, state, self.clock()))

    async def public_key(self) -> str:
        """What verifies them, as a JWK."""
        return await self.signer.public_key()


def told(erasure: Erasure, steps: Sequence[Step], state: State, now: datetime) -> dict[str, Any]:
    """What a certificate says."""
    said: dict[str, Step] = {}
    for step in sorted(steps, key=lambda each: each.look):
        if step.erased is not None:
            # The last look's counts are of everything so far.
            said[step.service] = step
    again = {step.service: step for step in steps if step.look == LAST_LOOK}
    return {
        "iss": "palestra",
        "jti": str(erasure.erasure_id),
        "iat": int(now.timestamp()),
        "subject_sha256": hashlib.sha256(f"users/{erasure.user_id}".encode()).hexdigest(),
        "requested_at": erasure.requested_at.isoformat(),
        "begun_at": erasure.begun_at.isoformat() if erasure.begun_at else None,
        "final": state is State.DONE,
        "key_destroyed": str(erasure.key_id) if erasure.key_id else None,
        "services": [
            {
                "service": name,
                "erased_at": step.done_at.isoformat() if step.done_at else None,
                "looked_again": name in again,
                "erased": json.loads(step.erased or "[]"),
            }
            for name, step in sorted(said.items())
        ],
        "kept": list(KEPT),
    }
