"""What must be read again but not by whoever finds the rows: sealed by a key of the service's own.

Owns the form of sealed bytes and of the key file. The file is a secret of the deployment,
beside the database and in no backup of it: rows alone open nothing. The newest key seals,
all in the file open, so that a key is turned by writing a newer one above it.

A sealed value is bound to its place: what was sealed for one row does not open in another.
What need only be recognized (a code of few digits) is kept as a keyed hash instead: whoever
has the rows alone cannot try all codes against it.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = b"\x01"
_ID_BYTES, _NONCE_BYTES, KEY_BYTES = 4, 12, 32
_HEAD = len(_VERSION) + _ID_BYTES
_BODY = _HEAD + _NONCE_BYTES


class SealBroken(Exception):
    """The bytes were not sealed for this place by a key that is known."""


@dataclass(frozen=True, slots=True)
class SealKey:
    """An AES-256 key."""

    id: bytes
    """4 bytes, in front of whatever it sealed."""
    secret: bytes = field(repr=False)
    """32 bytes."""


class Sealer:
    """Seals and opens with AES-256-GCM (NIST SP 800-38D), a random nonce each."""

    def __init__(self, keys: tuple[SealKey, ...]) -> None:
        """`keys`: the newest first.

        Raises:
            ValueError: there is none, or two have one id.
        """
        self._keys = {key.id: AESGCM(key.secret) for key in keys}
        if not keys or len(self._keys) != len(keys):
            raise ValueError("a sealer needs keys with ids of their own")
        self._newest = keys[0].id
        # Keys of their own: one key serves one algorithm.
        self._hashing = [hmac.digest(key.secret, b"palestra keyed hash", "sha256") for key in keys]

    @classmethod
    def read(cls, path: Path) -> Sealer:
        """The keys of a file, `{"keys": [{"id": "8 hex digits", "secret": "base64"}]}`.

        Raises:
            SettingsError: it cannot be read, or is no such file.
        """
        from mesh.runtime.settings import SettingsError

        try:
            told = json.loads(path.read_bytes())["keys"]
            return cls(
                tuple(
                    SealKey(bytes.fromhex(each["id"]), base64.b64decode(each["secret"]))
                    for each in told
                )
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            # Never the content: it is a secret.
            raise SettingsError(f"no seal keys in {path}: {type(error).__name__}") from None

    def seal(self, plain: bytes, place: str) -> bytes:
        """`plain`, readable only by `open` with the same `place` (`totp/{user}`)."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self._newest].encrypt(nonce, plain, place.encode())
        return _VERSION + self._newest + nonce + sealed

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed.

        Raises:
            SealBroken: changed, of another place, or of a key that is gone.
        """
        key = self._keys.get(sealed[len(_VERSION) : _HEAD])
        if sealed[: len(_VERSION)] != _VERSION or key is None:
            raise SealBroken("sealed by no key that is known")
        try:
            return key.decrypt(sealed[_HEAD:_BODY], sealed[_BODY:], place.encode())
        except (InvalidTag, ValueError) as error:
            raise SealBroken("changed, or of another place") from error

    def hashes(self, plain: bytes, place: str) -> tuple[bytes, ...]:
        """Keyed hashes of `plain` at a place, 32 bytes each: HMAC-SHA-256.

        The first is to be kept; what was kept is one of them as long as its key is there.
        """
        told = len(place.encode()).to_bytes(4) + place.encode() + plain
        return tuple(hmac.digest(key, told, "sha256") for key in self._hashing)

    def is_stale(self, sealed: bytes) -> bool:
        """Whether it should be sealed anew: an older key did it."""
        return sealed[len(_VERSION) : _HEAD] != self._newest


def make_key() -> SealKey:
    """A new random key."""
    return SealKey(secrets.token_bytes(_ID_BYTES), secrets.token_bytes(KEY_BYTES))
