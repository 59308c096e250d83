"""The shop's OpenID Connect server, as it is spoken with: discovery, keys, tokens, userinfo.

Owns what is asked of it and how: of the configured origin only, no redirects, in bounded
time, with bounded answers. Whatever else comes back is an answer that cannot be used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from services.identity.sso.rules import Attempt, SsoRefused, SsoUnavailable

if TYPE_CHECKING:
    import httpx

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
SCOPES = "openid profile email"
ASKING_S = 6.0
"""For one question, whole."""
LARGEST_ANSWER = 256 << 10
LONGEST_TOKEN = 16 << 10
LONGEST_HINT = 4 << 10
KEEP_S = 3600.0
REREAD_AFTER_S = 10.0
"""Between two looks for a key that is not known, or at a server that does not answer."""
_NOT_ONE = (JoseError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What the shop gave."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    id_token: str = field(repr=False)
    expires_in_s: int = 0


@dataclass(slots=True)
class _Kept:
    """Something read of the server, and when it was last asked for."""

    value: dict[str, Any] | None = None
    read_at: float = 0.0
    asked_at: float = float("-inf")


@dataclass(eq=False)
class Provider:
    """One server."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    monotonic: Callable[[], float] = time.monotonic
    asking_s: float = ASKING_S
    transport: httpx.AsyncBaseTransport | None = None
    """How it is reached; None is by TCP."""

    def __post_init__(self) -> None:
        """Refuses an issuer that nobody can trust.

        Raises:
            ValueError: it is not https, but on this machine.
        """
        parts = urlsplit(self.issuer)
        self._origin = (parts.scheme, parts.netloc)
        safe = parts.scheme == "https" or (parts.scheme == "http" and _is_here(parts.hostname))
        if not safe or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
            raise ValueError("the issuer is to be an https address")
        self._metadata, self._keys = _Kept(), _Kept()
        self._reading = asyncio.Lock()
        self._client: httpx.AsyncClient | None = None

    async def authorization_uri(
        self, attempt: Attempt, redirect_uri: str, *, anew: bool = False
    ) -> str:
        """Where the person is sent; `anew`, he is asked there whoever is signed in.

        Raises:
            SsoUnavailable
        """
        told = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPES,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        if anew:
            told |= {"prompt": "login", "max_age": "0"}
        endpoint = await self._endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(told)}"

    async def exchange(self, code: str, verifier: str, redirect_uri: str) -> Tokens:
        """The tokens that a code gives.

        Raises:
            SsoRefused, SsoUnavailable
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        return await self._tokens(form)

    async def refresh(self, refresh_token: str) -> Tokens:
        """The next tokens.

        Raises:
            SsoRefused, SsoUnavailable
        """
        return await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def end_session_uri(self, id_token: str) -> str:
        """Where a person ends his session there; empty where the server offers nothing.

        Raises:
            SsoUnavailable
        """
        metadata = await self._read(self._metadata, self._read_metadata, KEEP_S)
        if not metadata.get("end_session_endpoint"):
            return ""
        endpoint = await self._endpoint("end_session_endpoint")
        told = {"client_id": self.client_id}
        # Without it the server asks the person which session is meant; an address has a bound.
        if id_token and len(id_token) <= LONGEST_HINT:
            told["id_token_hint"] = id_token
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(told)}"

    async def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """What the shop tells of the person.

        Raises:
            SsoRefused: the token is not good any more.
            SsoUnavailable
        """
        headers = {"authorization": f"Bearer {access_token}"}
        return await self._ask("GET", await self._endpoint("userinfo_endpoint"), headers=headers)

    async def claims(self, token: str) -> Mapping[str, Any]:
        """The claims of a JWT that the shop signed.

        Raises:
            SsoRefused: it did not, or by an algorithm that proves nothing.
            SsoUnavailable: its keys cannot be read.
        """
        try:
            if len(token) > LONGEST_TOKEN:
                raise SsoRefused("the token is too long")
            header = extract_compact(token.encode()).headers()
            if header.get("alg") not in ALGORITHMS:
                raise SsoRefused("the token's algorithm is not one of ours")
            keys = await self._key_set(header.get("kid"))
            return jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
        except _NOT_ONE as error:
            raise SsoRefused(f"the token is not the shop's: {type(error).__name__}") from None

    async def close(self) -> None:
        """Closes its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def _tokens(self, form: dict[str, str]) -> Tokens:
        endpoint = await self._endpoint("token_endpoint")
        told = await self._ask("POST", endpoint, form=form)
        texts = [told.get(name, "") for name in ("access_token", "refresh_token", "id_token")]
        if not all(isinstance(each, str) and len(each) <= LONGEST_TOKEN for each in texts):
            raise SsoRefused("the tokens cannot be read")
        if not texts[0] or str(told.get("token_type", "")).lower() != "bearer":
            raise SsoRefused("there is no bearer token")
        lives = told.get("expires_in", 0)
        expires_in_s = lives if isinstance(lives, int) and 0 < lives < 1e9 else 0
        return Tokens(texts[0], texts[1], texts[2], expires_in_s)

    async def _endpoint(self, name: str) -> str:
        metadata = await self._read(self._metadata, self._read_metadata, KEEP_S)
        endpoint = metadata.get(name)
        if not isinstance(endpoint, str):
            raise SsoUnavailable(f"the shop has no {name}")
        return self._own(endpoint)

    async def _read_metadata(self) -> dict[str, Any]:
        path = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        found = await self._ask("GET", path)
        if found.get("issuer") != self.issuer:
            raise SsoUnavailable("the discovery document is another issuer's")
        return found

    async def _read_keys(self) -> dict[str, Any]:
        # Where they are was read before: one lock serves both.
        metadata = self._metadata.value or {}
        return await self._ask("GET", self._own(str(metadata.get("jwks_uri", ""))))

    async def _key_set(self, kid: object) -> KeySet:
        await self._endpoint("jwks_uri")
        found = await self._read(self._keys, self._read_keys, KEEP_S)
        if kid not in _kids(found):
            # Keys turn: look again, but not for each stranger's token.
            found = await self._read(self._keys, self._read_keys, 0.0)
        return KeySet.import_key_set({"keys": _signing(found)})

    async def _read(
        self, kept: _Kept, read: Callable[[], Awaitable[dict[str, Any]]], keep_s: float
    ) -> dict[str, Any]:
        """What is kept, read anew where it is older; whoever comes meanwhile waits for it."""
        async with self._reading:
            now = self.monotonic()
            is_old = kept.value is None or now - kept.read_at >= keep_s
            if is_old and now - kept.asked_at >= REREAD_AFTER_S:
                kept.asked_at = now
                try:
                    kept.value, kept.read_at = await read(), self.monotonic()
                except SsoUnavailable:
                    # What was good an hour ago serves until it answers again.
                    if kept.value is None:
                        raise
            if kept.value is None:
                raise SsoUnavailable("the shop did not answer a moment ago")
            return kept.value

    def _own(self, uri: str) -> str:
        """An address, if it is of the configured origin: nobody sends us elsewhere."""
        parts = urlsplit(uri)
        if (parts.scheme, parts.netloc) != self._origin or parts.fragment:
            raise SsoUnavailable("the discovery document leads elsewhere")
        return uri

    async def _ask(
        self,
        verb: str,
        uri: str,
        *,
        form: dict[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                follow_redirects=False,
                trust_env=False,
                timeout=self.asking_s,
                transport=self.transport,
                limits=httpx.Limits(max_connections=50, max_keepalive_connections=5),
            )
        auth = None
        if form is not None:
            # Form-encoded before they are joined (RFC 6749 §2.3.1).
            auth = httpx.BasicAuth(quote(self.client_id, ""), quote(self.secret, ""))
        try:
            async with asyncio.timeout(self.asking_s):
                request = self._client.build_request(
                    verb, uri, data=form, headers={"accept": "application/json", **(headers or {})}
                )
                response = await self._client.send(request, auth=auth, stream=True)
                try:
                    return await _json(response, refusable=bool(form or headers))
                finally:
                    await response.aclose()
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise SsoUnavailable(f"the shop does not answer: {type(error).__name__}") from None


async def _json(response: httpx.Response, *, refusable: bool) -> dict[str, Any]:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise SsoUnavailable("the shop answers with too much")
    if refusable and response.status_code in (400, 401, 403):
        raise SsoRefused(f"the shop refused: {response.status_code}")
    if response.status_code != 200:
        raise SsoUnavailable(f"the shop answered {response.status_code}")
    try:
        found = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise SsoUnavailable("the shop's answer is no JSON") from None
    if not isinstance(found, dict):
        raise SsoUnavailable("the shop's answer is no object")
    return found


def _signing(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The public keys of a set: never a symmetric one, which would make secrets of tokens."""
    keys = found.get("keys")
    if not isinstance(keys, list):
        raise SsoUnavailable("the shop has no keys")
    return [
        each
        for each in keys[:50]
        if isinstance(each, dict)
        and each.get("kty") in ("RSA", "EC", "OKP")
        and each.get("use", "sig") == "sig"
    ]


def _kids(found: Mapping[str, Any]) -> set[object]:
    return {each.get("kid") for each in _signing(found)}


def _is_here(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
