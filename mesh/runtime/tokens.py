"""Access tokens, verified in every service though the edge did it already.

Verified tokens are kept until they expire, so that a signature is checked once
for each token and process. A key id that is not known makes the key set be read
again, at most once a second.
"""

from __future__ import annotations

import asyncio
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet, OKPKey
from joserfc.jws import extract_compact
from joserfc.util import urlsafe_b64encode

from mesh.runtime.calls import User
from mesh.runtime.channel import MeshChannel
from mesh.runtime.errors import MeshError, Unavailable
from palestra.identity.v1.key_service_pb2 import GetKeySetRequest
from palestra.identity.v1.key_service_pb2_grpc import KeyServiceStub

ISSUER = "https://palestra.local"
AUDIENCE = "palestra"
ALGORITHM = "EdDSA"
LONGEST_TOKEN = 8192
MOST_CACHED = 20_000
REREAD_EVERY_S = 1.0
REREAD_AFTER_S = 60.0
"""A key that identity took back is not trusted for longer."""
LEEWAY_S = 5
# What reading a stranger's header and claims can end in.
_NOT_A_TOKEN = (
    JoseError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)
# RFC 9864 would call it Ed25519; Envoy knows the older name only.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key of identity."""

    key_id: str
    raw: bytes
    """32 bytes."""


FetchKeys = Callable[[], Awaitable[list[PublicKey]]]


def key_set(keys: list[PublicKey]) -> KeySet:
    """The keys as a JWK set (RFC 8037)."""
    return KeySet(
        [
            OKPKey.import_key(
                {
                    "kty": "OKP",
                    "crv": "Ed25519",
                    "x": urlsafe_b64encode(key.raw).decode(),
                    "kid": key.key_id,
                    "alg": ALGORITHM,
                    "use": "sig",
                }
            )
            for key in keys
        ]
    )


def from_mesh(mesh: MeshChannel) -> FetchKeys:
    """Reads the keys from identity."""
    stub = KeyServiceStub(mesh.for_stubs())

    async def fetch() -> list[PublicKey]:
        answer = await stub.GetKeySet(GetKeySetRequest())
        return [PublicKey(key.key_id, key.public_key) for key in answer.keys]

    return fetch


class Verifier:
    """Turns an access token into the user it speaks for."""

    def __init__(self, fetch: FetchKeys, clock: Callable[[], float] = time.time) -> None:
        self.fetch = fetch
        self._clock = clock
        self._keys: dict[str, OKPKey] = {}
        self._read_at = -REREAD_EVERY_S
        self._reading = asyncio.Lock()
        self._users: OrderedDict[str, User] = OrderedDict()

    async def verify(self, token: str) -> User:
        """The user that a token speaks for.

        Raises:
            MeshError: TOKEN_INVALID or TOKEN_EXPIRED; UNAVAILABLE where no key is known yet.
        """
        user = self._users.get(token)
        if user is None:
            user = await self._decode(token)
            self._users[token] = user
            if len(self._users) > MOST_CACHED:
                self._users.popitem(last=False)
        if user.expire_time_s <= self._clock():
            self._users.pop(token, None)
            raise MeshError("TOKEN_EXPIRED")
        return user

    async def _decode(self, token: str) -> User:
        if len(token) > LONGEST_TOKEN:
            raise MeshError("TOKEN_INVALID", "the token is too long")
        try:
            key = await self._key(token)
            decoded = jwt.decode(token, key, algorithms=[ALGORITHM])
            return self._user(decoded.claims)
        except _NOT_A_TOKEN as error:
            raise MeshError("TOKEN_INVALID") from error

    async def _key(self, token: str) -> OKPKey:
        header = extract_compact(token.encode()).headers()
        if header.get("alg") != ALGORITHM:
            raise ValueError("the algorithm is not EdDSA")
        key_id = header["kid"]
        if key_id not in self._keys or time.monotonic() - self._read_at > REREAD_AFTER_S:
            # Whoever comes meanwhile waits for the same answer.
            async with self._reading:
                if key_id not in self._keys or time.monotonic() - self._read_at > REREAD_AFTER_S:
                    await self._read_keys()
        return self._keys[key_id]

    async def _read_keys(self) -> None:
        now = time.monotonic()
        if self._keys and now - self._read_at < REREAD_EVERY_S:
            return
        self._read_at = now
        try:
            keys = await self.fetch()
        except Exception as error:
            if self._keys:
                return
            raise Unavailable("the token keys cannot be read") from error
        self._keys = {key.kid or "": key for key in key_set(keys).keys if isinstance(key, OKPKey)}

    def _user(self, claims: dict[str, object]) -> User:
        if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
            raise ValueError("issuer or audience")
        issued, expires = _seconds(claims["iat"]), _seconds(claims["exp"])
        if issued > self._clock() + LEEWAY_S or expires <= issued:
            raise ValueError("times")
        roles = claims.get("roles", [])
        if not isinstance(roles, list):
            raise TypeError("roles")
        return User(
            id=uuid.UUID(str(claims["sub"])),
            session=str(claims["sid"]),
            scopes=frozenset(str(claims.get("scope", "")).split()),
            roles=frozenset(str(role) for role in roles),
            plan=str(claims.get("plan", "")),
            client=str(claims.get("client_id", "")),
            auth_time_s=_seconds(claims.get("auth_time", claims["iat"])),
            expire_time_s=expires,
        )


def _seconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a time is not a number")
    return int(value)
