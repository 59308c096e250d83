"""Making one call: deadline, token, repeat.

Decides what is repeated: only what the contract calls harmless and only when
the server was unavailable; and once after a renewed sign-in, for a call that
was refused unauthenticated was not carried out. Knows no method by name.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import Message

from palestra_client._contract import Rule
from palestra_client._errors import (
    InvalidArgument,
    PalestraError,
    StepUpNeeded,
    Unauthenticated,
    Unavailable,
    error_of,
)
from palestra_client._kept import Kept
from palestra_client._signin import SignIn

if TYPE_CHECKING:
    from grpc.aio import UnaryUnaryMultiCallable

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

ATTEMPTS = 3
CONSISTENCY_HEADER = "x-palestra-consistency"
_OF_THEIR_OWN = frozenset({"CONSISTENCY_TOKEN_INVALID", "SIGN_IN_TOO_OLD"})
# A domain's own refusal (a wrong password) is not mended by another token.
_MESH = frozenset({"", "mesh.palestra"})
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Budget:
    """How many repeats the recent successes have earned: an outage is not made worse."""

    def __init__(self, largest: float = 10.0, earned: float = 0.1) -> None:
        self._largest = largest
        self._earned = earned
        self._left = largest

    def succeeded(self) -> None:
        """A call succeeded and earns a part of a repeat."""
        self._left = min(self._largest, self._left + self._earned)

    def spend(self) -> bool:
        """Whether one repeat may be made; if so it is spent."""
        if self._left < 1:
            return False
        self._left -= 1
        return True


def pause_s(attempt: int, asked_s: float | None, rng: random.Random) -> float:
    """How long to wait after attempt 0, 1, …: full jitter, never less than the server asks."""
    jitter = rng.uniform(0, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2**attempt))
    return jitter + (asked_s or 0.0)


def with_request_id(request: Request, rule: Rule) -> Request:
    """The request, with an id where the method takes one and it has none."""
    if not rule.takes_request_id or "request_id" not in request.DESCRIPTOR.fields_by_name:
        return request
    whole = type(request)(request_id=str(uuid.uuid4()))
    # A request id of the caller's own replaces ours.
    whole.MergeFrom(request)
    return whole


StepUp = Callable[[str], Awaitable[bool]]
"""Confirms the person of a token that was too old; false where nobody can be asked."""


class Caller:
    """Makes calls for one sign-in."""

    def __init__(
        self, signin: SignIn, step_up: StepUp | None = None, rng: random.Random | None = None
    ) -> None:
        self._signin = signin
        self._step_up = step_up
        self._budget = Budget()
        self._rng = rng or random.Random()

    async def unary(
        self,
        method: UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        rule: Rule,
    ) -> Response:
        """Calls `method` and answers with its response.

        Raises:
            PalestraError: the call did not succeed.
        """
        request = with_request_id(request, rule)
        mended: set[str] = set()
        attempt = 0
        while True:
            token = "" if rule.public else await self._signin.access_token()
            try:
                response = await self.once(method, request, rule, token)
            except (Unauthenticated, InvalidArgument) as error:
                if not await self._mended(error, token, mended):
                    raise
            except Unavailable as error:
                attempt += 1
                if not self._may_repeat(rule, attempt, error):
                    raise
                await asyncio.sleep(pause_s(attempt - 1, error.retry_after_s, self._rng))
            else:
                self._budget.succeeded()
                self._remember(response)
                return response

    async def once(
        self,
        method: UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        rule: Rule,
        token: str,
    ) -> Response:
        """One try, with this token.

        Raises:
            PalestraError: it did not succeed.
        """
        try:
            metadata = self.metadata(token)
            return await method(request, timeout=rule.timeout_s, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error

    def metadata(self, token: str) -> grpc.aio.Metadata:
        """Who is calling, and the changes of his that no answer may be from before."""
        changes = self._signin.store.kept().consistency if token else ()
        told = bearer(token)
        if changes:
            told.add(CONSISTENCY_HEADER, ",".join(changes))
        return told

    async def _mended(self, error: PalestraError, token: str, mended: set[str]) -> bool:
        """Whether what was refused may succeed now; each cause is mended once."""
        cause = error.reason if error.reason in _OF_THEIR_OWN else "token"
        if not token or cause in mended:
            return False
        mended.add(cause)
        if cause == "CONSISTENCY_TOKEN_INVALID":
            self._signin.store.change_kept(Kept.without_changes)
            return True
        if isinstance(error, StepUpNeeded):
            return self._step_up is not None and await self._step_up(token)
        if isinstance(error, InvalidArgument) or error.domain not in _MESH:
            return False
        await self._signin.renewed(token)
        return True

    def _remember(self, response: Message) -> None:
        change = getattr(response, "consistency_token", "")
        if change:
            self._signin.store.change_kept(lambda kept: kept.with_change(change))

    def _may_repeat(self, rule: Rule, attempt: int, error: PalestraError) -> bool:
        if not rule.repeatable or attempt >= ATTEMPTS:
            return False
        if error.retry_after_s is not None and error.retry_after_s > _LONGEST_PAUSE_S:
            return False
        return self._budget.spend()


def bearer(token: str) -> grpc.aio.Metadata:
    """The metadata that says who is calling."""
    return grpc.aio.Metadata(*([("authorization", f"Bearer {token}")] if token else []))
