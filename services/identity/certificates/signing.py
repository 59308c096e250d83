"""Signs what people keep, by a key that does not turn, so that it stays verifiable.

JWS in compact form (RFC 7515, EdDSA) over JSON. Whoever has the key that is given with each,
and published for all, verifies it without us.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mesh.runtime.clock import Clock
from mesh.runtime.ids import uuid7
from mesh.runtime.sealing import Sealer
from services.identity.certificates.store import CertificateKeyStore

ALGORITHM: Final = "EdDSA"


@dataclass(frozen=True, slots=True)
class Signer:
    """The key, and what it signs."""

    store: CertificateKeyStore
    sealer: Sealer
    clock: Clock

    async def sign(self, kind: str, claims: Mapping[str, Any]) -> str:
        """The claims, signed; `kind` is what kind of a JWT it is (RFC 8725 §3.11)."""
        from joserfc import jwt

        key = (await self._keys())[0]
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": kind}
        return str(jwt.encode(header, dict(claims), key, algorithms=[ALGORITHM]))

    async def public_key(self) -> str:
        """What verifies the next, as a JWK."""
        return _public((await self._keys())[0])

    async def public_keys(self) -> list[str]:
        """What verifies any, as JWKs."""
        return [_public(key) for key in await self._keys()]

    async def _keys(self) -> list[Any]:
        from joserfc.jwk import OKPKey

        found = await self.store.keys()
        if not found:
            made = OKPKey.generate_key("Ed25519", {"kid": str(uuid7())})
            packed = json.dumps(made.as_dict(private=True)).encode()
            sealed = self.sealer.seal(packed, _place(str(made.kid)))
            await self.store.add_first(str(made.kid), sealed, self.clock())
            found = await self.store.keys()
        if not found:
            raise LookupError("there is no key for certificates")
        return [
            OKPKey.import_key(json.loads(self.sealer.open(sealed, _place(key_id))))
            for key_id, sealed in found
        ]


def _public(key: Any) -> str:
    return json.dumps(key.as_dict(private=False), sort_keys=True)


def _place(key_id: str) -> str:
    return f"certificate-key/{key_id}"
