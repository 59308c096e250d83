"""Making one call: deadline, token, repeat.

Decides what is repeated: only what the contract calls harmless and only when
the server was unavailable; and once after a renewed sign-in, for a call that
was refused unauthenticated was not carried out. Knows no method by name.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import TYPE_CHECKING, TypeVar

import grpc
from google.protobuf.message import Message

from palestra_client._contract import Rule
from palestra_client._errors import PalestraError, Unauthenticated, Unavailable, error_of
from palestra_client._signin import SignIn

if TYPE_CHECKING:
    from grpc.aio import UnaryUnaryMultiCallable

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

ATTEMPTS = 3
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


class Caller:
    """Makes calls for one sign-in."""

    def __init__(self, signin: SignIn, rng: random.Random | None = None) -> None:
        self._signin = signin
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
        renewed = False
        attempt = 0
        while True:
            token = "" if rule.public else await self._signin.access_token()
            try:
                response = await self._once(method, request, rule, token)
            except Unauthenticated:
                if renewed or not token:
                    raise
                renewed = True
                await self._signin.renewed(token)
            except Unavailable as error:
                attempt += 1
                if not self._may_repeat(rule, attempt, error):
                    raise
                await asyncio.sleep(pause_s(attempt - 1, error.retry_after_s, self._rng))
            else:
                self._budget.succeeded()
                return response

    async def _once(
        self,
        method: UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        rule: Rule,
        token: str,
    ) -> Response:
        try:
            return await method(request, timeout=rule.timeout_s, metadata=bearer(token))
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error

    def _may_repeat(self, rule: Rule, attempt: int, error: PalestraError) -> bool:
        if not rule.repeatable or attempt >= ATTEMPTS:
            return False
        if error.retry_after_s is not None and error.retry_after_s > _LONGEST_PAUSE_S:
            return False
        return self._budget.spend()


def bearer(token: str) -> grpc.aio.Metadata:
    """The metadata that says who is calling."""
    return grpc.aio.Metadata(*([("authorization", f"Bearer {token}")] if token else []))
