"""Restarts without a gap: a successor takes calls before its predecessor leaves.

Decides the order. There is never a worker less than before, so that a service of one
worker is restarted as unnoticed as one of many; code that does not start costs nobody.
"""

from __future__ import annotations

from mesh.local.crew import Crew
from mesh.local.errors import StackError
from mesh.local.keeper import Keeper
from mesh.local.spec import Spec


async def restart(crew: Crew, name: str) -> list[str]:
    """Restarts a service's workers, or one process, one after the other.

    Whatever gets traffic has one more beside it meanwhile. Returns the names of the
    restarted processes, which serve again.

    Raises:
        StackError: there is no such service or process, or one does not serve again.
    """
    async with crew.busy:
        chosen = [each for each in crew.keepers.values() if name in _names(each.spec)]
        if not chosen:
            known = sorted({each.spec.service or each.spec.name for each in crew.keepers.values()})
            raise StackError(f"there is no {name!r} here; there are {', '.join(known)}.")
        if chosen[0].spec.endpoint is None:
            await _one_by_one(crew, chosen)
        else:
            extra = await crew.take_on(chosen[0].spec.service)
            try:
                await _one_by_one(crew, chosen)
            finally:
                await crew.let_go(extra)
    return [keeper.spec.name for keeper in chosen]


async def _one_by_one(crew: Crew, chosen: list[Keeper]) -> None:
    for keeper in chosen:
        await crew.renew(keeper)


def _names(spec: Spec) -> set[str]:
    return {spec.name, spec.service or spec.name}
