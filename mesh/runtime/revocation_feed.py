"""Keeps what a process knows of revocations up to date, by one stream to identity.

Each stream begins with everything, so nothing has to be remembered between two; until the
beginning is whole, what was known before serves. A stream that says nothing for a while is
given up: identity gives signs of life.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog

from mesh.runtime import metrics
from mesh.runtime.channel import MeshChannel
from mesh.runtime.revocations import Revocation, Revocations
from palestra.identity.v1 import revocation_service_pb2 as pb
from palestra.identity.v1.revocation_service_pb2_grpc import RevocationServiceStub

HEARTBEAT_S = 1.0
"""The longest silence of a healthy stream, as the contract says."""
SILENCE_S = 3.0
AGAIN_AFTER_S = 0.25
MOST_AGAIN_AFTER_S = 2.0
UNKNOWN_AGAIN_AFTER_S = 0.1
"""While nothing is known: nobody's token is believed before, and calls wait for it."""
_USERS = "users/"
_log = structlog.get_logger(__name__)


def from_mesh(mesh: MeshChannel, revocations: Revocations) -> Callable[[], Awaitable[None]]:
    """A loop that follows identity's revocations for as long as it runs."""
    stub = RevocationServiceStub(mesh.for_stubs())

    async def follow() -> None:
        told, wait_s = False, AGAIN_AFTER_S
        while True:
            try:
                await _listen(stub, revocations)
                told, wait_s = False, AGAIN_AFTER_S
            except (grpc.RpcError, TimeoutError) as error:
                if not told:
                    _log.warning("revocations_unheard", error=type(error).__name__)
                told, wait_s = True, min(wait_s * 2, MOST_AGAIN_AFTER_S)
            # Not all at once where all lost the same stream.
            again_s = wait_s if revocations.is_known else UNKNOWN_AGAIN_AFTER_S
            await asyncio.sleep(again_s * random.uniform(0.5, 1))

    return follow


async def _listen(stub: RevocationServiceStub, revocations: Revocations) -> None:
    # The stubs' types are those of the synchronous library.
    call: Any = stub.WatchRevocations(pb.WatchRevocationsRequest())
    beginning: list[Revocation] | None = []
    try:
        while True:
            async with asyncio.timeout(SILENCE_S):
                answer = await call.read()
            if answer is grpc.aio.EOF:  # type: ignore[attr-defined]
                return
            revocations.refuse_until(answer.believed_from.ToMicroseconds() / 1e6)
            found = [decoded(each) for each in answer.revocations]
            if beginning is not None:
                beginning += found
                if answer.complete:
                    revocations.replace(beginning)
                    beginning = None
            elif found:
                revocations.add(found)
            revocations.heard()
            metrics.REVOCATIONS.set(len(revocations))
    finally:
        call.cancel()


def decoded(told: pb.Revocation) -> Revocation:
    """A revocation from the wire."""
    user = told.generation.user.removeprefix(_USERS)
    return Revocation(
        created_s=told.create_time.ToMicroseconds() / 1e6,
        expires_s=told.expire_time.ToMicroseconds() / 1e6,
        session=told.session,
        user=uuid.UUID(user) if user else None,
        first_generation=told.generation.first,
        key_id=told.key_id,
    )
