"""The retailer's shop as an OpenID Connect provider: one that nobody here wrote, and a crooked one.

The real one is a process of its own on loopback. The crooked one answers in this process
as each test tells it to: what no honest provider can be made to do.
"""

from __future__ import annotations

import hmac
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from joserfc.util import urlsafe_b64encode

from services.identity.sso.rules import LOGOUT_EVENT
from tests.support.local_stack import free_port, until

CLIENT_ID = "palestra"
SECRET = "the shop's secret of us"
START_S = 20.0


@dataclass(frozen=True)
class RealShop:
    """A running provider that nobody here wrote."""

    issuer: str
    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """What identity is told of it."""
        return {
            "PALESTRA_IDENTITY_SSO_ISSUER": self.issuer,
            "PALESTRA_IDENTITY_SSO_CLIENT_ID": CLIENT_ID,
            "PALESTRA_IDENTITY_SSO_SECRET_FILE": str(self.folder / "secret"),
        }

    def logout_token(self, subject: str) -> str:
        """A logout token in its name."""
        key = RSAKey.import_key(json.loads((self.folder / "key").read_text()))
        issued = int(time.time())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": issued,
            "exp": issued + 120,
            "jti": secrets.token_hex(8),
            "sub": subject,
            "events": {LOGOUT_EVENT: {}},
        }
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, algorithms=["RS256"])


@contextmanager
def real_shop() -> Iterator[RealShop]:
    """`oidc-provider-mock`, a process of its own, until the block is left."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="shop-") as name:
        folder = Path(name)
        (folder / "secret").write_text(SECRET)
        argv = [sys.executable, "-W", "ignore", "-m", "tests.support.shop_process"]
        process = subprocess.Popen(
            [*argv, str(port), str(folder / "key")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            until(lambda: _answers(issuer), START_S, "the shop answers")
            yield RealShop(issuer, folder)
        finally:
            process.terminate()
            process.wait(10)


def _answers(issuer: str) -> bool:
    try:
        return httpx.get(f"{issuer}/.well-known/openid-configuration").is_success
    except httpx.HTTPError:
        return False


def tell(issuer: str, subject: str, **claims: Any) -> None:
    """Makes the real shop know a person."""
    assert httpx.put(f"{issuer}/users/{subject}", json=claims).is_success


def come_back(authorization_uri: str, subject: str) -> dict[str, str]:
    """What the person comes back from the real shop with, signed in there."""
    answer = httpx.post(authorization_uri, data={"sub": subject})
    assert answer.status_code == httpx.codes.FOUND, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@dataclass
class CrookedShop:
    """A provider that does as it is told; reached by `transport`."""

    clock: Any
    issuer: str = "https://shop.example"
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    metadata: dict[str, Any] = field(default_factory=dict)
    """What is changed of the discovery document."""
    claims: dict[str, Any] = field(default_factory=dict)
    """What is changed of the next ID token; None leaves a claim out."""
    header: dict[str, Any] = field(default_factory=dict)
    sign_with: Any = None
    answers: dict[str, httpx.Response] = field(default_factory=dict)
    """Instead of the usual, by path."""
    asked: list[str] = field(default_factory=list)
    subject: str = "shopper-1"
    lives_s: int = 3600

    @property
    def transport(self) -> httpx.MockTransport:
        """The way to it."""
        return httpx.MockTransport(self._answer)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.asked.append(f"{request.method} {request.url}")
        if path in self.answers:
            return self.answers[path]
        if path.endswith("openid-configuration"):
            return httpx.Response(200, json=self._metadata())
        if path == "/jwks":
            return httpx.Response(200, json=KeySet([self.key]).as_dict(private=False))
        if path == "/userinfo":
            return httpx.Response(200, json={"sub": self.subject, "name": "Vera Shopper"})
        form = parse_qs(request.content.decode())
        assert request.headers["authorization"].startswith("Basic ")
        nonce = form.get("code", ["-"])[0].partition("-")[2]
        content = {
            "token_type": "Bearer",
            "access_token": secrets.token_hex(8),
            "refresh_token": secrets.token_hex(8),
            "expires_in": self.lives_s,
            "id_token": self.id_token(nonce),
        }
        return httpx.Response(200, json=content)

    def _metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
        } | self.metadata

    def come_back(self, authorization_uri: str) -> dict[str, str]:
        """What the person comes back with; the code carries the nonce."""
        told = dict(parse_qsl(urlsplit(authorization_uri).query))
        assert told["code_challenge_method"] == "S256"
        return {"code": f"code-{told['nonce']}", "state": told["state"]}

    def id_token(self, nonce: str) -> str:
        """An ID token of now, but for what is changed."""
        issued = int(self._now().timestamp())
        return self._signed(
            {
                "iss": self.issuer,
                "aud": CLIENT_ID,
                "sub": self.subject,
                "sid": "shop-session",
                "iat": issued,
                "exp": issued + 300,
                "nonce": nonce,
            }
            | self.claims
        )

    def logout_token(self, **changed: Any) -> str:
        """A logout token of now, but for what is changed."""
        issued = int(self._now().timestamp())
        return self._signed(
            {
                "iss": self.issuer,
                "aud": CLIENT_ID,
                "iat": issued,
                "exp": issued + 120,
                "jti": secrets.token_hex(8),
                "sub": self.subject,
                "events": {LOGOUT_EVENT: {}},
            }
            | changed
        )

    def _signed(self, claims: dict[str, Any]) -> str:
        told = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "RS256", "kid": self.key.kid} | self.header
        if header["alg"] in ("none", "HS256"):
            # By hand: libraries refuse to make what others have been taken in by.
            parts = [urlsafe_b64encode(json.dumps(each).encode()) for each in (header, told)]
            signed = b".".join(parts)
            made = hmac.digest(self.sign_with, signed, "sha256") if self.sign_with else b""
            return b".".join((signed, urlsafe_b64encode(made))).decode()
        key = self.sign_with or self.key
        return jwt.encode(header, told, key, algorithms=[header["alg"]])

    def _now(self) -> datetime:
        at: datetime = self.clock()
        return at


async def endless() -> AsyncIterator[bytes]:
    """A body without an end."""
    while True:
        yield b" " * 65536
