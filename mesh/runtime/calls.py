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


@dataclass(frozen=True, slots=True)
class User:
    """A signed-in person, as the verified access token says."""

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

    @property
    def name(self) -> str:
        """`users/{user}`."""
        return f"users/{self.id}"


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
    deadline_s: float | None = None
    """On the event loop's clock; None for streams, events and jobs."""
    stream_limit: asyncio.Timeout | None = field(default=None, repr=False, compare=False)
    """Ends a stream a minute after its token; `renew` moves it."""

    @property
    def actor(self) -> str:
        """Who acts: `users/{user}` or `services/{service}`."""
        return self.user.name if self.user else f"services/{self.caller}"

    def renew(self, user: User) -> None:
        """Lets the stream live as long as a fresh token of the same person does.

        Raises:
            ValueError: the token is another person's, or this is no stream.
        """
        if self.stream_limit is None or self.user is None or user.id != self.user.id:
            raise ValueError("the token does not fit the stream")
        self.stream_limit.reschedule(stream_end_s(user))

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
