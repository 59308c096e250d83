"""Who is calling: the service by its certificate, the user by the token.

A `Call` is the frame in which code runs: an RPC, an event handler or a job.
The rpc layer gets it as an argument; the platform's own parts (logs, outbox,
outgoing calls) find it in the current context.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mesh.runtime.conditions import Conditions
from mesh.runtime.consistency import Reached
from mesh.runtime.ids import region_of

if TYPE_CHECKING:
    from mesh.runtime.streams import LiveStream

OWN_APPS = "palestra-app"
"""The API client that the product's own apps are."""


@dataclass(frozen=True, slots=True)
class User:
    """A signed-in person, or a service account, as the verified access token says."""

    id: uuid.UUID
    session: str
    """The sign-in session's id."""
    scopes: frozenset[str]
    roles: frozenset[str]
    plan: str
    client: str
    """The API client that the token was issued to."""
    auth_time_s: int
    """When the person last proved himself, in s since 1970."""
    expire_time_s: int
    """When the token expires, in s since 1970."""
    amr: frozenset[str] = frozenset()
    """How the person proved himself (RFC 8176)."""
    issued_at_s: int = 0
    """When the token was issued, in s since 1970."""
    generation: int = 0
    """Of the person's tokens; see `mesh.runtime.revocations`."""
    key_id: str = ""
    """The key that signed the token."""
    is_service: bool = field(init=False, compare=False)
    """Whether it is a service account: the client speaks for itself (RFC 9068 §3)."""
    name: str = field(init=False, compare=False)
    """`users/{user}`; `serviceAccounts/{service_account}`, which owns nothing."""

    def __post_init__(self) -> None:
        # Once for all calls with the token: it is asked several times of each.
        written = str(self.id)
        is_service = self.client == written
        object.__setattr__(self, "is_service", is_service)
        collection = "serviceAccounts" if is_service else "users"
        object.__setattr__(self, "name", f"{collection}/{written}")

    @property
    def region(self) -> int:
        """The home region, 0 to 255."""
        return region_of(self.id)


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC, event or job under way."""

    method: str
    """gRPC path; `event:<type>` or `job:<name>` where it is none."""
    caller: str
    """The calling workload's name."""
    user: User | None = None
    token: str = field(default="", repr=False)
    """The user's access token, carried on to other services."""
    request_id: str = ""
    """The edge's own id of the request, or the id of the event."""
    traceparent: str = ""
    """W3C trace context; empty where nothing is traced."""
    developer: str = ""
    """Whose own copies of services are asked for; empty for nobody's."""
    address: str = field(default="", repr=False)
    """Where the client calls from, as the edge saw it; empty inside the mesh."""
    user_agent: str = field(default="", repr=False)
    """What the client calls itself; not to be believed."""
    deadline_s: float | None = None
    """On the event loop's clock; None for streams, events and jobs."""
    conditions: Conditions | None = field(default=None, repr=False)
    """What a call over REST asks of tags; None for calls that came otherwise."""
    renders: bool = False
    """Whether the answer is wanted as JSON, or may be: see `mesh.runtime.rendering`."""
    consistency: tuple[Reached, ...] = ()
    """How far relations must have come for an answer; travels from call to call."""
    about: list[str] = field(default_factory=list, repr=False, compare=False)
    """What the call turned out to be about, for its audit record; the last is it."""
    stream: LiveStream | None = field(default=None, repr=False, compare=False)
    """Ends a stream a minute after its token; `renew` moves it."""

    @property
    def actor(self) -> str:
        """Who acts: `users/{user}` or `services/{service}`."""
        return self.user.name if self.user else f"services/{self.caller}"

    def renew(self, user: User) -> None:
        """Lets the stream live as long as a fresh token of the same person does.

        Raises:
            ValueError: the token is another person's, or this is no stream.
            MeshError: TOKEN_REVOKED where the stream is being ended already.
        """
        if self.stream is None or self.user is None or user.id != self.user.id:
            raise ValueError("the token does not fit the stream")
        self.stream.belongs_to(user)

    @property
    def signed_in(self) -> User:
        """The user of a method that asks for one; the policy has seen to it.

        Raises:
            LookupError: there is no user, so the method is not one of those.
        """
        if self.user is None:
            raise LookupError(f"{self.method} runs without a user")
        return self.user


AFTER_EXPIRY_S = 60.0


def stream_end_s(user: User) -> float:
    """When a stream under the user's token ends, on the event loop's clock."""
    left_s = user.expire_time_s - time.time() + AFTER_EXPIRY_S
    return asyncio.get_running_loop().time() + left_s


_current: ContextVar[Call | None] = ContextVar("palestra_call", default=None)


def current() -> Call | None:
    """The call that the current code runs in; None at start-up and in idle loops."""
    return _current.get()


def enter(call: Call) -> None:
    """Makes `call` the current one for the rest of this task."""
    _current.set(call)
