"""What a service asks of its copy of relations, and what it runs to keep it.

    from mesh.runtime.relations.replica import Audience, Relations, only_visible

    relations = Relations(host.database, host.mesh)
    Parts(..., handlers=relations.handlers, jobs=relations.jobs)

One thing: `await relations.visible(viewer, owner, audience)`. A list: `only_visible(...)` in
its statement, and `await relations.values(viewer)` among the values. Both ask the same.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Integer, Select, Uuid, bindparam, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from mesh.runtime import calls
from mesh.runtime.channel import MeshChannel
from mesh.runtime.clock import Clock, now
from mesh.runtime.consistency import Reached
from mesh.runtime.handler import Handler
from mesh.runtime.relations import visible
from mesh.runtime.relations.applying import Applying
from mesh.runtime.relations.copying import Copying
from mesh.runtime.relations.visible import Audience, only_visible
from mesh.runtime.service import Job
from mesh.runtime.sql import Database, Statement

__all__ = ["Audience", "Relations", "only_visible"]

LONGEST_WAIT_S: Final = 0.3
"""For a copy that has not come to what a call asks; then the answer is no."""
FIRST_LOOK_S: Final = 0.005
MOST_OWNERS: Final = 1_000
CATCH_UP_EVERY_S: Final = 1.0
FORGET_EVERY_S: Final = 3_600.0

_audience = bindparam("audience", type_=Integer)
_owner = bindparam("owner", type_=Uuid)
_VISIBLE = Statement(select(only_visible(_owner, _audience)))
_owners = (
    func.unnest(bindparam("owners", type_=ARRAY(Uuid)))
    .table_valued(column("owner_id", Uuid), with_ordinality="place")
    .render_derived(name="owners")
)
_whose: Select[Any] = (
    select(_owners.c.owner_id)
    .where(only_visible(_owners.c.owner_id, _audience))
    .order_by(_owners.c.place)
)
_FILTER = Statement(_whose)
_GOOD = Statement(select(visible.good()))


@dataclass(frozen=True, slots=True)
class Relations:
    """A service's copy of who follows, blocks, mutes and trusts whom."""

    database: Database
    mesh: MeshChannel
    clock: Clock = now

    @property
    def handlers(self) -> Sequence[Handler]:
        """What keeps the copy."""
        return Applying(self.clock).handlers

    @property
    def jobs(self) -> Sequence[Job]:
        """What fetches what the copy lacks."""
        copying = Copying(self.database, self.mesh, self.clock)
        return (
            Job("copy relations", CATCH_UP_EVERY_S, copying.catch_up),
            Job("forget relations", FORGET_EVERY_S, copying.forget),
        )

    async def visible(
        self,
        viewer: uuid.UUID | None,
        owner: uuid.UUID,
        audience: Audience,
        at_least: Sequence[Reached] = (),
    ) -> bool:
        """Whether a viewer sees what an owner has for an audience; None is not signed in.

        `at_least` is asked beside what the current call asks: of what was written when the
        owner's relations were there, it shows nothing to whom he had blocked before.
        """
        told = await self.values(viewer, at_least)
        row = await self.database.row(_VISIBLE, {**told, "owner": owner, "audience": audience})
        return row is not None and bool(row[0])

    async def filter(
        self,
        viewer: uuid.UUID | None,
        owners: Sequence[uuid.UUID],
        audience: Audience,
        at_least: Sequence[Reached] = (),
        *,
        unmuted: bool = False,
    ) -> list[uuid.UUID]:
        """Those of at most 1,000 owners, in their order, whose things a viewer sees.

        Raises:
            ValueError: there are more.
        """
        if len(owners) > MOST_OWNERS:
            raise ValueError(f"{len(owners)} owners; at most {MOST_OWNERS} at once")
        told = await self.values(viewer, at_least, unmuted=unmuted)
        rows = await self.database.rows(
            _FILTER, {**told, "owners": list(owners), "audience": audience}
        )
        return [owner for (owner,) in rows]

    async def values(
        self,
        viewer: uuid.UUID | None,
        at_least: Sequence[Reached] = (),
        *,
        unmuted: bool = False,
    ) -> Mapping[str, Any]:
        """What statements with `only_visible` are told; waits a little for a copy that lags.

        `unmuted` leaves out, too, whom the viewer mutes.
        """
        call = calls.current()
        asked = (*(call.consistency if call else ()), *at_least)
        told = visible.values(viewer, asked, self.clock(), unmuted=unmuted)
        if asked and viewer is not None:
            await self._wait(told, call)
        return told

    async def _wait(self, told: Mapping[str, Any], call: calls.Call | None) -> None:
        """Until the copy is there, or it is not worth waiting for: the statement says which."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + LONGEST_WAIT_S
        if call is not None and call.deadline_s is not None:
            # Half of what is left is for the answer itself.
            until_s = min(until_s, (loop.time() + call.deadline_s) / 2)
        pause_s = FIRST_LOOK_S
        while not await self._good(told):
            if loop.time() + pause_s > until_s:
                return
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def _good(self, told: Mapping[str, Any]) -> bool:
        row = await self.database.row(_GOOD, told)
        return row is not None and bool(row[0])
