"""Processes that come and go while the stack runs, with traffic only while they can take it.

Owns the order of a coming (started, serving, known to the proxies as healthy) and of a
leaving (taken from the endpoints, forgotten by the proxies, only then told to end).
How many there are to be is `scaling`'s, which are renewed is `rolling`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

from mesh.local import settled
from mesh.local.errors import StackError
from mesh.local.giving_way import giving_way
from mesh.local.keeper import Keeper
from mesh.local.places import Places
from mesh.local.spec import Spec
from mesh.local.workers import SAME, Copy

Hire = Callable[[str, int, Copy], Spec]
"""Given a group of processes, a number and what is to differ: the process."""


class Crew:
    """The processes of one stack that get traffic, by group: `training`, `training:canary`."""

    def __init__(
        self,
        places: Places,
        keepers: dict[str, Keeper],
        hire: Hire,
        changed: Callable[[Keeper], None],
        all_serve: Callable[[list[Keeper]], Awaitable[None]],
        stopping: asyncio.Event,
    ) -> None:
        self.keepers = keepers
        self.copies: dict[str, Copy] = {}
        """What differs in a group, where anything does."""
        self.busy = asyncio.Lock()
        """Held by whoever changes the crew: one change after the other."""
        self._places = places
        self._hire = hire
        self._changed = changed
        self._all_serve = all_serve
        self._stopping = stopping

    def of(self, group: str) -> list[Keeper]:
        """The group's processes by number."""
        found = [each for each in self.keepers.values() if each.spec.service == group]
        return sorted(found, key=lambda each: _number(each.spec))

    def groups(self) -> Iterator[str]:
        """The groups that have processes."""
        yield from dict.fromkeys(
            each.spec.service for each in self.keepers.values() if each.spec.endpoint is not None
        )

    async def take_on(self, group: str) -> Keeper:
        """Starts one more; returns when calls can come to it.

        Raises:
            StackError: it does not come to serve; it is gone again then.
        """
        self._refuse_the_end()
        taken = {_number(each.spec) for each in self.of(group)}
        number = next(each for each in count() if each not in taken)
        spec = self._hire(group, number, self.copies.get(group, SAME))
        keeper = self.keepers[spec.name] = Keeper(spec, self._places, self._changed)
        try:
            await self._serve(keeper)
        except BaseException:
            await self._dismiss(keeper)
            raise
        return keeper

    async def renew(self, keeper: Keeper) -> None:
        """Ends a process as `let_go` does and starts it anew, until calls can come to it."""
        self._refuse_the_end()
        await keeper.stop(self._forgotten(keeper))
        await self._serve(keeper)

    async def let_go(self, keeper: Keeper) -> None:
        """Ends a process for good, after the proxies have stopped to send it calls."""
        await keeper.stop(self._forgotten(keeper))
        await self._dismiss(keeper)

    async def _serve(self, keeper: Keeper) -> None:
        self._refuse_the_end()
        keeper.start()
        if keeper.spec.endpoint is None:
            # There is none beside it: everybody waits for this one.
            await self._all_serve([keeper])
            return
        # It is spawned at the loop's next turn.
        await asyncio.sleep(0)
        async with giving_way(keeper.identity):
            await self._all_serve([keeper])
        await settled.routed(self._places, keeper.spec)

    async def _dismiss(self, keeper: Keeper) -> None:
        await keeper.stop()
        self.keepers.pop(keeper.spec.name, None)
        self._changed(keeper)

    def _forgotten(self, keeper: Keeper) -> Callable[[], Awaitable[None]] | None:
        if keeper.spec.endpoint is None:
            return None
        return lambda: settled.forgotten(self._places, keeper.spec)

    def _refuse_the_end(self) -> None:
        if self._stopping.is_set():
            raise StackError("the stack is being stopped.")


def _number(spec: Spec) -> int:
    number = spec.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
