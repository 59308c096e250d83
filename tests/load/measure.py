"""One scenario after the other on one stack: warmed up, then measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from tests.load import cpu
from tests.load.closed_loop import Bounds
from tests.load.figures import Measured
from tests.load.scenarios import Scenario
from tests.load.world import World
from tests.support.whole_stack import WholeStack

MOST = 50_000
"""Requests, batches or updates of one scenario."""
_WARM = Bounds(0.7, 2_000)
_ORDER = ("edge", "node", "identity", "integration", "training", "postgres", "redis", "control")


def groups(stack: WholeStack) -> Mapping[str, Sequence[int]]:
    """The stack's processes by what they are; whoever loads it is none of them."""
    content = stack.status()
    found: dict[str, list[int]] = {}
    for row in content["processes"]:
        found.setdefault(row["service"] or row["name"], []).append(int(row["pid"]))
    found["supervisor"] = [int(content["supervisor"])]
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(group: str) -> int:
    return _ORDER.index(group) if group in _ORDER else len(_ORDER)


async def measure(world: World, scenario: Scenario, seconds: float) -> Measured:
    """What it costs.

    Raises:
        ProcessGone: a process of the stack ended meanwhile.
    """
    heads = groups(world.stack)
    async with scenario.ready(world) as load:
        await load(_WARM)
        before, begun = cpu.usage(cpu.read_all(), heads), time.perf_counter()
        tally = await load(Bounds(seconds, MOST))
        elapsed_s = time.perf_counter() - begun
        used_us = cpu.usage(cpu.read_all(), heads).since(before)
    return Measured(scenario.name, scenario.unit, tally, elapsed_s, used_us)
