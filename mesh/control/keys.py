"""The keys that access tokens are verified with: from identity to the edge.

Owns the asking (over mTLS, as any workload), the last good answer on disk, and
the JWKS that is made of it. Never has a private key.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mesh import catalog
from mesh.control.authority import Identity, write_private
from mesh.control.resources import names
from palestra.identity.v1 import key_service_pb2, key_service_pb2_grpc

MAX_KEYS = 32
_TIMEOUT_S = 1.0
_IDENTITY = "identity"


class KeySetError(ValueError):
    """Identity's answer is no key set."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Public Ed25519 keys, 32 bytes each, by key id."""

    keys: tuple[tuple[str, bytes], ...]

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids, the newest first."""
        return tuple(key_id for key_id, _ in self.keys)

    def jwks(self) -> str:
        """The set as RFC 7517 and RFC 8037 have it."""
        keys = [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": key_id,
                "x": base64.urlsafe_b64encode(public).rstrip(b"=").decode(),
            }
            for key_id, public in self.keys
        ]
        return json.dumps({"keys": keys})


def nobody() -> KeySet:
    """A key whose private half was thrown away: refuses every token until there are real ones.

    Envoy does not take an empty set.
    """
    return KeySet((("none", Ed25519PrivateKey.generate().public_key().public_bytes_raw()),))


def key_set_of(answer: key_service_pb2.GetKeySetResponse) -> KeySet:
    """Identity's answer, looked at closely: the edge would take nothing of a faulty set.

    Raises:
        KeySetError: no keys, too many, one with no id or of another length.
    """
    keys = {key.key_id: key.public_key for key in answer.keys}
    if not 1 <= len(keys) <= MAX_KEYS or len(keys) != len(answer.keys):
        raise KeySetError(f"{len(answer.keys)} keys with {len(keys)} ids")
    for key_id, public in keys.items():
        if not key_id or len(public) != 32:
            raise KeySetError(f"key {key_id!r} has {len(public)} bytes instead of 32")
    return KeySet(tuple(keys.items()))


def save(path: Path, keys: KeySet) -> None:
    """Keeps the set for the next start."""
    document = {key_id: public.hex() for key_id, public in keys.keys}
    write_private(path, json.dumps(document).encode())


def saved(path: Path) -> KeySet | None:
    """The set of the last run; None where there is none or it is damaged."""
    try:
        document = json.loads(path.read_bytes())
        keys = tuple((str(key_id), bytes.fromhex(value)) for key_id, value in document.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    whole = 1 <= len(keys) <= MAX_KEYS and all(len(public) == 32 for _, public in keys)
    return KeySet(keys) if whole else None


def channel(run: Path, identity: Identity, ca_pem: bytes) -> grpc.aio.Channel:
    """A channel to identity's inbound listener as the control plane."""
    credentials = grpc.ssl_channel_credentials(ca_pem, identity.key_pem, identity.chain_pem)
    options = [
        # A path is no name; the certificate has the service's name beside its URI.
        ("grpc.ssl_target_name_override", _IDENTITY),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 1000),
    ]
    socket = names.inbound_socket(run, catalog.service(_IDENTITY).name)
    return grpc.aio.secure_channel(f"unix:{socket}", credentials, options)


async def fetch(to_identity: grpc.aio.Channel) -> KeySet:
    """Asks identity.

    Raises:
        grpc.aio.AioRpcError: it did not answer.
        KeySetError: what it answered is no key set.
    """
    stub = key_service_pb2_grpc.KeyServiceStub(to_identity)
    answer = await stub.GetKeySet(key_service_pb2.GetKeySetRequest(), timeout=_TIMEOUT_S)
    return key_set_of(answer)
