"""Identity's signing keys in tests: a ring on any database, and the key of a running stack."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh.runtime.clock import Clock
from mesh.runtime.sealing import Sealer, make_key
from mesh.runtime.sql import Database
from services.identity.keys import keeper
from services.identity.keys.flow import KeyRing
from services.identity.keys.keeper import Keeper
from services.identity.keys.rules import Schedule
from tests.support.made_tokens import Signer
from tests.support.whole_stack import WholeStack

_KEY = """
    SELECT key_id, sealed FROM identity.signing_keys
    WHERE signs_at <= now() AND withdrawn_at IS NULL ORDER BY signs_at DESC LIMIT 1
"""


def ring_of(
    database: Database, clock: Clock, sealer: Sealer | None = None, schedule: Schedule | None = None
) -> KeyRing:
    """The ring of one process; a second one of the same keys needs the same sealer."""
    opens = sealer or Sealer((make_key(),))
    kept = Keeper(keeper.store_of(database, opens), opens, clock, schedule or Schedule())
    return KeyRing(kept)


def identitys_own(stack: WholeStack) -> Signer:
    """The key that identity signs with, opened by the stack's own key file."""
    with stack.database() as database:
        found = database.execute(_KEY).fetchone()
    assert found is not None
    key_id, sealed = found
    sealer = Sealer.read(stack.places.seal_keys("identity"))
    seed = sealer.open(sealed, keeper.place(key_id))
    return Signer(key_id, Ed25519PrivateKey.from_private_bytes(seed))
