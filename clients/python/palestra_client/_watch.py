"""Following a live activity across cuts.

Decides when a watch is opened again and when it is over. Never invents an
update: what was missed during a cut is in the activity's streams.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

import grpc

from palestra.training.v1 import activity_service_pb2 as pb
from palestra_client._calls import Caller, pause_s
from palestra_client._errors import (
    DeadlineExceeded,
    NotFound,
    PalestraError,
    Unauthenticated,
    Unavailable,
    error_of,
)
from palestra_client._signin import SignIn

if TYPE_CHECKING:
    from grpc.aio import UnaryStreamMultiCallable

    Method = UnaryStreamMultiCallable[pb.WatchActivityRequest, pb.WatchActivityResponse]

SILENCE_S = 60.0
"""A server sends heartbeats; one that is silent for so long is gone."""
FAILURES = 8
"""Openings in a row that may fail before the watch gives up."""


class Watch:
    """The live updates of one activity."""

    def __init__(
        self,
        method: Method,
        name: str,
        signin: SignIn,
        caller: Caller,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._method = method
        self._request = pb.WatchActivityRequest(name=name)
        self._signin = signin
        self._caller = caller
        self._sleep = sleep
        self._rng = random.Random()
        self._failures = 0
        self._renewed = False

    async def updates(self) -> AsyncIterator[pb.LiveUpdate]:
        """Each update as it comes; ends when the activity is finished.

        Raises:
            NotFound: there is no such activity, or it was deleted meanwhile.
            PalestraError: the server cannot be reached any more, or refuses.
        """
        while True:
            token = await self._signin.access_token()
            ended = pb.WATCH_END_UNSPECIFIED
            try:
                async for response in self._events(token):
                    self._failures, self._renewed = 0, False
                    if response.HasField("update"):
                        yield response.update
                    elif response.HasField("ended") and not response.ended.HasField("error"):
                        # Behind an error comes the call's status, which says the same.
                        ended = response.ended.reason
                        break
            except PalestraError as error:
                await self._after_failure(error, token)
                continue
            if ended == pb.WATCH_END_FINISHED:
                return
            if ended == pb.WATCH_END_DELETED:
                raise NotFound("The activity was deleted.", code=grpc.StatusCode.NOT_FOUND)
            await self._after_failure(Unavailable("The watch was cut."), token)

    async def _events(self, token: str) -> AsyncIterator[pb.WatchActivityResponse]:
        call = self._method(self._request, metadata=self._caller.metadata(token))
        try:
            while True:
                async with asyncio.timeout(SILENCE_S):
                    response = await call.read()
                if not isinstance(response, pb.WatchActivityResponse):
                    return
                yield response
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error
        except TimeoutError as error:
            raise Unavailable("The server went silent.") from error
        finally:
            call.cancel()

    async def _after_failure(self, error: PalestraError, token: str) -> None:
        if isinstance(error, Unauthenticated) and token and not self._renewed:
            self._renewed = True
            await self._signin.renewed(token)
            return
        self._failures += 1
        passing = isinstance(error, Unavailable | DeadlineExceeded)
        if not passing or self._failures >= FAILURES:
            raise error
        await self._sleep(pause_s(self._failures - 1, error.retry_after_s, self._rng))
