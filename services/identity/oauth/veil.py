"""Codes and tokens of apps that only sign people in: sealed, so that no account shows in them.

Such an app knows a person by the number that is its own; the account's id, which codes and
tokens hold, would tell it and others like it of the same person.
"""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass

from mesh.runtime.sealing import SealBroken, Sealer
from services.identity.oauth.rules.openid import signs_in_only

CODE, ACCESS, REFRESH = "code", "access token", "refresh token"
_SEALED = "p."
"""None of ours begins so that is not sealed."""


@dataclass(frozen=True, slots=True)
class Veil:
    """Seals and opens."""

    sealer: Sealer

    def over(self, text: str, what: str, scopes: Collection[str]) -> str:
        """As the app gets it that was granted `scopes`; empty stays empty."""
        if not text or not signs_in_only(scopes):
            return text
        sealed = self.sealer.seal(text.encode(), _place(what))
        return _SEALED + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def under(self, text: str, what: str) -> str:
        """What an app shows, as it is here; empty where it is none of ours."""
        if not text.startswith(_SEALED):
            return text
        packed = text[len(_SEALED) :]
        try:
            sealed = base64.b64decode(packed + "=" * (-len(packed) % 4), b"-_", validate=True)
            return self.sealer.open(sealed, _place(what)).decode()
        except (ValueError, SealBroken):
            return ""


def _place(what: str) -> str:
    return f"oauth/{what}"
