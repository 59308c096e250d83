"""What outlives one access token, and partly the sign-in: device tokens, consistency tokens.

Owns their bounds. A device token is kept by a digest of the address that signed in, never by
the address; consistency tokens end with the sign-in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

MOST_DEVICES = 20
"""Accounts that signed in here; of more the oldest is forgotten."""
MOST_CONSISTENCY = 4
"""As many as a call may carry."""


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """What a store keeps beside the tokens."""

    devices: Mapping[str, str] = field(default_factory=dict)
    """Device tokens by `address_digest`, the newest last."""
    consistency: tuple[str, ...] = ()
    """Of the newest changes, the newest last."""

    def device_token(self, address: str) -> str:
        """What an earlier sign-in by this address got; empty where there was none."""
        return self.devices.get(address_digest(address), "")

    def with_device(self, address: str, token: str) -> Kept:
        """With the token of a sign-in."""
        digest = address_digest(address)
        others = [(key, value) for key, value in self.devices.items() if key != digest]
        return replace(self, devices=dict([*others, (digest, token)][-MOST_DEVICES:]))

    def with_change(self, token: str) -> Kept:
        """With the token of a change."""
        others = tuple(each for each in self.consistency if each != token)
        return replace(self, consistency=(*others, token)[-MOST_CONSISTENCY:])

    def without_changes(self) -> Kept:
        """As somebody else's sign-in begins."""
        return replace(self, consistency=())


def address_digest(address: str) -> str:
    """By which an address is found again, without keeping it."""
    return hashlib.sha256(address.strip().casefold().encode()).hexdigest()[:32]
