"""An authenticator in software: makes passkeys and signs, as WebAuthn Level 3 says it.

What is wrong about an answer is told by arguments, so that each is wrong in one thing only.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url

from tests.support.identity_people import SITE

ORIGIN = SITE.origins[0]
RP_ID = "localhost"
"""What passkeys of a running stack are bound to."""
_PRESENT, _VERIFIED, _MAY_SYNC, _SYNCED, _ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
_AAGUID = bytes(16)


@dataclass
class Authenticator:
    """One passkey."""

    is_synced: bool = False
    is_edwards: bool = False
    counter: int = 0
    """Zero stays zero: an authenticator without a counter."""
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    user_handle: bytes = b""
    key: Any = None

    def __post_init__(self) -> None:
        if self.key is None:
            self.key = (
                ed25519.Ed25519PrivateKey.generate()
                if self.is_edwards
                else ec.generate_private_key(ec.SECP256R1())
            )

    def create(self, options: str, *, origin: str = ORIGIN, rp_id: str = SITE.rp_id) -> str:
        """RegistrationResponseJSON."""
        told = json.loads(options)
        self.user_handle = base64url_to_bytes(told["user"]["id"])
        client_data = _client_data("webauthn.create", told["challenge"], origin)
        public = self._cose()
        attested = (
            _AAGUID + len(self.credential_id).to_bytes(2) + self.credential_id + cbor2.dumps(public)
        )
        data = self._data(rp_id, _PRESENT | _VERIFIED | _ATTESTED) + attested
        attestation = {"fmt": "none", "attStmt": {}, "authData": data}
        return self._credential(
            clientDataJSON=bytes_to_base64url(client_data),
            attestationObject=bytes_to_base64url(cbor2.dumps(attestation)),
            transports=["internal"],
        )

    def get(
        self,
        options: str,
        *,
        origin: str = ORIGIN,
        rp_id: str = SITE.rp_id,
        is_verified: bool = True,
        challenge: str = "",
        user_handle: bytes | None = None,
        is_broken: bool = False,
        kind: str = "webauthn.get",
    ) -> str:
        """AuthenticationResponseJSON."""
        asked = challenge or json.loads(options)["challenge"]
        if self.counter:
            self.counter += 1
        client_data = _client_data(kind, asked, origin)
        data = self._data(rp_id, _PRESENT | (_VERIFIED if is_verified else 0))
        signature = self._sign(data + hashlib.sha256(client_data).digest())
        if is_broken:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        handle = self.user_handle if user_handle is None else user_handle
        return self._credential(
            clientDataJSON=bytes_to_base64url(client_data),
            authenticatorData=bytes_to_base64url(data),
            signature=bytes_to_base64url(signature),
            userHandle=bytes_to_base64url(handle),
        )

    def _data(self, rp_id: str, flags: int) -> bytes:
        flags |= (_MAY_SYNC | _SYNCED) if self.is_synced else 0
        return hashlib.sha256(rp_id.encode()).digest() + bytes([flags]) + self.counter.to_bytes(4)

    def _sign(self, content: bytes) -> bytes:
        if self.is_edwards:
            return bytes(self.key.sign(content))
        return bytes(self.key.sign(content, ec.ECDSA(hashes.SHA256())))

    def _cose(self) -> dict[int, Any]:
        if self.is_edwards:
            return {1: 1, 3: -8, -1: 6, -2: self.key.public_key().public_bytes_raw()}
        numbers = self.key.public_key().public_numbers()
        return {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32), -3: numbers.y.to_bytes(32)}

    def _credential(self, **response: Any) -> str:
        name = bytes_to_base64url(self.credential_id)
        told = {"id": name, "rawId": name, "type": "public-key", "response": response}
        return json.dumps(told | {"clientExtensionResults": {}})


def _client_data(kind: str, challenge: str, origin: str) -> bytes:
    return json.dumps({"type": kind, "challenge": challenge, "origin": origin}).encode()
