"""A person who looks at their activities, through the edge's eyes."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from palestra.training.v1 import activity_pb2, events_pb2
from palestra.training.v1 import activity_service_pb2 as pb
from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceStub
from palestra.training.v1.progress_service_pb2_grpc import ProgressServiceStub
from tests.support import ledgers
from tests.support.ledgers import Samples
from tests.support.made_tokens import Signer
from tests.support.recorded_sessions import Recorded
from tests.support.served import Metadata, as_edge
from tests.support.training_worker import Worker

SCOPES = ("activities.read", "activities.write")

if TYPE_CHECKING:
    # The stubs of asyncio's channels are types only.
    from palestra.training.v1.activity_service_pb2_grpc import ActivityServiceAsyncStub
    from palestra.training.v1.progress_service_pb2_grpc import ProgressServiceAsyncStub


@dataclass(frozen=True, slots=True)
class Athlete:
    """A signed-in person."""

    id: uuid.UUID
    metadata: Metadata

    @property
    def name(self) -> str:
        """`users/{user}`."""
        return f"users/{self.id}"

    async def activity(self, worker: Worker, session: Recorded) -> activity_pb2.Activity:
        """One of their activities."""
        request = pb.GetActivityRequest(name=session.activity)
        answer = await activities(worker).GetActivity(request, metadata=self.metadata)
        return answer.activity

    async def samples(self, worker: Worker, session: Recorded) -> Samples:
        """All samples of an activity."""
        request = pb.GetActivityStreamsRequest(name=session.activity, resolution=0)
        answer = await activities(worker).GetActivityStreams(request, metadata=self.metadata)
        return ledgers.of_grpc(answer, session.description)

    async def lost_or_doubled(self, worker: Worker, session: Recorded) -> list[str]:
        """How what is stored differs from what the device recorded; empty where it does not."""
        return ledgers.differences(session.ledger, await self.samples(worker, session))


def athlete(signer: Signer) -> Athlete:
    """A new person."""
    user = uuid.uuid4()
    return Athlete(user, as_edge(signer.token(user, SCOPES)))


def activities(worker: Worker) -> ActivityServiceAsyncStub:
    """The activities' methods."""
    return ActivityServiceStub(worker.channel)


def progress(worker: Worker) -> ProgressServiceAsyncStub:
    """Progress's method."""
    return ProgressServiceStub(worker.channel)


async def code_of(call: grpc.aio.UnaryUnaryCall[object, object]) -> grpc.StatusCode:
    """How a call ends."""
    return await call.code()


async def events_of(worker: Worker, activity: str) -> list[tuple[str, int]]:
    """What was told of an activity: the events' short names and versions, in order."""
    from sqlalchemy import bindparam, select

    from mesh.runtime.sql import Statement
    from mesh.runtime.tables import OUTBOX

    statement = Statement(
        select(OUTBOX.c.type, OUTBOX.c.key_version)
        .where(OUTBOX.c.key == bindparam("of_key"))
        .order_by(OUTBOX.c.position)
    )
    package = events_pb2.DESCRIPTOR.package
    rows = await worker.database.rows(statement, {"of_key": activity})
    return [(str(kind).removeprefix(package + "."), version) for kind, version in rows]
