"""Access tokens, verified in every service though the edge did it already.

Verified tokens are kept until they expire, so that a signature is checked once
for each token and process. A key id that is not known makes the key set be read
again, at most once a second. Revoked ones are refused though they were verified
(`mesh.runtime.revocations`).

What identity would never sign is refused whatever its signature says (RFC 8725): a header
that is not byte for byte its own, names given twice, claims of other kinds, times that do
not fit. The edge refuses the same (`mesh.control.resources.strict_tokens`).
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
import warnings
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet, OKPKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from mesh.runtime.calls import User
from mesh.runtime.channel import MeshChannel
from mesh.runtime.errors import MeshError, Unavailable
from mesh.runtime.revocations import Revocations
from palestra.identity.v1.key_service_pb2 import GetKeySetRequest
from palestra.identity.v1.key_service_pb2_grpc import KeyServiceStub

ISSUER = "https://palestra.local"
AUDIENCE = "palestra"
ALGORITHM = "EdDSA"
TYPE = "at+jwt"
"""RFC 9068: what else identity may sign is never taken for an access token."""
LONGEST_TOKEN = 4096
LONGEST_LIFE_S = 3600
MOST_CACHED = 20_000
REREAD_EVERY_S = 1.0
REREAD_AFTER_S = 60.0
"""A key that identity took back is not trusted for longer."""
LEEWAY_S = 5
MOST_NESTED = 32
"""Brackets of both kinds in the claims."""
# base64url, with the one way to say 64 bytes: four bits of the last letter are over, and zero.
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{85}[AQgw]")
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

    def __init__(
        self,
        fetch: FetchKeys,
        clock: Callable[[], float] = time.time,
        revocations: Revocations | None = None,
    ) -> None:
        self.fetch = fetch
        self.revocations = revocations
        self._clock = clock
        self._keys: dict[str, OKPKey] = {}
        self._read_at = -REREAD_EVERY_S
        self._reading = asyncio.Lock()
        self._users: OrderedDict[str, User] = OrderedDict()

    async def verify(self, token: str) -> User:
        """The user that a token speaks for.

        Raises:
            MeshError: TOKEN_INVALID, TOKEN_EXPIRED or TOKEN_REVOKED; UNAVAILABLE where keys or
                revocations are not known yet.
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
        if self.revocations is not None:
            await self.revocations.check(user)
        return user

    async def _decode(self, token: str) -> User:
        if len(token) > LONGEST_TOKEN:
            raise MeshError("TOKEN_INVALID", "the token is too long")
        try:
            if _FORM.fullmatch(token) is None:
                raise ValueError("not of a token's form")
            head, said, _ = token.split(".")
            key = await self._key(head)
            claims = _said_once(said)
            jwt.decode(token, key, algorithms=[ALGORITHM])
            return self._user(claims, str(key.kid))
        except _NOT_A_TOKEN as error:
            raise MeshError("TOKEN_INVALID") from error

    async def _key(self, head: str) -> OKPKey:
        """The key that a token's first part names, in the only words that identity has for it."""
        if head not in self._keys or time.monotonic() - self._read_at > REREAD_AFTER_S:
            # Whoever comes meanwhile waits for the same answer.
            async with self._reading:
                if head not in self._keys or time.monotonic() - self._read_at > REREAD_AFTER_S:
                    await self._read_keys()
        return self._keys[head]

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
        self._keys = {
            header_part(str(key.kid)): key for key in key_set(keys).keys if isinstance(key, OKPKey)
        }

    def _user(self, claims: dict[str, object], key_id: str) -> User:
        if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE:
            raise ValueError("issuer or audience")
        issued, expires = _seconds(claims["iat"]), _seconds(claims["exp"])
        begins = max(issued, _seconds(claims.get("nbf", issued)))
        if begins > self._clock() + LEEWAY_S or not 0 < expires - issued <= LONGEST_LIFE_S:
            raise ValueError("times")
        return User(
            id=_id(claims["sub"]),
            session=str(_id(claims["sid"])),
            scopes=frozenset(_text(claims.get("scope", "")).split()),
            roles=_words(claims.get("roles", [])),
            plan=str(claims.get("plan", "")),
            client=str(claims.get("client_id", "")),
            auth_time_s=_seconds(claims.get("auth_time", claims["iat"])),
            expire_time_s=expires,
            amr=_words(claims.get("amr", [])),
            issued_at_s=issued,
            generation=_seconds(claims.get("gen", 0)),
            key_id=key_id,
        )


def header_part(key_id: str) -> str:
    """The first part of every token that identity signs with a key: nothing else is one."""
    header = {"typ": TYPE, "alg": ALGORITHM, "kid": key_id}
    return urlsafe_b64encode(json.dumps(header, separators=(",", ":")).encode()).decode()


def _said_once(part: str) -> dict[str, object]:
    """The claims, in which no name comes twice: two readers may believe either."""
    text = urlsafe_b64decode(part.encode()).decode()
    if urlsafe_b64encode(text.encode()).decode() != part:
        raise ValueError("said in another way than it is written")
    if text.count("[") + text.count("{") > MOST_NESTED:
        raise ValueError("deeper than any of identity's")
    found = json.loads(text, object_pairs_hook=_pairs)
    if not isinstance(found, dict):
        raise TypeError("the claims are no object")
    return found


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is said twice")
    return found


def _seconds(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a time is not a number")
    return int(value)


def _id(value: object) -> uuid.UUID:
    found = uuid.UUID(_text(value))
    if str(found) != value:
        raise ValueError("an id is written in another way")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("an id or a scope is no text")
    return value


def _words(value: object) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError("roles or amr are no list")
    return frozenset(_text(each) for each in value)
