"""Identity, composed: what it serves and runs, and its settings."""

from __future__ import annotations

from dataclasses import dataclass

from mesh.runtime import Host, Job, Parts, Service
from mesh.runtime.clock import now
from mesh.runtime.contract import scopes
from services.identity.auth.flow import AuthFlow
from services.identity.auth.passwords import Passwords
from services.identity.auth.rpc import AuthRpc
from services.identity.auth.store import AuthStore
from services.identity.keys.flow import KeyRing
from services.identity.keys.rpc import KeyRpc
from services.identity.keys.store import KeyStore
from services.identity.profiles.flow import ProfileFlow
from services.identity.profiles.rpc import ProfileRpc
from services.identity.profiles.store import ProfileStore


@dataclass(frozen=True, slots=True)
class IdentitySettings:
    """What identity is told beside the common settings."""

    access_token_s: int = 900
    """How long an access token lives."""


def compose(host: Host) -> Parts:
    """Joins identity's capabilities."""
    own: IdentitySettings = host.own
    keys = KeyRing(KeyStore(host.database), now)
    auth = AuthFlow(
        store=AuthStore(host.database),
        passwords=Passwords(),
        keys=keys,
        scopes=scopes(),
        region=host.settings.region,
        access_token_s=own.access_token_s,
        clock=now,
    )
    profiles = ProfileFlow(ProfileStore(host.database), now)
    return Parts(
        servicers=[AuthRpc(auth), KeyRpc(keys), ProfileRpc(profiles)],
        jobs=[Job("turn signing keys", 60, keys.turn)],
        keys=keys.public_keys,
    )


SERVICE = Service("identity", compose, IdentitySettings)
