"""More or fewer processes of a running service, and copies of it beside them.

Decides the bounds: of processes, and of the database connections that they need.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from mesh import catalog
from mesh.local import plan
from mesh.local.crew import Crew
from mesh.local.errors import StackError
from mesh.local.places import ROOT
from mesh.local.stores.database import SPARE_WORKERS
from mesh.local.workers import SAME, Copy

MOST_SUBSETS = 8
_SUBSET = re.compile(r"[a-z][a-z0-9]{0,15}")


async def scale(
    crew: Crew, group: str, number: int, copy: Copy, at_start: Mapping[str, int]
) -> list[str]:
    """Starts or ends processes until a group has `number`; returns their names.

    New ones take calls when this returns, and those that leave have ended what they had.

    Raises:
        StackError: the number cannot be meant, or a process does not come to serve.
    """
    async with crew.busy:
        _check(crew, group, number, copy)
        _check_connections(crew, group, number, at_start)
        if copy != SAME:
            crew.copies[group] = copy
        try:
            for _ in range(number - len(crew.of(group))):
                await crew.take_on(group)
            leaving = crew.of(group)[number:]
            await asyncio.gather(*(crew.let_go(each) for each in leaving))
        finally:
            if not crew.of(group):
                crew.copies.pop(group, None)
    return [each.spec.name for each in crew.of(group)]


def _check(crew: Crew, group: str, number: int, copy: Copy) -> None:
    service, colon, subset = group.partition(":")
    if service not in catalog.DEPLOYED:
        known = ", ".join(sorted(catalog.DEPLOYED))
        raise StackError(f"no service {service!r}; there are {known}.")
    if not colon:
        if not 1 <= number <= plan.MOST_WORKERS:
            raise StackError(f"{group}={number}: give 1 to {plan.MOST_WORKERS}.")
        if copy != SAME:
            raise StackError(f"{group}: only a subset may differ, say {group}:canary=1.")
        return
    if service not in {each.name for each in catalog.SERVICES}:
        raise StackError(f"{service} is a part of the edge and has no subsets.")
    if not _SUBSET.fullmatch(subset):
        raise StackError(f"{subset!r} names no subset: give up to 16 of a-z and 0-9.")
    if not 0 <= number <= plan.MOST_WORKERS:
        raise StackError(f"{group}={number}: give 0 to {plan.MOST_WORKERS}.")
    others = {each for each in crew.groups() if ":" in each} - {group}
    if len(others) >= MOST_SUBSETS and number:
        raise StackError(f"there are {MOST_SUBSETS} subsets already: {', '.join(sorted(others))}.")
    _check_copy(crew, group, copy)


def _check_copy(crew: Crew, group: str, copy: Copy) -> None:
    if copy == SAME:
        return
    if crew.of(group) and crew.copies.get(group, SAME) != copy:
        raise StackError(f"{group} runs other code or settings; scale it to 0 first.")
    if copy.checkout != ROOT and not (copy.checkout / "services").is_dir():
        raise StackError(f"{copy.checkout} is no checkout of Palestra: it has no services folder.")


def _check_connections(crew: Crew, group: str, number: int, at_start: Mapping[str, int]) -> None:
    wanted = {each: len(crew.of(each)) for each in (*crew.groups(), group)} | {group: number}
    more = 0
    for service, started in at_start.items():
        now = sum(each for name, each in wanted.items() if name.partition(":")[0] == service)
        more += max(0, now - started)
    if more > SPARE_WORKERS:
        raise StackError(
            f"PostgreSQL was started with connections for {SPARE_WORKERS} workers more than "
            f"there were then, and this would be {more}; give `palestra up` more --workers."
        )


def copy_of(checkout: str, env: Mapping[str, str]) -> Copy:
    """What a subset is to have otherwise, as the command's words say it."""
    return Copy(Path(checkout).resolve() if checkout else ROOT, dict(env))
