"""People who use a whole stack from outside: signed up over REST, calling with their token."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from palestra_client import MemoryTokenStore, Palestra, tokens_of
from palestra_watch.tokens import SignedIn
from tests.support.local_stack import until
from tests.support.whole_stack import WholeStack

PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Athlete:
    """Somebody who is signed in."""

    stack: WholeStack
    email: str
    user: str
    """`users/{user}`."""
    token: str
    refresh_token: str
    password: str = field(repr=False)
    rest: httpx.Client = field(repr=False)
    """REST with the access token."""

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The same for gRPC."""
        return (("authorization", f"Bearer {self.token}"),)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """A resource below /v1, which must be there."""
        answer = self.rest.get(f"/v1/{path}", params=query)
        assert answer.status_code == httpx.codes.OK, f"{path}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    def verify(self) -> None:
        """Makes the address one that was proved; how people do it is tested elsewhere."""
        with self.stack.database() as database:
            database.execute(
                "UPDATE identity.addresses SET state = 'verified', verified_at = now() "
                "WHERE user_id = %s AND state = 'claimed'",
                [self.user.removeprefix("users/")],
            )

    def signed_in(self) -> SignedIn:
        """The tokens as a watch has them: renewed as they are used."""
        store = MemoryTokenStore(tokens_of(self.token, self.refresh_token))
        return SignedIn(Palestra(self.stack.target, store=store).signin)


@dataclass(frozen=True, slots=True)
class Club:
    """Signs athletes up, and closes their connections at the end."""

    stack: WholeStack
    open: ExitStack = field(repr=False)

    def register(self, name: str = "Vera") -> Athlete:
        """A new athlete, whose token the edge takes."""
        email, password = f"{secrets.token_hex(8)}@example.com", secrets.token_urlsafe(12)
        rest = self.open.enter_context(self.anonymous())
        answer = rest.post(
            "/v1/auth:register",
            json={"email": email, "password": password, "displayName": name},
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        told = answer.json()
        rest.headers["authorization"] = f"Bearer {told['accessToken']}"
        # The edge hears of a new stack's keys within moments.
        until(
            lambda: rest.get("/v1/users/me").status_code == httpx.codes.OK,
            PATIENCE_S,
            "the edge takes a new token",
        )
        user = rest.get("/v1/users/me").json()["profile"]["name"]
        return Athlete(
            self.stack, email, user, told["accessToken"], told["refreshToken"], password, rest
        )

    def anonymous(self) -> httpx.Client:
        """REST for somebody who is not signed in; the caller closes it."""
        return httpx.Client(base_url=self.stack.rest_url, timeout=PATIENCE_S)


@contextmanager
def club(stack: WholeStack) -> Iterator[Club]:
    """Athletes for as long as the block lasts."""
    with ExitStack() as opened:
        yield Club(stack, opened)
