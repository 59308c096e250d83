"""Identity's relations on the real database, and a service's copy of them beside it."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import bindparam, insert, select

from mesh.runtime.calls import Call
from mesh.runtime.channel import MeshChannel
from mesh.runtime.clock import now
from mesh.runtime.ids import user_id
from mesh.runtime.relations.copying import Copying
from mesh.runtime.relations.replica import Relations
from mesh.runtime.sql import Database, Statement
from mesh.runtime.tables import OUTBOX
from palestra.identity.v1.events_pb2 import RelationsChanged
from palestra.identity.v1.visibility_service_pb2 import ListRelationChangesRequest
from services.identity.relations.flow import RelationFlow
from services.identity.relations.store import RelationStore
from services.identity.tables.auth import ACCOUNTS
from services.identity.visibility.rpc import VisibilityRpc
from tests.support.told_counters import Bus, consuming, running

_COLUMNS = ("user_id", "password_hash", "created_at")
_ACCOUNT = Statement(insert(ACCOUNTS).values({name: bindparam(name) for name in _COLUMNS}))
_EVENTS = Statement(
    select(OUTBOX.c.key, OUTBOX.c.key_version, OUTBOX.c.payload)
    .where(OUTBOX.c.type == RelationsChanged.DESCRIPTOR.full_name)
    .order_by(OUTBOX.c.position)
)


@dataclass
class People:
    """Identity's relations on the real database, at a time of the test's own."""

    database: Database
    at: datetime = field(default_factory=now)

    def flow(self) -> RelationFlow:
        """One worker's; a second call is a second worker."""
        return RelationFlow(RelationStore(self.database), lambda: self.at)

    async def person(self, *, open_: bool = False) -> uuid.UUID:
        """Somebody with an account; who is open wants not to be asked."""
        made = user_id(7)
        values = (made, "-", self.at)
        await self.database.run(_ACCOUNT, dict(zip(_COLUMNS, values, strict=True)))
        if open_:
            await self.flow().set_approval(made, approval=False)
        return made

    async def told(self) -> dict[str, list[tuple[int, RelationsChanged]]]:
        """The events of each key, as they were told."""
        found: dict[str, list[tuple[int, RelationsChanged]]] = {}
        for key, version, payload in await self.database.rows(_EVENTS, {}):
            found.setdefault(key, []).append((version, RelationsChanged.FromString(payload)))
        return found


@dataclass
class Identity:
    """The way into identity: its servicer, called at once; it can be away."""

    rpc: VisibilityRpc
    asked: list[ListRelationChangesRequest] = field(default_factory=list)
    fails_at: int = -1
    """The number of the request that ends in an error of the test's own."""

    def for_stubs(self) -> Identity:
        return self

    def unary_unary(self, path: str, *codec: Any, **more: Any) -> Callable[..., Awaitable[Any]]:
        async def call(request: Any) -> Any:
            self.asked.append(request)
            if len(self.asked) == self.fails_at:
                raise KilledError
            name = path.rpartition("/")[2]
            return await getattr(self.rpc, name)(request, Call(path, "training"))

        return call


class KilledError(Exception):
    """The process ends here."""


@dataclass
class Mirror:
    """Identity, the bus, and training's copy; time is the real one and what the test adds."""

    bus: Bus
    people: People
    later: timedelta = timedelta()

    def __post_init__(self) -> None:
        self.flow = self.people.flow()
        self.identity = Identity(VisibilityRpc(self.flow))
        self.copy = Relations(self.bus.consumer, self._mesh, self.clock)
        self.copying = Copying(self.bus.consumer, self._mesh, self.clock)

    @property
    def _mesh(self) -> MeshChannel:
        return cast("MeshChannel", self.identity)

    def clock(self) -> datetime:
        return now() + self.later

    @asynccontextmanager
    async def relayed(self) -> AsyncIterator[None]:
        """Identity's events come as far as the bus, for as long as the block lasts."""
        async with running(self.bus.relaying().run):
            yield

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """And the copy takes them."""
        async with self.relayed(), consuming(self.bus, self.copy.handlers):
            yield
